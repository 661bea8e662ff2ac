/*
 * parts: a table cut into key ranges, each to be compared on its own, at a cut of its own. Both
 * sides pick the same rows: boundaries are values of the key's own columns in an order that
 * PostgreSQL and the warehouse share. Numbers, dates, times and UUIDs have one; text is ordered by
 * its bytes (COLLATE "C"), other types by the bytes of their text.
 *
 * A table whose key begins with none of these, or with a column that may be NULL or whose values
 * are replaced on their way, stays one part.
 */
#ifndef SLUICE_PARTS_H
#define SLUICE_PARTS_H

#include "arena.h"
#include "cut.h"
#include "pg_conn.h"
#include "reconcile.h"
#include "rows.h"

/* A part, and what comparing it has found. */
struct part {
	size_t table; /* index into the report's tables */
	uint32_t number, of;
	struct str where[SIDES]; /* empty: the whole table */
	struct str shape;        /* of the table, see parts_shape() */
	uint64_t rows;           /* expected */
	bool chosen;             /* of a sample; all parts otherwise */

	bool done;
	struct cut cut;
	struct digest source, replica;
	uint64_t count[DIFFERENCES];
	struct reconcile_key *keys;
	size_t nkeys;
	struct blamed blamed;
	struct reconcile_history history;
	double seconds;
	int64_t scanned_us; /* since 1970 */
};

struct parts {
	struct part *list;
	size_t n;
};

/*
 * The parts of one table, of about range_rows rows each; one when the table is expected to have
 * no more than half as many again, or range_rows is 0. A table whose rows do not stand in the
 * order of its key, so that every range costs a reading of it all, has at most eight.
 */
struct parts_options {
	uint64_t range_rows;
	uint32_t fine; /* for a sample: so many parts, of a thousand rows at least; 0: not */
	uint32_t most; /* parts of one table */
};
enum err parts_plan(struct pg *c, const struct table *t, size_t index,
	const struct parts_options *o, struct arena *mem, struct parts *out,
	struct error *e) MUST_CHECK;

/* Adds them at the end; *cap is of parts->list, which grows in mem. */
void parts_append(struct parts *parts, size_t *cap, const struct parts *more, struct arena *mem);

/* Changes when a column of the table does. In mem. */
struct str parts_shape(const struct table *t, struct arena *mem);

#endif
