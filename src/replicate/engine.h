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

struct engine_metrics {
	struct metric *lag_bytes, *lag_seconds, *journal_bytes, *retained_bytes, *last_success;
	struct metric *received_bytes, *fsyncs, *batches, *batch_seconds, *snapshot_rows;
	struct metric *connected;
};

struct replicate_replay;

struct replicate {
	const struct replicate_options *o;
	const struct replicate_replay *replay; /* NULL: live, with a source to ask */
	struct warehouse *w;
	struct env env;            /* the caller's, with a stop flag of our own */
	struct rnd rnd, apply_rnd; /* capture's, apply's */
	atomic_bool stop;
	bool forever; /* a lost source is waited for */
	struct journal *journal;
	struct journal_identity id;
	int wake_fd;         /* ends capture's wait */
	atomic_bool refresh; /* the publication may have new tables: apply is to look */
	atomic_int waiters;  /* somebody waits for a position: ask the source for its own */
	struct engine_metrics m;
	struct thread capture, apply;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t moved;
	struct replicate_progress p;
	int64_t pending_since_us; /* mono: since when something durable is not applied; 0: nothing
				   */
};

thread_fn capture_thread, apply_thread;

void engine_wake(struct replicate *r);

/* A thread has ended with this error: the other one is to end too. */
void engine_failed(struct replicate *r);

/* Backoff before try number n (from 1): 100 ms doubling to 10 s, with jitter. */
int64_t engine_backoff_us(unsigned n, struct rnd *rnd);

#endif
