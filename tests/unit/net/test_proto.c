/* The wire format of protocol buffers, against bytes from its documentation and at its edges. */
#include "unit.h"

#include "proto.h"
#include "rnd.h"

static void expect_bytes(const struct buf *b, const char *bytes, size_t n)
{
	assert_true(buf_ok(b));
	assert_int_equal(b->n, n);
	assert_memory_equal(b->p, bytes, n);
}
#define EXPECT(b, literal) expect_bytes((b), (literal), sizeof(literal) - 1)

static void test_documented(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	proto_put_u64(&b, 1, 150);
	EXPECT(&b, "\x08\x96\x01");
	buf_reset(&b);
	proto_put_bytes(&b, 2, STR("testing"));
	EXPECT(&b, "\x12\x07testing");
	buf_reset(&b);
	size_t m = proto_begin(&b, 3);
	proto_put_u64(&b, 1, 150);
	proto_end(&b, m);
	EXPECT(&b, "\x1a\x03\x08\x96\x01");
	buf_reset(&b);
	m = proto_begin(&b, 6); /* packed */
	proto_put_varint(&b, 3);
	proto_put_varint(&b, 270);
	proto_put_varint(&b, 86942);
	proto_end(&b, m);
	EXPECT(&b, "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
	buf_reset(&b);
	proto_put_i64(&b, 1, -2);
	EXPECT(&b, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	buf_reset(&b);
	proto_put_s64(&b, 1, -2);
	proto_put_bool(&b, 2, false);
	EXPECT(&b, "\x08\x03\x10\x00");
	buf_reset(&b);
	proto_put_fixed32(&b, 1, 1);
	proto_put_double(&b, 2, 1.0);
	EXPECT(&b, "\x0d\x01\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\xf0\x3f");
	buf_free(&b);
}

static void test_nested_lengths(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 2097152};
	struct proto_field outer, inner;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct buf b;
		char *bytes = calloc(1, sizes[i] + 1);
		memset(bytes, 'x', sizes[i]);
		buf_init(&b, 1 << 24);
		proto_put_u64(&b, 9, 7);
		size_t m = proto_begin(&b, 1), k = proto_begin(&b, 2);
		proto_put_bytes(&b, 3, str_make(bytes, sizes[i]));
		proto_end(&b, k);
		proto_end(&b, m);
		proto_put_u64(&b, 10, 8);
		struct reader r = reader_of(buf_str(&b));
		assert_true(proto_next(&r, &outer));
		assert_int_equal(outer.number, 9);
		assert_true(proto_next(&r, &outer));
		struct reader deep = reader_of(outer.bytes);
		assert_true(proto_next(&deep, &inner));
		assert_int_equal(inner.number, 2);
		deep = reader_of(inner.bytes);
		assert_true(proto_next(&deep, &inner));
		assert_int_equal(inner.bytes.n, sizes[i]);
		assert_memory_equal(inner.bytes.p, bytes, sizes[i]);
		assert_true(proto_next(&r, &outer));
		assert_int_equal(outer.number, 10);
		assert_int_equal(outer.v, 8);
		assert_false(proto_next(&r, &outer));
		assert_false(r.bad);
		buf_free(&b);
		free(bytes);
	}
}

static void test_values_come_back(void **state)
{
	static const uint64_t edges[] = {
		0, 1, 127, 128, INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX};
	struct proto_field f;

	(void)state;
	for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
		struct buf b;
		buf_init(&b, 1 << 10);
		proto_put_u64(&b, PROTO_FIELD_MAX, edges[i]);
		proto_put_s64(&b, 2, (int64_t)edges[i]);
		proto_put_fixed64(&b, 3, edges[i]);
		struct reader r = reader_of(buf_str(&b));
		assert_true(proto_next(&r, &f));
		assert_int_equal(f.number, PROTO_FIELD_MAX);
		assert_true(f.v == edges[i]);
		assert_true(proto_next(&r, &f));
		assert_true(proto_s64(f.v) == (int64_t)edges[i]);
		assert_true(proto_next(&r, &f));
		assert_true(f.v == edges[i] && f.wire == PROTO_FIXED64);
		assert_false(proto_next(&r, &f));
		buf_free(&b);
	}
}

static void test_damage(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} bad[] = {
		{"\x08", 1},                                          /* no value */
		{"\x08\x80", 2},                                      /* a value without an end */
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* 65 bits */
		{"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
		{"\x12\x05"
		 "ab",
			4}, /* longer than what is there */
		{"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* and by far */
		{"\x00\x01", 2},                                      /* field 0 */
		{"\x0b", 1},                                          /* a group */
		{"\x0e\x01", 2},                                      /* wire type 6 */
		{"\x0d\x01\x02", 3},
		{"\x80\x80\x80\x80\x80\x01\x01", 7}, /* a field beyond the last */
	};
	struct proto_field f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct reader r = reader_of(str_make(bad[i].p, bad[i].n));
		assert_false(proto_next(&r, &f));
		assert_true(r.bad);
	}
	/* Any bytes: an end is always reached, and no view leaves them. */
	struct rnd rnd;
	rnd_seed(&rnd, unit_seed());
	for (int round = 0; round < 20000; round++) {
		char bytes[40];
		size_t n = (size_t)rnd_below(&rnd, sizeof bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)rnd_below(&rnd, rnd_below(&rnd, 2) ? 256 : 24);
		struct reader r = reader_of(str_make(bytes, n));
		while (proto_next(&r, &f))
			if (f.wire == PROTO_BYTES && f.bytes.n > 0)
				assert_true(
					f.bytes.p >= bytes && f.bytes.p + f.bytes.n <= bytes + n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documented),
		cmocka_unit_test(test_nested_lengths),
		cmocka_unit_test(test_values_come_back),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
