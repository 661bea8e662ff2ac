#include "unit.h"

#include <math.h>

#include "buf.h"
#include "mem.h"
#include "rnd.h"

static void test_add_up_to_the_ceiling_and_no_further(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;

	buf_init(&b, 10);
	assert_ok(buf_add(&b, STR("12345"), &e), &e);
	assert_ok(buf_addf(&b, &e, "%d", 67890), &e);
	assert_err(buf_add(&b, STR("x"), &e), ERR_INPUT, &e);
	assert_err(buf_addf(&b, &e, "%s", "y"), ERR_INPUT, &e);
	assert_str(buf_str(&b), "1234567890");
	assert_string_equal(buf_cstr(&b), "1234567890"); /* the NUL needs no room of its own */
	assert_true(buf_ok(&b));
	buf_free(&b);
}

static void test_put_leaves_out_what_does_not_fit(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 4);
	buf_puts(&b, "abc");
	buf_puts(&b, "de");
	buf_putc(&b, 'f'); /* would fit, but a hole in a text is worse than its end missing */
	buf_putf(&b, "%d", 1);
	assert_false(buf_ok(&b));
	assert_str(buf_str(&b), "abc");
	buf_reset(&b);
	assert_true(buf_ok(&b));
	buf_puts(&b, "z");
	assert_str(buf_str(&b), "z");
	buf_free(&b);
}

static void test_room(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;
	char *at;

	buf_init(&b, 100);
	assert_ok(buf_room(&b, 100, &at, &e), &e);
	memcpy(at, "hello", 5);
	buf_took(&b, 5);
	assert_str(buf_str(&b), "hello");
	assert_err(buf_room(&b, 96, &at, &e), ERR_INPUT, &e);
	buf_drop_front(&b, 2);
	assert_str(buf_str(&b), "llo");
	buf_drop_front(&b, 3);
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void test_steal(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	char *nothing = buf_steal(&b);
	assert_string_equal(nothing, "");
	mem_free(nothing);
	buf_putf(&b, "%s-%05d", "x", 42);
	char *text = buf_steal(&b);
	assert_string_equal(text, "x-00042");
	assert_int_equal(b.n, 0);
	buf_puts(&b, "again");
	assert_str(buf_str(&b), "again");
	mem_free(text);
	buf_free(&b);
}

static void test_big_endian(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_put_u8(&b, 0xff);
	buf_put_be16(&b, 0x0102);
	buf_put_be32(&b, 0x03040506);
	buf_put_be64(&b, 0x0708090a0b0c0d0e);
	assert_int_equal(b.n, 15);
	assert_memory_equal(
		b.p, "\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", 15);
	buf_free(&b);
}

static void test_grows_over_many_small_adds(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	for (int i = 0; i < 100000; i++)
		assert_ok(buf_add(&b, STR("0123456789"), &e), &e);
	assert_int_equal(b.n, 1000000);
	assert_memory_equal(b.p + 999990, "0123456789", 10);
	buf_free(&b);
}

static const char *shown(struct buf *b, double v)
{
	buf_reset(b);
	buf_put_f64(b, v);
	return buf_cstr(b);
}

static void test_doubles_are_short_and_read_back(void **state)
{
	(void)state;
	struct rnd rnd;
	struct buf b;

	buf_init(&b, 100);
	assert_string_equal(shown(&b, 0.1), "0.1");
	assert_string_equal(shown(&b, 3), "3");
	assert_string_equal(shown(&b, 1.0 / 3), "0.3333333333333333");
	assert_string_equal(shown(&b, (double)NAN), "NaN");
	assert_string_equal(shown(&b, -(double)INFINITY), "-Inf");
	rnd_seed(&rnd, unit_seed());
	for (int i = 0; i < 10000; i++) {
		uint64_t bits = rnd_u64(&rnd);
		double v, back;
		memcpy(&v, &bits, sizeof v);
		if (isnan(v) || isinf(v))
			continue;
		back = strtod(shown(&b, v), NULL);
		assert_memory_equal(&back, &v, sizeof v);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_up_to_the_ceiling_and_no_further),
		cmocka_unit_test(test_put_leaves_out_what_does_not_fit),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_steal),
		cmocka_unit_test(test_big_endian),
		cmocka_unit_test(test_grows_over_many_small_adds),
		cmocka_unit_test(test_doubles_are_short_and_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
