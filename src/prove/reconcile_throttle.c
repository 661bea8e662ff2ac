#include "log.h"
#include "reconcile_run.h"
#include "replicate.h"

#define LOOK_EVERY_US 250000
/* Nobody applies: waiting would be for nothing, and the stream is applied when the cut is taken. */
#define STILL_US INT64_C(5000000)

struct load {
	int64_t lag, sessions, transaction_us;
	lsn stands;
};

static enum err look(struct comparing *c, struct load *out, struct error *e)
{
	struct replicate_position p = {.at = LSN_NONE};
	struct arena mem = {0};
	char at[LSN_TEXT];
	PGresult *r;

	TRY(replicate_position(c->warehouse, &p, e));
	out->stands = p.at;
	const char *const params[] = {lsn_format(p.at, at)};
	enum err rc = pg_query(c->source,
		"SELECT greatest(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), "
		"$1::pg_catalog.pg_lsn), 0)::pg_catalog.int8, "
		"count(*) FILTER (WHERE state = 'active'), "
		"coalesce(max(extract(epoch FROM pg_catalog.clock_timestamp() - xact_start) * 1000000), "
		"0)::pg_catalog.int8 FROM pg_catalog.pg_stat_activity WHERE backend_type = "
		"'client backend' AND application_name <> 'sluice reconcile'",
		1, params, "looking at the load of the source", &mem, &r, e);
	if (rc == OK) {
		out->lag = pg_cell_i64(r, 0, 0);
		out->sessions = pg_cell_i64(r, 0, 1);
		out->transaction_us = pg_cell_i64(r, 0, 2);
	}
	arena_free(&mem);
	return rc;
}

enum reason { NO_REASON, LAG, SESSIONS, TRANSACTION };

static enum reason reason_to_wait(const struct reconcile_limits *l, const struct load *load)
{
	if (l->lag_bytes > 0 && load->lag > l->lag_bytes)
		return LAG;
	if (l->sessions > 0 && load->sessions > l->sessions)
		return SESSIONS;
	if (l->transaction_us > 0 && load->transaction_us > l->transaction_us)
		return TRANSACTION;
	return NO_REASON;
}

static enum err gave_up(const struct comparing *c, const struct load *load, struct error *e)
{
	const struct reconcile_limits *l = &c->o->limits;

	return FAIL(e, ERR_UNAVAILABLE,
		"waiting for the source to be less busy: after %lld s it still has %lld bytes of "
		"lag, %lld active sessions and a transaction %lld s old; what has been compared is "
		"kept: reconcile again, or raise the limits in [reconcile]",
		(long long)(l->patience_us / 1000000), (long long)load->lag,
		(long long)load->sessions, (long long)(load->transaction_us / 1000000));
}

static void count_pause(struct reconcile_pauses *p, enum reason why)
{
	p->lag += why == LAG;
	p->sessions += why == SESSIONS;
	p->transactions += why == TRANSACTION;
}

enum err throttle(struct comparing *c, struct error *e)
{
	const struct reconcile_limits *l = &c->o->limits;
	int64_t start = clock_mono(c->env->clock), moved = start, now = start;
	struct load load, before = {.stands = LSN_NONE};
	enum reason why = NO_REASON, first = NO_REASON;

	if (l->lag_bytes == 0 && l->sessions == 0 && l->transaction_us == 0)
		return OK;
	for (;;) {
		TRY(env_check(c->env, e));
		TRY(look(c, &load, e));
		now = clock_mono(c->env->clock);
		why = reason_to_wait(l, &load);
		if (lsn_cmp(load.stands, before.stands) != 0)
			moved = now;
		before = load;
		if (why == NO_REASON || (why == LAG && now - moved >= STILL_US))
			break;
		if (first == NO_REASON) {
			first = why;
			count_pause(&c->report->pauses, why);
			log_info(c->env->log, "reconcile", "waiting for the source",
				F_I64("lag_bytes", load.lag), F_I64("sessions", load.sessions),
				F_I64("transaction_s", load.transaction_us / 1000000));
		}
		if (l->patience_us > 0 && now - start >= l->patience_us)
			return gave_up(c, &load, e);
		env_sleep(c->env, LOOK_EVERY_US);
	}
	if (first != NO_REASON)
		c->report->pauses.us += now - start;
	return OK;
}
