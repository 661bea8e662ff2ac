/*
 * reconcile: is what is in the warehouse what is in the source? Rows and content are compared at
 * one exact cut while writes go on: nothing is paused, locked or read twice in the hope that it
 * agrees later.
 *
 * A REPEATABLE READ transaction on the source gives the cut and, by COPY, the rows it sees. Once
 * the warehouse has applied the stream up to the cut's LSN, it is asked for its rows as of that
 * cut: commits that the log has and the snapshot has not are told apart by their transaction ids.
 * Each row is hashed over an encoding that keeps types, lengths and NULLs apart, and added to a
 * bucket; buckets that differ are read again, row by row.
 *
 * No transaction is held for longer than about range_rows rows take: small tables share one, large
 * ones are compared in key ranges, each in a transaction and at a cut of its own. What has been
 * compared is kept, so that a comparison that was broken off goes on where it stood.
 *
 * Calls may be made from any thread, and side by side.
 */
#ifndef SLUICE_RECONCILE_H
#define SLUICE_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "canon.h"
#include "cut.h"
#include "env.h"
#include "err.h"
#include "warehouse.h"

/* Returns once the warehouse has applied the stream up to `at`. */
typedef enum err reconcile_reach_fn(void *arg, lsn at, struct error *e);

/* What the source must not have more of when a transaction is begun; 0: no limit. */
struct reconcile_limits {
	int64_t lag_bytes;      /* of log that the warehouse has not applied */
	int64_t sessions;       /* that run a statement, besides ours */
	int64_t transaction_us; /* age of the oldest transaction, besides ours */
	int64_t patience_us;    /* then it is given up, and goes on with the next call */
};

enum reconcile_mode {
	RECONCILE_FULL,
	RECONCILE_CHANGED, /* what has changed since the last comparison, and some ranges whole */
	RECONCILE_MODES
};

struct reconcile_options {
	const char *conninfo;
	const char *password;         /* NULL: as conninfo says */
	const struct pg_token *token; /* as pg_options say; NULL: none */
	const char *publication;
	const struct guard *guard; /* personal data is compared in its guarded form; NULL: none */
	const char *table; /* "schema.name", or a name that only one schema has; NULL: all */
	reconcile_reach_fn *reach; /* NULL: reach_polling with a patience of 60 s */
	void *reach_arg;
	size_t max_keys;     /* keys listed of each table and kind; 0: none */
	size_t batch_rows;   /* of a COPY batch; 0: 16384 */
	const char *journal; /* its directory, asked who is to blame; NULL: it is not asked */
	enum reconcile_mode mode;
	uint64_t range_rows; /* of one transaction; 0: all at one cut */
	double sample;       /* percent of the ranges of each table, at least one; 0: all */
	bool history;        /* history's fold is compared as well */
	uint32_t rolling;    /* RECONCILE_CHANGED: one in so many ranges is read whole; 0: none */
	bool afresh;         /* nothing is gone on with */
	const char *hashes;  /* directory where the hashes of equal ranges are kept, for the next
				RECONCILE_CHANGED; NULL: none are, and it asks history */
	int64_t resume_us;   /* how old what is gone on with may be */
	struct reconcile_limits limits; /* looked at before each transaction but the first */
};

enum difference {
	ROW_MISSING,   /* in the source only */
	ROW_EXTRA,     /* in the replica only, or there once too often */
	ROW_DIFFERENT, /* in both, with other values */
	DIFFERENCES
};

/*
 * Who is to blame for a difference: history is what apply made of the journal, the journal what
 * capture was sent, and the current table the fold of history.
 */
enum blame {
	BLAME_UNKNOWN,          /* history could not tell: the table is not in the warehouse */
	BLAME_WAREHOUSE,        /* history has what the source has, the current table has not: the
				   fold, or a hand on the warehouse */
	BLAME_CAPTURE,          /* the journal has not what the source has */
	BLAME_APPLY,            /* the journal has it, history has not: apply, or a hand */
	BLAME_CAPTURE_OR_APPLY, /* history has it not, and the journal no longer says */
	BLAMES
};

struct reconcile_key {
	struct str key; /* JSON object: {"booking_id":17} */
	enum difference kind;
	const struct str *columns; /* that differ; ROW_DIFFERENT only */
	size_t ncolumns;
	enum blame blame;
	bool in_history; /* it is history's newest entry that differs, the current row may be right
			  */
};

/* History's newest entry of each key inside the cut, held against the source. */
struct reconcile_history {
	bool compared;
	bool keyless; /* wanted, and not compared: its rows have no key of their own */
	struct digest digest;
	uint64_t count[DIFFERENCES];
};

/* Whose fault the keys that differ are, counted over all that were looked at, listed or not; in
 * each range at most SUSPECTS_MOST of a kind are, none when no keys are to be listed. */
struct blamed {
	uint64_t keys; /* looked at */
	uint64_t by[BLAMES];
};

struct reconcile_table {
	struct str name;               /* "schema.name" */
	struct digest source, replica; /* their rows are the row counts */
	uint64_t count[DIFFERENCES];
	double seconds;
	struct reconcile_key *keys; /* by kind, then key */
	size_t nkeys;
	struct blamed blamed;
	struct reconcile_history history;
	uint32_t ranges;   /* that the table is cut into */
	uint32_t compared; /* of them, read whole in this comparison */
	uint64_t changed;  /* RECONCILE_CHANGED: keys that were looked at one by one */
};

/* How long it waited between transactions, and how often for what. */
struct reconcile_pauses {
	int64_t us;
	uint32_t lag, sessions, transactions;
};

struct reconcile_report {
	bool ok;    /* every row of every table compared, and equal */
	bool whole; /* every row of every table of the publication was read and compared: no table
		       was named, nothing sampled, nothing taken as unchanged */
	enum reconcile_mode mode;
	double sample;
	struct cut cut;   /* the first: every range was compared at it or at a later one */
	lsn last_cut;     /* the last */
	uint32_t cuts;    /* how many different ones */
	uint32_t resumed; /* ranges that an earlier call had compared */
	struct reconcile_pauses pauses;
	int64_t finished_us; /* since 1970 */
	struct reconcile_table *tables;
	size_t ntables;
	struct buf json; /* as `sluice reconcile --json` prints it, and as it was kept */
	char sha256[65]; /* of json */
	struct arena mem;
};

/*
 * Compares, fills *out and keeps the report in ops.reconciliations. OK means that the comparison
 * ran: out->ok says how it ended. ERR_UNAVAILABLE when a side could not be read or the warehouse
 * did not reach the cut, or the limits were exceeded for too long; ERR_USAGE for an unknown table
 * or a publication without tables. On failure no report is kept and *out is empty; ranges that are
 * done stay done for the next call with the same options.
 */
enum err reconcile(const struct reconcile_options *o, struct warehouse *w, const struct env *env,
	struct reconcile_report *out, struct error *e) MUST_CHECK;
void reconcile_report_free(struct reconcile_report *r); /* zeroed is fine */

const char *difference_name(enum difference d); /* "missing", "extra", "different" */
const char *blame_name(enum blame b);           /* "warehouse", "capture or apply", ... */

/* The default of `reach`: looks at the mark "position" until it is there. ERR_UNAVAILABLE when
 * it has not moved for `patience_us`; the error names where it stands and what to look at. */
struct reach_polling {
	struct warehouse *warehouse;
	const struct env *env;
	int64_t patience_us;
};
reconcile_reach_fn reach_polling;

#endif
