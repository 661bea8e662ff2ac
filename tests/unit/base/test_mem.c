#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"

static void test_zeroed_and_copied(void **state)
{
	(void)state;
	unsigned char *p = mem_array(10, 3);

	for (size_t i = 0; i < 30; i++)
		assert_int_equal(p[i], 0);
	p = mem_realloc_array(p, 20, 3);
	mem_free(p);
	char *s = mem_cstr(str_make("ab\0c", 4));
	assert_memory_equal(s, "ab\0c", 5);
	mem_free(s);
	s = mem_strdup("x");
	assert_string_equal(s, "x");
	mem_free(s);
	p = mem_alloc(0); /* something, so that NULL always means exhausted */
	mem_free(p);
	mem_free(NULL);
}

static void handler(size_t wanted)
{
	_exit(wanted == SIZE_MAX ? 42 : 43);
}

/* A product that overflows counts as exhaustion; the handler decides how the process ends. */
static void test_overflow_calls_the_handler(void **state)
{
	(void)state;
	volatile size_t huge = SIZE_MAX / 2;
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		mem_on_exhausted(handler);
		mem_free(mem_array(huge, 3));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_copied),
		cmocka_unit_test(test_overflow_calls_the_handler),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
