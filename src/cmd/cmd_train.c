/* sluice train: features, leak proof, model, evaluation, registry. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "cmd_all.h"
#include "learn.h"

struct train_args {
	const char *name, *cut;
	int64_t trees, depth, seed;
};

#define UNSET (-1)

static const struct opt train_opts[] = {
	{.name = "cut",
		.type = OPT_STRING,
		.value = "TIME",
		.offset = offsetof(struct train_args, cut),
		.help = "labels known before it train, rows made from it on test; default [models] "
			"evaluation_cut"},
	{.name = "trees",
		.type = OPT_INT,
		.value = "N",
		.min = UNSET,
		.max = 100000,
		.initial = "-1",
		.offset = offsetof(struct train_args, trees),
		.help = "most boosting rounds; default [models] trees"},
	{.name = "depth",
		.type = OPT_INT,
		.value = "N",
		.min = UNSET,
		.max = 16,
		.initial = "-1",
		.offset = offsetof(struct train_args, depth),
		.help = "depth of a tree; default [models] depth"},
	{.name = "seed",
		.type = OPT_INT,
		.value = "N",
		.min = UNSET,
		.max = INT32_MAX,
		.initial = "-1",
		.offset = offsetof(struct train_args, seed),
		.help = "seed of training; default [models] seed"},
	OPT_END,
};

static const struct opt_arg train_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct train_args, name),
		.help = "the feature set, and the name of the model"},
	OPT_ARG_END,
};

static void train_json(
	struct context *c, const struct feature_set *set, const struct train_result *r)
{
	char at[CLOCK_TEXT];
	struct json_out j;
	struct buf b;

	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_str(&j, "model", set->name);
	jo_i64(&j, "version", r->version);
	jo_f64(&j, "auc", r->auc);
	jo_f64(&j, "logloss", r->logloss);
	build_cut_json(&j, "cut", &r->built);
	jo_cstr(&j, "sha256", r->sha256);
	jo_f64(&j, "auc_deduplicated", r->auc_deduplicated);
	jo_f64(&j, "brier", r->brier);
	jo_cstr(&j, "evaluation_cut", clock_format(r->cut_us, at, sizeof at));
	jo_i64(&j, "rows_train", r->rows_train);
	jo_i64(&j, "rows_test", r->rows_test);
	jo_i64(&j, "trees", r->rounds);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void train_text(
	struct context *c, const struct feature_set *set, const struct train_result *r)
{
	char at[CLOCK_TEXT];

	fprintf(c->out, "registered %.*s version %" PRId64 " (challenger)\n", STR_ARG(set->name),
		r->version);
	fprintf(c->out, "  trained on %" PRId64 " rows known before %s, %" PRId64 " trees\n",
		r->rows_train, clock_format(r->cut_us, at, sizeof at), r->rounds);
	fprintf(c->out, "  tested on %" PRId64 " rows made from then on: AUC %.4f, log loss %.4f\n",
		r->rows_test, r->auc, r->logloss);
	if (!isnan(r->auc_deduplicated))
		fprintf(c->out, "  AUC without duplicates %.4f\n", r->auc_deduplicated);
	fprintf(c->out, "  no leak in %" PRId64 " rows at %zu moments; data up to %s\n",
		r->leak.rows, r->leak.cuts, r->built.lsn);
}

static struct train_options options(const struct context *c, const struct train_args *a)
{
	const struct models_settings *s = &c->set->models;

	return (struct train_options){
		.cut = a->cut != NULL ? a->cut : s->evaluation_cut,
		.trees = a->trees != UNSET ? a->trees : s->trees,
		.depth = a->depth != UNSET ? a->depth : s->depth,
		.seed = a->seed != UNSET ? a->seed : s->seed,
		.threads = s->threads,
		.learning_rate = s->learning_rate,
	};
}

static enum err run_train(struct context *c, const void *args, struct error *e)
{
	const struct train_args *a = args;
	struct train_options o = options(c, a);
	struct train_result result;
	struct feature_set set;
	struct warehouse *w;
	struct models *m;

	TRY(feature_set_find(c->set->models.features, a->name, c->mem, &set, e));
	TRY(context_models(c, &m, e));
	TRY(context_warehouse(c, &w, e));
	TRY(learn_train(w, m, &set, &o, c->env, c->mem, &result, e));
	if (c->json)
		train_json(c, &set, &result);
	else
		train_text(c, &set, &result);
	return OK;
}

const struct command cmd_train = {
	.name = "train",
	.summary = "train, evaluate and register a model",
	.details =
		"Builds the feature set and proves that it does not know the future; trains on the "
		"rows whose label was known before the cut; evaluates on those made from the cut "
		"on; and registers that very model, with its cut, query, leak proof and "
		"evaluation, "
		"as the next version, alias \"challenger\". The first version of a model is its "
		"\"default\"; `sluice model alias` moves that.\n\n"
		"Exit 3: the feature set leaks, and nothing was registered.",
	.examples = "sluice train cancel_risk\n"
		    "sluice train cancel_risk --cut 2017-03-01 --json",
	.opts = train_opts,
	.positional = train_positional,
	.args_size = sizeof(struct train_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_train,
};
