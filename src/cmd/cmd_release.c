/* sluice release list, verify, rollback. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "cmd_policy.h"
#include "pg_conn.h"

struct release_args {
	const char *workflow, *person;
	int64_t version, to;
	bool offline;
};

static const struct opt_arg release_positional[] = {
	{.name = "WORKFLOW",
		.offset = offsetof(struct release_args, workflow),
		.help = "the workflow"},
	OPT_ARG_END,
};

static const struct opt no_opts[] = {OPT_END};

static const struct opt verify_opts[] = {
	{.name = "version",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 999999,
		.initial = "0",
		.offset = offsetof(struct release_args, version),
		.help = "the version to verify; default what HEAD names"},
	{.name = "offline",
		.type = OPT_FLAG,
		.offset = offsetof(struct release_args, offline),
		.help = "leave out the checks that need the application's database"},
	OPT_END,
};

static const struct opt rollback_opts[] = {
	{.name = "to",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 999999,
		.initial = "0",
		.offset = offsetof(struct release_args, to),
		.help = "the version to make live; default the one landed before"},
	{.name = "person",
		.type = OPT_STRING,
		.value = "NAME",
		.offset = offsetof(struct release_args, person),
		.help = "who rolls back, for the audit; default [handback] person"},
	OPT_END,
};

/* The store alone answers too: a database that cannot be reached is told, not fatal. */
static enum err open_if_reachable(struct context *c, struct pg **out, struct error *e)
{
	enum err rc = context_app_database(c, out, e);

	if (rc != ERR_UNAVAILABLE)
		return rc;
	fprintf(c->err, "without the application's database: %s\n", e->text);
	error_clear(e);
	*out = NULL;
	return OK;
}

static void entry_json(
	struct context *c, const char *workflow, const struct release_entry *r, bool database)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "version", r->version);
	jo_str(&j, "created_at", r->created_at);
	jo_i64(&j, "rows", r->rows);
	jo_str(&j, "model", r->model);
	jo_i64(&j, "model_version", r->model_version);
	jo_str(&j, "producer", r->producer);
	jo_str(&j, "manifest_sha256", r->manifest_sha256);
	jo_bool(&j, "head", r->head);
	if (database) {
		jo_bool(&j, "landed", r->landed);
		jo_bool(&j, "live", r->live);
		jo_bool(&j, "kept", r->kept);
		jo_bool(&j, "rolled_back", r->rolled_back);
	}
	if (r->problem.n > 0)
		jo_str(&j, "problem", r->problem);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void entry_text(struct context *c, const struct release_entry *r)
{
	if (r->problem.n > 0) {
		fprintf(c->out, "%7" PRId64 "  damaged: %.*s\n", r->version, STR_ARG(r->problem));
		return;
	}
	fprintf(c->out, "%7" PRId64 "  %.19s  %10" PRId64 " rows  %.*s/%" PRId64 "%s%s%s%s\n",
		r->version, r->created_at.p, r->rows, STR_ARG(r->model), r->model_version,
		r->head ? "  HEAD" : "", r->live ? "  live" : "", r->kept ? "  kept" : "",
		r->rolled_back ? "  rolled back" : "");
}

static enum err run_list(struct context *c, const void *args, struct error *e)
{
	const struct release_args *a = args;
	const struct workflow_settings *w;
	struct release_list list;
	struct store *s;
	struct pg *pg = NULL;

	TRY(context_workflow(c, a->workflow, &w, e));
	TRY(context_store(c, &s, e));
	TRY(open_if_reachable(c, &pg, e));
	enum err rc = handback_list(pg, s, w->name, c->mem, &list, e);
	bool listed = rc == OK || rc == ERR_CHECK; /* the latter: HEAD is damaged */
	for (size_t i = 0; listed && i < list.n; i++) {
		if (c->json)
			entry_json(c, w->name, &list.items[i], pg != NULL);
		else
			entry_text(c, &list.items[i]);
	}
	if (rc == OK && list.n == 0)
		fprintf(c->err, "%s has no release; run `sluice publish %s`\n", w->name, w->name);
	pg_close(pg);
	return rc;
}

