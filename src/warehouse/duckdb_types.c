#include "duckdb_driver.h"
#include "duckdb_memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *sql;
	duckdb_type id;
} kinds[T_KINDS] = {
	[T_BOOL] = {"BOOLEAN", DUCKDB_TYPE_BOOLEAN},
	[T_INT2] = {"SMALLINT", DUCKDB_TYPE_SMALLINT},
	[T_INT4] = {"INTEGER", DUCKDB_TYPE_INTEGER},
	[T_INT8] = {"BIGINT", DUCKDB_TYPE_BIGINT},
	[T_UINT4] = {"UINTEGER", DUCKDB_TYPE_UINTEGER},
	[T_FLOAT4] = {"FLOAT", DUCKDB_TYPE_FLOAT},
	[T_FLOAT8] = {"DOUBLE", DUCKDB_TYPE_DOUBLE},
	[T_DECIMAL] = {"DECIMAL", DUCKDB_TYPE_DECIMAL},
	[T_TEXT] = {"VARCHAR", DUCKDB_TYPE_VARCHAR},
	[T_JSON] = {"JSON", DUCKDB_TYPE_VARCHAR},
	[T_BYTES] = {"BLOB", DUCKDB_TYPE_BLOB},
	[T_UUID] = {"UUID", DUCKDB_TYPE_UUID},
	[T_DATE] = {"DATE", DUCKDB_TYPE_DATE},
	[T_TIME] = {"TIME", DUCKDB_TYPE_TIME},
	[T_TIMESTAMP] = {"TIMESTAMP", DUCKDB_TYPE_TIMESTAMP},
	[T_TIMESTAMPTZ] = {"TIMESTAMP WITH TIME ZONE", DUCKDB_TYPE_TIMESTAMP_TZ},
	[T_INTERVAL] = {"INTERVAL", DUCKDB_TYPE_INTERVAL},
};

_Static_assert(sizeof(duckdb_string_t) == 16, "strings are lent as DuckDB's own");
_Static_assert(sizeof(struct interval) == sizeof(duckdb_interval), "intervals are copied whole");
_Static_assert(sizeof(int128) == sizeof(duckdb_hugeint), "little-endian 128-bit integers");

bool duck_type_ok(struct type t)
{
	if ((size_t)t.kind >= T_KINDS)
		return false;
	return t.kind != T_DECIMAL ||
		(t.precision >= 1 && t.precision <= DECIMAL_MAX_PRECISION &&
			t.scale <= t.precision);
}

const char *duck_type(struct type t, char out[DUCK_TYPE_TEXT])
{
	assert(duck_type_ok(t));
	if (t.kind == T_DECIMAL)
		snprintf(out, DUCK_TYPE_TEXT, "DECIMAL(%u,%u)", t.precision, t.scale);
	else
		snprintf(out, DUCK_TYPE_TEXT, "%s", kinds[t.kind].sql);
	return out;
}

bool duck_type_takes(duckdb_logical_type column, struct type t)
{
	if (!duck_type_ok(t) || duckdb_get_type_id(column) != kinds[t.kind].id)
		return false;
	return t.kind != T_DECIMAL ||
		(duckdb_decimal_width(column) == t.precision &&
			duckdb_decimal_scale(column) == t.scale);
}

static bool is_json(duckdb_logical_type column)
{
	char *alias = duckdb_logical_type_get_alias(column);
	bool json = alias != NULL && strcmp(alias, "JSON") == 0;

	duckdb_free(alias);
	return json;
}

/* What is widened; the kinds of our own come from the table above. */
static const struct {
	duckdb_type id;
	struct type type;
} widened[] = {
	{DUCKDB_TYPE_TINYINT, {.kind = T_INT2}},
	{DUCKDB_TYPE_UTINYINT, {.kind = T_INT2}},
	{DUCKDB_TYPE_USMALLINT, {.kind = T_INT4}},
	{DUCKDB_TYPE_UBIGINT, {.kind = T_DECIMAL, .precision = 20}},
	{DUCKDB_TYPE_HUGEINT, {.kind = T_DECIMAL, .precision = 38}},
	{DUCKDB_TYPE_SQLNULL, {.kind = T_TEXT}},
};

