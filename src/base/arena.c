#include "arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RECYCLE 0
#endif
#endif
#ifndef RECYCLE
#define RECYCLE 1
#endif

#define CHUNK_FIRST ((size_t)4 << 10)
#define CHUNK_MOST  ((size_t)1 << 20)

struct arena_chunk {
	struct arena_chunk *next;
	size_t n, cap;
	_Alignas(max_align_t) char data[];
};

struct arena_defer {
	struct arena_defer *next;
	void (*fn)(void *);
	void *arg;
};

static size_t aligned(size_t n)
{
	const size_t to = _Alignof(max_align_t);

	assert(n <= SIZE_MAX - to);
	return n > 0 ? (n + to - 1) / to * to : to;
}

/* Chunks double up to a megabyte; what is larger gets one of its own. Without recycling every
 * piece has its own, so that the address sanitizer sees its exact bounds. */
static size_t chunk_size(const struct arena *a, size_t n)
{
	size_t cap = a->chunks != NULL ? a->chunks->cap * 2 : CHUNK_FIRST;

	if (!RECYCLE)
		return n;
	if (cap > CHUNK_MOST)
		cap = CHUNK_MOST;
	return n > cap ? n : cap;
}

static struct arena_chunk *chunk_add(struct arena *a, size_t n)
{
	size_t cap = chunk_size(a, n);
	assert(cap <= SIZE_MAX - sizeof(struct arena_chunk));
	struct arena_chunk *c = mem_alloc(sizeof *c + cap);

	*c = (struct arena_chunk){.next = a->chunks, .cap = cap};
	a->chunks = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t room = RECYCLE ? aligned(n) : n;
	struct arena_chunk *c = a->chunks;

	if (c == NULL || room > c->cap - c->n || !RECYCLE)
		c = chunk_add(a, room);
	void *p = c->data + c->n;
	c->n += room;
	a->used += n;
	memset(p, 0, n);
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;
	bool too_much = __builtin_mul_overflow(count, size, &n);

	assert(!too_much);
	return arena_alloc(a, n);
}

char *arena_cstr(struct arena *a, struct str s)
{
	char *copy = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
	return str_make(arena_cstr(a, s), s.n);
}

struct str arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	assert(n >= 0);
	char *text = arena_alloc(a, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return str_make(text, (size_t)n);
}

void arena_defer(struct arena *a, void (*fn)(void *), void *arg)
{
	struct arena_defer *d = arena_alloc(a, sizeof *d);

	*d = (struct arena_defer){.next = a->deferred, .fn = fn, .arg = arg};
	a->deferred = d;
}

/* Taken off the list before it runs: what it calls may defer again. */
static void run_deferred(struct arena *a)
{
	while (a->deferred != NULL) {
		struct arena_defer *d = a->deferred;
		a->deferred = d->next;
		d->fn(d->arg);
	}
}

static void chunks_free(struct arena_chunk *c)
{
	while (c != NULL) {
		struct arena_chunk *next = c->next;
		mem_free(c);
		c = next;
	}
}

void arena_reset(struct arena *a)
{
	run_deferred(a);
	struct arena_chunk *keep = a->chunks;
	if (!RECYCLE || keep == NULL || keep->cap > CHUNK_MOST) {
		chunks_free(keep);
		keep = NULL;
	} else {
		chunks_free(keep->next);
		keep->next = NULL;
		keep->n = 0;
	}
	*a = (struct arena){.chunks = keep};
}

void arena_free(struct arena *a)
{
	run_deferred(a);
	chunks_free(a->chunks);
	*a = (struct arena){0};
}
