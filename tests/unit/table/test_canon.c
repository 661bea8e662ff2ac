#include "unit.h"

#include <math.h>

#include "canon.h"
#include "rnd.h"

struct value {
	struct type type;
	bool null;
	union {
		int64_t i;
		int16_t i2;
		double d;
		float f;
		int128 big;
		struct str s;
		uint8_t b;
	} v;
	struct str exact;
};

#define TEXT(literal) ((struct value){.type = {.kind = T_TEXT}, .v.s = STR(literal)})
#define NONE(k)       ((struct value){.type = {.kind = (k)}, .null = true})
#define DEC(n, sc)                                                                                 \
	((struct value){.type = {.kind = T_DECIMAL, .precision = 38, .scale = (sc)}, .v.big = (n)})
#define F8(x)    ((struct value){.type = {.kind = T_FLOAT8}, .v.d = (x)})
#define EXACT(t) ((struct value){.type = {.kind = T_TEXT}, .null = true, .exact = STR(t)})

/* The canonical bytes of a row of values. */
static void row_bytes(const struct value *row, size_t n, struct buf *out)
{
	uint64_t none = 0;

	buf_reset(out);
	for (size_t i = 0; i < n; i++) {
		struct value copy = row[i];
		struct vec v = {
			.type = copy.type, .valid = copy.null ? &none : NULL, .data = &copy.v};

		canon_value(out, &v, 0, copy.exact);
	}
}

static bool same(const struct value *a, size_t na, const struct value *b, size_t nb)
{
	struct buf x, y;

	buf_init(&x, 10000);
	buf_init(&y, 10000);
	row_bytes(a, na, &x);
	row_bytes(b, nb, &y);
	bool eq = str_eq(buf_str(&x), buf_str(&y));
	buf_free(&x);
	buf_free(&y);
	return eq;
}

#define SAME(a, b) same(&(a), 1, &(b), 1)
#define ROW(...)   ((const struct value[]){__VA_ARGS__})

static void test_different_stays_different(void **state)
{
	(void)state;
	assert_false(same(ROW(TEXT("ab"), TEXT("c")), 2, ROW(TEXT("a"), TEXT("bc")), 2));
	assert_false(same(ROW(TEXT("ab"), TEXT("c")), 2, ROW(TEXT("a"), TEXT("bc  ")), 2));
	assert_false(SAME(NONE(T_TEXT), TEXT("NULL")));
	assert_false(SAME(NONE(T_TEXT), TEXT("")));
	assert_false(SAME(TEXT("a"), TEXT("a ")));
	assert_false(SAME(TEXT("a"), TEXT("A")));
	assert_false(SAME(EXACT("NaN"), TEXT("NaN")));
	assert_false(SAME(EXACT("NaN"), NONE(T_TEXT)));
	assert_false(SAME(EXACT(""), NONE(T_TEXT)));
	assert_false(SAME(DEC(1, 0), DEC(1, 1)));
	assert_false(SAME(DEC(1, 0), DEC(-1, 0)));
	assert_false(SAME(F8(1), F8(1 + 1e-15)));
	assert_false(SAME(F8(0), F8(5e-324)));
	assert_false(same(ROW(NONE(T_TEXT), TEXT("a")), 2, ROW(TEXT("a"), NONE(T_TEXT)), 2));
}

static void test_equal_is_equal(void **state)
{
	struct value narrow = {.type = {.kind = T_INT2}, .v.i2 = -7};
	struct value wide = {.type = {.kind = T_INT8}, .v.i = -7};
	struct value single = {.type = {.kind = T_FLOAT4}, .v.f = 0.5F};
	uint64_t odd_nan = UINT64_C(0xfff8000000000123);
	double d;

	(void)state;
	memcpy(&d, &odd_nan, sizeof d);
	assert_true(SAME(DEC(10, 1), DEC(100, 2)));
	assert_true(SAME(DEC(0, 0), DEC(0, 20)));
	assert_true(SAME(DEC(-2500, 3), DEC(-25, 1)));
	assert_true(SAME(F8(0.0), F8(-0.0)));
	assert_true(SAME(F8((double)NAN), F8(d)));
	assert_true(SAME(single, F8(0.5)));
	assert_true(SAME(narrow, wide));
	assert_true(SAME(NONE(T_TEXT), NONE(T_INT8)));
}