bool duck_landing(duckdb_logical_type column, struct type *out, const char **cast_to)
{
	duckdb_type id = duckdb_get_type_id(column);

	*out = (struct type){.kind = T_TEXT};
	if (id == DUCKDB_TYPE_VARCHAR) {
		out->kind = is_json(column) ? T_JSON : T_TEXT;
		return true;
	}
	for (size_t i = 0; i < sizeof widened / sizeof widened[0]; i++)
		if (widened[i].id == id) {
			*out = widened[i].type;
			return true;
		}
	for (size_t k = 0; k < T_KINDS; k++)
		if (kinds[k].id == id) {
			out->kind = (enum type_kind)k;
			if (id == DUCKDB_TYPE_DECIMAL) {
				out->precision = duckdb_decimal_width(column);
				out->scale = duckdb_decimal_scale(column);
			}
			return true;
		}
	bool coarse = id == DUCKDB_TYPE_TIMESTAMP_S || id == DUCKDB_TYPE_TIMESTAMP_MS;
	*cast_to = coarse ? "TIMESTAMP" : "VARCHAR";
	return false;
}

static bool decimal_fits(int128 v, unsigned precision)
{
	uint128 limit = 1, m = v < 0 ? -(uint128)v : (uint128)v;

	for (unsigned i = 0; i < precision; i++)
		limit *= 10;
	return m < limit;
}

/* DuckDB's first moment is 290309-12-22 (BC); PostgreSQL's days all fit. */
static bool timestamp_fits(int64_t us)
{
	return us >= INT64_C(-9223372022400000000) || us == -INT64_MAX;
}

