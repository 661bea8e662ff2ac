/* sluice land: a release is verified, loaded and made live. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "cmd_policy.h"
#include "pg_conn.h"

struct land_args {
	const char *workflow, *person;
	int64_t version;
};

static const struct opt land_opts[] = {
	{.name = "version",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 999999,
		.initial = "0",
		.offset = offsetof(struct land_args, version),
		.help = "the version to land; default what HEAD names"},
	{.name = "person",
		.type = OPT_STRING,
		.value = "NAME",
		.offset = offsetof(struct land_args, person),
		.help = "who lands it, for the audit; default [handback] person"},
	OPT_END,
};

static const struct opt_arg land_positional[] = {
	{.name = "WORKFLOW",
		.offset = offsetof(struct land_args, workflow),
		.help = "the workflow whose release is landed"},
	OPT_ARG_END,
};

static void print_json(struct context *c, const char *workflow, const struct land_result *r)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "version", r->version);
	jo_i64(&j, "rows", r->rows);
	jo_bool(&j, "ok", r->ok);
	jo_bool(&j, "already_live", r->already_live);
	jo_cstr(&j, "gate", r->gate);
	checks_print(&r->checks, &j, "checks");
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void print(struct context *c, const char *workflow, const struct land_result *r)
{
	if (r->already_live)
		fprintf(c->err, "%s version %" PRId64 " is live already; nothing was done\n",
			workflow, r->version);
	if (c->json) {
		print_json(c, workflow, r);
		return;
	}
	cmd_say_checks(c, &r->checks);
	if (r->ok && !r->already_live)
		fprintf(c->out,
			"%s version %" PRId64 " is live: %" PRId64 " rows; the gate is %s\n",
			workflow, r->version, r->rows, r->gate);
}

static enum err run_land(struct context *c, const void *args, struct error *e)
{
	const struct land_args *a = args;
	struct land_options o = {.version = a->version, .person = cmd_person(c, a->person)};
	struct land_result result;
	struct store *s;
	struct pg *pg;

	TRY(cmd_policy(c, a->workflow, &o.policy, e));
	TRY(context_store(c, &s, e));
	TRY(context_app_database(c, &pg, e));
	enum err rc = handback_land(pg, s, &o, c->env, c->mem, &result, e);
	pg_close(pg);
	if (rc == OK || rc == ERR_CHECK)
		print(c, a->workflow, &result);
	return rc;
}

const struct command cmd_land = {
	.name = "land",
	.summary = "verify a release, load it and make it live",
	.details =
		"Every check of the release must say yes before its first row is loaded: who "
		"signed "
		"it, that nothing was changed, that its rows are whole and fit the application's "
		"database, and that its model, evaluation and reconciliation stand. Then one "
		"transaction loads the rows and moves the pointer, so readers see the old version "
		"or the new one.\n\n"
		"Exit 3 when a check says no; nothing was loaded then. Landing what is live "
		"already "
		"does nothing. An older version is reached by `sluice release rollback`.",
	.examples = "sluice land cancel-risk               # what HEAD names\n"
		    "sluice land cancel-risk --version 7   # a version that HEAD descends from\n",
	.opts = land_opts,
	.positional = land_positional,
	.args_size = sizeof(struct land_args),
	.run = run_land,
};
