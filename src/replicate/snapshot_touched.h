/*
 * touched: the keys that the stream has changed since a copy of their table began. A row that the
 * copy reads is kept only while its key is not among them. Keys are known by a 128-bit hash of
 * their canonical bytes, so that the set stays small whatever the keys are. One thread at a time.
 */
#ifndef SLUICE_SNAPSHOT_TOUCHED_H
#define SLUICE_SNAPSHOT_TOUCHED_H

#include "batch.h"
#include "buf.h"
#include "canon.h"
#include "cut.h"
#include "warehouse.h"

struct touched {
	struct rowhash *slots; /* {0, 0}: free */
	size_t n, cap;
	struct buf scratch;
	bool ready, zero; /* zero: the key whose hash is {0, 0} is in it */
};

void touched_free(struct touched *t); /* ready when zeroed; usable again afterwards */

/* The hash of a row's key. */
struct rowhash touched_key(struct touched *t, const struct batch *b, size_t row);
void touched_add(struct touched *t, struct rowhash key);
bool touched_has(const struct touched *t, struct rowhash key);
static inline bool touched_any(const struct touched *t)
{
	return t->n > 0 || t->zero;
}

/* The same of a row of the warehouse: its `_exact` in column `exact`, its key from `first` on. */
enum err touched_key_of(struct touched *t, const struct table *table, const struct chunk *c,
	size_t row, size_t exact, size_t first, struct rowhash *out, struct error *e) MUST_CHECK;
/* " WHERE" history's changes that a cut does not include. */
void touched_where_outside(struct buf *sql, const struct cut *cut);

/*
 * Adds what history tells: the keys that changes outside the cut have touched. *emptied is true
 * when such a change was a TRUNCATE.
 */
enum err touched_of_history(struct touched *t, struct warehouse *w, const struct table *table,
	const struct cut *cut, bool *emptied, struct error *e) MUST_CHECK;

/* Only the keys that such changes have deleted, or inserted anew. */
enum err touched_given_up(struct touched *t, struct warehouse *w, const struct table *table,
	const struct cut *cut, struct error *e) MUST_CHECK;

#endif
