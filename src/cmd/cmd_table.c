/* sluice table add, drop, resync, pause, resume: one table, while the others go on. */
#include <string.h>

#include "cmd_all.h"
#include "replicate.h"
#include "replicate_settings.h"
#include "shared.h"
#include "snapshot.h"
#include "tables_live.h"

#define MOMENT_US INT64_C(50000)

struct table_args {
	const char *table;
	bool purge, no_wait;
};

static const struct opt_arg table_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct table_args, table),
		.help = "the table, as SCHEMA.NAME; public when there is no schema"},
	OPT_ARG_END,
};

#define OPT_NO_WAIT                                                                                \
	{                                                                                          \
		.name = "no-wait", .type = OPT_FLAG,                                               \
		.offset = offsetof(struct table_args, no_wait),                                    \
		.help = "do not wait until the table is copied"                                    \
	}

static const struct opt wait_opts[] = {OPT_NO_WAIT, OPT_END};

static const struct opt drop_opts[] = {
	{.name = "purge",
		.type = OPT_FLAG,
		.offset = offsetof(struct table_args, purge),
		.help = "remove its rows and its history from the warehouse too"},
	OPT_END,
};

/* What a command knows of its table. */
struct work {
	struct context *c;
	const struct table_args *args;
	struct str schema, name;
	struct replicate_options o;
	struct tables_live live;
	bool changed;
	/* at its end: "copied", "level", "waiting", "paused", "dropped", "purged" */
	const char *state;
	const char *from; /* of a table let go on: "journal" or "copy"; NULL: another command */
};

static void emit(struct work *k, const char *action)
{
	struct buf b;
	struct json_out j;
	struct str full = arena_fmt(k->c->mem, "%.*s.%.*s", STR_ARG(k->schema), STR_ARG(k->name));

	if (!k->c->json) {
		fprintf(k->c->out, "%s: %s%s\n", full.p, k->state,
			k->changed ? "" : " (as it was)");
		fflush(k->c->out);
		return;
	}
	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_str(&j, "table", full);
	jo_cstr(&j, "action", action);
	jo_bool(&j, "changed", k->changed);
	jo_cstr(&j, "state", k->state);
	if (k->from != NULL)
		jo_cstr(&j, "from", k->from);
	jo_end_object(&j);
	context_emit(k->c, &b);
	buf_free(&b);
}

/* What the copy says of itself; *done is true when there is nothing to wait for any more. */
static enum err look(struct work *k, bool *done, struct error *e)
{
	struct replicate *running = shared_replicate(k->c->shared);
	struct snapshot_sight sight;

	if (running == NULL) {
		*done = true; /* it has ended meanwhile; its next start goes on */
		return OK;
	}
	snapshot_look(running, k->schema, k->name, &sight);
	shared_leave_replicate(k->c->shared);
	bool goes_on = sight.whole && !sight.paused;
	*done = goes_on || (sight.paused && !sight.catching);
	if (goes_on)
		k->state = k->from != NULL && strcmp(k->from, "journal") == 0 ? "level" : "copied";
	else if (*done)
		k->state = "paused"; /* somebody else has wished so meanwhile */
	if (sight.error.kind == OK)
		return OK;
	*e = sight.error;
	return error_wrap(e, "it is tried again until it goes");
}

static enum err wait_copied(struct work *k, struct error *e)
{
	bool done = k->live.running == NULL || k->args->no_wait;

	k->state = "waiting";
	while (!done) {
		TRY(look(k, &done, e));
		TRY(env_check(k->c->env, e));
		if (!done)
			env_sleep(k->c->env, MOMENT_US);
	}
	return OK;
}

static enum err do_add(struct work *k, struct error *e)
{
	return tables_add(&k->live, k->schema, k->name, &k->changed, e);
}

static enum err do_drop(struct work *k, struct error *e)
{
	k->state = k->args->purge ? "purged" : "dropped";
	return tables_drop(&k->live, k->schema, k->name, k->args->purge, &k->changed, e);
}

static enum err do_resync(struct work *k, struct error *e)
{
	k->changed = true;
	return tables_resync(&k->live, k->schema, k->name, e);
}

static enum err do_pause(struct work *k, struct error *e)
{
	k->state = "paused";
	return tables_pause(&k->live, k->schema, k->name, &k->changed, e);
}

static enum err do_resume(struct work *k, struct error *e)
{
	struct tables_resumed how;

	TRY(tables_resume(&k->live, k->schema, k->name, &how, e));
	k->changed = how.changed;
	k->from = !how.changed ? NULL : how.copies ? "copy" : "journal";
	if (how.copies)
		fprintf(k->c->err,
			"%.*s.%.*s is copied again, its history takes the gap as one step: %s\n",
			STR_ARG(k->schema), STR_ARG(k->name), how.why);
	return OK;
}

