#include "value_json.h"

#include <math.h>

/* JSON text may hold line breaks between its tokens, never inside them. */
static void put_json_line(struct json_out *j, const char *key, struct buf *scratch)
{
	for (size_t i = 0; i < scratch->n; i++)
		if (scratch->p[i] == '\n' || scratch->p[i] == '\r')
			scratch->p[i] = ' ';
	if (scratch->n == 0)
		jo_null(j, key);
	else
		jo_raw(j, key, buf_str(scratch));
}

static double as_double(const struct vec *v, size_t row)
{
	return v->type.kind == T_FLOAT4 ? (double)VEC_AT(v, float, row) : VEC_AT(v, double, row);
}

void value_json(
	struct json_out *j, const char *key, const struct vec *v, size_t row, struct buf *scratch)
{
	if (vec_is_null(v, row)) {
		jo_null(j, key);
		return;
	}
	buf_reset(scratch);
	type_print(v, row, scratch);
	switch (v->type.kind) {
	case T_BOOL:
		jo_bool(j, key, VEC_AT(v, uint8_t, row) != 0);
		break;
	case T_FLOAT4:
	case T_FLOAT8:
		if (!isfinite(as_double(v, row))) {
			jo_str(j, key, buf_str(scratch));
			break;
		}
		jo_raw(j, key, buf_str(scratch));
		break;
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
	case T_DECIMAL:
		jo_raw(j, key, buf_str(scratch));
		break;
	case T_JSON:
		put_json_line(j, key, scratch);
		break;
	case T_TEXT:
	case T_BYTES:
	case T_UUID:
	case T_DATE:
	case T_TIME:
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
	case T_INTERVAL:
	case T_KINDS:
		jo_str(j, key, buf_str(scratch));
		break;
	}
}
