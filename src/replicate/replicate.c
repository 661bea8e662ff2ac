#include "replicate.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "mem.h"
#include "snapshot.h"
#include "source.h"

#define SLICE_US INT64_C(100000) /* how soon a stop is seen while waiting */

void engine_wake(struct replicate *r)
{
	uint64_t one = 1;

	/* A full counter is as good as one more. */
	while (write(r->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	if (r->journal != NULL)
		journal_wake(r->journal);
	pthread_cond_broadcast(&r->moved);
}

void engine_failed(struct replicate *r)
{
	pthread_mutex_lock(&r->lock);
	r->p.failed = true;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
	atomic_store(&r->stop, true);
	engine_wake(r);
}

int64_t engine_backoff_us(unsigned n, struct rnd *rnd)
{
	int64_t us = INT64_C(100000) << (n < 8 ? n - 1 : 7);

	if (us > 10000000)
		us = 10000000;
	return us / 2 + (int64_t)rnd_below(rnd, (uint64_t)us / 2 + 1);
}

static void make_metrics(struct engine_metrics *m, struct metrics *all)
{
	m->lag_bytes = metrics_gauge(all, "sluice_replication_lag_bytes",
		"Bytes of the source's log that are not applied yet.", NULL);
	m->lag_seconds = metrics_gauge(all, "sluice_replication_lag_seconds",
		"Age of the oldest change that is not applied yet.", NULL);
	m->journal_bytes = metrics_gauge(
		all, "sluice_journal_bytes", "Bytes of the journal on disk.", NULL);
	m->retained_bytes = metrics_gauge(all, "sluice_slot_retained_wal_bytes",
		"Bytes of log that the source keeps for the slot, asked for every ten seconds.",
		NULL);
	m->last_success = metrics_gauge(all, "sluice_last_success_timestamp_seconds",
		"When the warehouse last took a batch or a position.", NULL);
	m->received_bytes = metrics_counter(all, "sluice_stream_received_bytes_total",
		"Bytes of change messages received.", NULL);
	m->fsyncs = metrics_counter(
		all, "sluice_journal_fsyncs_total", "Group fsyncs of the journal.", NULL);
	m->batches = metrics_counter(
		all, "sluice_batches_applied_total", "Batches written to the warehouse.", NULL);
	m->batch_seconds = metrics_histogram(
		all, "sluice_batch_seconds", "Time to fold and write one batch.", NULL);
	m->snapshot_rows = metrics_counter(
		all, "sluice_snapshot_rows_total", "Rows copied by snapshots.", NULL);
	m->spill_bytes = metrics_gauge(all, "sluice_spill_bytes",
		"Bytes kept of transactions that the source streams before they end.", NULL);
	m->connected = metrics_gauge(
		all, "sluice_stream_connected", "1 while the source streams.", NULL);
	m->applied_lsn = metrics_gauge(all, "sluice_applied_lsn",
		"Position that the warehouse has reached, as a number of bytes.", NULL);
	m->stalls = metrics_counter(all, "sluice_stalls_total",
		"How often a stage stood still though it had work.", NULL);
	for (int s = 0; s < WATCHDOG_STAGES; s++) {
		const char *labels[] = {"stage", watchdog_stage_name((enum watchdog_stage)s), NULL};
		m->stalled[s] = metrics_gauge(all, "sluice_stalled",
			"1 while this stage stands still though it has work.", labels);
	}
}

static enum err open_journal(struct replicate *r, const struct pg_slot *slot, struct error *e)
{
	struct journal_options j = {.dir = r->o->journal,
		.identity = r->id,
		.segment_size = r->o->segment_size,
		.retention_us = r->o->retention_us,
		.confirmed = slot->confirmed};

	return journal_open(&r->journal, &j, &r->env, e);
}

/* What can be known to be wrong before anything is started. */
static enum err prepare(struct replicate *r, struct error *e)
{
	struct arena mem = {0};
	struct source_state source = {.flushed = LSN_NONE};

	enum err rc = journal_identity_read(r->o->journal, &r->id, e);
	if (rc == ERR_NOT_FOUND)
		return FAIL(e, ERR_USAGE,
			"starting replication: there is no journal in %s yet; run sluice init "
			"first",
			r->o->journal);
	if (rc == OK && strcmp(r->id.slot, r->o->slot) != 0)
		rc = FAIL(e, ERR_USAGE,
			"starting replication: the journal %s is of slot %s, but [source] slot "
			"says "
			"%s; put the name back, or name another directory in [replicate] journal",
			r->o->journal, r->id.slot, r->o->slot);
	if (rc == OK)
		rc = source_check(r->o, &r->id, &r->env, &source, &mem, e);
	/* Our own session may not have ended yet on the server: capture waits for that. */
	if (rc == ERR_CONFLICT) {
		error_clear(e);
		rc = OK;
	}
	if (rc == OK)
		rc = warehouse_ensure_ops(r->w, e);
	if (rc == OK)
		rc = open_journal(r, &source.slot, e);
	if (rc == OK)
		rc = source_check_end(r->o, &source, journal_end(r->journal), e);
	arena_free(&mem);
	return rc;
}

static struct replicate *make(
	const struct replicate_options *o, struct warehouse *w, const struct env *env, bool forever)
{
	struct replicate *r = mem_zalloc(sizeof(*r));
	pthread_condattr_t attr;

	r->o = o;
	r->w = w;
	r->env = *env;
	r->env.stop = &r->stop;
	r->env.rnd = &r->rnd;
	rnd_seed(&r->rnd, rnd_u64(env->rnd));
	rnd_seed(&r->apply_rnd, rnd_u64(env->rnd));
	r->forever = forever;
	r->wake_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->moved, &attr);
	pthread_condattr_destroy(&attr);
	make_metrics(&r->m, env->metrics);
	return r;
}

static enum err check_options(const struct replicate_options *o, struct error *e)
{
	if (o->segment_size < 4096 || o->batch_rows < 1 || o->batch_rows > UINT32_MAX / 2 ||
		o->flush_interval_us < 0 || o->fsync_interval_us < 0 || o->retention_us < 0)
		return FAIL(e, ERR_USAGE,
			"starting replication: [replicate] segment_size is at least 4096, "
			"batch_rows "
			"at least 1, and no interval is negative");
	return OK;
}

static enum err start(struct replicate **out, const struct replicate_options *o,
	struct warehouse *w, const struct env *env, bool forever, struct error *e)
{
	TRY(check_options(o, e));
	struct replicate *r = make(o, w, env, forever);
	enum err rc = OK;

	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "starting replication: eventfd");
	if (rc == OK)
		rc = prepare(r, e);
	if (rc == OK)
		rc = thread_start(&r->capture, "capture", capture_thread, r, e);
	if (rc == OK)
		rc = snapshots_start(r, e);
	if (rc == OK)
		rc = thread_start(&r->apply, "apply", apply_thread, r, e);
	if (rc == OK)
		rc = thread_start(&r->watch, "watch", watch_thread, r, e);
	if (rc == OK && forever)
		rc = thread_start(&r->probe, "probe", probe_thread, r, e);
	if (rc != OK) {
		struct error ignored = {0};
		(void)replicate_stop(r, &ignored);
		return rc;
	}
	*out = r;
	return OK;
}

