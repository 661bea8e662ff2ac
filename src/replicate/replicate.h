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
	const char *password_file;       /* read anew for each connection, over it; may be NULL */
	const struct pg_token *token;    /* as pg_options say; NULL: none */
	const char *publication, *slot;
	const char *tables;   /* patterns, see pg_match_tables() */
	const char *journal;  /* directory */
	int protocol;         /* of pgoutput, 1 or 2; 0: the newest that both know */
	int64_t segment_size; /* bytes */
	int64_t retention_us; /* how long applied journal segments are kept */
	int64_t batch_rows;
	int64_t flush_interval_us; /* the longest that apply collects while more is arriving */
	int64_t fsync_interval_us; /* the longest that a commit waits for its group's fsync */
	int64_t stall_after_us;    /* what stands still so long has stalled; 0: 20 s */
	int64_t silence_us;        /* a source silent for so long is connected to anew; 0: 60 s */
	int64_t snapshot_workers;  /* ranges of tables that are copied at a time; 0: 3 */
	const struct replicate_valid_time *valid_times;
	size_t nvalid_times;
	const char *const *insert_only; /* "schema.name" of tables that may lack an identity */
	size_t ninsert_only;
	const struct guard
		*guard; /* what personal data is replaced by; NULL: it crosses as it is */
};

struct replicate_init_report {
	struct arena mem;
	const char *publication, *slot;
	const char **tables; /* "schema.name", sorted; every table of the publication */
	size_t ntables;
	bool created;       /* the publication, a table in it, or the slot was not there before */
	lsn start;          /* the slot's consistent point */
	const char *cannot; /* what the role may not do, and who must; NULL: nothing */
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
	/* Something has work and has not moved for options.stall_after_us: `stall` says what, and
	 * what to do. An idle source is no stall. */
	bool stalled;
	char stall[400];
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

/* Waits until `at` is applied and new tables are copied, asking the source for its position so
 * that an idle one gets there too; any thread. ERR_UNAVAILABLE on timeout, the failure when
 * replication has failed. */
enum err replicate_wait(
	struct replicate *r, lsn at, int64_t timeout_us, struct error *e) MUST_CHECK;

/* Tries the dead letters of a table again, in the thread that applies and between two
 * transactions; any thread. See dead_letters_retry(). ERR_UNAVAILABLE when replication does not
 * get to it in time. */
struct dead_letters_retried;
enum err replicate_retry(struct replicate *r, struct str schema, struct str name,
	int64_t timeout_us, struct dead_letters_retried *out, struct error *e) MUST_CHECK;

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
	lsn floor; /* the `_lsn` of its rows: at or before every change that follows it */
	/* While it runs: what the stream is applied from; changes outside it stand in history. When
	 * done: a later cut, at which the table was whole and up to which all was applied. */
	struct cut cut;
	int64_t at_us; /* the `_committed_at` of its rows: when the copy began; 0: not known */
	uint64_t rows; /* copied so far, since the copy began */
	bool over; /* it goes over rows that stand there; those it does not meet go at its end */
	struct str parts; /* while it runs: how far it is, see snapshot_parts.h; may be empty */
};
/* The mark "snapshot:SCHEMA.NAME"; texts in mem. */
enum err replicate_snapshot(struct warehouse *w, struct str schema, struct str name,
	struct arena *mem, struct replicate_snapshot *out, struct error *e) MUST_CHECK;

#endif
