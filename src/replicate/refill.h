/*
 * refill: the values of some columns of all rows, read again from the source, because a change of
 * the table gave each row one that the stream does not carry: a column added with a default that
 * is computed for each row, or one whose type has changed.
 */
#ifndef SLUICE_REFILL_H
#define SLUICE_REFILL_H

#include "apply.h"

struct refill {
	const struct table *table; /* as the warehouse has it, with the columns' numbers */
	const uint16_t *columns;   /* indexes into table */
	const bool *added;         /* parallel: the column is new, else its type has changed */
	size_t n;
};

/*
 * Current gets the values of the rows that stand in it, by key. In history a new column gets them
 * too; a changed one keeps what it had, and rows whose value is another than its conversion get
 * one more version. Rows that have changed since then get their own with the stream. Running it
 * again changes nothing. ERR_NOT_FOUND when it cannot be done: the table has no key, or is gone.
 */
enum err refill_run(struct apply *a, const struct refill *r, struct error *e) MUST_CHECK;

#endif
