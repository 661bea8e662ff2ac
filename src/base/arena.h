/*
 * arena: many allocations, one lifetime. Memory comes in chunks and is given back all at once by
 * arena_reset (keeps one chunk for reuse) or arena_free. Under the address sanitizer nothing is
 * recycled, so that use after reset is caught. Never returns NULL. One thread at a time.
 */
#ifndef SLUICE_ARENA_H
#define SLUICE_ARENA_H

#include <stddef.h>

#include "str.h"

struct arena_chunk;
struct arena_defer;

struct arena {
	struct arena_chunk *chunks;
	struct arena_defer *deferred;
	size_t used; /* bytes handed out since the last reset */
};

/* An arena is ready when zeroed: struct arena mem = {0}; */
void *arena_alloc(struct arena *a, size_t n);                  /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size); /* zeroed; product checked */
char *arena_cstr(struct arena *a, struct str s);               /* NUL-terminated copy */
struct str arena_str(struct arena *a, struct str s);           /* copy, also NUL-terminated */
struct str arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* fn(arg) runs when the arena is reset or freed, last deferred first. */
void arena_defer(struct arena *a, void (*fn)(void *), void *arg);

void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
