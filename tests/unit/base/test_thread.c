#include "unit.h"

#include <pthread.h>
#include <signal.h>

#include "thread.h"

static enum err fails(void *arg, struct error *e)
{
	return FAIL(e, ERR_CHECK, "says %s", (const char *)arg);
}

static void test_join_hands_back_result_and_error(void **state)
{
	(void)state;
	struct error e = {0};
	struct thread t;
	char says[] = "no";

	assert_ok(thread_start(&t, "a-name-longer-than-fifteen", fails, says, &e), &e);
	assert_err(thread_join(&t, &e), ERR_CHECK, &e);
	assert_string_equal(e.text, "says no");
	assert_ok(thread_join(&t, &e), &e); /* a second time: not started any more */
}

static void test_join_of_one_never_started(void **state)
{
	(void)state;
	struct thread t = {0};
	struct error e = {0};

	assert_ok(thread_join(&t, &e), &e);
}

static enum err look_at_mask(void *arg, struct error *e)
{
	(void)e;
	pthread_sigmask(SIG_BLOCK, NULL, arg);
	return OK;
}

static void test_threads_leave_signals_to_main(void **state)
{
	(void)state;
	struct error e = {0};
	struct thread t;
	sigset_t inside, outside;

	assert_ok(thread_start(&t, "mask", look_at_mask, &inside, &e), &e);
	assert_ok(thread_join(&t, &e), &e);
	pthread_sigmask(SIG_BLOCK, NULL, &outside);
	assert_true(sigismember(&inside, SIGTERM));
	assert_true(sigismember(&inside, SIGINT));
	assert_false(sigismember(&inside, SIGSEGV));
	assert_false(sigismember(&outside, SIGTERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_hands_back_result_and_error),
		cmocka_unit_test(test_join_of_one_never_started),
		cmocka_unit_test(test_threads_leave_signals_to_main),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
