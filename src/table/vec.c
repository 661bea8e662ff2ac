#include "vec.h"

#include <math.h>

static double decimal_number(int128 v, unsigned scale)
{
	return (double)v / pow(10.0, (double)scale);
}

static double date_number(int32_t days)
{
	if (days == INT32_MAX)
		return (double)INFINITY;
	return days == -INT32_MAX ? -(double)INFINITY : (double)days;
}

static double timestamp_number(int64_t us)
{
	if (us == INT64_MAX)
		return (double)INFINITY;
	return us == -INT64_MAX ? -(double)INFINITY : (double)us / 1e6;
}

double vec_number(const struct vec *v, size_t row)
{
	if (vec_is_null(v, row))
		return (double)NAN;
	switch (v->type.kind) {
	case T_BOOL:
		return VEC_AT(v, uint8_t, row) ? 1.0 : 0.0;
	case T_INT2:
		return VEC_AT(v, int16_t, row);
	case T_INT4:
		return VEC_AT(v, int32_t, row);
	case T_INT8:
		return (double)VEC_AT(v, int64_t, row);
	case T_UINT4:
		return VEC_AT(v, uint32_t, row);
	case T_FLOAT4:
		return (double)VEC_AT(v, float, row);
	case T_FLOAT8:
		return VEC_AT(v, double, row);
	case T_DECIMAL:
		return decimal_number(VEC_AT(v, int128, row), v->type.scale);
	case T_DATE:
		return date_number(VEC_AT(v, int32_t, row));
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
		return timestamp_number(VEC_AT(v, int64_t, row));
	case T_TEXT:
	case T_JSON:
	case T_BYTES:
	case T_UUID:
	case T_TIME:
	case T_INTERVAL:
	case T_KINDS:
		break;
	}
	return (double)NAN;
}

bool vec_integer(const struct vec *v, size_t row, int64_t *out)
{
	if (vec_is_null(v, row))
		return false;
	if (v->type.kind == T_INT2) {
		*out = VEC_AT(v, int16_t, row);
	} else if (v->type.kind == T_INT4) {
		*out = VEC_AT(v, int32_t, row);
	} else if (v->type.kind == T_INT8) {
		*out = VEC_AT(v, int64_t, row);
	} else if (v->type.kind == T_UINT4) {
		*out = VEC_AT(v, uint32_t, row);
	} else if (v->type.kind == T_DECIMAL && v->type.scale == 0) {
		int128 wide = VEC_AT(v, int128, row);

		if (wide < INT64_MIN || wide > INT64_MAX)
			return false;
		*out = (int64_t)wide;
	} else {
		return false;
	}
	return true;
}

struct str vec_text(const struct vec *v, size_t row)
{
	bool text = v->type.kind == T_TEXT || v->type.kind == T_JSON || v->type.kind == T_BYTES;

	return text && !vec_is_null(v, row) ? VEC_AT(v, struct str, row) : STR_NONE;
}
