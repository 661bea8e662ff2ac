#include "unit.h"

#include <math.h>

#include "buf.h"
#include "clock.h"
#include "rnd.h"
#include "vec.h"

/* Prints the one value at p. */
static const char *printed(struct type type, void *p, struct buf *out)
{
	struct vec v = {.type = type, .data = p};

	buf_reset(out);
	type_print(&v, 0, out);
	return buf_cstr(out);
}

#define KIND(k) ((struct type){.kind = (k)})
#define SHOWS(k, ctype, value, text)                                                               \
	do {                                                                                       \
		ctype shown_ = (value);                                                            \
		assert_string_equal(printed(KIND(k), &shown_, &out), (text));                      \
	} while (0)

static void test_integers_and_text(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	SHOWS(T_BOOL, uint8_t, 1, "t");
	SHOWS(T_BOOL, uint8_t, 0, "f");
	SHOWS(T_INT2, int16_t, INT16_MIN, "-32768");
	SHOWS(T_INT4, int32_t, INT32_MIN, "-2147483648");
	SHOWS(T_INT8, int64_t, INT64_MIN, "-9223372036854775808");
	SHOWS(T_UINT4, uint32_t, UINT32_MAX, "4294967295");
	SHOWS(T_TEXT, struct str, STR("a 'b'"), "a 'b'");
	SHOWS(T_BYTES, struct str,
		STR("\x00\xff"
		    "A"),
		"\\x00ff41");
	struct uuid u = {{0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9,
		0xbd, 0x38, 0x0a, 0x11}};
	SHOWS(T_UUID, struct uuid, u, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
	buf_free(&out);
}

/* As PostgreSQL 15 prints them with extra_float_digits = 1 and more. */
static void test_floats(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	SHOWS(T_FLOAT8, double, 0.1, "0.1");
	SHOWS(T_FLOAT8, double, -0.0, "-0");
	SHOWS(T_FLOAT8, double, 1e15, "1e+15");
	SHOWS(T_FLOAT8, double, 123456789012345.0, "123456789012345");
	SHOWS(T_FLOAT8, double, 1e-5, "1e-05");
	SHOWS(T_FLOAT8, double, 0.0001, "0.0001");
	SHOWS(T_FLOAT8, double, 1.7976931348623157e308, "1.7976931348623157e+308");
	SHOWS(T_FLOAT8, double, 5e-324, "5e-324");
	SHOWS(T_FLOAT8, double, ldexp(1, -44), "5.684341886080802e-14");
	SHOWS(T_FLOAT8, double, 1e23, "9.999999999999999e+22"); /* 1e23 is halfway to the next */
	SHOWS(T_FLOAT8, double, (double)NAN, "NaN");
	SHOWS(T_FLOAT8, double, -(double)INFINITY, "-Infinity");
	SHOWS(T_FLOAT4, float, 0.1F, "0.1");
	SHOWS(T_FLOAT4, float, 1e6F, "1e+06");
	SHOWS(T_FLOAT4, float, 999999.0F, "999999");
	SHOWS(T_FLOAT4, float, 16777216.0F, "1.6777216e+07");
	buf_free(&out);
}

static void test_floats_read_back(void **state)
{
	struct rnd r;
	struct buf out;

	(void)state;
	rnd_seed(&r, unit_seed());
	buf_init(&out, 1000);
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = rnd_u64(&r);
		uint32_t half = (uint32_t)rnd_u64(&r);
		double d;
		float f;

		memcpy(&d, &bits, sizeof d);
		memcpy(&f, &half, sizeof f);
		if (isfinite(d))
			assert_true(strtod(printed(KIND(T_FLOAT8), &d, &out), NULL) == d);
		if (isfinite(f))
			assert_true(strtof(printed(KIND(T_FLOAT4), &f, &out), NULL) == f);
	}
	buf_free(&out);
}

static void shows_decimal(int128 v, unsigned scale, const char *text, struct buf *out)
{
	struct type t = {.kind = T_DECIMAL, .precision = 38, .scale = (uint8_t)scale};

	assert_string_equal(printed(t, &v, out), text);
}

