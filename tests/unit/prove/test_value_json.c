#include "unit.h"

#include <math.h>

#include "value_json.h"

static const char *json_of(enum type_kind kind, unsigned scale, void *value)
{
	static char text[256];
	const struct vec v = {
		.type = {.kind = kind, .precision = 38, .scale = (uint8_t)scale}, .data = value};
	struct buf b, scratch;
	struct json_out j;

	buf_init(&b, 4096);
	buf_init(&scratch, 4096);
	jo_init(&j, &b);
	jo_array(&j, NULL);
	value_json(&j, NULL, &v, 0, &scratch);
	jo_end_array(&j);
	snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	buf_free(&scratch);
	return text;
}

static void test_numbers_keep_their_digits(void **state)
{
	(void)state;
	int64_t big = INT64_C(9007199254740993);
	int128 decimal = (int128)INT64_C(1234567890123456789) * 1000000000 + 12;
	double tenth = 0.1;

	assert_string_equal(json_of(T_INT8, 0, &big), "[9007199254740993]");
	assert_string_equal(json_of(T_DECIMAL, 2, &decimal), "[12345678901234567890000000.12]");
	assert_string_equal(json_of(T_FLOAT8, 0, &tenth), "[0.1]");
}

static void test_what_json_has_no_number_for(void **state)
{
	(void)state;
	double nan = NAN;
	float inf = -INFINITY;

	assert_string_equal(json_of(T_FLOAT8, 0, &nan), "[\"NaN\"]");
	assert_string_equal(json_of(T_FLOAT4, 0, &inf), "[\"-Infinity\"]");
}

static void test_text_and_json(void **state)
{
	(void)state;
	struct str text = STR("a \"b\"\n\\"), json = STR("{\"k\":\n[1, 2]}"), bytes = STR("\1\xff");
	uint8_t yes = 1;

	assert_string_equal(json_of(T_TEXT, 0, &text), "[\"a \\\"b\\\"\\n\\\\\"]");
	assert_string_equal(json_of(T_JSON, 0, &json), "[{\"k\": [1, 2]}]");
	assert_string_equal(json_of(T_BYTES, 0, &bytes), "[\"\\\\x01ff\"]");
	assert_string_equal(json_of(T_BOOL, 0, &yes), "[true]");
}

static void test_null(void **state)
{
	(void)state;
	uint64_t none = 0;
	int64_t value = 5;
	const struct vec v = {.type = {.kind = T_INT8}, .valid = &none, .data = &value};
	struct buf b, scratch;
	struct json_out j;

	buf_init(&b, 64);
	buf_init(&scratch, 64);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	value_json(&j, "x", &v, 0, &scratch);
	jo_end_object(&j);
	assert_str(buf_str(&b), "{\"x\":null}");
	buf_free(&b);
	buf_free(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_keep_their_digits),
		cmocka_unit_test(test_what_json_has_no_number_for),
		cmocka_unit_test(test_text_and_json),
		cmocka_unit_test(test_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
