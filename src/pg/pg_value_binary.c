#include <endian.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "pg_json.h"
#include "pg_numeric.h"
#include "pg_time.h"
#include "pg_types.h"
#include "pg_value.h"
#include "reader.h"

#define US_DAY INT64_C(86400000000)

/* SET: the value stands in the column. NOTED: NULL, its text is in the notes. */
enum outcome { SET, NOTED, MALFORMED };

struct target {
	struct batch *b;
	struct vec *v;
	size_t row, col;
};

static enum outcome note(const struct target *t, struct buf *text)
{
	batch_note_exact(t->b, t->row, t->col, buf_str(text));
	buf_free(text);
	return NOTED;
}

static enum outcome set_bool(const struct target *t, struct reader *r)
{
	uint8_t v = read_u8(r);

	VEC_AT(t->v, uint8_t, t->row) = v;
	return v <= 1 ? SET : MALFORMED;
}

static enum outcome set_float4(const struct target *t, struct reader *r)
{
	uint32_t bits = read_be32(r);

	memcpy(&VEC_AT(t->v, float, t->row), &bits, sizeof bits);
	return SET;
}

static enum outcome set_float8(const struct target *t, struct reader *r)
{
	uint64_t bits = read_be64(r);

	memcpy(&VEC_AT(t->v, double, t->row), &bits, sizeof bits);
	return SET;
}

static enum outcome set_numeric(const struct target *t, struct str bytes)
{
	struct pg_numeric n;
	struct buf text;

	if (!pg_numeric_read(bytes, &n))
		return MALFORMED;
	if (pg_numeric_decimal(&n, t->v->type, &VEC_AT(t->v, int128, t->row)))
		return SET;
	buf_init(&text, BUF_MAX_DEFAULT);
	pg_numeric_print(&n, &text);
	return note(t, &text);
}

/* A whole number of 64 bits: of hundredths for money, as lc_monetary C has it. */
static enum outcome set_units(const struct target *t, int128 units)
{
	VEC_AT(t->v, int128, t->row) = units;
	return SET;
}

static enum outcome set_date(const struct target *t, struct reader *r)
{
	int32_t pg_days = (int32_t)read_be32(r), days;

	if (pg_days == INT32_MAX)
		days = INT32_MAX;
	else if (pg_days == INT32_MIN)
		days = -INT32_MAX;
	else if (__builtin_add_overflow(pg_days, PG_EPOCH_DAYS, &days) || days == INT32_MAX)
		return MALFORMED; /* far beyond the last date of PostgreSQL */
	VEC_AT(t->v, int32_t, t->row) = days;
	return SET;
}

static enum outcome set_time(const struct target *t, struct reader *r)
{
	int64_t us = (int64_t)read_be64(r);

	VEC_AT(t->v, int64_t, t->row) = us;
	return us >= 0 && us <= US_DAY ? SET : MALFORMED;
}

/* Timestamps from 294247 on, which PostgreSQL holds and microseconds since 1970 do not. */
static enum outcome note_timestamp(const struct target *t, int64_t pg_us)
{
	struct buf text;
	int64_t year, days = pg_us / US_DAY, us = pg_us % US_DAY;
	unsigned month, day;

	clock_civil(days + PG_EPOCH_DAYS, &year, &month, &day);
	buf_init(&text, 128);
	buf_putf(&text, "%04lld-%02u-%02u %02lld:%02lld:%02lld", (long long)year, month, day,
		(long long)(us / 3600000000), (long long)(us / 60000000 % 60),
		(long long)(us / 1000000 % 60));
	if (us % 1000000 != 0) {
		buf_putf(&text, ".%06lld", (long long)(us % 1000000));
		while (text.p[text.n - 1] == '0')
			text.n--;
	}
	if (t->v->type.kind == T_TIMESTAMPTZ)
		buf_puts(&text, "+00");
	return note(t, &text);
}

static enum outcome set_timestamp(const struct target *t, struct reader *r)
{
	int64_t pg_us = (int64_t)read_be64(r), us;

	if (pg_us == INT64_MAX)
		us = INT64_MAX;
	else if (pg_us == INT64_MIN)
		us = -INT64_MAX;
	else if (__builtin_add_overflow(pg_us, PG_EPOCH_US, &us) || us == INT64_MAX)
		return note_timestamp(t, pg_us);
	else if (us <= -INT64_MAX)
		return MALFORMED; /* far before the first timestamp of PostgreSQL */
	VEC_AT(t->v, int64_t, t->row) = us;
	return SET;
}

static enum outcome set_jsonb(const struct target *t, struct reader *r)
{
	uint8_t version = read_u8(r);

	VEC_AT(t->v, struct str, t->row) = read_bytes(r, reader_left(r));
	return version == 1 ? SET : MALFORMED;
}

static enum outcome set_uuid(const struct target *t, struct reader *r)
{
	struct str bytes = read_bytes(r, sizeof(struct uuid));

	if (bytes.n == sizeof(struct uuid))
		memcpy(&VEC_AT(t->v, struct uuid, t->row), bytes.p, sizeof(struct uuid));
	return SET;
}

static enum outcome set_json(const struct target *t, struct reader *r)
{
	struct str text = read_bytes(r, reader_left(r));

	VEC_AT(t->v, struct str, t->row) = text;
	if (pg_json_readable(text))
		return SET;
	batch_note_exact(t->b, t->row, t->col, text);
	return NOTED;
}

