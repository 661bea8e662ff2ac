#include "unit.h"

#include <inttypes.h>

#include "clock.h"
#include "rnd.h"

static void assert_time(const char *text, const char *want)
{
	char shown[CLOCK_TEXT];
	int64_t us;

	if (!clock_parse(str_of(text), &us))
		fail_msg("not parsed: %s", text);
	assert_string_equal(clock_format(us, shown, sizeof shown), want);
}

static void test_parse(void **state)
{
	(void)state;
	assert_time("1970-01-01", "1970-01-01T00:00:00.000000Z");
	assert_time("2017-03-01T12:34:56.123456Z", "2017-03-01T12:34:56.123456Z");
	assert_time("2017-03-01 12:34:56", "2017-03-01T12:34:56.000000Z");
	assert_time("2017-03-01 12:34:56.5+02", "2017-03-01T10:34:56.500000Z");
	assert_time("2017-03-01 12:34:56.5-05:30", "2017-03-01T18:04:56.500000Z");
	assert_time("2017-03-01t12:34:56z", "2017-03-01T12:34:56.000000Z");
	assert_time("2017-03-01 12:34:56+0530", "2017-03-01T07:04:56.000000Z");
	assert_time("2017-03-01T12:34:56.123456789Z", "2017-03-01T12:34:56.123456Z");
	assert_time("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z");
	assert_time("2000-02-29", "2000-02-29T00:00:00.000000Z");
	assert_time("294246-12-31 23:59:59", "294246-12-31T23:59:59.000000Z");
	assert_time("0001-01-01", "0001-01-01T00:00:00.000000Z");
}

static void test_parse_rejects(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "2017", "2017-3-1", "17-03-01", "2017-13-01",
		"2017-00-10", "2017-02-29", "1900-02-29", "2017-04-31", "2017-03-01T",
		"2017-03-01 12:34", "2017-03-01 24:00:00", "2017-03-01 12:60:00",
		"2017-03-01 12:00:61", "2017-03-01 12:00:00.", "2017-03-01 12:00:00+",
		"2017-03-01 12:00:00+2", "2017-03-01 12:00:00Z ", "2017-03-01 12:00:00+24",
		"2017-03-01x", "9999999-01-01",
		"294276-12-31" /* no int64_t of microseconds holds it */,
		"2017-03-01 12:00:00+02:", "-2017-01-01", "2017-03-01Z"};
	int64_t us;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (clock_parse(str_of(bad[i]), &us))
			fail_msg("parsed: \"%s\"", bad[i]);
}

static void test_days(void **state)
{
	(void)state;
	assert_true(clock_days(1970, 1, 1) == 0);
	assert_true(clock_days(2000, 3, 1) == 11017);
	assert_true(clock_days(1969, 12, 31) == -1);
	assert_true(clock_days(-4712, 1, 1) == -2440550);
	int64_t year = -1000;
	unsigned month = 1, day = 1;
	int64_t first = clock_days(year, month, day);
	for (int64_t d = first; d < first + 400000; d++) {
		clock_civil(d, &year, &month, &day);
		assert_true(clock_days(year, month, day) == d);
	}
}

static void test_random_round_trips(void **state)
{
	(void)state;
	const int64_t low = clock_days(0, 1, 1) * INT64_C(86400000000);
	const int64_t high = clock_days(294247, 1, 1) * INT64_C(86400000000);
	const uint64_t span = (uint64_t)high - (uint64_t)low; /* more than an int64_t holds */
	char shown[CLOCK_TEXT];
	struct rnd rnd;

	rnd_seed(&rnd, unit_seed());
	for (int i = 0; i < 20000; i++) {
		int64_t us = (int64_t)((uint64_t)low + rnd_below(&rnd, span)), back;
		clock_format(us, shown, sizeof shown);
		if (!clock_parse(str_of(shown), &back) || back != us)
			fail_msg("%" PRId64 " as %s", us, shown);
	}
}

static void test_extremes_format(void **state)
{
	(void)state;
	char shown[CLOCK_TEXT];

	assert_string_equal(clock_format(-1, shown, sizeof shown), "1969-12-31T23:59:59.999999Z");
	assert_has(clock_format(INT64_MAX, shown, sizeof shown), "294247-01-10T04:00:54.775807Z");
	assert_has(clock_format(INT64_MIN, shown, sizeof shown), "T19:59:05.224192Z");
}

static void test_manual_clock(void **state)
{
	(void)state;
	struct clock_manual c;

	clock_manual_init(&c, 1000);
	clock_sleep(&c.base, 500);
	clock_sleep(&c.base, -5);
	assert_true(clock_wall(&c.base) == 1500);
	assert_true(clock_mono(&c.base) == 1500);
}

static void test_system_clock(void **state)
{
	(void)state;
	struct clock *c = clock_system();
	int64_t before = clock_mono(c);

	clock_sleep(c, 2000);
	assert_true(clock_mono(c) >= before + 1000);
	assert_true(clock_wall(c) > clock_days(2020, 1, 1) * INT64_C(86400000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_rejects),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_random_round_trips),
		cmocka_unit_test(test_extremes_format),
		cmocka_unit_test(test_manual_clock),
		cmocka_unit_test(test_system_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
