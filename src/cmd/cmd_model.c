/* sluice model list|show|alias|delete: the registry. */
#include <inttypes.h>
#include <stddef.h>
#include <math.h>

#include "cmd_all.h"
#include "models.h"
#include "print_table.h"

struct model_args {
	const char *model, *which, *alias;
	bool remove;
};

static const struct opt_arg list_positional[] = {
	{.name = "MODEL",
		.offset = offsetof(struct model_args, model),
		.optional = true,
		.help = "only this model's versions"},
	OPT_ARG_END,
};

static const struct opt_arg show_positional[] = {
	{.name = "MODEL", .offset = offsetof(struct model_args, model), .help = "the model"},
	{.name = "VERSION",
		.offset = offsetof(struct model_args, which),
		.optional = true,
		.help = "version number or alias; without it \"default\""},
	OPT_ARG_END,
};

static const struct opt_arg alias_positional[] = {
	{.name = "MODEL", .offset = offsetof(struct model_args, model), .help = "the model"},
	{.name = "ALIAS",
		.offset = offsetof(struct model_args, alias),
		.help = "the alias: lower-case letter first, then letters, digits or '-'"},
	{.name = "VERSION",
		.offset = offsetof(struct model_args, which),
		.optional = true,
		.help = "the version, by number or alias, that it shall point at"},
	OPT_ARG_END,
};

static const struct opt alias_opts[] = {
	{.name = "remove",
		.type = OPT_FLAG,
		.offset = offsetof(struct model_args, remove),
		.help = "remove the alias instead"},
	OPT_END,
};

static const struct opt_arg delete_positional[] = {
	{.name = "MODEL", .offset = offsetof(struct model_args, model), .help = "the model"},
	{.name = "VERSION",
		.offset = offsetof(struct model_args, which),
		.help = "the version's number"},
	OPT_ARG_END,
};

