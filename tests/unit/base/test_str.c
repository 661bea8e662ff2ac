#include "unit.h"

#include <math.h>

static void test_views(void **state)
{
	(void)state;
	assert_int_equal(str_of(NULL).n, 0);
	assert_true(str_eq(str_of("ab"), STR("ab")));
	assert_false(str_eq(STR("ab"), STR("abc")));
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eqc(STR("x"), "x"));
	assert_true(str_ieq(STR("Content-TYPE"), STR("content-type")));
	assert_false(str_ieq(STR("@"), STR("`"))); /* differ by the case bit only */
	assert_str(str_from(STR("abc"), 1), "bc");
	assert_str(str_from(STR("abc"), 9), "");
	assert_str(str_trim(STR(" \t a b\r\n")), "a b");
	assert_str(str_trim(STR(" \n ")), "");
}

static void test_order_is_bytewise(void **state)
{
	(void)state;
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
	assert_int_equal(str_cmp(STR("a"), STR("a")), 0);
	assert_int_equal(str_cmp(STR_NONE, STR_NONE), 0);
}

static void test_search(void **state)
{
	(void)state;
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_starts(STR_NONE, STR_NONE));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_false(str_ends(STR("c"), STR("bc")));
	assert_int_equal(str_find(STR("hello"), STR("llo")), 2);
	assert_int_equal(str_find(STR("hello"), STR("x")), -1);
	assert_int_equal(str_find(STR_NONE, STR("x")), -1);
	assert_int_equal(str_find(STR("a"), STR("")), 0);
}

static void test_cut(void **state)
{
	(void)state;
	struct str rest = STR("a=b=c"), head;

	assert_true(str_cut(&rest, '=', &head));
	assert_str(head, "a");
	assert_str(rest, "b=c");
	rest = STR("abc");
	assert_false(str_cut(&rest, '=', &head));
	assert_str(rest, "abc");
}

static size_t pieces(const char *text)
{
	struct str rest = str_of(text), one;
	size_t n = 0;

	while (str_next(&rest, ',', &one))
		n++;
	return n;
}

static void test_next(void **state)
{
	(void)state;
	struct str rest = STR("a,,b"), one;

	assert_true(str_next(&rest, ',', &one));
	assert_str(one, "a");
	assert_true(str_next(&rest, ',', &one));
	assert_str(one, "");
	assert_true(str_next(&rest, ',', &one));
	assert_str(one, "b");
	assert_false(str_next(&rest, ',', &one));
	assert_int_equal(pieces(""), 0);
	assert_int_equal(pieces("a,b,"), 2);
	assert_int_equal(pieces(","), 1);
}

static void test_integers(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "-", "+", " 1", "1 ", "1x", "0x1", "--1", "-+1", "9223372036854775808"};
	int64_t i = 0;
	uint64_t u = 0;

	assert_true(str_to_i64(STR("-9223372036854775808"), &i));
	assert_true(i == INT64_MIN);
	assert_true(str_to_i64(STR("9223372036854775807"), &i));
	assert_true(i == INT64_MAX);
	assert_true(str_to_i64(STR("+007"), &i));
	assert_int_equal(i, 7);
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		i = 42;
		assert_false(str_to_i64(str_of(bad[k]), &i));
		assert_int_equal(i, 42);
	}
	assert_true(str_to_u64(STR("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_false(str_to_u64(STR("18446744073709551616"), &u));
	assert_false(str_to_u64(STR("-1"), &u));
}

static void test_doubles(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", ".", "-", "1e", "1e+", "nan", "inf", "0x1p3", " 1", "1 ", "1..2", "1e999"};
	double d = 0;

	assert_true(str_to_double(STR("-1.5e-3"), &d));
	assert_true(fabs(d + 0.0015) < 1e-15);
	assert_true(str_to_double(STR(".5"), &d));
	assert_true(fabs(d - 0.5) < 1e-15);
	assert_true(str_to_double(STR("5."), &d));
	assert_true(str_to_double(STR("1e-999"), &d)); /* too small is zero, not out of range */
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
		assert_false(str_to_double(str_of(bad[k]), &d));
	char digits[400];
	memset(digits, '1', sizeof digits);
	assert_false(str_to_double(str_make(digits, sizeof digits), &d));
	digits[1] = '.';
	assert_true(str_to_double(str_make(digits, sizeof digits), &d));
	assert_true(d > 1.1 && d < 1.12);
}

static void test_distance(void **state)
{
	(void)state;
	char longest[65];

	assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
	assert_int_equal(str_distance(STR("lsit"), STR("list")), 1);
	assert_int_equal(str_distance(STR(""), STR("abc")), 3);
	assert_int_equal(str_distance(STR("abc"), STR("abc")), 0);
	memset(longest, 'a', sizeof longest);
	assert_int_equal(str_distance(str_make(longest, 65), STR("a")), 64);
	assert_int_equal(str_distance(str_make(longest, 64), STR("a")), 63);
}

static void test_utf8(void **state)
{
	(void)state;
	static const char *const good[] = {"", "abc", "\xc3\xa9", "\xe2\x82\xac",
		"\xf0\x9f\x8f\xa8", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xe2\x82", "\xff"};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(str_is_utf8(str_of(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(str_is_utf8(str_of(bad[i])));
}

static void test_hash_spreads(void **state)
{
	(void)state;
	size_t buckets[16] = {0};
	char key[16];

	for (int i = 0; i < 1600; i++) {
		snprintf(key, sizeof key, "k%d", i);
		buckets[str_hash(str_of(key)) & 15]++;
	}
	for (size_t i = 0; i < 16; i++)
		assert_in_range(buckets[i], 50, 200);
	assert_true(str_hash(STR_NONE) == str_hash(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_order_is_bytewise),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_hash_spreads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
