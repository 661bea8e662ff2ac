/*
 * engine: what the threads of one running replication share. Capture owns the journal's writing
 * side and the stream; apply owns the reader and the tables; both report through `p`.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "journal.h"
#include "metrics.h"
#include "pg_conn.h"
#include "pg_stream.h"
#include "replicate.h"
#include "thread.h"
#include "watchdog.h"

struct engine_metrics {
	struct metric *lag_bytes, *lag_seconds, *journal_bytes, *retained_bytes, *last_success;
	struct metric *received_bytes, *fsyncs, *batches, *batch_seconds, *snapshot_rows;
	struct metric *connected, *spill_bytes, *applied_lsn, *stalled[WATCHDOG_STAGES], *stalls;
};

struct answers;
struct replicate_replay;
struct snapshots;

struct replicate {
	const struct replicate_options *o;
	const struct replicate_replay *replay; /* NULL: live, with a source to ask */
	const struct answers *answers;         /* a replay's, of the source that was asked then */
	struct warehouse *w;
	struct env env;            /* the caller's, with a stop flag of our own */
	struct rnd rnd, apply_rnd; /* capture's, apply's */
	atomic_bool stop;
	bool forever;       /* a lost source is waited for */
	lsn never_in_parts; /* apply's: the transaction whose parts the warehouse refused */
	struct journal *journal;
	struct journal_identity id;
	int wake_fd; /* ends capture's wait */
	atomic_llong
		catalog_us; /* mono: when a look at the catalog began that left nothing to do */
	atomic_int waiters; /* somebody waits for a position: ask the source for its own */
	struct engine_metrics m;
	struct thread capture, apply, watch, probe;
	lsn kept; /* apply's: the journal stays from here, a table catches up; LSN_NONE: none */
	struct snapshots *snapshots; /* NULL in a replay */

	/* Signs of life for the watchdog; each has one writer, see engine_sign(). */
	atomic_uint_least64_t heard, capture_turns, apply_turns;
	atomic_int_least64_t source_us; /* the source's clock when it last spoke; 0: it has not */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t moved;
	struct replicate_progress p;
	struct engine_request *request; /* the next thing that apply is to do for somebody */
	int64_t pending_since_us; /* mono: since when something durable is not applied; 0: nothing
				   */
};

/* Watch looks for stalls and keeps the gauges; probe asks the source what the slot retains. */
thread_fn capture_thread, apply_thread, watch_thread, probe_thread;

/* One more sign of life. Cheap enough for every message: a counter has one writer only. */
static inline void engine_sign(atomic_uint_least64_t *counter)
{
	uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

void engine_wake(struct replicate *r);

/* Has fn run in the apply thread, between two transactions, so that nobody else writes to the
 * warehouse meanwhile; waits for its end. ERR_UNAVAILABLE when it has not begun in timeout_us. */
enum err engine_request(struct replicate *r,
	enum err (*fn)(struct replicate *r, void *arg, struct error *e), void *arg,
	int64_t timeout_us, struct error *e) MUST_CHECK;
/* Apply's part of it: whether something is asked for; does it. */
bool engine_is_asked(struct replicate *r);
void engine_serve(struct replicate *r);

/* Waits until `at` is applied, asking the source for its position. Any thread but apply's. */
enum err engine_wait_applied(struct replicate *r, lsn at, struct error *e) MUST_CHECK;

/* A thread has ended with this error: the other one is to end too. */
void engine_failed(struct replicate *r);

/* Backoff before try number n (from 1): 100 ms doubling to 10 s, with jitter. */
int64_t engine_backoff_us(unsigned n, struct rnd *rnd);

#endif
