/*
 * backfill: the values that the rows of a table got when a column was added with a DEFAULT. The
 * stream does not carry them: PostgreSQL keeps one value for all of them in its catalog.
 */
#ifndef SLUICE_BACKFILL_H
#define SLUICE_BACKFILL_H

#include "apply.h"

struct backfill {
	struct arena mem;
	struct batch *value; /* one row: the values; NULL: there are none */
	struct str unknown;  /* columns whose values cannot be had, "a, b"; may be empty */
};

/* Asks the source about the columns of `now` that `before` does not have. Free out. */
enum err backfill_ask(struct apply *a, const struct table *now, const struct table *before,
	struct backfill *out, struct error *e) MUST_CHECK;
/* Gives them to the rows that stand in current; history stays as it was. Running it again changes
 * nothing. */
enum err backfill_current(struct apply *a, const struct backfill *b, struct error *e) MUST_CHECK;
/* Gives them to all rows of a batch of the same table. */
enum err backfill_batch(const struct backfill *b, struct batch *rows, struct error *e) MUST_CHECK;
void backfill_free(struct backfill *b);

#endif
