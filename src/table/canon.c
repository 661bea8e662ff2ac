#include "canon.h"

#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "json.h"

/* The tags are part of every stored digest: never change one, only add. */
enum tag {
	TAG_NULL = 0,
	TAG_BOOL = 1,
	TAG_INTEGER = 2,
	TAG_DECIMAL = 3,
	TAG_FLOAT = 4,
	TAG_TEXT = 5,
	TAG_JSON = 6,
	TAG_BYTES = 7,
	TAG_UUID = 8,
	TAG_DATE = 9,
	TAG_TIME = 10,
	TAG_TIMESTAMP = 11,
	TAG_TIMESTAMPTZ = 12,
	TAG_INTERVAL = 13,
	TAG_EXACT = 14,
};

void digest_add(struct digest *d, struct rowhash h)
{
	uint64_t lo = d->lo + h.lo;

	d->hi += h.hi + (lo < d->lo);
	d->lo = lo;
	d->rows++;
}

void digest_sub(struct digest *d, struct rowhash h)
{
	d->hi -= h.hi + (d->lo < h.lo);
	d->lo -= h.lo;
	d->rows--;
}

void digest_merge(struct digest *d, const struct digest *other)
{
	uint64_t lo = d->lo + other->lo;

	d->hi += other->hi + (lo < d->lo);
	d->lo = lo;
	d->rows += other->rows;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
	return a->lo == b->lo && a->hi == b->hi && a->rows == b->rows;
}

char *digest_format(const struct digest *d, char out[DIGEST_TEXT])
{
	snprintf(out, DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, d->hi, d->lo);
	return out;
}

/* The most that a value takes besides the bytes of a text. */
#define FIXED_MOST 19

/* What follows writes at a place that has room, and returns the place after it. */
typedef unsigned char byte;

/* A tag and a number of 64 bits, little-endian. */
static inline byte *put_word(byte *at, enum tag tag, uint64_t v)
{
	v = htole64(v);
	at[0] = (byte)tag;
	memcpy(at + 1, &v, sizeof v);
	return at + 1 + sizeof v;
}

static inline byte *put_integer(byte *at, enum tag tag, int64_t v)
{
	return put_word(at, tag, (uint64_t)v);
}

static inline byte *put_raw(byte *at, const void *p, size_t n)
{
	if (n > 0)
		memcpy(at, p, n);
	return at + n;
}

static inline byte *put_bytes(byte *at, enum tag tag, struct str s)
{
	return put_raw(put_word(at, tag, s.n), s.p, s.n);
}

static byte *put_float(byte *at, double v)
{
	uint64_t bits = UINT64_C(0x7ff8000000000000);

	if (v == 0)
		v = 0; /* -0 is 0 */
	if (!isnan(v))
		memcpy(&bits, &v, sizeof bits);
	return put_word(at, TAG_FLOAT, bits);
}

/* Sign, exponent and digits without trailing zeros: 1.0 and 1.00 give the same bytes. */
static byte *put_decimal(byte *at, int128 v, unsigned scale)
{
	uint128 m = v < 0 ? -(uint128)v : (uint128)v;
	int exponent = m == 0 ? 0 : -(int)scale;

	while (m > UINT64_MAX && m % 10 == 0) {
		m /= 10;
		exponent++;
	}
	if (m <= UINT64_MAX && m > 0) { /* the usual case, without 128-bit division */
		uint64_t small = (uint64_t)m;

		for (; small % 10 == 0; small /= 10)
			exponent++;
		m = small;
	}
	uint64_t halves[2] = {htole64((uint64_t)m), htole64((uint64_t)(m >> 64))};
	at[0] = TAG_DECIMAL;
	at[1] = v < 0;
	at[2] = (byte)(signed char)exponent;
	return put_raw(at + 3, halves, sizeof halves);
}

static byte *put_interval(byte *at, struct interval v)
{
	uint32_t parts[2] = {htole32((uint32_t)v.months), htole32((uint32_t)v.days)};

	return put_raw(put_integer(at, TAG_INTERVAL, v.us), parts, sizeof parts);
}

static inline byte *put_tagged(byte *at, enum tag tag, const void *p, size_t n)
{
	at[0] = (byte)tag;
	return put_raw(at + 1, p, n);
}

static inline byte *put_value(byte *at, const struct vec *v, size_t row)
{
	switch (v->type.kind) {
	case T_BOOL:
		return put_tagged(at, TAG_BOOL, VEC_AT(v, uint8_t, row) ? "\1" : "\0", 1);
	case T_INT2:
		return put_integer(at, TAG_INTEGER, VEC_AT(v, int16_t, row));
	case T_INT4:
		return put_integer(at, TAG_INTEGER, VEC_AT(v, int32_t, row));
	case T_INT8:
		return put_integer(at, TAG_INTEGER, VEC_AT(v, int64_t, row));
	case T_UINT4:
		return put_integer(at, TAG_INTEGER, VEC_AT(v, uint32_t, row));
	case T_FLOAT4:
		return put_float(at, (double)VEC_AT(v, float, row));
	case T_FLOAT8:
		return put_float(at, VEC_AT(v, double, row));
	case T_DECIMAL:
		return put_decimal(at, VEC_AT(v, int128, row), v->type.scale);
	case T_TEXT:
		return put_bytes(at, TAG_TEXT, VEC_AT(v, struct str, row));
	case T_JSON:
		return put_bytes(at, TAG_JSON, VEC_AT(v, struct str, row));
	case T_BYTES:
		return put_bytes(at, TAG_BYTES, VEC_AT(v, struct str, row));
	case T_UUID:
		return put_tagged(at, TAG_UUID, VEC_AT(v, struct uuid, row).b, sizeof(struct uuid));
	case T_DATE:
		return put_integer(at, TAG_DATE, VEC_AT(v, int32_t, row));
	case T_TIME:
		return put_integer(at, TAG_TIME, VEC_AT(v, int64_t, row));
	case T_TIMESTAMP:
		return put_integer(at, TAG_TIMESTAMP, VEC_AT(v, int64_t, row));
	case T_TIMESTAMPTZ:
		return put_integer(at, TAG_TIMESTAMPTZ, VEC_AT(v, int64_t, row));
	case T_INTERVAL:
		return put_interval(at, VEC_AT(v, struct interval, row));
	case T_KINDS:
		break;
	}
	return at;
}