enum err replicate_start(struct replicate **out, const struct replicate_options *o,
	struct warehouse *w, const struct env *env, struct error *e)
{
	return start(out, o, w, env, true, e);
}

void replicate_ask_stop(struct replicate *r)
{
	atomic_store(&r->stop, true);
	if (r->wake_fd >= 0)
		engine_wake(r);
}

enum err replicate_stop(struct replicate *r, struct error *e)
{
	struct error second = {0};

	if (r == NULL)
		return OK;
	replicate_ask_stop(r);
	/* Each thread's failure stops the other; the other's is then no news. */
	enum err rc = thread_join(&r->capture, e);
	enum err rc2 = thread_join(&r->apply, rc == OK ? e : &second);
	/* Apply has given back what it held of their tables. */
	enum err rc3 = snapshots_stop(r, rc == OK && rc2 == OK ? e : &second);
	if (rc2 == OK)
		rc2 = rc3;
	/* These two only look on: how they end is no news. */
	IGNORE(thread_join(&r->watch, &second));
	IGNORE(thread_join(&r->probe, &second));
	journal_close(r->journal);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	pthread_cond_destroy(&r->moved);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
	return rc != OK ? rc : rc2;
}

void replicate_progress(struct replicate *r, struct replicate_progress *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->p;
	if (r->pending_since_us != 0)
		out->lag_us = clock_mono(r->env.clock) - r->pending_since_us;
	out->caught_up = r->p.connected && !r->p.snapshotting && r->p.server.v > 0 &&
		r->p.applied.v >= r->p.server.v;
	pthread_mutex_unlock(&r->lock);
	metric_set(r->m.lag_seconds, (double)out->lag_us / 1e6);
}

/* ---- waiting ---- */

/*
 * The same place as the stream names it. A position read with pg_current_wal_insert_lsn() may lie
 * just behind a page's header, where no record has begun; an idle source never gets there.
 */
static lsn as_streamed(lsn at)
{
	if (at.v % 8192 == 24 || at.v % (1 << 20) == 40)
		at.v -= at.v % 8192;
	return at;
}

static void wait_slice(struct replicate *r, int64_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&r->moved, &r->lock, &until);
}

/* Waits for `at`, and with `copies` for the copies of new tables; for the end of time, a failure,
 * or the caller's stop. */