static void print_verified(
	struct context *c, const char *workflow, bool offline, const struct land_result *r)
{
	struct buf b;
	struct json_out j;

	if (!c->json) {
		cmd_say_checks(c, &r->checks);
		return;
	}
	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "version", r->version);
	jo_i64(&j, "rows", r->rows);
	jo_bool(&j, "ok", r->ok);
	jo_bool(&j, "offline", offline);
	checks_print(&r->checks, &j, "checks");
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_verify(struct context *c, const void *args, struct error *e)
{
	const struct release_args *a = args;
	struct land_options o = {.version = a->version, .offline = a->offline};
	struct land_result result;
	struct store *s;
	struct pg *pg = NULL;

	TRY(cmd_policy(c, a->workflow, &o.policy, e));
	TRY(context_store(c, &s, e));
	if (a->offline)
		fprintf(c->err,
			"--offline: the checks that need the application's database are left "
			"out\n");
	else
		TRY(open_if_reachable(c, &pg, e));
	enum err rc = handback_verify(pg, s, &o, c->env, c->mem, &result, e);
	pg_close(pg);
	if (rc == OK || rc == ERR_CHECK)
		print_verified(c, a->workflow, a->offline, &result);
	return rc;
}

static void print_rollback(struct context *c, const char *workflow, const struct rollback_result *r)
{
	struct buf b;
	struct json_out j;

	if (!c->json) {
		fprintf(c->out,
			"%s version %" PRId64 " is live again, %" PRId64
			" rows; it was version %" PRId64 "; the gate is %s\n",
			workflow, r->version, r->rows, r->from, r->gate);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "version", r->version);
	jo_i64(&j, "from", r->from);
	jo_i64(&j, "rows", r->rows);
	jo_cstr(&j, "gate", r->gate);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_rollback(struct context *c, const void *args, struct error *e)
{
	const struct release_args *a = args;
	struct rollback_options o = {.to = a->to, .person = cmd_person(c, a->person)};
	struct rollback_result result;
	struct pg *pg;

	TRY(cmd_policy(c, a->workflow, &o.policy, e));
	TRY(context_app_database(c, &pg, e));
	enum err rc = handback_rollback(pg, &o, c->env, &result, e);
	pg_close(pg);
	if (rc == OK)
		print_rollback(c, a->workflow, &result);
	return rc;
}

const struct command cmd_release_list = {
	.name = "release list",
	.summary = "the releases of a workflow",
	.details =
		"Reads the object store, and from the application's database which version is "
		"live and which are kept to roll back to. Without that database it lists what the "
		"store has. Exit 3, after the list, when HEAD is damaged.",
	.examples = "sluice release list cancel-risk   # oldest first\n",
	.opts = no_opts,
	.positional = release_positional,
	.args_size = sizeof(struct release_args),
	.run = run_list,
};

const struct command cmd_release_verify = {
	.name = "release verify",
	.summary = "run every check of a release without landing it",
	.details =
		"The checks are those of `sluice land`. Those that need the application's database "
		"say no when it cannot be reached: what could not be checked is not good. "
		"--offline leaves them out, and says so. Exit 3 when a check says no.",
	.examples = "sluice release verify cancel-risk               # what HEAD names\n"
		    "sluice release verify cancel-risk --version 7   # an earlier one\n"
		    "sluice release verify cancel-risk --offline     # from the store alone\n",
	.opts = verify_opts,
	.positional = release_positional,
	.args_size = sizeof(struct release_args),
	.run = run_verify,
};

const struct command cmd_release_rollback = {
	.name = "release rollback",
	.summary = "make a version live that was landed before",
	.details =
		"Moves the pointer in one transaction; no row is copied. The scores of the last "
		"five landed versions are kept for it. An open gate stays open only when the "
		"version that becomes live was approved itself and is not older than max_age. A version that was rolled back is "
		"not landed again by `sluice land`; --to brings it back.",
	.examples =
		"sluice release rollback cancel-risk          # the version before the live one\n"
		"sluice release rollback cancel-risk --to 7   # version 7\n",
	.opts = rollback_opts,
	.positional = release_positional,
	.args_size = sizeof(struct release_args),
	.run = run_rollback,
};
