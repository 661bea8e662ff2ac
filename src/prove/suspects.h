/*
 * suspects: the keys that differ, from their hashes to who is to blame, and of those that a report
 * lists the text and the columns that differ. Filled by the matching of buckets, described by one
 * more reading of both sides.
 */
#ifndef SLUICE_SUSPECTS_H
#define SLUICE_SUSPECTS_H

#include "arena.h"
#include "reconcile.h"
#include "rows.h"

/* One row seen under a suspect's key. */
struct witness {
	struct rowhash row;
	struct rowhash *columns; /* ncolumns of them */
	bool damaged;
	struct witness *next;
};

struct suspect {
	struct rowhash key;
	unsigned kinds;  /* bit 1 << enum difference */
	struct str text; /* JSON object; empty until described */
	struct witness *seen[SIDES];
	enum blame blame;
};

/* More of a kind in one range are not looked at: a range that is lost whole is one fault. */
#define SUSPECTS_MOST ((size_t)20000)

struct suspects {
	struct suspect *list;
	size_t n, cap;
	size_t max, listed; /* of each kind: to be looked at, and of them to be listed */
	size_t count[DIFFERENCES];
	uint32_t *slots; /* by hash of the key: 1 + its place in the list, while they are added */
	size_t nslots;
};

/* `listed` of each kind are listed and so many more are looked at; 0: none of either. */
void suspects_init(struct suspects *s, size_t listed);
void suspects_free(struct suspects *s);
bool suspects_full(const struct suspects *s, enum difference kind);
/* Adds a key unless there are `max` of its kind already, or it is known. */
void suspects_add(struct suspects *s, struct rowhash key, enum difference kind);

/* Reads both sides again, finds who is to blame, counts them in out and writes the listed keys into
 * it, which live in mem. The list is sorted then; of its texts nothing is left. The journal's
 * directory may be NULL. */
enum err suspects_describe(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem,
	struct reconcile_table *out, struct error *e) MUST_CHECK;

/* The suspect of that key, of a list that suspects_describe() has sorted; NULL when there is none.
 */
struct suspect *suspects_find(const struct suspects *s, struct rowhash key);
/* More than these few copies of one key tell nothing new. */
#define WITNESSES 16
size_t witness_count(const struct witness *list);
bool witness_has_row(const struct witness *list, struct rowhash row);

/* The key's columns of a row as a JSON object: what reports print. Overwrites both bufs. */
void row_key_json(
	const struct subject *subject, const struct row *r, struct buf *scratch, struct buf *out);

#endif