static inline bool is_text(enum type_kind kind)
{
	return kind == T_TEXT || kind == T_JSON || kind == T_BYTES;
}

/* One growth check a value; everything else is written straight into the buffer. */
static inline void add_value(struct buf *out, const struct vec *v, size_t row, struct str exact)
{
	bool null = exact.p == NULL && vec_is_null(v, row);
	size_t most = FIXED_MOST;
	char *room = out->p == NULL ? NULL : out->p + out->n;

	if (exact.p != NULL)
		most += exact.n;
	else if (!null && is_text(v->type.kind))
		most += VEC_AT(v, struct str, row).n;
	if (out->cut ||
		((out->p == NULL || most > out->cap - out->n) &&
			buf_room(out, most, &room, NULL) != OK)) {
		out->cut = true;
		return;
	}
	byte *at = (byte *)room;
	if (exact.p != NULL)
		at = put_bytes(at, TAG_EXACT, exact);
	else if (null)
		*at++ = TAG_NULL;
	else
		at = put_value(at, v, row);
	out->n += (size_t)(at - (byte *)room);
}

void canon_value(struct buf *out, const struct vec *v, size_t row, struct str exact)
{
	add_value(out, v, row, exact);
}

static enum err exact_text(
	const json_t *exact, const char *const *names, size_t col, struct str *out, struct error *e)
{
	const json_t *text = json_object_get(exact, names[col]);
	if (text == NULL)
		return OK;
	if (!json_is_string(text))
		return FAIL(
			e, ERR_INPUT, "hashing a row: _exact of column %s is no text", names[col]);
	*out = str_make(json_string_value(text), json_string_length(text));
	return OK;
}

static enum err too_large(const struct buf *scratch, struct error *e)
{
	return FAIL(e, ERR_INPUT, "hashing a row: its canonical form is larger than %zu bytes",
		scratch->max);
}

static inline struct rowhash hash_of(const char *p, size_t n)
{
	XXH128_hash_t h = XXH3_128bits(p, n);

	return (struct rowhash){.lo = h.low64, .hi = h.high64};
}

enum err canon_row(const struct vec *cols, const char *const *names, size_t ncols, size_t row,
	struct str exact_json, struct buf *scratch, struct rowhash *out, struct error *e)
{
	json_t *exact = NULL;
	enum err rc = OK;

	if (exact_json.n > 0)
		TRY(json_read(exact_json, "_exact", &exact, e));
	if (exact != NULL && !json_is_object(exact))
		rc = FAIL(e, ERR_INPUT, "hashing a row: _exact is no JSON object: %.*s",
			STR_ARG(exact_json));
	buf_reset(scratch);
	for (size_t c = 0; c < ncols && rc == OK; c++) {
		struct str text = STR_NONE;

		if (exact != NULL)
			rc = exact_text(exact, names, c, &text, e);
		if (rc == OK)
			add_value(scratch, &cols[c], row, text);
	}
	json_decref(exact);
	if (rc != OK)
		return rc;
	if (!buf_ok(scratch))
		return too_large(scratch, e);
	*out = hash_of(scratch->p, scratch->n);
	return OK;
}

/* Key columns that come first have been written already, as the first bytes of the row. */
static size_t keys_in_front(const uint16_t *keys, size_t nkeys)
{
	size_t n = 0;

	while (n < nkeys && keys[n] == n)
		n++;
	return n;
}

enum err canon_rows(const struct vec *cols, size_t ncols, const uint16_t *keys, size_t nkeys,
	size_t from, size_t n, struct buf *scratch, struct rowhash *row, struct rowhash *key,
	struct error *e)
{
	bool front = keys_in_front(keys, nkeys) == nkeys;

	for (size_t i = 0; i < n; i++) {
		size_t key_at = 0, key_end = 0;

		buf_reset(scratch);
		for (size_t c = 0; c < ncols; c++) {
			add_value(scratch, &cols[c], from + i, STR_NONE);
			if (c + 1 == nkeys)
				key_end = scratch->n;
		}
		size_t row_end = scratch->n;
		if (!front) {
			key_at = row_end;
			for (size_t k = 0; k < nkeys; k++)
				add_value(scratch, &cols[keys[k]], from + i, STR_NONE);
			key_end = scratch->n;
		}
		if (!buf_ok(scratch))
			return too_large(scratch, e);
		row[i] = hash_of(scratch->p, row_end);
		key[i] = hash_of(scratch->p + key_at, key_end - key_at);
	}
	return OK;
}
