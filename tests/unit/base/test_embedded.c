#include "unit.h"

#include "buf.h"
#include "embedded.h"
#include "file.h"
#include "version.h"

static enum err compare_with_tree(void *arg, const struct embedded_file *f, struct error *e)
{
	char path[1024];
	struct buf b;

	snprintf(path, sizeof path, "%s/%s", getenv("SLUICE_ROOT"), f->name);
	buf_init(&b, (size_t)16 << 20);
	enum err rc = file_read(path, &b, e);
	if (rc == OK && !str_eq(buf_str(&b), embedded_text(f)))
		rc = FAIL(e, ERR_CHECK, "%s differs from what is carried", f->name);
	if (rc == OK && f->data[f->size] != '\0')
		rc = FAIL(e, ERR_CHECK, "%s has no NUL at its end", f->name);
	buf_free(&b);
	++*(size_t *)arg;
	return rc;
}

static void test_carries_what_the_tree_holds(void **state)
{
	(void)state;
	struct error e = {0};
	size_t n = 0;

	if (getenv("SLUICE_ROOT") == NULL)
		skip();
	assert_ok(embedded_each("", compare_with_tree, &n, &e), &e);
	assert_int_equal(n, embedded_count);
}

static void test_sorted_and_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < embedded_count; i++) {
		const char *name = embedded_files[i].name;
		assert_ptr_equal(embedded_find(name), &embedded_files[i]);
		if (i > 0)
			assert_true(strcmp(embedded_files[i - 1].name, name) < 0);
	}
	assert_null(embedded_find("sql/none.sql"));
	assert_null(embedded_files[embedded_count].name);
}

static enum err stop_at_once(void *arg, const struct embedded_file *f, struct error *e)
{
	(void)arg;
	return FAIL(e, ERR_CHECK, "%s", f->name);
}

static void test_each_by_prefix(void **state)
{
	(void)state;
	struct error e = {0};

	assert_ok(embedded_each("no/such/prefix/", stop_at_once, NULL, &e), &e);
	if (embedded_count > 0)
		assert_err(embedded_each("", stop_at_once, NULL, &e), ERR_CHECK, &e);
}

static void test_version(void **state)
{
	(void)state;
	assert_true(sluice_version()[0] >= '0' && sluice_version()[0] <= '9');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_carries_what_the_tree_holds),
		cmocka_unit_test(test_sorted_and_found),
		cmocka_unit_test(test_each_by_prefix),
		cmocka_unit_test(test_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
