/*
 * differ: which rows differ, once the buckets say that some do. The sides are read twice more:
 * the rows of differing buckets are matched by key, then the keys to be listed are read with
 * their values. Memory is bounded: buckets are taken in groups of at most so many rows.
 */
#ifndef SLUICE_DIFFER_H
#define SLUICE_DIFFER_H

#include "arena.h"
#include "buckets.h"
#include "reconcile.h"
#include "rows.h"
#include "suspects.h"

/* `n` differences of a kind under one key; a key may come more than once. */
typedef void difference_fn(void *arg, struct rowhash key, enum difference kind, uint64_t n);

struct differ {
	const struct sides *sides;
	const struct subject *subject;
	const struct buckets *bucket[SIDES];
	size_t max_keys;      /* of each kind */
	size_t group_rows;    /* rows of both sides held at once; one bucket may be more */
	difference_fn *found; /* NULL, or told of every difference, listed or not */
	void *found_arg;
	const char *journal;       /* directory, for blame; NULL: the journal is not asked */
	struct suspects *suspects; /* NULL, or zeroed: gets the keys that were looked at, sorted */
};

#define DIFFER_GROUP_ROWS ((size_t)4 << 20)

/* Counts every difference and lists keys in out->count and out->keys; keys live in mem. */
enum err differ_find(const struct differ *d, struct arena *mem, struct reconcile_table *out,
	struct error *e) MUST_CHECK;

#endif
