/* sluice score: a workflow's open rows get their scores. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "learn.h"

struct score_args {
	const char *workflow, *version;
};

static const struct opt score_opts[] = {
	{.name = "version",
		.type = OPT_STRING,
		.value = "VERSION",
		.offset = offsetof(struct score_args, version),
		.help = "model version or alias; without it \"default\""},
	OPT_END,
};

static const struct opt_arg score_positional[] = {
	{.name = "WORKFLOW",
		.offset = offsetof(struct score_args, workflow),
		.help = "the [workflow] section that names model and features"},
	OPT_ARG_END,
};

static void print(struct context *c, const char *workflow, const struct score_result *r)
{
	struct json_out j;
	struct buf b;

	if (!c->json) {
		fprintf(c->out,
			"scored %s: %" PRId64 " rows with model version %" PRId64 ", at %s\n",
			workflow, r->rows, r->model_version, r->built.lsn);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "model_version", r->model_version);
	jo_i64(&j, "rows", r->rows);
	build_cut_json(&j, "cut", &r->built);
	jo_cstr(&j, "scoring_id", r->scoring_id);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_score(struct context *c, const void *args, struct error *e)
{
	const struct score_args *a = args;
	const struct workflow_settings *workflow;
	struct score_result result;
	struct feature_set set;
	struct warehouse *w;
	struct models *m;

	TRY(context_workflow(c, a->workflow, &workflow, e));
	TRY(feature_set_find(c->set->models.features, workflow->features, c->mem, &set, e));
	TRY(context_models(c, &m, e));
	TRY(context_warehouse(c, &w, e));
	const struct score_options o = {.workflow = workflow->name,
		.model = workflow->model,
		.which = a->version,
		.key = workflow->key,
		.threads = c->set->models.threads};
	TRY(learn_score(w, m, &set, &o, c->env, &result, e));
	print(c, workflow->name, &result);
	return OK;
}

const struct command cmd_score = {
	.name = "score",
	.summary = "score a workflow's open rows with its model",
	.details = "Builds the features anew and gives every open row its probability. The scores "
		   "go into scores.predictions and count from the moment their row stands in "
		   "ops.scorings. Refused when the feature set is not the one that the model was "
		   "trained on.",
	.examples = "sluice score cancel-risk\n"
		    "sluice score cancel-risk --version challenger",
	.opts = score_opts,
	.positional = score_positional,
	.args_size = sizeof(struct score_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_score,
};
