#include "unit.h"

#include "reader.h"

static void test_reads_front_to_back(void **state)
{
	(void)state;
	struct reader r = reader_of(STR("\x01\x02\x03\x04\x05\x06\x07"
					"name\0"
					"rest"));

	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_be16(&r), 0x0203);
	assert_int_equal(read_be32(&r), 0x04050607);
	assert_str(read_cstr(&r), "name");
	assert_int_equal(reader_left(&r), 4);
	assert_str(read_bytes(&r, 4), "rest");
	assert_false(r.bad);
	assert_int_equal(reader_left(&r), 0);
}

static void test_both_byte_orders(void **state)
{
	(void)state;
	struct reader r = reader_of(STR("\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06"
					"\x07\x08\x01\x02\x03\x84"));

	assert_true(read_be64(&r) == 0x0102030405060708U);
	assert_true(read_le64(&r) == 0x0807060504030201U);
	assert_true(read_le32(&r) == 0x84030201U);
	assert_false(r.bad);
}

static void test_stays_bad(void **state)
{
	(void)state;
	struct reader r = reader_of(STR("\x01\x02\x03"));

	assert_int_equal(read_be32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(read_u8(&r), 0); /* there would be a byte, but what it means is unknown */
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(read_bytes(&r, 0).n, 0);
	assert_true(r.bad);
}

static void test_string_without_end_is_bad(void **state)
{
	(void)state;
	struct reader r = reader_of(STR("abc"));

	assert_int_equal(read_cstr(&r).n, 0);
	assert_true(r.bad);
	r = reader_of(STR_NONE);
	assert_int_equal(read_bytes(&r, 0).n, 0);
	assert_false(r.bad);
	read_bytes(&r, SIZE_MAX);
	assert_true(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_front_to_back),
		cmocka_unit_test(test_both_byte_orders),
		cmocka_unit_test(test_stays_bad),
		cmocka_unit_test(test_string_without_end_is_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
