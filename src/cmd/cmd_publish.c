/* sluice publish: scores become a signed release. */
#include <inttypes.h>
#include <stddef.h>

#include "cmd_all.h"
#include "cmd_policy.h"

struct publish_args {
	const char *workflow, *person;
};

static const struct opt publish_opts[] = {
	{.name = "person",
		.type = OPT_STRING,
		.value = "NAME",
		.offset = offsetof(struct publish_args, person),
		.help = "who publishes it, and may therefore not approve it; default [handback] "
			"person"},
	OPT_END,
};

static const struct opt_arg publish_positional[] = {
	{.name = "WORKFLOW",
		.offset = offsetof(struct publish_args, workflow),
		.help = "the workflow whose newest scores are published"},
	OPT_ARG_END,
};

static void print(struct context *c, const char *workflow, const struct publish_result *r)
{
	struct buf b;
	struct json_out j;

	if (!c->json) {
		fprintf(c->out, "published %s version %" PRId64 ": %" PRId64 " rows, manifest %s\n",
			workflow, r->version, r->rows, r->manifest_sha256);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "workflow", workflow);
	jo_i64(&j, "version", r->version);
	jo_i64(&j, "rows", r->rows);
	jo_cstr(&j, "manifest_sha256", r->manifest_sha256);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static enum err run_publish(struct context *c, const void *args, struct error *e)
{
	const struct publish_args *a = args;
	const struct workflow_settings *workflow;
	struct publish_result result;
	struct warehouse *w;
	struct store *s;

	TRY(context_workflow(c, a->workflow, &workflow, e));
	TRY(context_store(c, &s, e));
	TRY(context_warehouse(c, &w, e));
	const struct publish_options o = {
		.workflow = workflow->name,
		.signing_key = c->set->handback.signing_key,
		.person = cmd_person(c, a->person),
	};
	TRY(handback_publish(w, s, &o, c->env, &result, e));
	print(c, workflow->name, &result);
	return OK;
}

const struct command cmd_publish = {
	.name = "publish",
	.summary = "make a signed release of a workflow's newest scores",
	.details =
		"Takes the newest `sluice score` of the workflow, writes its rows to the object "
		"store "
		"under their own digests, then a manifest signed with [handback] signing_key, then "
		"moves HEAD. The newest reconciliation of every table must be at or after the "
		"scores and say ok, and no later one of a single table may say no.\n\n"
		"A publish that fails leaves HEAD as it was; run it again. Exit 3 when a check "
		"says no.",
	.examples = "sluice publish cancel-risk   # the next version of cancel-risk\n",
	.opts = publish_opts,
	.positional = publish_positional,
	.args_size = sizeof(struct publish_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_publish,
};