static enum outcome set_view(const struct target *t, struct reader *r)
{
	VEC_AT(t->v, struct str, t->row) = read_bytes(r, reader_left(r));
	return SET;
}

static enum outcome set_value(
	const struct target *t, uint32_t pg_type, struct str bytes, struct reader *r)
{
	switch (pg_type) {
	case PG_BOOL:
		return set_bool(t, r);
	case PG_INT2:
		VEC_AT(t->v, int16_t, t->row) = (int16_t)read_be16(r);
		return SET;
	case PG_INT4:
		VEC_AT(t->v, int32_t, t->row) = (int32_t)read_be32(r);
		return SET;
	case PG_INT8:
		VEC_AT(t->v, int64_t, t->row) = (int64_t)read_be64(r);
		return SET;
	case PG_OID:
	case PG_XID:
	case PG_CID:
		VEC_AT(t->v, uint32_t, t->row) = read_be32(r);
		return SET;
	case PG_FLOAT4:
		return set_float4(t, r);
	case PG_FLOAT8:
		return set_float8(t, r);
	case PG_NUMERIC:
		read_bytes(r, bytes.n);
		return set_numeric(t, bytes);
	case PG_MONEY:
		return set_units(t, (int64_t)read_be64(r));
	case PG_XID8:
		return set_units(t, (int128)read_be64(r));
	case PG_DATE:
		return set_date(t, r);
	case PG_TIME:
		return set_time(t, r);
	case PG_TIMESTAMP:
	case PG_TIMESTAMPTZ:
		return set_timestamp(t, r);
	case PG_UUID:
		return set_uuid(t, r);
	case PG_JSON:
		return set_json(t, r);
	case PG_JSONB:
		return set_jsonb(t, r);
	default: /* text, bytea: the bytes are the value */
		return set_view(t, r);
	}
}

static inline uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

static inline uint32_t load32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

/* A moment that is neither an infinity nor near the ends of what 64 bits hold. */
static inline bool set_plain_timestamp(struct vec *v, size_t row, struct str bytes)
{
	if (bytes.n != 8)
		return false;
	int64_t us = (int64_t)load64(bytes.p);
	if (us > INT64_MAX / 2 || us < INT64_MIN / 2)
		return false;
	VEC_AT(v, int64_t, row) = us + PG_EPOCH_US;
	return true;
}

/*
 * The common form of the common types, found by the type and the kind together. Anything else
 * is left to set_value(), which knows what is wrong or unusual about it.
 */
static inline bool set_plainly(const struct column *c, struct vec *v, size_t row, struct str bytes)
{
	enum type_kind kind = v->type.kind;

	switch (c->pg_type) {
	case PG_INT4:
		if (kind != T_INT4 || bytes.n != 4)
			return false;
		VEC_AT(v, int32_t, row) = (int32_t)load32(bytes.p);
		return true;
	case PG_INT8:
		if (kind != T_INT8 || bytes.n != 8)
			return false;
		VEC_AT(v, int64_t, row) = (int64_t)load64(bytes.p);
		return true;
	case PG_TEXT:
	case PG_VARCHAR:
		if (kind != T_TEXT || bytes.n == 0)
			return false;
		VEC_AT(v, struct str, row) = bytes;
		return true;
	case PG_TIMESTAMP:
		return kind == T_TIMESTAMP && set_plain_timestamp(v, row, bytes);
	case PG_TIMESTAMPTZ:
		return kind == T_TIMESTAMPTZ && set_plain_timestamp(v, row, bytes);
	case PG_NUMERIC:
		return kind == T_DECIMAL &&
			pg_numeric_small(bytes, v->type, &VEC_AT(v, int128, row));
	default:
		return false;
	}
}

static enum err fail_malformed(const struct batch *b, size_t col, size_t length, struct error *e)
{
	const struct column *c = &b->table->columns[col];

	return FAIL(e, ERR_INPUT,
		"decoding a binary value of column %.*s of %.*s.%.*s (type %u): %zu bytes that are "
		"not one; the stream is damaged",
		STR_ARG(c->name), STR_ARG(b->table->schema), STR_ARG(b->table->name), c->pg_type,
		length);
}

enum err pg_value_binary(struct batch *b, size_t row, size_t col, struct str bytes, struct error *e)
{
	if (col >= b->table->ncolumns || row >= b->rows)
		return pg_value_text(b, row, col, bytes, e);
	const struct column *c = &b->table->columns[col];
	if (set_plainly(c, &b->cols[col], row, bytes)) {
		batch_set_valid(b, row, col);
		return OK;
	}
	if (!pg_has_binary(c->pg_type))
		return pg_value_text(b, row, col, bytes, e);
	struct target t = {b, &b->cols[col], row, col};
	if (t.v->type.kind != pg_landing(c->pg_type, c->pg_modifier).kind)
		return FAIL(e, ERR_BUG, "decoding column %.*s of %.*s: type %u does not land as %s",
			STR_ARG(c->name), STR_ARG(b->table->name), c->pg_type,
			type_name(t.v->type.kind));
	struct reader r = reader_of(bytes);
	enum outcome what = set_value(&t, c->pg_type, bytes, &r);
	if (r.bad || reader_left(&r) > 0 || what == MALFORMED)
		return fail_malformed(b, col, bytes.n, e);
	if (what == SET)
		batch_set_valid(b, row, col);
	return OK;
}
