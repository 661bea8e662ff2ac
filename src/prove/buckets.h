/*
 * buckets: a table's rows summed up in a fixed number of digests, by the hash of their keys.
 * Two sides with equal buckets have equal rows; where they differ, only the rows of the buckets
 * that differ need to be looked at again. Memory does not grow with the table.
 */
#ifndef SLUICE_BUCKETS_H
#define SLUICE_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "canon.h"

struct buckets {
	struct digest *each;
	size_t n; /* a power of two */
	struct digest total;
};

#define BUCKETS_LEAST 4096
#define BUCKETS_MOST  65536

/* How many for each of `tables` tables, so that all of them stay small together. */
size_t buckets_for(size_t tables);

void buckets_init(struct buckets *b, size_t n);
void buckets_free(struct buckets *b); /* zeroed is fine */
void buckets_clear(struct buckets *b);
size_t bucket_of(const struct buckets *b, struct rowhash key);
void buckets_add(struct buckets *b, struct rowhash key, struct rowhash row);
/* Every bucket, not only the total. */
bool buckets_eq(const struct buckets *a, const struct buckets *b);

#endif
