#include "buf.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* One byte more than cap is always allocated, so that buf_cstr() has a place for its NUL. */

static void check(const struct buf *b)
{
	assert(b->max > 0);
	assert(b->n <= b->cap && b->cap <= b->max);
}

void buf_init(struct buf *b, size_t max)
{
	assert(max > 0);
	*b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->cut = false;
}

static bool fits(const struct buf *b, size_t n)
{
	check(b);
	return n <= b->max - b->n;
}

/* Room for n more bytes, which must fit. Doubles, so that adding is linear in the whole. */
static char *grow(struct buf *b, size_t n)
{
	size_t want = b->n + n;

	if (b->p == NULL || want > b->cap) {
		size_t cap = want > b->max / 2 ? b->max : want * 2;
		if (cap > want && cap - want > (size_t)64 << 20)
			cap = want + ((size_t)64 << 20);
		b->p = mem_realloc(b->p, cap + 1);
		b->cap = cap;
	}
	return b->p + b->n;
}

static enum err too_much(const struct buf *b, size_t n, const char *where, struct error *e)
{
	return error_set(e, ERR_INPUT, where, "%zu bytes and %zu more exceed the limit of %zu",
		b->n, n, b->max);
}

static void append(struct buf *b, struct str s)
{
	if (s.n > 0) {
		memcpy(grow(b, s.n), s.p, s.n);
		b->n += s.n;
	}
}

enum err buf_add(struct buf *b, struct str s, struct error *e)
{
	if (!fits(b, s.n))
		return too_much(b, s.n, __func__, e);
	append(b, s);
	return OK;
}

PRINTF_LIKE(1, 0) static size_t format_length(const char *fmt, va_list args)
{
	va_list copy;

	va_copy(copy, args);
	int n = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	assert(n >= 0);
	return (size_t)n;
}

PRINTF_LIKE(3, 0) static void format(struct buf *b, size_t n, const char *fmt, va_list args)
{
	vsnprintf(grow(b, n), n + 1, fmt, args);
	b->n += n;
}

enum err buf_addf(struct buf *b, struct error *e, const char *fmt, ...)
{
	enum err rc = OK;
	va_list args;

	va_start(args, fmt);
	size_t n = format_length(fmt, args);
	if (fits(b, n))
		format(b, n, fmt, args);
	else
		rc = too_much(b, n, __func__, e);
	va_end(args);
	return rc;
}

void buf_put(struct buf *b, struct str s)
{
	if (fits(b, s.n) && !b->cut)
		append(b, s);
	else
		b->cut = true;
}

void buf_putc(struct buf *b, char c)
{
	buf_put(b, str_make(&c, 1));
}

void buf_puts(struct buf *b, const char *cstr)
{
	buf_put(b, str_of(cstr));
}

void buf_putv(struct buf *b, const char *fmt, va_list args)
{
	size_t n = format_length(fmt, args);

	if (fits(b, n) && !b->cut)
		format(b, n, fmt, args);
	else
		b->cut = true;
}

void buf_putf(struct buf *b, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	buf_putv(b, fmt, args);
	va_end(args);
}

bool buf_ok(const struct buf *b)
{
	return !b->cut;
}

enum err buf_room(struct buf *b, size_t n, char **at, struct error *e)
{
	if (!fits(b, n))
		return too_much(b, n, __func__, e);
	*at = grow(b, n);
	return OK;
}

void buf_took(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->n);
	b->n += n;
}

void buf_drop_front(struct buf *b, size_t n)
{
	assert(n <= b->n);
	if (n > 0 && n < b->n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

struct str buf_str(const struct buf *b)
{
	return str_make(b->p, b->n);
}

const char *buf_cstr(struct buf *b)
{
	check(b);
	*grow(b, 0) = '\0';
	return b->p;
}

char *buf_steal(struct buf *b)
{
	check(b);
	*grow(b, 0) = '\0';
	char *stolen = b->p;
	*b = (struct buf){.max = b->max};
	return stolen;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, str_make(&v, 1));
}

static void put_be(struct buf *b, uint64_t v, size_t bytes)
{
	unsigned char text[8];

	for (size_t i = bytes; i > 0; i--, v >>= 8)
		text[i - 1] = (unsigned char)v;
	buf_put(b, str_make(text, bytes));
}

void buf_put_be16(struct buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void buf_put_be32(struct buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void buf_put_be64(struct buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

/* Bits and not values are compared, so that -0 is not taken for 0. */
static uint64_t bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	return bits;
}

void buf_put_f64(struct buf *b, double v)
{
	char text[40];

	if (isnan(v) || isinf(v)) {
		buf_puts(b, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (bits_of(strtod(text, NULL)) == bits_of(v))
			break;
	}
	buf_puts(b, text);
}