/* A number of the evaluation; NaN when it has none of that name. */
static double measure(const json_t *evaluation, const char *name)
{
	const json_t *v = json_object_get(evaluation, name);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

/* The members of one version, without its metadata. */
static enum err version_members(
	struct json_out *j, const struct model_version *v, const json_t *metadata, struct error *e)
{
	const json_t *evaluation = json_object_get(metadata, "evaluation");
	const json_t *cut = json_object_get(metadata, "cut");
	struct str rest = v->aliases, alias;
	char at[CLOCK_TEXT];
	struct buf text;
	enum err rc;

	jo_str(j, "model", v->model);
	jo_i64(j, "version", v->version);
	jo_array(j, "aliases");
	while (str_next(&rest, ',', &alias))
		jo_str(j, NULL, alias);
	jo_end_array(j);
	jo_cstr(j, "created_at", clock_format(v->created_us, at, sizeof at));
	jo_str(j, "sha256", v->sha256);
	jo_f64(j, "auc", measure(evaluation, "auc"));
	jo_f64(j, "logloss", measure(evaluation, "logloss"));
	buf_init(&text, 1 << 20);
	rc = json_write(cut, &text, e);
	if (rc == OK)
		jo_raw(j, "cut", buf_str(&text));
	buf_free(&text);
	return rc;
}

static enum err emit_version(
	struct context *c, const struct model_version *v, bool whole, struct error *e)
{
	json_t *metadata = NULL;
	struct json_out j;
	struct buf b;
	enum err rc;

	TRY(json_read(v->metadata, "model metadata", &metadata, e));
	buf_init(&b, BUF_MAX_DEFAULT);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	rc = version_members(&j, v, metadata, e);
	if (whole)
		jo_raw(&j, "metadata", v->metadata);
	jo_end_object(&j);
	if (rc == OK)
		context_emit(c, &b);
	buf_free(&b);
	json_decref(metadata);
	return rc;
}

struct listing {
	struct context *c;
	struct print_table *t;
	size_t n;
};

static enum err list_row(struct listing *l, const struct model_version *v, struct error *e)
{
	json_t *metadata = NULL;
	char at[CLOCK_TEXT];
	struct arena *mem = l->c->mem;

	TRY(json_read(v->metadata, "model metadata", &metadata, e));
	const json_t *evaluation = json_object_get(metadata, "evaluation");
	const json_t *cut = json_object_get(metadata, "cut");
	const struct str cells[] = {v->model, arena_fmt(mem, "%" PRId64, v->version), v->aliases,
		str_of(clock_format(v->created_us, at, sizeof at)),
		arena_fmt(mem, "%.4f", measure(evaluation, "auc")), json_get_str(cut, "lsn"),
		str_make(v->sha256.p, 12)};
	print_table_row(l->t, cells);
	json_decref(metadata);
	return OK;
}

static enum err list_one(void *arg, const struct model_version *v, struct error *e)
{
	struct listing *l = arg;

	l->n++;
	return l->t == NULL ? emit_version(l->c, v, false, e) : list_row(l, v, e);
}

static enum err run_list(struct context *c, const void *args, struct error *e)
{
	static const struct print_column columns[] = {{"model", false}, {"version", true},
		{"aliases", false}, {"created", false}, {"AUC", true}, {"cut", false},
		{"sha256", false}};
	const struct model_args *a = args;
	struct listing l = {.c = c};
	struct models *m;
	enum err rc;

	TRY(context_models(c, &m, e));
	if (!c->json)
		l.t = print_table_new(c->out, print_colour(c->terminal), columns, 7);
	rc = models_list(m, str_of(a->model), list_one, &l, e);
	print_table_end(l.t);
	if (rc == OK && l.n == 0 && a->model != NULL)
		return FAIL(e, ERR_NOT_FOUND,
			"listing model \"%s\": there is none; `sluice model list` shows what there "
			"is, `sluice train` makes one",
			a->model);
	return rc;
}

static enum err show_text(struct context *c, const struct model_version *v, struct error *e)
{
	char at[CLOCK_TEXT];
	json_t *metadata = NULL;

	TRY(json_read(v->metadata, "model metadata", &metadata, e));
	fprintf(c->out, "%.*s version %" PRId64 "\n", STR_ARG(v->model), v->version);
	fprintf(c->out, "  aliases  %.*s\n", STR_ARG(v->aliases));
	fprintf(c->out, "  created  %s\n", clock_format(v->created_us, at, sizeof at));
	fprintf(c->out, "  sha256   %.*s\n", STR_ARG(v->sha256));
	json_dumpf(metadata, c->out, JSON_INDENT(2));
	fputc('\n', c->out);
	json_decref(metadata);
	return OK;
}

static enum err run_show(struct context *c, const void *args, struct error *e)
{
	const struct model_args *a = args;
	struct model_version v;
	struct models *m;

	TRY(context_models(c, &m, e));
	TRY(models_get(m, str_of(a->model), str_of(a->which), c->mem, &v, e));
	return c->json ? emit_version(c, &v, true, e) : show_text(c, &v, e);
}

/* What a change left: the version as it is now. */
static enum err print_changed(
	struct context *c, struct models *m, const char *model, int64_t version, struct error *e)
{
	struct model_version v;

	TRY(models_get(m, str_of(model), arena_fmt(c->mem, "%" PRId64, version), c->mem, &v, e));
	if (c->json)
		return emit_version(c, &v, false, e);
	fprintf(c->out, "%s version %" PRId64 ": %.*s\n", model, version, STR_ARG(v.aliases));
	return OK;
}

static enum err run_alias(struct context *c, const void *args, struct error *e)
{
	const struct model_args *a = args;
	struct model_version v;
	struct models *m;

	if (a->remove == (a->which != NULL))
		return FAIL(e, ERR_USAGE,
			"setting an alias: give the VERSION that \"%s\" shall point at, or "
			"--remove",
			a->alias);
	TRY(context_models(c, &m, e));
	TRY(models_get(
		m, str_of(a->model), str_of(a->remove ? a->alias : a->which), c->mem, &v, e));
	if (a->remove)
		TRY(models_unalias(m, str_of(a->model), str_of(a->alias), e));
	else
		TRY(models_alias(m, str_of(a->model), str_of(a->alias), v.version, e));
	return print_changed(c, m, a->model, v.version, e);
}

static void print_deleted(struct context *c, const char *model, int64_t version)
{
	struct json_out j;
	struct buf b;

	if (!c->json) {
		fprintf(c->out, "deleted %s version %" PRId64 "\n", model, version);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "model", model);
	jo_i64(&j, "version", version);
	jo_bool(&j, "deleted", true);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_delete(struct context *c, const void *args, struct error *e)
{
	const struct model_args *a = args;
	struct models *m;
	int64_t version;

	if (!str_to_i64(str_of(a->which), &version) || version < 1)
		return FAIL(e, ERR_USAGE,
			"deleting a version of model \"%s\": \"%s\" is no version number; an alias "
			"is not taken here, lest it has moved",
			a->model, a->which);
	TRY(context_models(c, &m, e));
	TRY(models_remove(m, str_of(a->model), version, e));
	print_deleted(c, a->model, version);
	return OK;
}

const struct command cmd_model_list = {
	.name = "model list",
	.summary = "models, their versions and aliases",
	.details = "One line a version: its aliases, the AUC of its time-split evaluation, the cut "
		   "it was trained at and the start of its SHA-256.",
	.examples = "sluice model list\nsluice model list cancel_risk --json",
	.positional = list_positional,
	.args_size = sizeof(struct model_args),
	.run = run_list,
};

const struct command cmd_model_show = {
	.name = "model show",
	.summary = "everything that a model version says about itself",
	.details = "Its features and dictionaries, parameters, cut, query, leak proof and "
		   "evaluation.",
	.examples = "sluice model show cancel_risk\n"
		    "sluice model show cancel_risk 3 --json | jq .metadata.evaluation",
	.positional = show_positional,
	.args_size = sizeof(struct model_args),
	.run = run_show,
};

const struct command cmd_model_alias = {
	.name = "model alias",
	.summary = "point an alias at a model version",
	.details =
		"An alias stands for one version of its model and moves in one step. \"default\" "
		"is what scoring uses unless told otherwise; it can be moved, not removed.",
	.examples = "sluice model alias cancel_risk default 3           # version 3 goes live\n"
		    "sluice model alias cancel_risk default challenger  # the newest does\n"
		    "sluice model alias cancel_risk canary --remove",
	.opts = alias_opts,
	.positional = alias_positional,
	.args_size = sizeof(struct model_args),
	.run = run_alias,
};

const struct command cmd_model_delete = {
	.name = "model delete",
	.summary = "delete a model version",
	.details = "The version, its aliases and, when no other version has the same bytes, its "
		   "artifact. The default version can only be deleted as the last. Numbers are "
		   "never given again.",
	.examples = "sluice model delete cancel_risk 2",
	.positional = delete_positional,
	.args_size = sizeof(struct model_args),
	.run = run_delete,
};
