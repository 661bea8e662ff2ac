#include "enc.h"
#include "pg_json.h"
#include "pg_text.h"
#include "pg_value.h"

static bool set_int(struct vec *v, size_t row, struct str text)
{
	static const struct {
		int64_t min, max;
	} ranges[] = {
		[T_INT2] = {INT16_MIN, INT16_MAX},
		[T_INT4] = {INT32_MIN, INT32_MAX},
		[T_INT8] = {INT64_MIN, INT64_MAX},
		[T_UINT4] = {0, UINT32_MAX},
	};
	enum type_kind kind = v->type.kind;
	int64_t n;

	if (!pg_text_int(text, ranges[kind].min, ranges[kind].max, &n))
		return false;
	if (kind == T_INT4)
		VEC_AT(v, int32_t, row) = (int32_t)n;
	else if (kind == T_INT8)
		VEC_AT(v, int64_t, row) = n;
	else if (kind == T_INT2)
		VEC_AT(v, int16_t, row) = (int16_t)n;
	else
		VEC_AT(v, uint32_t, row) = (uint32_t)n;
	return true;
}

/* bytea_output hex: "\x0aff". */
static bool set_bytes(struct batch *b, struct vec *v, size_t row, struct str text)
{
	if (text.n < 2 || text.p[0] != '\\' || text.p[1] != 'x' || text.n % 2 != 0)
		return false;
	struct str hex = str_from(text, 2);
	char *bytes = arena_alloc(&b->mem, hex.n / 2);
	if (!enc_unhex(hex, bytes))
		return false;
	VEC_AT(v, struct str, row) = str_make(bytes, hex.n / 2);
	return true;
}

static bool set_json(struct batch *b, struct vec *v, size_t row, struct str text)
{
	enum type_form form = (enum type_form)v->type.form;
	struct buf json;

	if (form == FORM_PLAIN || pg_json_is_made(text, form)) {
		VEC_AT(v, struct str, row) = text;
		return pg_json_readable(text);
	}
	buf_init(&json, BUF_MAX_DEFAULT);
	bool made = pg_json_make(text, form, &json);
	if (made)
		VEC_AT(v, struct str, row) = arena_str(&b->mem, buf_str(&json));
	buf_free(&json);
	return made;
}

/* Money is numeric with two decimals that is printed otherwise; its domains are known by their
 * type in the warehouse only. */
static bool set_decimal(struct vec *v, size_t row, struct str text)
{
	int128 *out = &VEC_AT(v, int128, row);

	return pg_text_decimal(text, v->type, out) || pg_text_money(text, v->type, out);
}

static bool set(struct batch *b, struct vec *v, size_t row, struct str text)
{
	switch (v->type.kind) {
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
		return set_int(v, row, text);
	case T_TEXT:
		VEC_AT(v, struct str, row) = text;
		return true;
	case T_JSON:
		return set_json(b, v, row, text);
	case T_BOOL:
		return pg_text_bool(text, &VEC_AT(v, uint8_t, row));
	case T_FLOAT4:
		return pg_text_float4(text, &VEC_AT(v, float, row));
	case T_FLOAT8:
		return pg_text_float8(text, &VEC_AT(v, double, row));
	case T_DECIMAL:
		return set_decimal(v, row, text);
	case T_BYTES:
		return set_bytes(b, v, row, text);
	case T_UUID:
		return pg_text_uuid(text, &VEC_AT(v, struct uuid, row));
	case T_DATE:
		return pg_text_date(text, &VEC_AT(v, int32_t, row));
	case T_TIME:
		return pg_text_time(text, &VEC_AT(v, int64_t, row));
	case T_TIMESTAMP:
		return pg_text_timestamp(text, false, &VEC_AT(v, int64_t, row));
	case T_TIMESTAMPTZ:
		return pg_text_timestamp(text, true, &VEC_AT(v, int64_t, row));
	case T_INTERVAL:
		return pg_text_interval(text, &VEC_AT(v, struct interval, row));
	case T_KINDS:
		break;
	}
	return false;
}

enum err pg_value_text(struct batch *b, size_t row, size_t col, struct str text, struct error *e)
{
	if (col >= b->table->ncolumns || row >= b->rows)
		return FAIL(e, ERR_BUG, "setting row %zu, column %zu of a batch of %zu rows of %zu",
			row, col, b->rows, b->table->ncolumns);
	if (set(b, &b->cols[col], row, text))
		batch_set_valid(b, row, col);
	else
		batch_note_exact(b, row, col, text);
	return OK;
}
