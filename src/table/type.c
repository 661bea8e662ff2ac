#include "type.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "print_float.h"
#include "vec.h"

static const struct {
	const char *name;
	size_t size;
} kinds[T_KINDS] = {
	[T_BOOL] = {"bool", sizeof(uint8_t)},
	[T_INT2] = {"int2", sizeof(int16_t)},
	[T_INT4] = {"int4", sizeof(int32_t)},
	[T_INT8] = {"int8", sizeof(int64_t)},
	[T_UINT4] = {"uint4", sizeof(uint32_t)},
	[T_FLOAT4] = {"float4", sizeof(float)},
	[T_FLOAT8] = {"float8", sizeof(double)},
	[T_DECIMAL] = {"decimal", sizeof(int128)},
	[T_TEXT] = {"text", sizeof(struct str)},
	[T_JSON] = {"json", sizeof(struct str)},
	[T_BYTES] = {"bytes", sizeof(struct str)},
	[T_UUID] = {"uuid", sizeof(struct uuid)},
	[T_DATE] = {"date", sizeof(int32_t)},
	[T_TIME] = {"time", sizeof(int64_t)},
	[T_TIMESTAMP] = {"timestamp", sizeof(int64_t)},
	[T_TIMESTAMPTZ] = {"timestamptz", sizeof(int64_t)},
	[T_INTERVAL] = {"interval", sizeof(struct interval)},
};

size_t type_size(enum type_kind kind)
{
	assert((size_t)kind < T_KINDS);
	return kinds[kind].size;
}

const char *type_name(enum type_kind kind)
{
	return (size_t)kind < T_KINDS ? kinds[kind].name : "unknown";
}

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    INT64_C(86400000000)

static void print_decimal(int128 v, unsigned scale, struct buf *out)
{
	char text[64]; /* 39 digits, at most 255 - but scale is at most 38 here - a point, a sign */
	size_t at = sizeof text;
	uint128 m = v < 0 ? -(uint128)v : (uint128)v;

	assert(scale <= DECIMAL_MAX_PRECISION);
	for (unsigned digits = 0; m > 0 || digits <= scale; digits++) {
		if (digits == scale && scale > 0)
			text[--at] = '.';
		text[--at] = (char)('0' + (int)(m % 10));
		m /= 10;
	}
	if (v < 0)
		text[--at] = '-';
	buf_put(out, str_make(text + at, sizeof text - at));
}

/* ":05.25": seconds with only as many decimals as it takes. */
static void print_seconds(int64_t seconds, int64_t us, struct buf *out)
{
	buf_putf(out, ":%02" PRId64, seconds);
	if (us == 0)
		return;
	char digits[8];
	int n = snprintf(digits, sizeof digits, "%06" PRId64, us);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	buf_putf(out, ".%.*s", n, digits);
}

