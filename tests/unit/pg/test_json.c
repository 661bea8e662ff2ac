/* JSON out of arrays and hstore: what PostgreSQL writes is exact (test_types.c has the values),
 * what it does not write is refused and never read beyond its end. */
#include "unit.h"

#include "array_text.h"
#include "json.h"
#include "pg_json.h"
#include "rnd.h"

static void expect(const char *text, enum type_form form, const char *json)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	bool made = pg_json_make(str_of(text), form, &out);
	if (made != (json != NULL) || (made && !str_eqc(buf_str(&out), json)))
		fail_msg("%s gives %.*s", text, STR_ARG(buf_str(&out)));
	buf_free(&out);
}

static void test_what_is_written(void **state)
{
	(void)state;
	expect("{1,-2,NULL}", FORM_ARRAY_NUMBERS, "[1,-2,null]");
	expect("{NaN,1e+23,-Infinity,0.5,-0}", FORM_ARRAY_NUMBERS,
		"[\"NaN\",1e+23,\"-Infinity\",0.5,-0]");
	expect("{01,1.,.5,1e,--1}", FORM_ARRAY_NUMBERS, "[\"01\",\"1.\",\".5\",\"1e\",\"--1\"]");
	expect("{t,f,NULL}", FORM_ARRAY_BOOLS, "[true,false,null]");
	expect("{\"NULL\",null,a b,\"\",\"\\\"\\\\\"}", FORM_ARRAY_TEXTS,
		"[\"NULL\",null,\"a b\",\"\",\"\\\"\\\\\"]");
	expect("{(2,2),(1,1);NULL}", FORM_ARRAY_BOXES, "[\"(2,2),(1,1)\",null]");
	expect("{{{{{{1}}}}}}", FORM_ARRAY_NUMBERS, "[[[[[[1]]]]]]");
	expect("{}", FORM_ARRAY_TEXTS, "[]");
	expect("", FORM_HSTORE, "{}");
	expect("\"a\"=>\"b\", \"c\\\"\"=>NULL, \"\"=>\"NULL\"", FORM_HSTORE,
		"{\"a\":\"b\",\"c\\\"\":null,\"\":\"NULL\"}");
}

static void test_what_is_refused(void **state)
{
	static const char *const arrays[] = {"", "{", "}", "{1", "{1,}", "{,1}", "{1}}", "{1}x",
		"[0:1]={1,2}", "{{{{{{{1}}}}}}}", "{\"a}", "{\"a\\", "{a\"b}", "{a\\}", "{{}",
		"{1,2", "{1}{2}", "{1},{2}", "x", "{{1},}", "{\"a\"b}"};
	static const char *const hstores[] = {"a=>b", "\"a\"", "\"a\"=>", "\"a\"=>\"b",
		"\"a\"=>NUL", "\"a\"=>\"b\",", "\"a\"=>\"b\",\"c\"=>\"d\"", "\"a\"=>\"b\" ", "=>",
		"\"a\\"};

	(void)state;
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		expect(arrays[i], FORM_ARRAY_TEXTS, NULL);
	expect("{t,x}", FORM_ARRAY_BOOLS, NULL);
	for (size_t i = 0; i < sizeof hstores / sizeof *hstores; i++)
		expect(hstores[i], FORM_HSTORE, NULL);
}

static void test_made_already(void **state)
{
	(void)state;
	assert_true(pg_json_is_made(STR("[1]"), FORM_ARRAY_NUMBERS));
	assert_true(pg_json_is_made(STR("[]"), FORM_ARRAY_TEXTS));
	assert_false(pg_json_is_made(STR("{1}"), FORM_ARRAY_NUMBERS));
	assert_false(pg_json_is_made(STR("[0:1]={1,2}"), FORM_ARRAY_NUMBERS));
	assert_false(pg_json_is_made(STR(""), FORM_HSTORE));
	assert_true(pg_json_is_made(STR("{}"), FORM_HSTORE));
	assert_false(pg_json_is_made(STR("\"{\"=>NULL"), FORM_HSTORE));
}

static void test_readable(void **state)
{
	static const struct {
		const char *text;
		bool readable;
	} cases[] = {{"", true}, {"\"a\"", true}, {"\"\\ud83c\\udf89\"", true},
		{"\"\\uD83C\\uDF89\"", true}, {"\"\\ud83c\"", false}, {"\"\\udf89\"", false},
		{"\"\\ud83c\\ud83c\\udf89\"", false}, {"\"\\ud83cx\\udf89\"", false},
		{"\"\\\\ud83c\"", true}, {"\"\\\\\\ud83c\"", false}, {"\\", true}, {"\\u", true},
		{"\\ud83", true}, {"\\ud83c\\u", false}, {"\"\\u0000\\ue000\"", true}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (pg_json_readable(str_of(cases[i].text)) != cases[i].readable)
			fail_msg("%s", cases[i].text);
}

/* Of any bytes: refused, or JSON that gives a text which gives the same JSON. */
static void test_any_text(void **state)
{
	static const char alphabet[] = "{}[],;\"\\=> NULLnulltf01-.ea";
	struct rnd r;

	(void)state;
	rnd_seed(&r, unit_seed());
	unsigned made = 0;
	for (int i = 0; i < 300000; i++) {
		enum type_form form = (enum type_form)(1 + rnd_below(&r, FORMS - 1));
		size_t n = rnd_below(&r, 12);
		char *text = malloc(n + 1); /* exactly, for the sanitizer */
		struct buf json, back, again;
		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[rnd_below(&r, sizeof alphabet - 1)];
		if (n > 1 && form != FORM_HSTORE && rnd_below(&r, 2) == 0) {
			text[0] = '{';
			text[n - 1] = '}';
		}
		buf_init(&json, 1 << 16);
		buf_init(&back, 1 << 16);
		buf_init(&again, 1 << 16);
		if (pg_json_make(str_make(text, n), form, &json)) {
			made++;
			array_text(buf_str(&json), form, &back);
			assert_true(pg_json_make(buf_str(&back), form, &again));
			assert_true(str_eq(buf_str(&json), buf_str(&again)));
		}
		buf_free(&json);
		buf_free(&back);
		buf_free(&again);
		free(text);
	}
	assert_true(made > 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_made_already),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_any_text),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
