#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static char dir[256];

static int make_dir(void **state)
{
	(void)state;
	unit_tmpdir(dir, sizeof dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	struct error e = {0};
	return file_remove_tree(dir, &e) == OK ? 0 : -1;
}

static const char *in_dir(const char *name)
{
	static char path[600];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void assert_content(const char *path, const char *want)
{
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1000);
	assert_ok(file_read(path, &b, &e), &e);
	assert_str(buf_str(&b), want);
	buf_free(&b);
}

static enum err count_name(void *arg, const char *name, struct error *e)
{
	(void)name;
	(void)e;
	++*(size_t *)arg;
	return OK;
}

static size_t entries(void)
{
	struct error e = {0};
	size_t n = 0;

	assert_ok(file_list(dir, count_name, &n, &e), &e);
	return n;
}

static void test_write_atomic_replaces(void **state)
{
	(void)state;
	struct error e = {0};

	assert_ok(file_write_atomic(in_dir("a"), STR("old"), &e), &e);
	assert_ok(file_write_atomic(in_dir("a"), STR("new"), &e), &e);
	assert_content(in_dir("a"), "new");
	assert_int_equal(entries(), 1); /* no temporary file is left */
}

static void test_write_atomic_failing_leaves_nothing(void **state)
{
	(void)state;
	struct error e = {0};

	assert_err(file_write_atomic(in_dir("missing/a"), STR("x"), &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "missing/a");
	assert_has(e.text, "No such file or directory");
	assert_int_equal(mkdir(in_dir("d"), 0755), 0);
	assert_true(file_write_atomic(in_dir("d"), STR("x"), &e) != OK);
	assert_int_equal(entries(), 1);
}

static void test_write_new_does_not_replace(void **state)
{
	(void)state;
	struct error e = {0};

	assert_ok(file_write_new(in_dir("a"), STR("first"), &e), &e);
	assert_err(file_write_new(in_dir("a"), STR("second"), &e), ERR_CONFLICT, &e);
	assert_content(in_dir("a"), "first");
	assert_int_equal(entries(), 1);
}

static void test_read_honours_the_ceiling(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;

	assert_ok(file_write_atomic(in_dir("a"), STR("12345"), &e), &e);
	buf_init(&b, 5);
	assert_ok(file_read(in_dir("a"), &b, &e), &e);
	assert_str(buf_str(&b), "12345");
	buf_free(&b);
	buf_init(&b, 4);
	assert_err(file_read(in_dir("a"), &b, &e), ERR_INPUT, &e);
	assert_has(e.text, "4 bytes");
	buf_free(&b);
	assert_err(file_read(in_dir("none"), &b, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, in_dir("none"));
}

static void test_read_of_a_file_without_a_size(void **state)
{
	(void)state;
	struct error e = {0};
	struct buf b;

	buf_init(&b, 100000); /* files in /proc say that they are empty */
	assert_ok(file_read("/proc/self/status", &b, &e), &e);
	assert_true(b.n > 0);
	buf_free(&b);
}

static void test_mkdirs(void **state)
{
	(void)state;
	struct error e = {0};

	assert_ok(file_mkdirs(in_dir("a/b//c/"), &e), &e);
	assert_ok(file_mkdirs(in_dir("a/b/c"), &e), &e);
	assert_true(file_exists(in_dir("a/b/c")));
	assert_ok(file_write_atomic(in_dir("f"), STR(""), &e), &e);
	assert_err(file_mkdirs(in_dir("f/g"), &e), ERR_FAILED, &e);
	assert_err(file_mkdirs(in_dir("f"), &e), ERR_FAILED, &e);
}

static void test_remove_tree_does_not_follow_links(void **state)
{
	(void)state;
	struct error e = {0};
	char target[600];

	assert_ok(file_mkdirs(in_dir("t/u"), &e), &e);
	assert_ok(file_mkdirs(in_dir("kept"), &e), &e);
	assert_ok(file_write_atomic(in_dir("kept/x"), STR("x"), &e), &e);
	snprintf(target, sizeof target, "%s", in_dir("kept"));
	assert_int_equal(symlink(target, in_dir("t/u/link")), 0);
	assert_ok(file_write_atomic(in_dir("t/u/y"), STR("y"), &e), &e);
	assert_ok(file_remove_tree(in_dir("t"), &e), &e);
	assert_false(file_exists(in_dir("t")));
	assert_content(in_dir("kept/x"), "x");
	assert_ok(file_remove_tree(in_dir("t"), &e), &e); /* absent is fine */
}

static enum err collect_name(void *arg, const char *name, struct error *e)
{
	(void)e;
	strncat(arg, name, 1);
	return OK;
}

static enum err refuse(void *arg, const char *name, struct error *e)
{
	(void)arg;
	return FAIL(e, ERR_CHECK, "no %s", name);
}

static void test_list_is_sorted(void **state)
{
	(void)state;
	struct error e = {0};
	char names[32] = "";

	for (const char *c = "cAbZ"; *c != '\0'; c++)
		assert_ok(file_write_atomic(in_dir((char[]){*c, '\0'}), STR(""), &e), &e);
	assert_ok(file_list(dir, collect_name, names, &e), &e);
	assert_string_equal(names, "AZbc");
	assert_err(file_list(dir, refuse, NULL, &e), ERR_CHECK, &e);
	assert_string_equal(e.text, "no A");
	assert_ok(file_list(in_dir("absent"), refuse, NULL, &e), &e);
}

int main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_DIR(test_write_atomic_replaces),
		IN_DIR(test_write_atomic_failing_leaves_nothing),
		IN_DIR(test_write_new_does_not_replace),
		IN_DIR(test_read_honours_the_ceiling),
		IN_DIR(test_read_of_a_file_without_a_size),
		IN_DIR(test_mkdirs),
		IN_DIR(test_remove_tree_does_not_follow_links),
		IN_DIR(test_list_is_sorted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
