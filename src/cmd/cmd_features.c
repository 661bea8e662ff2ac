/* sluice features build|check: one row per entity and moment, and the proof that none of it knows
 * the future. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "learn.h"

struct features_args {
	const char *name;
};

static const struct opt_arg features_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct features_args, name),
		.help = "the feature set: NAME.sql in [models] features, or a built-in one"},
	OPT_ARG_END,
};

static enum err open_set(struct context *c, const char *name, struct feature_set *set,
	struct warehouse **w, struct error *e)
{
	TRY(feature_set_find(c->set->models.features, name, c->mem, set, e));
	return context_warehouse(c, w, e);
}

static void print_build(
	struct context *c, const struct feature_set *set, const struct feature_build *built)
{
	struct json_out j;
	struct buf b;

	if (!c->json) {
		fprintf(c->out, "built features.%.*s: %" PRId64 " rows, at %s\n",
			STR_ARG(set->name), built->rows, built->lsn);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_str(&j, "features", set->name);
	jo_i64(&j, "rows", built->rows);
	build_cut_json(&j, "cut", built);
	jo_cstr(&j, "sql_sha256", set->sha256);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_build(struct context *c, const void *args, struct error *e)
{
	const struct features_args *a = args;
	struct feature_build built;
	struct feature_set set;
	struct warehouse *w;

	TRY(open_set(c, a->name, &set, &w, e));
	TRY(feature_build(w, &set, c->env, &built, e));
	print_build(c, &set, &built);
	return OK;
}

static void check_json(struct context *c, const struct leak_report *r)
{
	char at[CLOCK_TEXT];
	struct json_out j;
	struct buf b;

	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_bool(&j, "ok", r->ok);
	jo_u64(&j, "cuts", r->cuts);
	jo_i64(&j, "rows", r->rows);
	jo_array(&j, "leaking_columns");
	for (size_t i = 0; i < r->nleaking; i++)
		jo_str(&j, NULL, r->leaking[i]);
	jo_end_array(&j);
	jo_array(&j, "assumed_columns");
	for (size_t i = 0; i < r->nassumed; i++)
		jo_str(&j, NULL, r->assumed[i]);
	jo_end_array(&j);
	jo_array(&j, "cut_times");
	for (size_t i = 0; r->rows > 0 && i < r->cuts; i++)
		jo_cstr(&j, NULL, clock_format(r->cut_us[i], at, sizeof at));
	jo_end_array(&j);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void check_text(struct context *c, const struct leak_report *r)
{
	if (r->ok) {
		fprintf(c->out,
			"no leak: %" PRId64
			" rows are the same with and without the data after %zu "
			"moments\n",
			r->rows, r->cuts);
		for (size_t i = 0; i < r->nassumed; i++)
			fprintf(c->out, "assumed as first known: %.*s\n", STR_ARG(r->assumed[i]));
		return;
	}
	for (size_t i = 0; i < r->nleaking; i++)
		fprintf(c->out, "leaks: %.*s\n", STR_ARG(r->leaking[i]));
}

static enum err run_check(struct context *c, const void *args, struct error *e)
{
	const struct features_args *a = args;
	struct feature_build built;
	struct leak_report report;
	struct feature_set set;
	struct warehouse *w;

	TRY(open_set(c, a->name, &set, &w, e));
	TRY(leak_check(w, &set, c->env, c->mem, &report, &built, e));
	if (c->json)
		check_json(c, &report);
	else
		check_text(c, &report);
	if (report.ok)
		return OK;
	if (report.rows == 0)
		return FAIL(e, ERR_CHECK,
			"feature set %s gives no rows, so nothing is proven; run `sluice "
			"replicate` first",
			a->name);
	return FAIL(e, ERR_CHECK,
		"feature set %s knows the future in %zu columns; see that each reads only what "
		"began before the row's moment",
		a->name, report.nleaking);
}

const struct command cmd_features_build = {
	.name = "features build",
	.summary = "build a feature set's table in the warehouse",
	.details = "Runs the set's SQL over the versions of the source's tables and puts the rows "
		   "into features.NAME, replacing what stood there. The position of the warehouse "
		   "is recorded with it in ops.feature_builds.",
	.examples = "sluice features build cancel_risk",
	.positional = features_positional,
	.args_size = sizeof(struct features_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_build,
};

const struct command cmd_features_check = {
	.name = "features check",
	.summary = "prove that a feature set does not know the future",
	.details =
		"Builds the set once with all history and once for each of five moments with every "
		"version after that moment hidden, and compares the rows up to the moment: each "
		"feature must be the same, and no label may be known before its time. Columns read "
		"as never changing ({{fixed}}) must in fact never have changed. Columns read as "
		"first "
		"known ({{first}}) are listed as assumed: of rows that came with the first copy, "
		"their value may be later than the row's moment.\n\n"
		"Exit 0: no leak. 3: a leak, after the columns' names.",
	.examples = "sluice features check cancel_risk\n"
		    "sluice features check cancel_risk --json | jq .leaking_columns",
	.positional = features_positional,
	.args_size = sizeof(struct features_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_check,
};