static void test_decimals(void **state)
{
	int128 most = 1;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (int i = 0; i < 38; i++)
		most *= 10;
	shows_decimal(0, 0, "0", &out);
	shows_decimal(0, 2, "0.00", &out);
	shows_decimal(5, 2, "0.05", &out);
	shows_decimal(-5, 2, "-0.05", &out);
	shows_decimal(12345, 2, "123.45", &out);
	shows_decimal(most - 1, 0, "99999999999999999999999999999999999999", &out);
	shows_decimal(1 - most, 38, "-0.99999999999999999999999999999999999999", &out);
	buf_free(&out);
}

static void test_times(void **state)
{
	struct buf out;
	const int64_t day = INT64_C(86400000000);

	(void)state;
	buf_init(&out, 1000);
	SHOWS(T_DATE, int32_t, 0, "1970-01-01");
	SHOWS(T_DATE, int32_t, INT32_MAX, "infinity");
	SHOWS(T_DATE, int32_t, -INT32_MAX, "-infinity");
	SHOWS(T_DATE, int32_t, (int32_t)clock_days(-43, 3, 15), "0044-03-15 BC");
	SHOWS(T_DATE, int32_t, (int32_t)clock_days(5874897, 12, 31), "5874897-12-31");
	SHOWS(T_TIME, int64_t, 0, "00:00:00");
	SHOWS(T_TIME, int64_t, day, "24:00:00");
	SHOWS(T_TIME, int64_t, INT64_C(3723004500), "01:02:03.0045");
	SHOWS(T_TIMESTAMP, int64_t, -1, "1969-12-31 23:59:59.999999");
	SHOWS(T_TIMESTAMP, int64_t, INT64_MAX, "infinity");
	SHOWS(T_TIMESTAMPTZ, int64_t, 0, "1970-01-01 00:00:00+00");
	SHOWS(T_TIMESTAMPTZ, int64_t, clock_days(-43, 3, 15) * day, "0044-03-15 00:00:00+00 BC");
	SHOWS(T_TIMESTAMPTZ, int64_t, -INT64_MAX, "-infinity");
	buf_free(&out);
}

#define INTERVAL(m, d, u) ((struct interval){.months = (m), .days = (d), .us = (u)})

static void test_intervals(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	SHOWS(T_INTERVAL, struct interval, INTERVAL(0, 0, 0), "00:00:00");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(14, 3, INT64_C(14706789000)),
		"1 year 2 mons 3 days 04:05:06.789");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(-12, 1, 0), "-1 years +1 day");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(0, -1, 1000000), "-1 days +00:00:01");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(1, 0, -1), "1 mon -00:00:00.000001");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(0, 0, INT64_C(360000000000)), "100:00:00");
	SHOWS(T_INTERVAL, struct interval, INTERVAL(0, 0, INT64_MIN), "-2562047788:00:54.775808");
	buf_free(&out);
}

static void test_numbers(void **state)
{
	int128 d = -12345;
	int64_t us = 1500000, n = 0;
	int32_t day = 7;
	uint64_t none = 0;
	struct vec v = {.type = {.kind = T_DECIMAL, .precision = 10, .scale = 2}, .data = &d};

	(void)state;
	assert_true(vec_number(&v, 0) == -123.45);
	assert_false(vec_integer(&v, 0, &n));
	v.type.scale = 0;
	assert_true(vec_integer(&v, 0, &n));
	assert_int_equal(n, -12345);
	d = (int128)INT64_MAX + 1;
	assert_false(vec_integer(&v, 0, &n));
	v = (struct vec){.type = {.kind = T_TIMESTAMPTZ}, .data = &us};
	assert_true(vec_number(&v, 0) == 1.5);
	us = INT64_MAX;
	assert_true(isinf(vec_number(&v, 0)));
	v = (struct vec){.type = {.kind = T_DATE}, .data = &day};
	assert_true(vec_number(&v, 0) == 7.0);
	v.valid = &none;
	assert_true(isnan(vec_number(&v, 0)));
	assert_false(vec_integer(&v, 0, &n));
	assert_int_equal(vec_text(&v, 0).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers_and_text),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_floats_read_back),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