static void print_time(int64_t us, struct buf *out)
{
	int64_t seconds = us / US_PER_SECOND;

	buf_putf(out, "%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60);
	print_seconds(seconds % 60, us % US_PER_SECOND, out);
}

/* Gives whether the year is before Christ: PostgreSQL says so at the very end. */
static bool print_day(int64_t days, struct buf *out)
{
	int64_t year;
	unsigned month, day;

	clock_civil(days, &year, &month, &day);
	buf_putf(out, "%04" PRId64 "-%02u-%02u", year > 0 ? year : 1 - year, month, day);
	return year <= 0;
}

static void print_date(int32_t days, struct buf *out)
{
	if (days == INT32_MAX)
		buf_puts(out, "infinity");
	else if (days == -INT32_MAX)
		buf_puts(out, "-infinity");
	else if (print_day(days, out))
		buf_puts(out, " BC");
}

static void print_timestamp(int64_t us, const char *zone, struct buf *out)
{
	if (us == INT64_MAX) {
		buf_puts(out, "infinity");
		return;
	}
	if (us == -INT64_MAX) {
		buf_puts(out, "-infinity");
		return;
	}
	int64_t days = us / US_PER_DAY, rest = us % US_PER_DAY;
	if (rest < 0) {
		days--;
		rest += US_PER_DAY;
	}
	bool bc = print_day(days, out);
	buf_putc(out, ' ');
	print_time(rest, out);
	buf_puts(out, zone);
	if (bc)
		buf_puts(out, " BC");
}

struct interval_print {
	bool any, negative;
};

static void print_part(struct interval_print *p, int32_t value, const char *unit, struct buf *out)
{
	if (value == 0)
		return;
	buf_putf(out, "%s%s%" PRId32 " %s%s", p->any ? " " : "",
		p->negative && value > 0 ? "+" : "", value, unit, value != 1 ? "s" : "");
	p->negative = value < 0;
	p->any = true;
}

/* IntervalStyle postgres: "1 year 2 mons -3 days +04:05:06". */
static void print_interval(struct interval v, struct buf *out)
{
	struct interval_print p = {0};

	print_part(&p, v.months / 12, "year", out);
	print_part(&p, v.months % 12, "mon", out);
	print_part(&p, v.days, "day", out);
	if (p.any && v.us == 0)
		return;
	int64_t seconds = v.us / US_PER_SECOND, us = v.us % US_PER_SECOND;
	buf_putf(out, "%s%s%02" PRId64 ":%02" PRId64, p.any ? " " : "",
		v.us < 0             ? "-"
			: p.negative ? "+"
				     : "",
		imaxabs(seconds / 3600), imaxabs(seconds / 60 % 60));
	print_seconds(imaxabs(seconds % 60), imaxabs(us), out);
}

static void print_hex(struct str bytes, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];

		buf_putc(out, digits[c >> 4]);
		buf_putc(out, digits[c & 15]);
	}
}

static void print_uuid(const struct uuid *u, struct buf *out)
{
	const char *b = (const char *)u->b;
	static const struct {
		size_t at, n;
	} groups[] = {{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}};

	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		if (i > 0)
			buf_putc(out, '-');
		print_hex(str_make(b + groups[i].at, groups[i].n), out);
	}
}

void type_print(const struct vec *v, size_t row, struct buf *out)
{
	if (vec_is_null(v, row))
		return;
	switch (v->type.kind) {
	case T_BOOL:
		buf_putc(out, VEC_AT(v, uint8_t, row) ? 't' : 'f');
		break;
	case T_INT2:
		buf_putf(out, "%" PRId16, VEC_AT(v, int16_t, row));
		break;
	case T_INT4:
		buf_putf(out, "%" PRId32, VEC_AT(v, int32_t, row));
		break;
	case T_INT8:
		buf_putf(out, "%" PRId64, VEC_AT(v, int64_t, row));
		break;
	case T_UINT4:
		buf_putf(out, "%" PRIu32, VEC_AT(v, uint32_t, row));
		break;
	case T_FLOAT4:
		print_float4(VEC_AT(v, float, row), out);
		break;
	case T_FLOAT8:
		print_float8(VEC_AT(v, double, row), out);
		break;
	case T_DECIMAL:
		print_decimal(VEC_AT(v, int128, row), v->type.scale, out);
		break;
	case T_TEXT:
	case T_JSON:
		buf_put(out, VEC_AT(v, struct str, row));
		break;
	case T_BYTES:
		buf_puts(out, "\\x");
		print_hex(VEC_AT(v, struct str, row), out);
		break;
	case T_UUID:
		print_uuid(&VEC_AT(v, struct uuid, row), out);
		break;
	case T_DATE:
		print_date(VEC_AT(v, int32_t, row), out);
		break;
	case T_TIME:
		print_time(VEC_AT(v, int64_t, row), out);
		break;
	case T_TIMESTAMP:
		print_timestamp(VEC_AT(v, int64_t, row), "", out);
		break;
	case T_TIMESTAMPTZ:
		print_timestamp(VEC_AT(v, int64_t, row), "+00", out);
		break;
	case T_INTERVAL:
		print_interval(VEC_AT(v, struct interval, row), out);
		break;
	case T_KINDS:
		break;
	}
}
