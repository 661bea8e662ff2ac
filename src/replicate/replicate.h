/*
 * replicate: from PostgreSQL's log to the warehouse. Capture writes the stream to the journal and
 * acknowledges only what is fsynced there; apply reads the journal and commits rows and position
 * together. Tables that are new are copied first, joined exactly to the stream by their cut.
 */
#ifndef SLUICE_REPLICATE_H
#define SLUICE_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "cut.h"
#include "env.h"
#include "err.h"
#include "lsn.h"
#include "warehouse.h"

struct replicate_valid_time {
	const char *table;  /* "public.bookings" */
	const char *column; /* its value is the business time of a version */
};

struct replicate_options {
	const char *conninfo, *password; /* password NULL: as conninfo and the environment say */
	const char *publication, *slot;
	const char *tables;   /* patterns, see pg_match_tables() */
	const char *journal;  /* directory */
	int64_t segment_size; /* bytes */
	int64_t retention_us; /* how long applied journal segments are kept */
	int64_t batch_rows;
	int64_t flush_interval_us; /* the longest that apply collects while more is arriving */
	int64_t fsync_interval_us; /* the longest that a commit waits for its group's fsync */
	const struct replicate_valid_time *valid_times;
	size_t nvalid_times;
};

struct replicate_init_report {
	struct arena mem;
	const char *publication, *slot;
	const char **tables; /* "schema.name", sorted; every table of the publication */
	size_t ntables;
	bool created; /* the publication, a table in it, or the slot was not there before */
	lsn start;    /* the slot's consistent point */
};
void replicate_init_report_free(struct replicate_init_report *r);

/*
 * Makes publication, slot, the journal's identity, and datasets and tables in the warehouse; what
 * is there already stays, tables that match and are missing are added. ERR_USAGE with the remedy
 * when the server, the role or a table is not fit for replication; ERR_CHECK when slot or server
 * are not the ones that the journal knows. *out is filled on OK; free it.
 */
enum err replicate_init(const struct replicate_options *o, struct warehouse *w,
	const struct env *env, struct replicate_init_report *out, struct error *e) MUST_CHECK;

enum replicate_until_kind { REPLICATE_FOREVER, REPLICATE_CAUGHT_UP, REPLICATE_LSN };

struct replicate_until {
	enum replicate_until_kind kind;
	lsn at; /* REPLICATE_LSN */
};

struct replicate_result {
	lsn at;        /* applied up to here */
	uint64_t rows; /* rows written to history, snapshot included */
	double seconds;
};

/*
 * Replicates until the condition holds, or env->stop (then OK for REPLICATE_FOREVER, otherwise
 * ERR_INTERRUPTED). REPLICATE_CAUGHT_UP: all that the server had flushed when this was called.
 * ERR_UNAVAILABLE when the source does not answer at the start; later, with REPLICATE_FOREVER,
 * the connection is made again for as long as it takes.
 */
enum err replicate_run(const struct replicate_options *o, struct warehouse *w,
	const struct env *env, struct replicate_until until, struct replicate_result *out,
	struct error *e) MUST_CHECK;

/* ---- the same as a handle, for a process with other things to do ---- */

struct replicate;

struct replicate_progress {
	lsn received; /* end of what has come from the source */
	lsn durable;  /* fsynced in the journal */
	lsn acked;    /* the source has been told */
	lsn applied;  /* committed in the warehouse */
	lsn server;   /* last known position of the source; 0 before the first word from it */
	uint64_t rows;
	uint64_t journal_bytes;
	int64_t last_success_us; /* wall time of the last commit in the warehouse; 0: none yet */
	int64_t lag_us;          /* age of the oldest change not yet applied, 0 when caught up */
	bool connected, snapshotting, caught_up;
	bool failed; /* both threads have ended or are about to: only replicate_stop() helps */
	struct error capture_error,
		apply_error; /* the last of each; kind OK: none since it went well */
};

/* Options, warehouse and env must outlive the handle. Connects before it returns. */
enum err replicate_start(struct replicate **out, const struct replicate_options *o,
	struct warehouse *w, const struct env *env, struct error *e) MUST_CHECK;

/* Asks for the end without waiting for it: whoever is in replicate_wait() gets ERR_INTERRUPTED. Any
 * thread. replicate_stop() must still follow. */
void replicate_ask_stop(struct replicate *r);

/* Stops after the batch in work; gives the error that ended it, if one did. Frees r. NULL is fine.
 */
enum err replicate_stop(struct replicate *r, struct error *e);

void replicate_progress(struct replicate *r, struct replicate_progress *out); /* any thread */

/* Waits until `at` is applied, asking the source for its position so that an idle one gets
 * there too; any thread. ERR_UNAVAILABLE on timeout, the failure when replication has failed. */
enum err replicate_wait(
	struct replicate *r, lsn at, int64_t timeout_us, struct error *e) MUST_CHECK;

/* Has new tables of the publication copied now, not with their first change; any thread. Returns
 * at once: replicate_progress() says `snapshotting` while they are copied. */
void replicate_refresh(struct replicate *r);

/* How far the source has flushed its log: what "caught up" means at this moment. */
enum err replicate_source_flushed(const struct replicate_options *o, const struct env *env,
	lsn *out, struct error *e) MUST_CHECK;

/* ---- what the warehouse knows ---- */

struct replicate_position {
	bool found;
	lsn at;               /* end of the last applied commit, or of the idle log after it */
	uint64_t xid;         /* a recent 64-bit transaction id, for xid_widen() */
	int64_t committed_us; /* commit time of the last applied transaction; 0: none yet */
};
enum err replicate_position(
	struct warehouse *w, struct replicate_position *out, struct error *e) MUST_CHECK;

enum replicate_snapshot_state { SNAPSHOT_NONE, SNAPSHOT_RUNNING, SNAPSHOT_DONE };

struct replicate_snapshot {
	enum replicate_snapshot_state state;
	uint32_t relid;
	lsn floor;      /* the `_lsn` of its rows: at or before every change that follows it */
	struct cut cut; /* when done */
};
/* The mark "snapshot:SCHEMA.NAME". */
enum err replicate_snapshot(struct warehouse *w, struct str schema, struct str name,
	struct arena *mem, struct replicate_snapshot *out, struct error *e) MUST_CHECK;

#endif