/* Where replication runs in this process it is told; otherwise nobody may start one meanwhile. */
static enum err with_replicate(
	struct work *k, enum err (*fn)(struct work *, struct error *), struct error *e)
{
	k->live.running = shared_join_replicate(k->c->shared);
	enum err rc = fn(k, e);

	if (k->live.running != NULL)
		shared_leave_replicate(k->c->shared);
	else
		shared_set_replicate(k->c->shared, NULL);
	return rc;
}

static enum err run(struct context *c, const struct table_args *a, const char *action, bool waits,
	enum err (*fn)(struct work *, struct error *), struct error *e)
{
	struct work k = {.c = c, .args = a, .schema = STR("public"), .name = str_of(a->table)};

	if (c->set->source.url == NULL || c->set->source.url[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"there is no source to replicate from: set [source] url in the "
			"configuration");
	(void)str_cut(&k.name, '.', &k.schema);
	if (k.name.n == 0 || k.schema.n == 0)
		return FAIL(e, ERR_USAGE, "%s is no name of a table: give SCHEMA.NAME", a->table);
	TRY(context_warehouse(c, &k.live.w, e));
	replicate_settings_options(c, &k.o);
	k.live.o = &k.o;
	k.live.env = c->env;
	TRY(warehouse_ensure_ops(k.live.w, e));
	TRY(with_replicate(&k, fn, e));
	if (waits)
		TRY(wait_copied(&k, e));
	emit(&k, action);
	return OK;
}

static enum err run_add(struct context *c, const void *args, struct error *e)
{
	return run(c, args, "add", true, do_add, e);
}

static enum err run_drop(struct context *c, const void *args, struct error *e)
{
	return run(c, args, "drop", false, do_drop, e);
}

static enum err run_resync(struct context *c, const void *args, struct error *e)
{
	return run(c, args, "resync", true, do_resync, e);
}

static enum err run_pause(struct context *c, const void *args, struct error *e)
{
	return run(c, args, "pause", false, do_pause, e);
}

static enum err run_resume(struct context *c, const void *args, struct error *e)
{
	return run(c, args, "resume", true, do_resume, e);
}

const struct command cmd_table_add = {
	.name = "table add",
	.summary = "replicate one more table, live",
	.details = "Adds the table to the publication and copies it, while the other tables go on. "
		   "Where replication does not run, it is copied when it starts.",
	.examples = "sluice table add public.orders",
	.positional = table_positional,
	.opts = wait_opts,
	.args_size = sizeof(struct table_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_add,
};

const struct command cmd_table_drop = {
	.name = "table drop",
	.summary = "stop replicating a table",
	.details = "Takes the table out of the publication. Its rows and its history stay in the "
		   "warehouse as they are, unless --purge is given. Where [source] tables still "
		   "matches it, the next sluice init publishes it again.",
	.examples = "sluice table drop public.orders\nsluice table drop public.orders --purge",
	.positional = table_positional,
	.opts = drop_opts,
	.args_size = sizeof(struct table_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_drop,
};

const struct command cmd_table_resync = {
	.name = "table resync",
	.summary = "copy a table again",
	.details =
		"Copies the table again, over the rows that stand in the warehouse: readers see those "
		"until they are replaced, and rows that the source does not have are removed at the "
		"end. History goes on: the rows copied stand in it as 'r'. The other tables are not "
		"held up. A table without a key is emptied first.",
	.examples = "sluice table resync public.orders",
	.positional = table_positional,
	.opts = wait_opts,
	.args_size = sizeof(struct table_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_resync,
};

const struct command cmd_table_pause = {
	.name = "table pause",
	.summary = "hold a table back",
	.details =
		"Leaves the table in the warehouse as it is, and its changes out, until sluice "
		"table resume. The other tables go on. Its changes stay in the journal, for as long "
		"as [replicate] retention says: sluice status names the position from which they "
		"are needed, and how much journal that is. sluice reconcile cannot check the table "
		"meanwhile.",
	.examples = "sluice table pause public.orders",
	.positional = table_positional,
	.args_size = sizeof(struct table_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_pause,
};

const struct command cmd_table_resume = {
	.name = "table resume",
	.summary = "let a table go on that was held back",
	.details = "Applies what has changed meanwhile, in its order, from the journal, while the "
		   "other tables go on; every change stands in history. Where the journal does not "
		   "reach back any more, or the table was not whole when it was held back, it is "
		   "copied again as sluice table resync does, and that is said: then history takes "
		   "the gap as one step.",
	.examples = "sluice table resume public.orders",
	.positional = table_positional,
	.opts = wait_opts,
	.args_size = sizeof(struct table_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_resume,
};
