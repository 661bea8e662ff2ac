/*
 * backfill: the values that the rows of a table got when a column was added with a DEFAULT. The
 * stream does not carry them: PostgreSQL keeps one value for all of them in its catalog.
 */
#ifndef SLUICE_BACKFILL_H
#define SLUICE_BACKFILL_H

#include "align.h"
#include "apply.h"

struct backfill {
	struct arena mem;
	struct batch *value; /* one row: the values; NULL: there are none */
	struct str *texts;   /* of the value, by column; .p NULL: none */
	struct str unknown;  /* columns whose values cannot be had, "a, b"; may be empty */
	/* Columns of which every row may have got a value of its own: see refill.h. */
	uint16_t *again;
	bool *added; /* parallel: it is new, else its type has changed */
	size_t nagain;
};

/* What is to be done about the columns of `now`: from[i] is its index in `before` or -1, asked
 * what the catalog says of them. Free out. */
enum err backfill_plan(struct apply *a, const struct table *now, const struct table *before,
	const int *from, const struct attributes *asked, struct backfill *out,
	struct error *e) MUST_CHECK;
/* The plan as JSON, by the names of the columns of `now`, and back without asking anybody. */
void backfill_write(const struct backfill *b, const struct table *now, struct buf *out);
enum err backfill_parse(
	struct str text, const struct table *now, struct backfill *out, struct error *e) MUST_CHECK;
/* Gives the values that all rows have in common to the rows that stand in current and in history.
 * Running it again changes nothing. */
enum err backfill_rows(struct apply *a, const struct backfill *b, struct error *e) MUST_CHECK;
/* Gives them to all rows of a batch of the same table. */
enum err backfill_batch(const struct backfill *b, struct batch *rows, struct error *e) MUST_CHECK;
void backfill_free(struct backfill *b);

#endif
