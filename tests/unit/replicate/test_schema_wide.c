/* A table that changes its shape between two rows of one transaction, and is described once more
 * before these are written. */
#include "replicate_fixture.h"

#define COLUMNS "id::text, coalesce(v::text, '~'), coalesce(w::text, '~')"

static int64_t numbered(struct fixture *f)
{
	return warehouse_count(f,
		"SELECT (length(value) - length(replace(value, '\"number\"', ''))) // 8 "
		"FROM ops.marks WHERE name = 'shape:public.items'");
}

static void test_columns_keep_their_numbers(void **state)
{
	struct fixture *f = *state;

	source_run(f,
		"CREATE TABLE items (id int PRIMARY KEY, gone int, v int, w int);"
		"INSERT INTO items SELECT i, i, i, i FROM generate_series(1, 50) i");
	init_ok(f);
	catch_up_ok(f);
	/* The storage parameter does not concern us, but makes the stream describe the table again.
	 */
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (100, 1, 1); ALTER TABLE items DROP gone;"
		"INSERT INTO items VALUES (101, 1, 1); ALTER TABLE items SET (fillfactor = 90);"
		"INSERT INTO items VALUES (102, 2, 2); COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", COLUMNS), 53);
	assert_int_equal(numbered(f), 3);
	/* Without their numbers the rows that stand there could not be told from each other's. */
	source_run(f,
		"ALTER TABLE items ALTER w TYPE text USING 'was ' || coalesce(w::text, 'none');"
		"ALTER TABLE items RENAME v TO u; INSERT INTO items VALUES (103, 3, 'three')");
	catch_up_ok(f);
	source_run(f, "ALTER TABLE items RENAME u TO v; INSERT INTO items VALUES (104, 4, 'four')");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", COLUMNS), 55);
	assert_int_equal(numbered(f), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_columns_keep_their_numbers),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