static enum err wait_applied(struct replicate *r, lsn at, bool copies, int64_t timeout_us,
	const struct env *caller, struct error *e)
{
	char want[LSN_TEXT], have[LSN_TEXT];
	int64_t began = clock_mono(clock_system());
	enum err rc = OK;

	at = as_streamed(at);
	atomic_fetch_add(&r->waiters, 1);
	engine_wake(r);
	pthread_mutex_lock(&r->lock);
	while (rc == OK && (r->p.applied.v < at.v || (copies && r->p.snapshotting))) {
		const struct error *why = r->p.capture_error.kind != OK ? &r->p.capture_error
									: &r->p.apply_error;
		if (r->p.failed) {
			*e = r->p.capture_error.kind != OK ? r->p.capture_error : r->p.apply_error;
			rc = e->kind;
		} else if (atomic_load(&r->stop) || (caller != NULL && env_stopping(caller)))
			rc = FAIL(e, ERR_INTERRUPTED,
				"waiting for LSN %s: a stop was asked for; applied up to %s",
				lsn_format(at, want), lsn_format(r->p.applied, have));
		else if (timeout_us >= 0 && clock_mono(clock_system()) - began >= timeout_us)
			rc = FAIL(e, ERR_UNAVAILABLE,
				"waiting for LSN %s: applied only up to %s in %.1f s%s%s%s",
				lsn_format(at, want), lsn_format(r->p.applied, have),
				(double)timeout_us / 1e6,
				copies && r->p.snapshotting ? ", and tables are being copied" : "",
				why->kind != OK ? ": " : "", why->text);
		else
			wait_slice(r, SLICE_US);
	}
	pthread_mutex_unlock(&r->lock);
	atomic_fetch_sub(&r->waiters, 1);
	return rc;
}

enum err replicate_wait(struct replicate *r, lsn at, int64_t timeout_us, struct error *e)
{
	return wait_applied(r, at, true, timeout_us < 0 ? 0 : timeout_us, NULL, e);
}

enum err engine_wait_applied(struct replicate *r, lsn at, struct error *e)
{
	return wait_applied(r, at, false, -1, NULL, e);
}

/* ---- running to an end ---- */

enum err replicate_source_flushed(
	const struct replicate_options *o, const struct env *env, lsn *out, struct error *e)
{
	struct pg *c = NULL;
	struct arena mem = {0};
	PGresult *result;
	enum err rc = source_open(&c, o, env, false, e);

	if (rc == OK)
		rc = pg_query(c, "SELECT pg_catalog.pg_current_wal_flush_lsn()::text", 0, NULL,
			"reading the source's position", &mem, &result, e);
	if (rc == OK && !lsn_parse(pg_cell_str(result, 0, 0), out))
		rc = FAIL(e, ERR_INPUT, "reading the source's position: it is no LSN");
	pg_close(c);
	arena_free(&mem);
	return rc;
}

void replicate_refresh(struct replicate *r)
{
	snapshots_poke(r);
}

static enum err run_forever(struct replicate *r, const struct env *env)
{
	pthread_mutex_lock(&r->lock);
	while (!r->p.failed && !env_stopping(env))
		wait_slice(r, SLICE_US);
	pthread_mutex_unlock(&r->lock);
	return OK;
}

#define CATALOG_NAP_US  INT64_C(10000)
#define CATALOG_WAIT_US INT64_C(30000000)

/* Caught up is also what the stream does not tell: a column that was added, and no row changed
 * since. A source that does not tell it in time has been caught up with as far as it told. */
static enum err wait_catalog(
	struct replicate *r, int64_t since_us, const struct env *env, struct error *e)
{
	struct replicate_progress p = {.failed = false};
	int64_t give_up_us = clock_mono(env->clock) + CATALOG_WAIT_US;
	enum err rc = OK;

	atomic_fetch_add(&r->waiters, 1);
	while (rc == OK && !p.failed && atomic_load(&r->catalog_us) < since_us &&
		clock_mono(env->clock) < give_up_us) {
		rc = env_check(env, e);
		env_sleep(env, CATALOG_NAP_US);
		replicate_progress(r, &p);
	}
	atomic_fetch_sub(&r->waiters, 1);
	return rc;
}

enum err replicate_run(const struct replicate_options *o, struct warehouse *w,
	const struct env *env, struct replicate_until until, struct replicate_result *out,
	struct error *e)
{
	struct replicate *r = NULL;
	struct replicate_progress p;
	struct error stopped = {0};
	int64_t began = clock_mono(env->clock);
	lsn at = until.at;

	*out = (struct replicate_result){0};
	if (until.kind == REPLICATE_CAUGHT_UP)
		TRY(replicate_source_flushed(o, env, &at, e));
	TRY(start(&r, o, w, env, until.kind == REPLICATE_FOREVER, e));
	enum err rc = until.kind == REPLICATE_FOREVER ? run_forever(r, env)
						      : wait_applied(r, at, true, -1, env, e);
	if (rc == OK && until.kind == REPLICATE_CAUGHT_UP)
		rc = wait_catalog(r, began, env, e);
	replicate_progress(r, &p);
	enum err ended = replicate_stop(r, &stopped);
	/* The threads' own words are better than those of the one who waited for them. */
	if (ended != OK && (rc == OK || p.failed)) {
		*e = stopped;
		rc = ended;
	}
	*out = (struct replicate_result){.at = p.applied,
		.rows = p.rows,
		.seconds = (double)(clock_mono(env->clock) - began) / 1e6};
	return rc;
}
