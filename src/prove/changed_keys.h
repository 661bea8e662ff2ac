/*
 * changed_keys: the keys of a table that history has entries of from outside a cut, and conditions
 * that pick their rows on either side. A value that its column cannot hold (NaN in a decimal) is
 * NULL there and in no list: touched_look() counts such entries.
 */
#ifndef SLUICE_CHANGED_KEYS_H
#define SLUICE_CHANGED_KEYS_H

#include "rows.h"

struct changed_key {
	struct rowhash hash;
	const struct str *values; /* as PostgreSQL prints them, one a column of the key */
};

struct changed_keys {
	const struct subject *subject;
	struct changed_key *list;
	size_t n, cap;
	struct arena mem;
};

/* Whether the table's keys can be listed: every column of a kind whose values are looked up exactly
 * on both sides (no floats, JSON, times of day, intervals), none replaced on its way. */
bool changed_keys_possible(const struct table *t);

/* The keys of the part that subject->where picks. `keys` is zeroed; `first` is of touched_look().
 */
enum err changed_keys_read(struct changed_keys *keys, const struct sides *s,
	const struct subject *subject, const struct cut *outside, uint64_t first,
	struct error *e) MUST_CHECK;
/* Those of them that have a row in current from before `first`, which the change should have taken
 * away: read by their keys alone. */
enum err changed_keys_stale(struct changed_keys *keys, const struct sides *s,
	const struct subject *subject, const struct cut *outside, uint64_t first,
	struct error *e) MUST_CHECK;
void changed_keys_free(struct changed_keys *keys);

/* Conditions for keys[i], i in list[from..from + n), or from..from + n where list is NULL. `types`
 * are the names of the key columns' types in PostgreSQL. */
void changed_keys_put_source(struct buf *out, const struct changed_keys *keys,
	const struct str *types, const size_t *list, size_t from, size_t n);
void changed_keys_put_replica(
	struct buf *out, const struct changed_keys *keys, const size_t *list, size_t n);

/* Those names, in mem. */
enum err changed_keys_types(struct pg *c, const struct subject *subject, struct arena *mem,
	struct str *out, struct error *e) MUST_CHECK;

#endif
