/*
 * suspects: the keys that a report lists, from their hashes to their text and the columns that
 * differ. Filled by the matching of buckets, described by one more reading of both sides.
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

struct suspects {
	struct suspect *list;
	size_t n, cap;
	size_t max; /* of each kind */
	size_t count[DIFFERENCES];
};

void suspects_init(struct suspects *s, size_t max);
void suspects_free(struct suspects *s);
bool suspects_full(const struct suspects *s, enum difference kind);
/* Adds a key unless there are `max` of its kind already, or it is known. */
void suspects_add(struct suspects *s, struct rowhash key, enum difference kind);

/* Reads both sides again and writes the listed keys into out, with who is to blame; they live in
 * mem. The journal's directory may be NULL. */
enum err suspects_describe(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem,
	struct reconcile_table *out, struct error *e) MUST_CHECK;

/* The suspect of that key, of a list that suspects_describe() has sorted; NULL when there is none.
 */
struct suspect *suspects_find(const struct suspects *s, struct rowhash key);
bool witness_has_row(const struct witness *list, struct rowhash row);

/* The key's columns of a row as a JSON object: what reports print. Overwrites both bufs. */
void row_key_json(
	const struct subject *subject, const struct row *r, struct buf *scratch, struct buf *out);

#endif
