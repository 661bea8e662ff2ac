/*
 * repair: the rows that differ, and only those, put right in the warehouse.
 *
 * A reconciliation finds the key ranges that differ. Each of them is then compared once more, at an
 * exact cut of its own, every difference taken down with the source's values as of that cut, and
 * written in one transaction, each row guarded: what the warehouse has under the key must still be
 * what it had at the cut, and no change of the key may have come since; otherwise the row is left
 * alone and counted as skipped. That transaction also says that the range is done: a repair that
 * was killed goes on with the range it was in, under the same id.
 *
 * Where history has of the row what the source has, the current row is written and history left
 * alone. Where it has not, an entry is appended to it: `_op` I, U or D, `_xid` 1 (which no
 * transaction of a stream ever has), its position after everything inside the cut and before
 * everything outside it. So the table as of this cut or a later one, and its versions, are right
 * too, and later changes of the same keys go on from there.
 *
 * Every row mended stands in ops.repairs with what was there before; repair_undo() puts that
 * back under the same guard.
 *
 * The comparison that a repair begins with is kept in ops.reconciliations as any other. It says
 * "different" until repair_check() has compared again. An undo keeps, in its own transaction, a
 * report of its own that says no, so that nothing goes on as proven that is not.
 */
#ifndef SLUICE_REPAIR_H
#define SLUICE_REPAIR_H

#include "reconcile.h"

struct repair_options {
	/* Its max_keys may be 0. With a resume_us, a repair of the same tables that is not older
	 * and was not finished is gone on with, unless it says `afresh`. */
	struct reconcile_options reconcile;
	bool dry_run;    /* looks at every guard, writes nothing that stays */
	size_t max_rows; /* differences of all tables together; 0: REPAIR_MOST */
};

#define REPAIR_MOST ((size_t)1000000)

struct repair_table {
	struct str name;   /* "schema.name" */
	uint64_t repaired; /* differences mended, or undone; with dry_run: that would be */
	uint64_t skipped;  /* left alone: changed since */
};

enum repair_verdict {
	REPAIR_UNCHECKED, /* not compared since */
	REPAIR_EQUAL,
	REPAIR_DIFFERENT,
};

struct repair_report {
	struct str repair_id; /* "20170301T120000-3fa2c1"; of rows in ops.repairs if any were mended
			       */
	lsn at; /* of the comparison that found the differences, its first cut; 0 for an undo */
	struct repair_table *tables;
	size_t ntables;
	/* Of the last comparison: the first one when nothing differed, that of repair_check(); also
	 * when an earlier call, which this one went on with, had made it. */
	enum repair_verdict verdict;
	bool whole; /* it compared every table */
	lsn checked_at;
	struct arena mem;
};

/*
 * Errors of reconcile(); ERR_USAGE, before anything is written, for a table that differs and has
 * no key or is not in the warehouse, and for more differences than max_rows; ERR_CONFLICT while
 * another call is at the same repair. When a range fails after others were mended those stay
 * mended, and the next repair goes on with it. What it has done is kept until repair_finish().
 */
enum err repair(const struct repair_options *o, struct warehouse *w, const struct env *env,
	struct repair_report *out, struct error *e) MUST_CHECK;

/* The report of it has been told: the next repair begins anew. Without it, or after a kill before
 * it, the next one tells the same report again. An id that is not known is no error. */
enum err repair_finish(struct warehouse *w, struct str repair_id, struct error *e) MUST_CHECK;

/* Takes back what that repair did, whether or not it came to its end, and ends it. and has not been
 * undone. `table` NULL: every table of it. ERR_USAGE when there is no such repair. */
enum err repair_undo(struct warehouse *w, const struct env *env, const char *repair_id,
	const char *table, struct repair_report *out, struct error *e) MUST_CHECK;

/*
 * Compares again, with the options that the repair had, and keeps the report: the verdict that
 * gates and releases go by. Fills verdict, whole and checked_at, and keeps them with the repair for
 * as long as that is not finished. Errors of reconcile(); the repair itself stands then.
 */
enum err repair_check(const struct reconcile_options *o, struct warehouse *w, const struct env *env,
	struct repair_report *out, struct error *e) MUST_CHECK;

void repair_report_free(struct repair_report *r); /* zeroed is fine */

#endif
