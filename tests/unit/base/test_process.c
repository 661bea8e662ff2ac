#include "unit.h"

#include <signal.h>
#include <unistd.h>

#include "process.h"
#include "thread.h"

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})
#define W(text)   ((char[]){text})

static struct process_options options(char *const *argv)
{
	return (struct process_options){.argv = argv, .out_fd = -1, .err_fd = -1};
}

/* Runs a shell line with both streams collected. */
static int run_sh(char *line, struct buf *out, struct buf *err)
{
	struct process_options o = options(ARGV(W("sh"), W("-c"), line));
	struct error e = {0};
	int code = -1;

	buf_init(out, 1 << 20);
	buf_init(err, 1 << 20);
	assert_ok(process_run(&o, out, err, &code, &e), &e);
	return code;
}

static void test_run_collects_both_streams(void **state)
{
	(void)state;
	struct buf out, err;

	assert_int_equal(run_sh(W("echo out; echo err >&2; exit 3"), &out, &err), 3);
	assert_str(buf_str(&out), "out\n");
	assert_str(buf_str(&err), "err\n");
	buf_free(&out);
	buf_free(&err);
}

static void test_more_than_a_pipe_holds(void **state)
{
	(void)state;
	struct buf out, err;

	assert_int_equal(
		run_sh(W("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"), &out, &err), 0);
	assert_int_equal(out.n, 300000);
	assert_int_equal(err.n, 300000);
	buf_free(&out);
	buf_free(&err);
}

static void test_output_past_the_ceiling_ends_the_child(void **state)
{
	(void)state;
	struct process_options o = options(ARGV(W("sh"), W("-c"), W("while :; do echo x; done")));
	struct error e = {0};
	struct buf out;
	int code;

	buf_init(&out, 1000);
	assert_err(process_run(&o, &out, NULL, &code, &e), ERR_INPUT, &e);
	assert_has(e.text, "reading the output of sh");
	buf_free(&out);
}

static void test_programs_that_cannot_run(void **state)
{
	(void)state;
	struct error e = {0};
	struct process p;

	struct process_options o = options(ARGV(W("no-such-program-here")));
	assert_err(process_start(&p, &o, &e), ERR_NOT_FOUND, &e);
	assert_string_equal(
		e.text, "running no-such-program-here: there is no such program on PATH");
	o = options(ARGV(W("/no/such/program")));
	assert_err(process_start(&p, &o, &e), ERR_NOT_FOUND, &e);
	assert_string_equal(e.text, "running /no/such/program: No such file or directory");
	o = options(ARGV(W("/etc/passwd")));
	assert_err(process_start(&p, &o, &e), ERR_FAILED, &e);
	assert_int_equal(p.pid, 0);
	o = options(ARGV(W("true")));
	o.cwd = "/no/such/dir";
	assert_err(process_start(&p, &o, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "entering the working directory of true");
}

static void test_environment_and_directory(void **state)
{
	(void)state;
	struct process_options o = options(ARGV(W("sh"), W("-c"), W("echo $WORD; pwd")));
	struct error e = {0};
	struct buf out;
	int code;

	o.environ = ARGV(W("WORD=hello"));
	o.cwd = "/";
	buf_init(&out, 1000);
	assert_ok(process_run(&o, &out, NULL, &code, &e), &e);
	assert_str(buf_str(&out), "hello\n/\n");
	buf_free(&out);
}

static void test_wait_for_and_stop(void **state)
{
	(void)state;
	struct process_options o = options(ARGV(W("sleep"), W("60")));
	struct error e = {0};
	struct process p;
	int code = -1;
	bool ended;

	o.die_with_parent = true;
	assert_ok(process_start(&p, &o, &e), &e);
	assert_ok(process_wait_for(&p, clock_system(), 20000, &ended, &code, &e), &e);
	assert_false(ended);
	process_stop(&p, clock_system(), 5000000);
	assert_int_equal(p.pid, 0);
	assert_ok(process_wait(&p, &code, &e), &e);
	assert_int_equal(code, 128 + SIGTERM);
	process_stop(&p, clock_system(), 0); /* nothing to stop */
}

static void test_stop_kills_what_ignores_sigterm(void **state)
{
	(void)state;
	int ready[2];
	struct error e = {0};
	struct process p;
	char c;
	int code;

	assert_int_equal(pipe(ready), 0);
	struct process_options o = options(
		ARGV(W("sh"), W("-c"), W("trap '' TERM; echo; while :; do sleep 0.05; done")));
	o.out_fd = ready[1];
	assert_ok(process_start(&p, &o, &e), &e);
	assert_int_equal(read(ready[0], &c, 1), 1);
	process_stop(&p, clock_system(), 50000);
	assert_ok(process_wait(&p, &code, &e), &e);
	assert_int_equal(code, 128 + SIGKILL);
	close(ready[0]);
	close(ready[1]);
}

static enum err run_in_thread(void *arg, struct error *e)
{
	struct process_options o = options(
		ARGV(W("sh"), W("-c"), W("kill -TERM $$; echo survived")));

	return process_run(&o, NULL, NULL, arg, e);
}

/* A thread of ours has signals blocked; its children must not inherit that. */
static void test_children_of_threads_get_signals(void **state)
{
	(void)state;
	struct error e = {0};
	struct thread t;
	int code = -1;

	assert_ok(thread_start(&t, "runner", run_in_thread, &code, &e), &e);
	assert_ok(thread_join(&t, &e), &e);
	assert_int_equal(code, 128 + SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_collects_both_streams),
		cmocka_unit_test(test_more_than_a_pipe_holds),
		cmocka_unit_test(test_output_past_the_ceiling_ends_the_child),
		cmocka_unit_test(test_programs_that_cannot_run),
		cmocka_unit_test(test_environment_and_directory),
		cmocka_unit_test(test_wait_for_and_stop),
		cmocka_unit_test(test_stop_kills_what_ignores_sigterm),
		cmocka_unit_test(test_children_of_threads_get_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
