/*
 * touched: what history says happened outside a cut: the keys whose current row may be another
 * than it was at the cut. Only history and current are read, in SQL that every driver takes.
 */
#ifndef SLUICE_TOUCHED_H
#define SLUICE_TOUCHED_H

#include "buf.h"
#include "cut.h"
#include "rows.h"

/* The entries of a table's history, within the part that subject->where picks, that a cut does
 * not include. */
struct touched {
	int64_t entries;
	int64_t truncations; /* of them */
	int64_t unnamed;     /* of them: a column of the key is NULL, so no list of keys has them */
	uint64_t first;      /* the least LSN of them; 0 without any */
};
enum err touched_look(const struct sides *s, const struct subject *subject, const struct cut *c,
	struct touched *out, struct error *e) MUST_CHECK;

/* Condition on history: the entry is not inside the cut. */
void touched_put_outside(struct buf *out, const struct cut *c);
/* The same of entries that touched_look() has counted, or later ones: `first` is theirs, and by it
 * an engine leaves out what it need not read. */
void touched_put_since(struct buf *out, const struct cut *c, uint64_t first);
/* Condition on history: truncations, and every entry of a key that the cut does not include an
 * entry of. Keys with NULLs are not among them. */
void touched_put_keys(struct buf *out, const struct subject *subject, const struct cut *c);
/* "schema_history"."name" and "a", "b" */
void touched_put_history(struct buf *out, const struct table *t);
void touched_put_key_list(struct buf *out, const struct subject *subject);
/* " AND (where)" of the replica, or nothing. */
void touched_put_part(struct buf *out, const struct subject *subject);

/* Commits at or before the cut's LSN that its snapshot had not seen; there are few. Known for good
 * once the stream is applied up to the cut. */
struct unseen {
	uint64_t lsn[256];
	size_t n;
	bool more; /* than fit */
};
enum err touched_unseen(const struct sides *s, const struct subject *subject, const struct cut *c,
	struct unseen *out, struct error *e) MUST_CHECK;

#endif