/* Most text is ASCII, which is seen eight bytes at a time. */
static bool is_utf8(struct str s)
{
	size_t at = 0;
	uint64_t word;

	for (; at + sizeof word <= s.n; at += sizeof word) {
		memcpy(&word, s.p + at, sizeof word);
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	return str_is_utf8((struct str){s.p + at, s.n - at});
}

bool duck_holds(const struct vec *v, size_t row)
{
	switch (v->type.kind) {
	case T_DECIMAL:
		return decimal_fits(VEC_AT(v, int128, row), v->type.precision);
	case T_TEXT:
	case T_JSON:
		return is_utf8(VEC_AT(v, struct str, row));
	case T_DATE:
		return VEC_AT(v, int32_t, row) != INT32_MIN;
	case T_TIME:
		return VEC_AT(v, int64_t, row) >= 0 &&
			VEC_AT(v, int64_t, row) <= INT64_C(86400000000);
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
		return timestamp_fits(VEC_AT(v, int64_t, row));
	case T_BOOL:
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
	case T_FLOAT4:
	case T_FLOAT8:
	case T_BYTES:
	case T_UUID:
	case T_INTERVAL:
	case T_KINDS:
		break;
	}
	return true;
}

static bool outside(int128 v, int128 limit)
{
	return v >= limit || v <= -limit;
}

size_t duck_next_unheld(const struct vec *v, size_t from, size_t rows)
{
	size_t row = from;

	/* Precision 38 leaves room for the limit; the loop must not work it out for each value. */
	if (v->type.kind == T_DECIMAL && v->type.precision <= 38) {
		int128 limit = 1;

		for (unsigned i = 0; i < v->type.precision; i++)
			limit *= 10;
		while (row < rows &&
			(vec_is_null(v, row) || !outside(VEC_AT(v, int128, row), limit)))
			row++;
		return row;
	}
	while (row < rows && (vec_is_null(v, row) || duck_holds(v, row)))
		row++;
	return row;
}

#define WIDEST 16 /* bytes of a value in a vector, of any type */

static uint64_t *writable_validity(duckdb_vector to)
{
	duckdb_vector_ensure_validity_writable(to);
	uint64_t *mask = duckdb_vector_get_validity(to);
	duck_memory_taken(mask, duckdb_vector_size() / 8);
	return mask;
}

static void vector_taken(duckdb_vector v, size_t rows)
{
	duck_memory_taken(duckdb_vector_get_data(v), rows * WIDEST);
	duck_memory_taken(duckdb_vector_get_validity(v), duckdb_vector_size() / 8);
}

static void vector_left(duckdb_vector v, size_t rows)
{
	duck_memory_left(duckdb_vector_get_data(v), rows * WIDEST);
	duck_memory_left(duckdb_vector_get_validity(v), duckdb_vector_size() / 8);
}

/* Whole words of rows that follow each other; bits beyond the last row say nothing. */
static void write_validity_words(duckdb_vector to, const uint64_t *valid, size_t rows)
{
	uint64_t all = UINT64_MAX;
	size_t n = rows / 64;
	uint64_t last = rows % 64 > 0 ? valid[n] | UINT64_MAX << rows % 64 : UINT64_MAX;

	for (size_t i = 0; i < n; i++)
		all &= valid[i];
	if ((all & last) == UINT64_MAX)
		return;
	uint64_t *mask = writable_validity(to);
	memcpy(mask, valid, n * sizeof *mask);
	if (rows % 64 > 0)
		mask[n] = last;
}

static void write_validity(duckdb_vector to, const struct vec *v, const struct rows *rows)
{
	uint64_t *mask = NULL;

	if (v->valid != NULL && rows->list == NULL && rows->from % 64 == 0) {
		write_validity_words(to, v->valid + rows->from / 64, rows->n);
		return;
	}
	for (size_t i = 0; v->valid != NULL && i < rows->n; i++) {
		if (!vec_is_null(v, rows_at(rows, i)))
			continue;
		if (mask == NULL)
			mask = writable_validity(to);
		mask[i >> 6] &= ~((uint64_t)1 << (i & 63));
	}
}

#define COPY_ROWS(from_type, to_type)                                                              \
	for (size_t i = 0; i < rows->n; i++)                                                       \
	((to_type *)to)[i] = (to_type)VEC_AT(v, from_type, rows_at(rows, i))

static void write_fixed(void *to, const struct vec *v, const struct rows *rows)
{
	size_t size = type_size(v->type.kind);

	if (rows->list == NULL) {
		memcpy(to, (const char *)v->data + rows->from * size, rows->n * size);
		return;
	}
	for (size_t i = 0; i < rows->n; i++)
		memcpy((char *)to + i * size, (const char *)v->data + rows->list[i] * size, size);
}

/* The physical width follows from the precision. A value behind a NULL is cut; nobody reads it. */
static void write_decimals(void *to, const struct vec *v, const struct rows *rows)
{
	if (v->type.precision <= 4)
		COPY_ROWS(int128, int16_t);
	else if (v->type.precision <= 9)
		COPY_ROWS(int128, int32_t);
	else if (v->type.precision <= 18)
		COPY_ROWS(int128, int64_t);
	else
		write_fixed(to, v, rows);
}

static inline void lend(duckdb_string_t *out, struct str s)
{
	assert(s.n <= UINT32_MAX);
	if (s.n > sizeof out->value.inlined.inlined) {
		out->value.pointer.length = (uint32_t)s.n;
		memcpy(out->value.pointer.prefix, s.p, sizeof out->value.pointer.prefix);
		memcpy(&out->value.pointer.ptr, &s.p, sizeof s.p);
		return;
	}
	memset(out, 0, sizeof *out);
	out->value.inlined.length = (uint32_t)s.n;
	for (size_t i = 0; i < s.n; i++) /* fewer than a call is worth */
		out->value.inlined.inlined[i] = s.p[i];
}

static void write_strings(void *to, const struct vec *v, const struct rows *rows)
{
	duckdb_string_t *out = to;

	/* No texts at all: the rows' validity says so, and nobody looks at them. */
	if (v->data == NULL) {
		memset(out, 0, rows->n * sizeof *out);
		return;
	}
	for (size_t i = 0; i < rows->n; i++) {
		size_t row = rows_at(rows, i);

		lend(&out[i], vec_is_null(v, row) ? STR_NONE : VEC_AT(v, struct str, row));
	}
}

/* DuckDB keeps a UUID as a signed 128-bit number that sorts like its text. */
static void write_uuids(void *to, const struct vec *v, const struct rows *rows)
{
	duckdb_hugeint *out = to;

	for (size_t i = 0; i < rows->n; i++) {
		const uint8_t *b = VEC_AT(v, struct uuid, rows_at(rows, i)).b;
		uint64_t hi = 0, lo = 0;

		for (size_t k = 0; k < 8; k++) {
			hi = hi << 8 | b[k];
			lo = lo << 8 | b[k + 8];
		}
		out[i].lower = lo;
		out[i].upper = (int64_t)(hi ^ (uint64_t)1 << 63);
	}
}

void duck_write(duckdb_vector to, const struct vec *v, const struct rows *rows)
{
	void *data = duckdb_vector_get_data(to);

	if (DUCK_MEMORY_WATCHED)
		vector_taken(to, rows->n);
	if (v->type.kind == T_DECIMAL)
		write_decimals(data, v, rows);
	else if (v->type.kind == T_TEXT || v->type.kind == T_JSON || v->type.kind == T_BYTES)
		write_strings(data, v, rows);
	else if (v->type.kind == T_UUID)
		write_uuids(data, v, rows);
	else
		write_fixed(data, v, rows);
	write_validity(to, v, rows);
	if (DUCK_MEMORY_WATCHED)
		vector_left(to, rows->n);
}

static void read_uuids(const duckdb_hugeint *in, struct uuid *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t hi = (uint64_t)in[i].upper ^ (uint64_t)1 << 63, lo = in[i].lower;

		for (size_t k = 0; k < 8; k++) {
			out[i].b[k] = (uint8_t)(hi >> (56 - 8 * k));
			out[i].b[k + 8] = (uint8_t)(lo >> (56 - 8 * k));
		}
	}
}

