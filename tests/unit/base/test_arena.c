#include "unit.h"

#include "arena.h"
#include "mem.h"

static void test_zeroed_and_aligned(void **state)
{
	(void)state;
	struct arena mem = {0};

	for (size_t n = 0; n < 300; n++) {
		unsigned char *p = arena_alloc(&mem, n);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	arena_reset(&mem);
	assert_int_equal(mem.used, 0);
	unsigned char *again = arena_alloc(&mem, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(again[i], 0);
	arena_free(&mem);
}

static void test_large_pieces(void **state)
{
	(void)state;
	struct arena mem = {0};

	char *large = arena_alloc(&mem, (size_t)8 << 20);
	large[((size_t)8 << 20) - 1] = 'x';
	char *small = arena_alloc(&mem, 8);
	small[7] = 'y';
	assert_int_equal(mem.used, ((size_t)8 << 20) + 8);
	arena_free(&mem);
}

static void test_strings(void **state)
{
	(void)state;
	struct arena mem = {0};

	struct str copy = arena_str(&mem, STR("abc"));
	assert_str(copy, "abc");
	assert_string_equal(copy.p, "abc");
	assert_string_equal(arena_cstr(&mem, STR_NONE), "");
	assert_str(arena_fmt(&mem, "%s=%d", "n", 5), "n=5");
	arena_free(&mem);
}

static char order[8];
static size_t norder;

static void note(void *arg)
{
	order[norder++] = *(const char *)arg;
}

static void test_defers_run_last_first_and_once(void **state)
{
	(void)state;
	struct arena mem = {0};
	char a = 'a', b = 'b', c = 'c';

	norder = 0;
	memset(order, 0, sizeof order);
	arena_defer(&mem, note, &a);
	arena_defer(&mem, note, &b);
	arena_reset(&mem);
	assert_string_equal(order, "ba");
	arena_defer(&mem, note, &c);
	arena_free(&mem);
	arena_free(&mem);
	assert_string_equal(order, "bac");
}

static void test_deferred_may_live_in_the_arena(void **state)
{
	(void)state;
	struct arena mem = {0};

	char *in_arena = arena_cstr(&mem, STR("z"));
	norder = 0;
	memset(order, 0, sizeof order);
	arena_defer(&mem, note, in_arena);
	char *owned = mem_strdup("freed by the arena");
	arena_defer(&mem, mem_free, owned);
	arena_free(&mem);
	assert_string_equal(order, "z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_aligned),
		cmocka_unit_test(test_large_pieces),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_defers_run_last_first_and_once),
		cmocka_unit_test(test_deferred_may_live_in_the_arena),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
