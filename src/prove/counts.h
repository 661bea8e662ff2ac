/*
 * counts: how many rows each side has at one exact cut, for each table and, where asked, for each
 * day of a column: the plain form of reconciliation.
 */
#ifndef SLUICE_COUNTS_H
#define SLUICE_COUNTS_H

#include "reconcile.h"

struct counts_line {
	size_t table; /* index */
	struct str
		day; /* "2017-03-01"; "" where the column is NULL; .p NULL: all rows of the table */
	int64_t source, replica;
};

struct counts_report {
	bool ok; /* every line's counts are equal */
	struct cut cut;
	struct str *tables; /* "schema.name" */
	size_t ntables;
	struct counts_line *lines; /* by table: all rows, then the days in their order */
	size_t nlines;
	struct buf json;
	struct arena mem;
};

/*
 * Counts in one transaction; of the options, those that choose tables and reach the cut are used.
 * `by_day` is a column of a date or timestamp type, or NULL; days are in UTC; tables that have no
 * such column are counted as a whole. ERR_USAGE when none has it, or its values are replaced on
 * their way. Other errors as of reconcile(). Nothing is kept. Free *out after OK.
 */
enum err reconcile_counts(const struct reconcile_options *o, const char *by_day,
	struct warehouse *w, const struct env *env, struct counts_report *out,
	struct error *e) MUST_CHECK;
void counts_report_free(struct counts_report *r); /* zeroed is fine */

#endif
