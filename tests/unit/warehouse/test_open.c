#include "fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"

static enum err open_url(struct fixture *f, const char *url, bool read_only, struct warehouse **out)
{
	struct warehouse_options o = {.url = url, .threads = 1, .read_only = read_only};

	return warehouse_open(out, &o, &f->env, &f->e);
}

static void test_wrong_urls(void **state)
{
	struct fixture *f = *state;
	struct warehouse *w;
	static const char *const bad[] = {"", "/tmp/x", "postgres://x", "duckdb://", "duckdb:///",
		"duckdb://:memory:", "duckdb:///proc/nowhere/file"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(open_url(f, bad[i], false, &w), ERR_USAGE, &f->e);
		assert_null(w);
	}
	assert_err(open_url(f, NULL, false, &w), ERR_USAGE, &f->e);
	assert_err(open_url(f, "bigquery://project", false, &w), ERR_USAGE, &f->e);
	assert_has(f->e.text, "the BigQuery driver is not in this version");
}

static void test_no_warehouse_there(void **state)
{
	struct fixture *f = *state;
	struct warehouse *w;
	char path[256], url[300];

	snprintf(path, sizeof path, "%s/notes.txt", f->dir);
	snprintf(url, sizeof url, "duckdb://%s", path);
	assert_ok(file_write_atomic(
			  path, STR("These are notes, not a database, and some more."), &f->e),
		&f->e);
	assert_err(open_url(f, url, false, &w), ERR_USAGE, &f->e);
	assert_has(f->e.text, path);
	snprintf(url, sizeof url, "duckdb://%s/a/b/new.duckdb", f->dir);
	assert_ok(open_url(f, url, false, &w), &f->e); /* its directories are made */
	warehouse_close(w);
	warehouse_close(NULL);
}

/* The same process: two handles on one file would damage it. */
static void test_opened_twice(void **state)
{
	struct fixture *f = *state;
	struct warehouse *w;
	char pid[32];

	snprintf(pid, sizeof pid, "process %ld", (long)getpid());
	assert_err(open_url(f, f->url, false, &w), ERR_CONFLICT, &f->e);
	assert_has(f->e.text, pid);
	assert_err(open_url(f, f->url, true, &w), ERR_CONFLICT, &f->e);
	assert_string_equal(answer(f, "SELECT 1"), "1");
	fixture_reopen(f);
}

static void test_held_by_another_process(void **state)
{
	struct fixture *f = *state;
	int ready[2], done[2];
	char c, pid[32];
	struct warehouse *w;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	warehouse_close(f->w);
	f->w = NULL;
	pid_t child = fork();
	if (child == 0) {
		/* Says when it has the file and lets go of it when told. */
		bool opened = open_url(f, f->url, false, &w) == OK;

		if (write(ready[1], opened ? "y" : "n", 1) != 1 || read(done[0], &c, 1) != 1)
			_exit(2);
		warehouse_close(opened ? w : NULL);
		_exit(opened ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_err(open_url(f, f->url, false, &w), ERR_CONFLICT, &f->e);
	snprintf(pid, sizeof pid, "process %ld", (long)child);
	assert_has(f->e.text, pid);
	assert_int_equal(write(done[1], "x", 1), 1);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_ok(open_url(f, f->url, false, &f->w), &f->e);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(done[i]);
	}
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;

	warehouse_close(f->w);
	f->w = NULL;
	assert_ok(open_url(f, f->url, true, &f->w), &f->e);
	assert_string_equal(answer(f, "SELECT count(*) FROM ops.marks"), "0");
	assert_string_equal(answer(f, "SELECT [1] UNION ALL SELECT [2]"), "[1]\n[2]");
	assert_err(warehouse_script(f->w, STR("CREATE TABLE reports.x (a INT)"), &f->e), ERR_INPUT,
		&f->e);
}

static void test_options(void **state)
{
	struct fixture *f = *state;
	struct warehouse_options o = {
		.url = f->url, .threads = 2, .memory_limit = INT64_C(268435456)};

	warehouse_close(f->w);
	assert_ok(warehouse_open(&f->w, &o, &f->env, &f->e), &f->e);
	assert_string_equal(
		answer(f, "SELECT current_setting('threads'), current_setting('memory_limit')"),
		"2|256.0 MiB");
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	atomic_bool stop;

	atomic_init(&stop, true);
	f->env.stop = &stop;
	assert_err(
		warehouse_query(f->w, STR("SELECT 1"), NULL, NULL, &f->e), ERR_INTERRUPTED, &f->e);
	atomic_store(&stop, false);
	assert_string_equal(answer(f, "SELECT 1"), "1");
	f->env.stop = NULL;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wrong_urls),
		TEST(test_no_warehouse_there),
		TEST(test_opened_twice),
		TEST(test_held_by_another_process),
		TEST(test_read_only),
		TEST(test_options),
		TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
