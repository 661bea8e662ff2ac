/* sluice gate status, request, approve, open, close. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "cmd_policy.h"
#include "pg_conn.h"

struct gate_args {
	const char *workflow, *person, *note;
};

static const struct opt_arg gate_positional[] = {
	{.name = "WORKFLOW",
		.offset = offsetof(struct gate_args, workflow),
		.help = "the workflow"},
	OPT_ARG_END,
};

#define OPT_PERSON                                                                                 \
	{                                                                                          \
		.name = "person", .type = OPT_STRING, .value = "NAME",                             \
		.offset = offsetof(struct gate_args, person),                                      \
		.help = "who acts; default [handback] person"                                      \
	}
#define OPT_NOTE                                                                                   \
	{                                                                                          \
		.name = "note", .type = OPT_STRING, .value = "TEXT",                               \
		.offset = offsetof(struct gate_args, note), .help = "why, for the audit"           \
	}

static const struct opt status_opts[] = {OPT_END};
static const struct opt act_opts[] = {OPT_PERSON, OPT_NOTE, OPT_END};

static void print_version(struct json_out *j, const char *key, int64_t version)
{
	if (version == 0)
		jo_null(j, key);
	else
		jo_i64(j, key, version);
}

static void print_age(struct json_out *j, int64_t age)
{
	if (age < 0)
		jo_null(j, "age_seconds");
	else
		jo_i64(j, "age_seconds", age / 1000000);
}

static void print_json(struct context *c, const char *workflow, const struct gate_status *g)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_cstr(&j, "state", g->state);
	print_version(&j, "version", g->version);
	jo_cstr(&j, "stored_state", g->stored);
	print_version(&j, "live_version", g->live_version);
	print_age(&j, g->age);
	checks_print(&g->checks, &j, "checks");
	jo_array(&j, "approvals");
	for (size_t i = 0; i < g->napprovals; i++) {
		jo_object(&j, NULL);
		jo_str(&j, "person", g->approvals[i].person);
		jo_str(&j, "at", g->approvals[i].at);
		jo_str(&j, "note", g->approvals[i].note);
		jo_end_object(&j);
	}
	jo_end_array(&j);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void print(struct context *c, const char *workflow, const struct gate_status *g)
{
	if (c->json) {
		print_json(c, workflow, g);
		return;
	}
	fprintf(c->out, "the gate of %s is %s", workflow, g->state);
	if (g->version > 0)
		fprintf(c->out, " for version %" PRId64, g->version);
	if (g->live_version > 0)
		fprintf(c->out, "; version %" PRId64 " is live", g->live_version);
	if (g->age >= 0)
		fprintf(c->out, ", scored %" PRId64 " s ago", g->age / 1000000);
	fputc('\n', c->out);
	cmd_say_checks(c, &g->checks);
}

static enum err run_status(struct context *c, const void *args, struct error *e)
{
	const struct gate_args *a = args;
	struct release_policy policy;
	struct gate_status status;
	struct pg *pg;

	TRY(cmd_policy(c, a->workflow, &policy, e));
	TRY(context_app_database(c, &pg, e));
	enum err rc = handback_gate_status(pg, &policy, c->env, c->mem, &status, e);
	pg_close(pg);
	if (rc == OK || rc == ERR_CHECK)
		print(c, a->workflow, &status);
	return rc;
}

static enum err run_action(
	struct context *c, const struct gate_args *a, enum gate_action action, struct error *e)
{
	struct release_policy policy;
	struct gate_status status;
	struct pg *pg;

	TRY(cmd_policy(c, a->workflow, &policy, e));
	TRY(context_app_database(c, &pg, e));
	enum err rc = handback_gate_act(
		pg, &policy, action, cmd_person(c, a->person), a->note, c->env, c->mem, &status, e);
	pg_close(pg);
	if (rc == OK || rc == ERR_CHECK)
		print(c, a->workflow, &status);
	return rc;
}

static enum err run_request(struct context *c, const void *args, struct error *e)
{
	return run_action(c, args, GATE_REQUEST, e);
}

static enum err run_approve(struct context *c, const void *args, struct error *e)
{
	return run_action(c, args, GATE_APPROVE, e);
}

static enum err run_open(struct context *c, const void *args, struct error *e)
{
	return run_action(c, args, GATE_OPEN, e);
}

static enum err run_close(struct context *c, const void *args, struct error *e)
{
	return run_action(c, args, GATE_CLOSE, e);
}

const struct command cmd_gate_status = {
	.name = "gate status",
	.summary = "whether a workflow may use its scores, and why",
	.details =
		"Runs every check anew. A check that cannot run has failed, and \"open\" is never "
		"said while one fails: exit 3 then, when the database has the gate open. Says how "
		"long ago the live scores were made.",
	.examples = "sluice gate status cancel-risk   # state, checks, approvals\n",
	.opts = status_opts,
	.positional = gate_positional,
	.args_size = sizeof(struct gate_args),
	.run = run_status,
};

const struct command cmd_gate_request = {
	.name = "gate request",
	.summary = "ask that the gate be opened for the live version",
	.details = "Names the version that is live now. Approvals are then given for that release.",
	.examples = "sluice gate request cancel-risk   # for what is live\n",
	.opts = act_opts,
	.positional = gate_positional,
	.args_size = sizeof(struct gate_args),
	.run = run_request,
};

const struct command cmd_gate_approve = {
	.name = "gate approve",
	.summary = "approve the release that was asked for",
	.details =
		"[workflow NAME] approvals says how many persons must. Each counts once, and who "
		"published the release does not count. An approval is of one manifest: another "
		"release needs its own.",
	.examples =
		"sluice gate approve cancel-risk --person ada --note 'shadow run looked right'\n",
	.opts = act_opts,
	.positional = gate_positional,
	.args_size = sizeof(struct gate_args),
	.run = run_approve,
};

const struct command cmd_gate_open = {
	.name = "gate open",
	.summary = "let the workflow use its scores",
	.details =
		"Opens only when every check says yes now: the live version is the one asked for, "
		"its signature, reconciliation, evaluation and landing checks stand, it is not "
		"older than [workflow NAME] max_age, and enough persons approved. Otherwise exit 3 and a list of what is missing.",
	.examples = "sluice gate open cancel-risk\n",
	.opts = act_opts,
	.positional = gate_positional,
	.args_size = sizeof(struct gate_args),
	.run = run_open,
};

const struct command cmd_gate_close = {
	.name = "gate close",
	.summary = "stop the workflow from using its scores, at once",
	.details = "Always allowed.",
	.examples = "sluice gate close cancel-risk --note 'too many wrong calls'\n",
	.opts = act_opts,
	.positional = gate_positional,
	.args_size = sizeof(struct gate_args),
	.run = run_close,
};
