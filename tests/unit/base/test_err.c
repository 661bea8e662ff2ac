#include "unit.h"

#include <errno.h>

static void test_set_formats_and_returns_kind(void **state)
{
	(void)state;
	struct error e = {0};

	assert_int_equal(FAIL(&e, ERR_INPUT, "reading %s: %d", "x", 7), ERR_INPUT);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_string_equal(e.where, __func__);
	assert_string_equal(e.text, "reading x: 7");
	assert_int_equal(FAIL(NULL, ERR_CHECK, "nobody listens"), ERR_CHECK);
}

static void test_wrap_puts_words_in_front(void **state)
{
	(void)state;
	struct error e = {0};

	FAIL(&e, ERR_NOT_FOUND, "no such table");
	assert_int_equal(error_wrap(&e, "table %s", "public.t"), ERR_NOT_FOUND);
	assert_string_equal(e.text, "table public.t: no such table");
}

static void test_text_may_be_its_own_argument(void **state)
{
	(void)state;
	struct error e = {0};

	FAIL(&e, ERR_FAILED, "inner");
	FAIL(&e, ERR_USAGE, "outer: %s", e.text);
	assert_string_equal(e.text, "outer: inner");
}

static void test_errno_is_appended(void **state)
{
	(void)state;
	struct error e = {0};

	errno = ENOENT;
	FAIL_ERRNO(&e, ERR_NOT_FOUND, "opening %s", "/x");
	assert_string_equal(e.text, "opening /x: No such file or directory");
}

static void test_long_text_is_cut_between_characters(void **state)
{
	(void)state;
	struct error e = {0};
	char text[1500];

	for (size_t offset = 0; offset < 3; offset++) {
		memset(text, 'a', offset);
		for (size_t i = offset; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4); /* the euro sign */
		FAIL(&e, ERR_FAILED, "%s", text);
		assert_true(strlen(e.text) > sizeof e.text - 4);
		assert_true(str_is_utf8(str_of(e.text)));
		error_wrap(&e, "prefix");
		assert_true(str_is_utf8(str_of(e.text)));
		assert_true(str_starts(str_of(e.text), STR("prefix: ")));
	}
}

static void test_clear(void **state)
{
	(void)state;
	struct error e = {0};

	FAIL(&e, ERR_BUG, "x");
	error_clear(&e);
	assert_int_equal(e.kind, OK);
	assert_string_equal(e.text, "");
	error_clear(NULL);
}

static void test_exit_codes_are_those_promised(void **state)
{
	(void)state;
	assert_int_equal(error_exit_code(OK), 0);
	assert_int_equal(error_exit_code(ERR_FAILED), 1);
	assert_int_equal(error_exit_code(ERR_USAGE), 2);
	assert_int_equal(error_exit_code(ERR_CHECK), 3);
	assert_int_equal(error_exit_code(ERR_UNAVAILABLE), 4);
	assert_int_equal(error_exit_code(ERR_INPUT), 1);
	assert_int_equal(error_exit_code(ERR_NOT_FOUND), 1);
	assert_int_equal(error_exit_code(ERR_CONFLICT), 1);
	assert_int_equal(error_exit_code(ERR_INTERRUPTED), 130);
	assert_int_equal(error_exit_code(ERR_BUG), 1);
	assert_string_equal(error_kind_name(ERR_UNAVAILABLE), "unavailable");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_formats_and_returns_kind),
		cmocka_unit_test(test_wrap_puts_words_in_front),
		cmocka_unit_test(test_text_may_be_its_own_argument),
		cmocka_unit_test(test_errno_is_appended),
		cmocka_unit_test(test_long_text_is_cut_between_characters),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_exit_codes_are_those_promised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
