/*
 * reconcile: is what is in the warehouse what is in the source? Rows and content are compared at
 * one exact cut while writes go on: nothing is paused, locked or read twice in the hope that it
 * agrees later.
 *
 * One REPEATABLE READ transaction on the source gives the cut and, by COPY, the rows it sees.
 * Once the warehouse has applied the stream up to the cut's LSN, it is asked for its rows as of
 * that cut: commits that the log has and the snapshot has not are told apart by their
 * transaction ids. Each row is hashed over an encoding that keeps types, lengths and NULLs
 * apart, and added to a bucket; buckets that differ are read again, row by row.
 *
 * One call uses one thread and one connection; calls may run side by side.
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

struct reconcile_options {
	const char *conninfo;
	const char *password; /* NULL: as conninfo says */
	const char *publication;
	const char *table; /* "schema.name", or a name that only one schema has; NULL: all */
	reconcile_reach_fn *reach; /* NULL: reach_polling with a patience of 60 s */
	void *reach_arg;
	size_t max_keys;     /* keys listed of each table and kind; 0: none */
	size_t batch_rows;   /* of a COPY batch; 0: 16384 */
	const char *journal; /* its directory, asked who is to blame; NULL: it is not asked */
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
};

struct reconcile_table {
	struct str name;               /* "schema.name" */
	struct digest source, replica; /* their rows are the row counts */
	uint64_t count[DIFFERENCES];
	double seconds;
	struct reconcile_key *keys; /* by kind, then key */
	size_t nkeys;
	uint64_t blamed[BLAMES]; /* of the keys listed */
};

struct reconcile_report {
	bool ok;    /* every row of every table compared, and equal */
	bool whole; /* every table of the publication was compared, not one that was named */
	struct cut cut;
	int64_t finished_us; /* since 1970 */
	struct reconcile_table *tables;
	size_t ntables;
	struct buf json; /* as reconcile_json() prints it, and as it was kept */
	char sha256[65]; /* of json */
	struct arena mem;
};

/*
 * Compares, fills *out and keeps the report in ops.reconciliations. OK means that the comparison
 * ran: out->ok says how it ended. ERR_UNAVAILABLE when a side could not be read or the warehouse
 * did not reach the cut; ERR_USAGE for an unknown table or a publication without tables. On
 * failure nothing is kept and *out is empty.
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
