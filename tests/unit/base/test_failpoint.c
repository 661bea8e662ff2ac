#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failpoint.h"
#include "thread.h"

static struct clock_manual now;
static atomic_bool stop;

static struct env armed(const char *spec)
{
	struct env env = {.clock = &now.base, .stop = &stop};
	struct error e = {0};

	clock_manual_init(&now, 0);
	atomic_store(&stop, false);
	assert_ok(failpoints_parse(&env.failpoints, str_of(spec), &e), &e);
	return env;
}

static void test_unarmed(void **state)
{
	(void)state;
	struct env env = {.clock = &now.base};
	struct error e = {0};

	assert_ok(failpoint_hit(&env, "a.b", &e), &e);
	failpoints_free(NULL);
}

static void test_nth_pass(void **state)
{
	(void)state;
	struct env env = armed(" a.b=error@3 ; c=eio;d=enospc@2+;;");
	struct error e = {0};

	assert_ok(failpoint_hit(&env, "a.b", &e), &e);
	assert_ok(failpoint_hit(&env, "a.b", &e), &e);
	assert_ok(failpoint_hit(&env, "a", &e), &e);
	assert_err(failpoint_hit(&env, "a.b", &e), ERR_UNAVAILABLE, &e);
	assert_string_equal(e.text, "failpoint a.b");
	assert_ok(failpoint_hit(&env, "a.b", &e), &e);
	assert_err(failpoint_hit(&env, "c", &e), ERR_FAILED, &e);
	assert_string_equal(e.text, "failpoint c: Input/output error");
	assert_ok(failpoint_hit(&env, "d", &e), &e);
	assert_err(failpoint_hit(&env, "d", &e), ERR_FAILED, &e);
	assert_err(failpoint_hit(&env, "d", &e), ERR_FAILED, &e);
	assert_has(e.text, "No space left on device");
	failpoints_free(env.failpoints);
}

static void test_sleep(void **state)
{
	(void)state;
	struct env env = armed("a=sleep:250@2");
	struct error e = {0};

	assert_ok(failpoint_hit(&env, "a", &e), &e);
	assert_int_equal(now.now_us, 0);
	assert_ok(failpoint_hit(&env, "a", &e), &e);
	assert_int_equal(now.now_us, 250000);
	failpoints_free(env.failpoints);
}

static void test_kill(void **state)
{
	(void)state;
	struct env env = armed("a=kill");
	struct error e = {0};
	int status;

	pid_t pid = fork();
	if (pid == 0)
		_exit(failpoint_hit(&env, "a", &e) == OK ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	failpoints_free(env.failpoints);
}

static void test_bad_specs(void **state)
{
	(void)state;
	static const char *const bad[] = {"a", "=error", "a=", "a=explode", "a=error@", "a=error@0",
		"a=error@x", "a=sleep", "a=sleep:x", "a=error:5", "a=sleep:-1", "b=error;a"};
	struct failpoints *f;
	struct error e = {0};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(failpoints_parse(&f, str_of(bad[i]), &e), ERR_USAGE, &e);
		assert_has(e.text, "write name=action[@n[+]]");
	}
}

static enum err hit_many(void *arg, struct error *e)
{
	size_t failures = 0;

	for (int i = 0; i < 1000; i++)
		failures += failpoint_hit(arg, "a", e) != OK;
	return failures == 0 ? OK : FAIL(e, ERR_CHECK, "%zu failures", failures);
}

static void test_threads_count_together(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	struct env env = armed("a=error@1500");
	struct thread threads[THREADS];
	struct error e = {0};
	size_t failed = 0;

	for (size_t i = 0; i < THREADS; i++)
		assert_ok(thread_start(&threads[i], "hit", hit_many, &env, &e), &e);
	for (size_t i = 0; i < THREADS; i++)
		failed += thread_join(&threads[i], &e) != OK;
	assert_int_equal(failed, 1);
	assert_string_equal(e.text, "1 failures");
	failpoints_free(env.failpoints);
}

static void test_env(void **state)
{
	(void)state;
	struct env env = armed("");
	struct error e = {0};

	assert_ok(env_check(&env, &e), &e);
	env_sleep(&env, 1050000);
	assert_int_equal(now.now_us, 1050000);
	atomic_store(&stop, true);
	assert_true(env_stopping(&env));
	env_sleep(&env, 1000000);
	assert_int_equal(now.now_us, 1050000);
	assert_err(env_check(&env, &e), ERR_INTERRUPTED, &e);
	env.stop = NULL;
	assert_ok(env_check(&env, &e), &e);
	failpoints_free(env.failpoints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unarmed),
		cmocka_unit_test(test_nth_pass),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_threads_count_together),
		cmocka_unit_test(test_env),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
