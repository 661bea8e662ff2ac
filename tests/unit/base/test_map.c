#include "unit.h"

#include "map.h"
#include "rnd.h"

static void test_put_get_replace(void **state)
{
	(void)state;
	struct map m = {0};
	int one = 1, two = 2;

	assert_null(map_get(&m, STR("a")));
	assert_null(map_remove(&m, STR("a")));
	map_put(&m, STR("a"), &one);
	map_put(&m, STR(""), &two);
	map_put(&m, STR("null"), NULL);
	assert_ptr_equal(map_get(&m, STR("a")), &one);
	assert_ptr_equal(map_get(&m, STR("")), &two);
	assert_true(map_has(&m, STR("null")));
	assert_false(map_has(&m, STR("A")));
	map_put(&m, STR("a"), &two);
	assert_ptr_equal(map_get(&m, STR("a")), &two);
	assert_int_equal(m.n, 3);
	map_free(&m);
	assert_null(map_get(&m, STR("a")));
}

static void test_keys_are_copied_and_keep_their_order(void **state)
{
	(void)state;
	struct map m = {0};
	char key[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key%d", i);
		map_put(&m, str_of(key), &m);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key%d", i);
		assert_str(m.entries[i].key, key);
	}
	map_free(&m);
}

/* Against a plain array, through many additions and removals. */
static void test_random_against_a_model(void **state)
{
	(void)state;
	enum { KEYS = 200 };
	struct map m = {0};
	struct rnd rnd;
	bool model[KEYS] = {false};
	static char values[KEYS];
	char key[16];

	rnd_seed(&rnd, unit_seed());
	for (int step = 0; step < 20000; step++) {
		size_t k = (size_t)rnd_below(&rnd, KEYS);
		snprintf(key, sizeof key, "%zu", k);
		if (rnd_below(&rnd, 2) == 0) {
			map_put(&m, str_of(key), &values[k]);
			model[k] = true;
		} else {
			assert_ptr_equal(map_remove(&m, str_of(key)), model[k] ? &values[k] : NULL);
			model[k] = false;
		}
		size_t probe = (size_t)rnd_below(&rnd, KEYS);
		snprintf(key, sizeof key, "%zu", probe);
		assert_ptr_equal(map_get(&m, str_of(key)), model[probe] ? &values[probe] : NULL);
	}
	size_t live = 0;
	for (size_t k = 0; k < KEYS; k++)
		live += model[k];
	assert_int_equal(m.n, live);
	map_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_replace),
		cmocka_unit_test(test_keys_are_copied_and_keep_their_order),
		cmocka_unit_test(test_random_against_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
