#include "unit.h"

#include "buckets.h"
#include "rnd.h"

static void test_fewer_for_many_tables(void **state)
{
	(void)state;
	assert_int_equal(buckets_for(1), BUCKETS_MOST);
	assert_int_equal(buckets_for(100000), BUCKETS_LEAST);
	size_t last = BUCKETS_MOST;
	for (size_t tables = 1; tables < 5000; tables++) {
		size_t n = buckets_for(tables);
		assert_int_equal(n & (n - 1), 0);
		assert_true(n <= last && n >= BUCKETS_LEAST);
		last = n;
	}
}

static struct rowhash random_hash(struct rnd *r)
{
	struct rowhash h;
	h.lo = rnd_u64(r);
	h.hi = rnd_u64(r);
	return h;
}

static void test_order_does_not_matter_content_does(void **state)
{
	(void)state;
	enum { ROWS = 500 };
	struct rowhash key[ROWS], row[ROWS];
	struct buckets a, b;
	struct rnd rnd;

	rnd_seed(&rnd, unit_seed());
	buckets_init(&a, 64);
	buckets_init(&b, 64);
	for (size_t i = 0; i < ROWS; i++) {
		key[i] = random_hash(&rnd);
		row[i] = random_hash(&rnd);
		buckets_add(&a, key[i], row[i]);
	}
	for (size_t i = ROWS; i-- > 0;)
		buckets_add(&b, key[i], row[i]);
	assert_true(buckets_eq(&a, &b));
	assert_int_equal(a.total.rows, ROWS);

	/* The same row twice more is found, in the bucket of its key and in no other. */
	buckets_add(&b, key[7], row[7]);
	buckets_add(&b, key[7], row[7]);
	assert_false(buckets_eq(&a, &b));
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(digest_eq(&a.each[i], &b.each[i]), i != bucket_of(&a, key[7]));
	buckets_free(&a);
	buckets_free(&b);
}

/* Totals that agree hide nothing: two rows that swap their values differ in their buckets. */
static void test_swap_between_keys(void **state)
{
	(void)state;
	struct buckets a, b;
	const struct rowhash k1 = {.lo = 1}, k2 = {.lo = 2}, r1 = {.lo = 77}, r2 = {.lo = 99};

	buckets_init(&a, 64);
	buckets_init(&b, 64);
	buckets_add(&a, k1, r1);
	buckets_add(&a, k2, r2);
	buckets_add(&b, k1, r2);
	buckets_add(&b, k2, r1);
	assert_true(digest_eq(&a.total, &b.total));
	assert_false(buckets_eq(&a, &b));
	buckets_free(&a);
	buckets_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fewer_for_many_tables),
		cmocka_unit_test(test_order_does_not_matter_content_does),
		cmocka_unit_test(test_swap_between_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
