#include "pg_types.h"
#include "pg_value.h"

/* For numeric without a declared scale, and the least of what a wide one keeps: money to a
 * billionth beside 29 digits. What does not fit is kept as text, never rounded. */
#define FREE_SCALE 9

static struct type decimal(int precision, int scale)
{
	return (struct type){
		.kind = T_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int most(int a, int b)
{
	return a > b ? a : b;
}

/* numeric(p,s): p significant digits, rounded at s, which may be negative or above p. The
 * modifier is (p << 16 | s as 11 bits) + 4. */
static struct type land_numeric(int32_t modifier)
{
	const int widest = DECIMAL_MAX_PRECISION;

	if (modifier < 4)
		return decimal(widest, FREE_SCALE);
	int32_t bits = modifier - 4;
	int precision = (int)(bits >> 16 & 0xffff);
	int scale = (int)((bits & 0x7ff) ^ 1024) - 1024;
	int whole = precision - scale; /* digits before the point; below 0 when s > p */

	if (scale <= 0)
		return decimal(least(most(whole, 1), widest), 0);
	if (whole <= 0)
		return decimal(least(scale, widest), least(scale, widest));
	if (precision <= widest)
		return decimal(precision, scale);
	return decimal(widest, least(scale, most(FREE_SCALE, widest - whole)));
}

/* Of arrays this knows nothing. A switch and not a table: the compiler makes a better one. */
static enum type_kind kind_of(uint32_t pg_type)
{
	switch (pg_type) {
	case PG_BOOL:
		return T_BOOL;
	case PG_INT2:
		return T_INT2;
	case PG_INT4:
		return T_INT4;
	case PG_INT8:
		return T_INT8;
	case PG_OID:
	case PG_XID:
	case PG_CID:
		return T_UINT4;
	case PG_FLOAT4:
		return T_FLOAT4;
	case PG_FLOAT8:
		return T_FLOAT8;
	case PG_NUMERIC:
	case PG_MONEY:
	case PG_XID8:
		return T_DECIMAL;
	case PG_JSON:
	case PG_JSONB:
		return T_JSON;
	case PG_BYTEA:
		return T_BYTES;
	case PG_UUID:
		return T_UUID;
	case PG_DATE:
		return T_DATE;
	case PG_TIME:
		return T_TIME;
	case PG_TIMESTAMP:
		return T_TIMESTAMP;
	case PG_TIMESTAMPTZ:
		return T_TIMESTAMPTZ;
	case PG_INTERVAL:
		return T_INTERVAL;
	default:
		return T_TEXT;
	}
}

struct type pg_landing(uint32_t pg_type, int32_t modifier)
{
	enum type_kind kind = kind_of(pg_type);

	if (pg_type == PG_NUMERIC)
		return land_numeric(modifier);
	if (pg_type == PG_MONEY)
		return decimal(19, 2);
	if (pg_type == PG_XID8)
		return decimal(20, 0);
	uint32_t element = kind == T_TEXT ? pg_array_element(pg_type) : 0;
	return element != 0 ? pg_landing_array(element) : (struct type){.kind = kind};
}

struct type pg_landing_array(uint32_t element)
{
	return (struct type){.kind = T_JSON, .form = (uint8_t)pg_array_form(element)};
}

struct type pg_landing_hstore(void)
{
	return (struct type){.kind = T_JSON, .form = FORM_HSTORE};
}

/* Not interval: servers before 17 send as a number what later ones mean as infinity, and the
 * bytes do not say which it is. Its text does. */
bool pg_has_binary(uint32_t pg_type)
{
	switch (pg_type) {
	case PG_TEXT:
	case PG_VARCHAR:
	case PG_BPCHAR:
	case PG_NAME:
		return true;
	default:
		return pg_type != PG_INTERVAL && kind_of(pg_type) != T_TEXT;
	}
}
