#include "unit.h"

#include "rnd.h"

static void test_a_seed_gives_the_same_run(void **state)
{
	(void)state;
	struct rnd a, b, c;

	rnd_seed(&a, 7);
	rnd_seed(&b, 7);
	rnd_seed(&c, 8);
	uint64_t x = rnd_u64(&a);
	assert_true(x == rnd_u64(&b));
	assert_true(x != rnd_u64(&c));
	rnd_system(&a);
	rnd_system(&b);
	assert_true(rnd_u64(&a) != rnd_u64(&b));
}

/* The first outputs of the authors' xoshiro256** for the state 1, 2, 3, 4. */
static void test_known_outputs(void **state)
{
	(void)state;
	struct rnd r = {{1, 2, 3, 4}};

	assert_true(rnd_u64(&r) == 11520);
	assert_true(rnd_u64(&r) == 0);
	assert_true(rnd_u64(&r) == 1509978240);
	assert_true(rnd_u64(&r) == 1215971899390074240);
}

static void test_ranges(void **state)
{
	(void)state;
	struct rnd r;
	size_t seen[5] = {0};

	rnd_seed(&r, 1);
	for (int i = 0; i < 5000; i++) {
		uint64_t x = rnd_below(&r, 5);
		double u = rnd_unit(&r);
		assert_true(x < 5);
		assert_true(u >= 0 && u < 1);
		seen[x]++;
	}
	for (size_t i = 0; i < 5; i++)
		assert_in_range(seen[i], 850, 1150);
	assert_true(rnd_below(&r, 1) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_gives_the_same_run),
		cmocka_unit_test(test_known_outputs),
		cmocka_unit_test(test_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