/* Any decimal and the same one written with more zeros. */
static void test_decimals_at_random(void **state)
{
	struct rnd r;

	(void)state;
	rnd_seed(&r, unit_seed());
	for (int i = 0; i < 3000; i++) {
		int128 v = (int128)(int64_t)(rnd_u64(&r) >> rnd_below(&r, 63));
		unsigned scale = (unsigned)rnd_below(&r, 15), more = (unsigned)rnd_below(&r, 18);
		int128 w = v;

		for (unsigned k = 0; k < more; k++)
			w *= 10;
		struct value a = DEC(v, (uint8_t)scale), b = DEC(w, (uint8_t)(scale + more));
		assert_true(SAME(a, b));
		b.v.big++;
		assert_false(SAME(a, b));
	}
}

/* Cut a random text into two columns in all ways: no two rows may agree. */
static void test_no_two_cuts_agree(void **state)
{
	struct rnd r;

	(void)state;
	rnd_seed(&r, unit_seed());
	for (int round = 0; round < 50; round++) {
		char text[12];

		for (size_t i = 0; i < sizeof text; i++)
			text[i] = (char)rnd_below(&r, 3); /* lengths and tags look like data */
		for (size_t i = 0; i <= sizeof text; i++)
			for (size_t j = 0; j < i; j++) {
				struct value a[2] = {TEXT(""), TEXT("")},
					     b[2] = {TEXT(""), TEXT("")};

				a[0].v.s = str_make(text, i);
				a[1].v.s = str_make(text + i, sizeof text - i);
				b[0].v.s = str_make(text, j);
				b[1].v.s = str_make(text + j, sizeof text - j);
				assert_false(same(a, 2, b, 2));
			}
	}
}

static void test_row_reads_exact(void **state)
{
	int64_t id = 1;
	int128 n = 5;
	uint64_t none = 0;
	const char *names[] = {"id", "n"};
	struct vec cols[] = {{.type = {.kind = T_INT8}, .data = &id},
		{.type = {.kind = T_DECIMAL, .precision = 5}, .valid = &none, .data = &n}};
	struct rowhash plain, nan, nan_again, other;
	struct buf scratch;
	struct error e = {0};

	(void)state;
	buf_init(&scratch, 1000);
	assert_ok(canon_row(cols, names, 2, 0, STR_NONE, &scratch, &plain, &e), &e);
	assert_ok(canon_row(cols, names, 2, 0, STR("{\"n\":\"NaN\"}"), &scratch, &nan, &e), &e);
	assert_ok(
		canon_row(cols, names, 2, 0, STR("{ \"n\" : \"NaN\" }"), &scratch, &nan_again, &e),
		&e);
	assert_ok(canon_row(cols, names, 2, 0, STR("{\"n\":\"1e999\"}"), &scratch, &other, &e), &e);
	assert_true(nan.lo == nan_again.lo && nan.hi == nan_again.hi);
	assert_true(nan.lo != plain.lo && nan.lo != other.lo);
	assert_err(canon_row(cols, names, 2, 0, STR("{\"n\":7}"), &scratch, &other, &e), ERR_INPUT,
		&e);
	assert_err(canon_row(cols, names, 2, 0, STR("["), &scratch, &other, &e), ERR_INPUT, &e);
	assert_err(canon_row(cols, names, 2, 0, STR("[]"), &scratch, &other, &e), ERR_INPUT, &e);
	buf_free(&scratch);
	buf_init(&scratch, 16);
	assert_err(canon_row(cols, names, 2, 0, STR("{\"n\":\"12345678901234567890\"}"), &scratch,
			   &other, &e),
		ERR_INPUT, &e);
	buf_free(&scratch);
}

static void test_digests(void **state)
{
	struct digest all = {0}, left = {0}, right = {0};
	struct rnd r;
	char text[DIGEST_TEXT];
	struct rowhash h[200];

	(void)state;
	rnd_seed(&r, unit_seed());
	for (size_t i = 0; i < 200; i++) {
		h[i] = (struct rowhash){rnd_u64(&r), rnd_u64(&r)};
		digest_add(&all, h[i]);
	}
	for (size_t i = 200; i-- > 0;)
		digest_add(i % 3 ? &left : &right, h[i]);
	digest_merge(&left, &right);
	assert_true(digest_eq(&all, &left));
	digest_add(&left, h[7]); /* a duplicate counts */
	assert_false(digest_eq(&all, &left));
	digest_sub(&left, h[7]);
	assert_true(digest_eq(&all, &left));
	for (size_t i = 0; i < 200; i++)
		digest_sub(&all, h[i]);
	assert_string_equal(digest_format(&all, text), "00000000000000000000000000000000");
	assert_int_equal(all.rows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_different_stays_different),
		cmocka_unit_test(test_equal_is_equal),
		cmocka_unit_test(test_decimals_at_random),
		cmocka_unit_test(test_no_two_cuts_agree),
		cmocka_unit_test(test_row_reads_exact),
		cmocka_unit_test(test_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
