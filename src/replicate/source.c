#include "source.h"

#include <inttypes.h>
#include <string.h>

#define POLL_US  INT64_C(20000)
#define PATIENCE INT64_C(5000000) /* after this a wait is worth a line in the log */

enum err source_open(struct pg **out, const struct replicate_options *o, const struct env *env,
	bool replication, struct error *e)
{
	struct pg_options p = {.conninfo = o->conninfo,
		.password = o->password,
		.password_file = o->password_file,
		.token = o->token,
		.application = replication ? "sluice capture" : "sluice",
		.replication = replication,
		.guard = o->guard};

	return pg_open(out, &p, env, e);
}

static enum err check_system(const struct replicate_options *o, const struct journal_identity *id,
	const struct env *env, lsn *flushed, struct error *e)
{
	struct pg *c = NULL;
	struct pg_system system;
	enum err rc = source_open(&c, o, env, true, e);

	if (rc == OK)
		rc = pg_identify(c, &system, e);
	pg_close(c);
	if (rc != OK)
		return rc;
	*flushed = system.flushed;
	if (system.system_id != id->system_id)
		return FAIL(e, ERR_CHECK,
			"checking the source: it is system %" PRIu64 ", but the journal %s is of "
			"system %" PRIu64
			"; set [source] url to the right server, or " SOURCE_AFRESH,
			system.system_id, o->journal, id->system_id, o->slot, o->journal);
	if (system.timeline != id->timeline)
		return FAIL(e, ERR_CHECK,
			"checking the source: it is on timeline %u, but the journal %s is of "
			"timeline %u: the server has failed over, and what the old one had not "
			"sent may be lost; " SOURCE_AFRESH,
			system.timeline, o->journal, id->timeline, o->slot, o->journal);
	return OK;
}

static enum err check_slot(
	const struct replicate_options *o, const struct pg_slot *slot, struct error *e)
{
	if (!slot->exists)
		return FAIL(e, ERR_CHECK,
			"checking the source: the replication slot %s is gone, so changes since "
			"the journal's end are lost; " SOURCE_AFRESH,
			o->slot, o->slot, o->journal);
	if (str_eqc(slot->wal_status, "lost"))
		return FAIL(e, ERR_CHECK,
			"checking the source: the slot %s has lost its WAL "
			"(max_slot_wal_keep_size); " SOURCE_AFRESH,
			o->slot, o->slot, o->journal);
	if (!str_eqc(slot->plugin, "pgoutput"))
		return FAIL(e, ERR_USAGE,
			"checking the source: the slot %s uses the plugin %.*s, not pgoutput; name "
			"another in [source] slot",
			o->slot, STR_ARG(slot->plugin));
	if (slot->active)
		return FAIL(e, ERR_CONFLICT,
			"checking the source: another connection streams from the slot %s; stop "
			"it, "
			"or name another in [source] slot",
			o->slot);
	return OK;
}

enum err source_check(const struct replicate_options *o, const struct journal_identity *id,
	const struct env *env, struct source_state *out, struct arena *mem, struct error *e)
{
	struct pg *c = NULL;

	*out = (struct source_state){.flushed = LSN_NONE};
	TRY(check_system(o, id, env, &out->flushed, e));
	enum err rc = source_open(&c, o, env, false, e);
	if (rc == OK)
		rc = pg_slot(c, o->slot, mem, &out->slot, e);
	pg_close(c);
	return rc == OK ? check_slot(o, &out->slot, e) : rc;
}

enum err source_check_end(const struct replicate_options *o, const struct source_state *s,
	lsn journal_end, struct error *e)
{
	char ends[LSN_TEXT], have[LSN_TEXT];

	if (s->flushed.v >= journal_end.v)
		return OK;
	return FAIL(e, ERR_CHECK,
		"checking the source: the server's log ends at %s, before the journal's end %s: it "
		"was restored from an older copy, and what it writes now would be taken for what "
		"is known; " SOURCE_AFRESH,
		lsn_format(s->flushed, ends), lsn_format(journal_end, have), o->slot, o->journal);
}

enum err source_snapshot(struct pg *c, struct arena *mem, struct cut *out, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c, "SELECT pg_catalog.pg_current_snapshot()::text", 0, NULL,
		"reading the source's snapshot", mem, &r, e));
	return cut_parse(pg_cell_str(r, 0, 0), LSN_NONE, mem, out, e);
}

/* Asks again and again until the answer is true. */
typedef enum err ask_fn(struct pg *c, void *arg, struct arena *mem, bool *yes, struct error *e);

static enum err wait_until(struct pg *c, const struct env *env, ask_fn *ask, void *arg,
	const char *why, struct error *e)
{
	struct arena mem = {0};
	int64_t began = clock_mono(env->clock);
	bool said = false, yes = false;
	enum err rc;

	for (;;) {
		arena_reset(&mem);
		rc = ask(c, arg, &mem, &yes, e);
		if (rc == OK && !yes)
			rc = env_check(env, e);
		if (rc != OK || yes)
			break;
		if (!said && clock_mono(env->clock) - began > PATIENCE) {
			said = true;
			log_warn(env->log, "snapshot", why);
		}
		env_sleep(env, POLL_US);
	}
	arena_free(&mem);
	return rc;
}

/* True when a new snapshot sees everything that the given one sees. */
static enum err ask_covered(struct pg *c, void *arg, struct arena *mem, bool *yes, struct error *e)
{
	const struct cut *what = arg;
	struct cut now;

	TRY(source_snapshot(c, mem, &now, e));
	*yes = true;
	for (size_t i = 0; *yes && i < now.nrunning; i++)
		*yes = !cut_sees_xid(what, now.running[i]);
	for (uint64_t xid = now.xmax; *yes && xid < what->xmax; xid++)
		*yes = !cut_sees_xid(what, xid);
	return OK;
}

enum err source_join(
	struct pg *c, const struct cut *consistent, const struct env *env, struct error *e)
{
	struct cut what = *consistent;

	return wait_until(
		c, env, ask_covered, &what, "waiting for commits in the log to become visible", e);
}
