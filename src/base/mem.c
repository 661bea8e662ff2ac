#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void exhausted_default(size_t wanted)
{
	static const char text[] =
		"sluice: out of memory; give the process more and start it again\n";
	ssize_t ignored = write(2, text, sizeof text - 1);
	(void)ignored;
	(void)wanted;
	_exit(1);
}

static mem_exhausted_fn *exhausted = exhausted_default;

void mem_on_exhausted(mem_exhausted_fn *fn)
{
	exhausted = fn != NULL ? fn : exhausted_default;
}

static void *checked(void *p, size_t wanted)
{
	if (p == NULL) {
		exhausted(wanted);
		_exit(1); /* a handler must not return */
	}
	return p;
}

static size_t product(size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		checked(NULL, SIZE_MAX);
	return n;
}

/* malloc(0) may give NULL, which here would read as exhaustion. */
static size_t at_least_one(size_t n)
{
	return n > 0 ? n : 1;
}

void *mem_alloc(size_t n)
{
	return checked(malloc(at_least_one(n)), n);
}

void *mem_zalloc(size_t n)
{
	return checked(calloc(1, at_least_one(n)), n);
}

void *mem_array(size_t count, size_t size)
{
	return mem_zalloc(product(count, size));
}

void *mem_realloc(void *p, size_t n)
{
	return checked(realloc(p, at_least_one(n)), n);
}

void *mem_realloc_array(void *p, size_t count, size_t size)
{
	return mem_realloc(p, product(count, size));
}

char *mem_cstr(struct str s)
{
	char *copy = mem_alloc(s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return mem_cstr(str_of(s));
}

void mem_free(void *p)
{
	free(p);
}