static void read_strings(const duckdb_string_t *in, const struct vec *v, struct str *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t length = in[i].value.inlined.length;

		if (vec_is_null(v, i))
			out[i] = STR_NONE;
		else if (length <= sizeof in[i].value.inlined.inlined)
			out[i] = str_make(in[i].value.inlined.inlined, length);
		else
			out[i] = str_make(in[i].value.pointer.ptr, length);
		duck_memory_taken(out[i].p, out[i].n);
	}
}

#define WIDEN(from_type, to_type)                                                                  \
	for (size_t i = 0; i < n; i++)                                                             \
	((to_type *)scratch)[i] = ((const from_type *)data)[i]

/* True when the values had to be written anew into scratch. */
static bool widen(const void *data, duckdb_type id, size_t n, void *scratch)
{
	switch ((int)id) {
	case DUCKDB_TYPE_TINYINT:
		WIDEN(int8_t, int16_t); /* NOLINT(bugprone-signed-char-misuse) */
		return true;
	case DUCKDB_TYPE_UTINYINT:
		WIDEN(uint8_t, int16_t);
		return true;
	case DUCKDB_TYPE_USMALLINT:
		WIDEN(uint16_t, int32_t);
		return true;
	case DUCKDB_TYPE_UBIGINT:
		WIDEN(uint64_t, int128);
		return true;
	default:
		return false;
	}
}

static bool widen_decimal(const void *data, duckdb_logical_type column, size_t n, void *scratch)
{
	switch ((int)duckdb_decimal_internal_type(column)) {
	case DUCKDB_TYPE_SMALLINT:
		WIDEN(int16_t, int128);
		return true;
	case DUCKDB_TYPE_INTEGER:
		WIDEN(int32_t, int128);
		return true;
	case DUCKDB_TYPE_BIGINT:
		WIDEN(int64_t, int128);
		return true;
	default:
		return false;
	}
}

void duck_read(duckdb_vector from, duckdb_logical_type column, struct type t, size_t n,
	void *scratch, struct vec *out)
{
	void *data = duckdb_vector_get_data(from);
	duckdb_type id = duckdb_get_type_id(column);

	if (DUCK_MEMORY_WATCHED)
		vector_taken(from, n);
	*out = (struct vec){.type = t, .valid = duckdb_vector_get_validity(from), .data = data};
	if (id == DUCKDB_TYPE_SQLNULL) {
		memset(scratch, 0, n * sizeof(uint64_t));
		out->valid = scratch;
		out->data = scratch;
	} else if (id == DUCKDB_TYPE_VARCHAR || id == DUCKDB_TYPE_BLOB) {
		read_strings(data, out, scratch, n);
		out->data = scratch;
	} else if (id == DUCKDB_TYPE_UUID) {
		read_uuids(data, scratch, n);
		out->data = scratch;
	} else if (id == DUCKDB_TYPE_DECIMAL ? widen_decimal(data, column, n, scratch)
					     : widen(data, id, n, scratch)) {
		out->data = scratch;
	} else if (t.kind == T_DECIMAL && (uintptr_t)data % _Alignof(int128) != 0) {
		memcpy(scratch, data, n * sizeof(int128));
		out->data = scratch;
	}
}

void duck_read_done(duckdb_vector from, const struct vec *v, size_t n)
{
	bool strings = v->type.kind == T_TEXT || v->type.kind == T_JSON || v->type.kind == T_BYTES;

	if (!DUCK_MEMORY_WATCHED)
		return;
	for (size_t i = 0; strings && i < n; i++)
		if (!vec_is_null(v, i))
			duck_memory_left(VEC_AT(v, struct str, i).p, VEC_AT(v, struct str, i).n);
	vector_left(from, n);
}
