#include "unit.h"

#include <math.h>

#include "json.h"
#include "rnd.h"

static void test_read_is_strict(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "1 2", "nul",
		"\"\xff\"", "9223372036854775808", "{a:1}", "\"\\u0000\""};
	struct error e = {0};
	json_t *v;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(json_read(str_of(bad[i]), "the reply", &v, &e), ERR_INPUT, &e);
		assert_has(e.text, "reading the reply: line ");
		assert_null(v);
	}
	assert_ok(json_read(STR("[9007199254740993]"), "x", &v, &e), &e);
	assert_true(json_integer_value(json_array_get(v, 0)) == 9007199254740993);
	json_decref(v);
}

static void test_members(void **state)
{
	(void)state;
	struct error e = {0};
	json_t *o, *inner;
	struct str s;
	int64_t i;
	double d;
	bool b;

	assert_ok(json_read(STR("{\"s\":\"a\xc3\xa9\",\"i\":-5,\"d\":1.5,\"b\":true,\"n\":null,"
				"\"o\":{},\"a\":[1]}"),
			  "x", &o, &e),
		&e);
	assert_ok(json_want_str(o, "s", &s, &e), &e);
	assert_str(s, "a\xc3\xa9");
	assert_ok(json_want_i64(o, "i", &i, &e), &e);
	assert_int_equal(i, -5);
	assert_ok(json_want_f64(o, "d", &d, &e), &e);
	assert_ok(json_want_f64(o, "i", &d, &e), &e); /* an integer is a number */
	assert_true(fabs(d + 5) < 1e-9);
	assert_ok(json_want_bool(o, "b", &b, &e), &e);
	assert_true(b);
	assert_ok(json_want_object(o, "o", &inner, &e), &e);
	assert_ok(json_want_array(o, "a", &inner, &e), &e);
	assert_int_equal(json_array_size(inner), 1);
	assert_str(json_get_str(o, "s"), "a\xc3\xa9");
	assert_str(json_get_str(o, "i"), "");
	assert_str(json_get_str(o, "none"), "");
	json_decref(o);
}

static void test_wrong_members_are_named(void **state)
{
	(void)state;
	struct error e = {0};
	json_t *o;
	struct str s;
	int64_t i;

	assert_ok(json_read(STR("{\"s\":1,\"i\":1.5}"), "x", &o, &e), &e);
	assert_err(json_want_str(o, "s", &s, &e), ERR_INPUT, &e);
	assert_string_equal(e.text, "\"s\" is an integer; it must be a string");
	assert_err(json_want_i64(o, "i", &i, &e), ERR_INPUT, &e);
	assert_err(json_want_i64(o, "gone", &i, &e), ERR_INPUT, &e);
	assert_string_equal(e.text, "\"gone\" is missing; it must be an integer");
	assert_err(json_want_str(NULL, "s", &s, &e), ERR_INPUT, &e);
	json_decref(o);
}

static void test_writer_places_commas(void **state)
{
	(void)state;
	struct json_out j;
	struct buf b;

	buf_init(&b, 1000);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_i64(&j, "i", INT64_MIN);
	jo_array(&j, "a");
	jo_array(&j, NULL);
	jo_end_array(&j);
	jo_u64(&j, NULL, UINT64_MAX);
	jo_bool(&j, NULL, false);
	jo_null(&j, NULL);
	jo_end_array(&j);
	jo_object(&j, "o");
	jo_cstr(&j, "n", NULL);
	jo_fixed(&j, "f", 2.0 / 3, 3);
	jo_end_object(&j);
	jo_f64(&j, "inf", (double)INFINITY);
	jo_raw(&j, "raw", STR("[1]"));
	jo_end_object(&j);
	assert_str(buf_str(&b),
		"{\"i\":-9223372036854775808,\"a\":[[],18446744073709551615,false,"
		"null],\"o\":{\"n\":null,\"f\":0.667},\"inf\":null,\"raw\":[1]}");
	buf_free(&b);
}

static void assert_written(struct str v, const char *want)
{
	struct json_out j;
	struct buf b;

	buf_init(&b, 1000);
	jo_init(&j, &b);
	jo_str(&j, NULL, v);
	assert_str(buf_str(&b), want);
	buf_free(&b);
}

static void test_escapes(void **state)
{
	(void)state;
	assert_written(STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
	assert_written(STR("\n\r\t\b\0\x1f\x7f"), "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\"");
	assert_written(STR("\xc3\xa9\xf0\x9f\x8f\xa8"), "\"\xc3\xa9\xf0\x9f\x8f\xa8\"");
	assert_written(STR("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_written(STR_NONE, "\"\"");
}

/* Whatever the bytes are, the result is JSON, and valid UTF-8 comes back as it was. */
static void test_random_strings_read_back(void **state)
{
	(void)state;
	struct error e = {0};
	struct json_out j;
	struct rnd rnd;
	struct buf b;
	char bytes[40];

	rnd_seed(&rnd, unit_seed());
	buf_init(&b, 10000);
	for (int round = 0; round < 5000; round++) {
		size_t n = (size_t)rnd_below(&rnd, sizeof bytes);
		bool ascii = rnd_below(&rnd, 2) == 0;
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(1 + rnd_below(&rnd, ascii ? 127 : 255));
		buf_reset(&b);
		jo_init(&j, &b);
		jo_object(&j, NULL);
		jo_str(&j, "s", str_make(bytes, n));
		jo_end_object(&j);
		json_t *v;
		struct str back;
		assert_ok(json_read(buf_str(&b), "own output", &v, &e), &e);
		assert_ok(json_want_str(v, "s", &back, &e), &e);
		if (str_is_utf8(str_make(bytes, n)))
			assert_true(str_eq(back, str_make(bytes, n)));
		json_decref(v);
	}
	buf_free(&b);
}

static void test_deepest_nesting(void **state)
{
	(void)state;
	struct error e = {0};
	struct json_out j;
	struct buf b;
	json_t *v;

	buf_init(&b, 1000);
	jo_init(&j, &b);
	for (int i = 0; i < 32; i++)
		jo_array(&j, NULL);
	jo_i64(&j, NULL, 1);
	jo_i64(&j, NULL, 2);
	for (int i = 0; i < 32; i++)
		jo_end_array(&j);
	assert_ok(json_read(buf_str(&b), "x", &v, &e), &e);
	json_decref(v);
	buf_free(&b);
}

static void test_write_is_canonical(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;
	json_t *v;

	assert_ok(json_read(STR("{ \"b\" : [1, 2.5], \"a\" : \"x\" }"), "x", &v, &e), &e);
	buf_init(&b, 25);
	assert_ok(json_write(v, &b, &e), &e);
	assert_str(buf_str(&b), "{\"a\":\"x\",\"b\":[1,2.5]}");
	assert_err(json_write(v, &b, &e), ERR_INPUT, &e); /* no room; nothing half-written */
	assert_str(buf_str(&b), "{\"a\":\"x\",\"b\":[1,2.5]}");
	assert_true(buf_ok(&b));
	json_decref(v);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_is_strict),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_wrong_members_are_named),
		cmocka_unit_test(test_writer_places_commas),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_random_strings_read_back),
		cmocka_unit_test(test_deepest_nesting),
		cmocka_unit_test(test_write_is_canonical),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
