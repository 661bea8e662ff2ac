#include "buckets.h"

#include <assert.h>
#include <string.h>

#include "mem.h"

#define BUDGET ((size_t)64 << 20) /* bytes for the buckets of all tables of one side */

size_t buckets_for(size_t tables)
{
	size_t n = BUCKETS_MOST;

	while (n > BUCKETS_LEAST && n * sizeof(struct digest) * tables > BUDGET)
		n /= 2;
	return n;
}

void buckets_init(struct buckets *b, size_t n)
{
	assert(n > 0 && (n & (n - 1)) == 0);
	*b = (struct buckets){.each = mem_array(n, sizeof *b->each), .n = n};
}

void buckets_free(struct buckets *b)
{
	mem_free(b->each);
	*b = (struct buckets){.each = NULL};
}

void buckets_clear(struct buckets *b)
{
	memset(b->each, 0, b->n * sizeof *b->each);
	b->total = (struct digest){.rows = 0};
}

size_t bucket_of(const struct buckets *b, struct rowhash key)
{
	return (size_t)key.lo & (b->n - 1);
}

void buckets_add(struct buckets *b, struct rowhash key, struct rowhash row)
{
	digest_add(&b->each[bucket_of(b, key)], row);
	digest_add(&b->total, row);
}

bool buckets_eq(const struct buckets *a, const struct buckets *b)
{
	assert(a->n == b->n);
	for (size_t i = 0; i < a->n; i++)
		if (!digest_eq(&a->each[i], &b->each[i]))
			return false;
	return true;
}
