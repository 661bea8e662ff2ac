/*
 * The threads that look on while the others work. Watch shows the watchdog where everything
 * stands and says what it finds: in the log, the metrics and the progress. Probe asks the source
 * what only a query tells; it is a thread of its own so that a source that hangs cannot keep the
 * watchdog from looking.
 */
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "engine.h"
#include "pg_catalog.h"
#include "source.h"

#define LOOK_US        INT64_C(1000000)
#define PROBE_US       INT64_C(10000000)
#define STALL_AFTER_US INT64_C(20000000)

/* What stands still, and what to do. */
static const struct {
	const char *what, *remedy;
} says[WATCHDOG_STAGES] = {
	[WATCHDOG_SOURCE] = {"the source has not said a word",
		"look at its server and the network; the connection is made again by itself"},
	[WATCHDOG_CAPTURE] = {"capture has not come on",
		"look at the disk of the journal; if it stays, restart this process, nothing is "
		"lost by it"},
	[WATCHDOG_APPLY] = {"the warehouse has taken nothing, though changes wait in the journal,",
		"look at the warehouse's disk and memory, and at the last error; if it stays, "
		"restart this process, nothing is lost by it"},
	[WATCHDOG_SNAPSHOT] = {"the copy of a table has not come on",
		"look for locks and long transactions in the source (pg_stat_activity)"},
};

static struct watchdog_sight sight_of(struct replicate *r, const struct replicate_progress *p)
{
	return (struct watchdog_sight){.connected = p->connected,
		.heard = atomic_load(&r->heard),
		.capture_turns = atomic_load(&r->capture_turns),
		.durable = p->durable,
		.applied = p->applied,
		.applied_rows = p->rows,
		.apply_turns = atomic_load(&r->apply_turns),
		.apply_failing = p->apply_error.kind != OK,
		.snapshotting = p->snapshotting,
		.snapshot_rows = (uint64_t)metric_value(r->m.snapshot_rows)};
}

static void write_stall(struct replicate *r, const struct watchdog *w, int64_t now,
	const struct replicate_progress *p)
{
	enum watchdog_stage at = watchdog_first(w);
	const struct error *why = at == WATCHDOG_APPLY || at == WATCHDOG_SNAPSHOT
		? &p->apply_error
		: &p->capture_error;
	long long seconds = at < WATCHDOG_STAGES ? (long long)((now - w->since[at]) / 1000000) : 0;
	struct buf text;

	buf_init(&text, 4096);
	if (at < WATCHDOG_STAGES)
		buf_putf(&text, "%s for %lld s: %s", says[at].what, seconds, says[at].remedy);
	if (at < WATCHDOG_STAGES && why->kind != OK)
		buf_putf(&text, " (last error: %s)", why->text);
	pthread_mutex_lock(&r->lock);
	r->p.stalled = at < WATCHDOG_STAGES;
	snprintf(r->p.stall, sizeof r->p.stall, "%.*s", STR_ARG(buf_str(&text)));
	pthread_mutex_unlock(&r->lock);
	buf_free(&text);
}

/* A stage has stalled, or works again: said once, not with every look. */
static void tell(struct replicate *r, const struct watchdog *w, const bool *before)
{
	struct replicate_progress p;

	replicate_progress(r, &p);
	for (int s = 0; s < WATCHDOG_STAGES; s++) {
		metric_set(r->m.stalled[s], w->stalled[s]);
		if (w->stalled[s] == before[s])
			continue;
		const char *stage = watchdog_stage_name((enum watchdog_stage)s);
		if (w->stalled[s]) {
			metric_add(r->m.stalls, 1);
			log_error(r->env.log, "watchdog", "replication stands still",
				F_CSTR("stage", stage), F_CSTR("reason", p.stall));
		} else
			log_info(r->env.log, "watchdog", "replication has come on again",
				F_CSTR("stage", stage));
	}
}

static void look(struct replicate *r, struct watchdog *w)
{
	struct replicate_progress p;
	bool before[WATCHDOG_STAGES];
	int64_t now = clock_mono(r->env.clock);

	replicate_progress(r, &p); /* it sets the gauges that depend on the time too */
	memcpy(before, w->stalled, sizeof before);
	struct watchdog_sight sight = sight_of(r, &p);
	bool changed = watchdog_look(w, &sight, now);
	write_stall(r, w, now, &p);
	if (changed)
		tell(r, w, before);
}

enum err watch_thread(void *arg, struct error *e)
{
	struct replicate *r = arg;
	struct watchdog w;
	int64_t limit = r->o->stall_after_us > 0 ? r->o->stall_after_us : STALL_AFTER_US;
	int64_t pause = limit / 4 < LOOK_US ? limit / 4 : LOOK_US;

	(void)e;
	watchdog_init(&w, limit);
	while (!atomic_load(&r->stop)) {
		look(r, &w);
		env_sleep(&r->env, pause);
	}
	return OK;
}

/* One question on a connection that is kept; a failure only means that there is no news. */
static enum err ask(struct replicate *r, struct pg **c, struct error *e)
{
	struct arena mem = {0};
	struct pg_slot slot = {.exists = false};
	enum err rc = *c != NULL ? OK : source_open(c, r->o, &r->env, false, e);

	if (rc == OK)
		rc = pg_slot(*c, r->o->slot, &mem, &slot, e);
	if (rc == OK && slot.exists)
		metric_set(r->m.retained_bytes, (double)slot.retained_bytes);
	arena_free(&mem);
	return rc;
}

static bool is_connected(struct replicate *r)
{
	struct replicate_progress p;

	replicate_progress(r, &p);
	return p.connected;
}

enum err probe_thread(void *arg, struct error *e)
{
	struct replicate *r = arg;
	struct pg *c = NULL;

	while (!atomic_load(&r->stop)) {
		/* A source that is away would only hold up the end of this thread. */
		bool away = !is_connected(r);
		if (away || ask(r, &c, e) != OK) {
			if (!away)
				log_debug(r->env.log, "probe", e->text);
			pg_close(c);
			c = NULL;
		}
		env_sleep(&r->env, away ? LOOK_US : PROBE_US);
	}
	pg_close(c);
	error_clear(e);
	return OK;
}
