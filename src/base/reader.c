#include "reader.h"

#include <string.h>

struct reader reader_of(struct str s)
{
	static const uint8_t nothing;
	const uint8_t *p = s.n > 0 ? (const uint8_t *)s.p : &nothing;

	return (struct reader){.p = p, .end = p + s.n};
}

size_t reader_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

static bool take(struct reader *r, size_t n)
{
	if (r->bad || n > (size_t)(r->end - r->p))
		r->bad = true;
	return !r->bad;
}

static uint64_t be(struct reader *r, size_t bytes)
{
	uint64_t v = 0;

	if (!take(r, bytes))
		return 0;
	while (bytes-- > 0)
		v = v << 8 | *r->p++;
	return v;
}

static uint64_t le(struct reader *r, size_t bytes)
{
	uint64_t v = 0;

	if (!take(r, bytes))
		return 0;
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)*r->p++ << 8 * i;
	return v;
}

uint8_t read_u8(struct reader *r)
{
	return (uint8_t)be(r, 1);
}

uint16_t read_be16(struct reader *r)
{
	return (uint16_t)be(r, 2);
}

uint32_t read_be32(struct reader *r)
{
	return (uint32_t)be(r, 4);
}

uint64_t read_be64(struct reader *r)
{
	return be(r, 8);
}

uint32_t read_le32(struct reader *r)
{
	return (uint32_t)le(r, 4);
}

uint64_t read_le64(struct reader *r)
{
	return le(r, 8);
}

struct str read_bytes(struct reader *r, size_t n)
{
	if (!take(r, n))
		return STR_NONE;
	struct str s = str_make(r->p, n);
	r->p += n;
	return s;
}

struct str read_cstr(struct reader *r)
{
	const uint8_t *nul = reader_left(r) > 0 ? memchr(r->p, '\0', reader_left(r)) : NULL;

	if (nul == NULL) {
		r->bad = true;
		return STR_NONE;
	}
	struct str s = str_make(r->p, (size_t)(nul - r->p));
	r->p = nul + 1;
	return s;
}
