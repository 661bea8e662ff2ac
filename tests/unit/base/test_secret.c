#include "unit.h"

#include "file.h"
#include "secret.h"

static void test_set_reveal_free(void **state)
{
	(void)state;
	struct secret s = {0};

	assert_false(secret_is_set(&s));
	assert_string_equal(secret_reveal(&s), "");
	secret_set(&s, STR("hunter2"));
	assert_true(secret_is_set(&s));
	assert_string_equal(secret_reveal(&s), "hunter2");
	secret_set(&s, str_of(secret_reveal(&s) + 3)); /* from itself */
	assert_string_equal(secret_reveal(&s), "ter2");
	secret_set(&s, STR(""));
	assert_false(secret_is_set(&s));
	secret_free(&s);
	secret_free(&s);
	assert_string_equal(secret_reveal(&s), "");
}

static void test_from_a_file(void **state)
{
	(void)state;
	char dir[256], path[300];
	struct secret s = {0};
	struct error e = {0};

	unit_tmpdir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/password", dir);
	assert_err(secret_read_file(&s, path, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, path);
	assert_ok(file_write_atomic(path, STR(" with blanks \n\n"), &e), &e);
	assert_ok(secret_read_file(&s, path, &e), &e);
	assert_string_equal(secret_reveal(&s), " with blanks \n"); /* one newline goes, not two */
	secret_free(&s);
	assert_ok(file_remove_tree(dir, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_reveal_free),
		cmocka_unit_test(test_from_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
