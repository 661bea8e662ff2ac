/*
 * map: string keys to pointers, open addressing. Keys are copied; values are the caller's.
 * Iteration order is insertion order as long as nothing is removed.
 */
#ifndef SLUICE_MAP_H
#define SLUICE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "str.h"

struct map_entry {
	struct str key;
	void *value;
};

struct map {
	struct map_entry *entries; /* dense, in order */
	size_t n, cap;
	uint32_t *slots; /* index into entries + 1, 0 when free */
	size_t nslots;
};

void map_free(struct map *m);                       /* ready when zeroed; usable again afterwards */
void *map_get(const struct map *m, struct str key); /* NULL when absent */
bool map_has(const struct map *m, struct str key);
void map_put(struct map *m, struct str key, void *value); /* replaces */
void *map_remove(struct map *m, struct str key);          /* the value that was there, or NULL */

#endif
