/* Versions that no change of the stream brings stand in history where nothing else stands. */
#include "replicate_fixture.h"

#include "str.h"

#define ROWS "id::text, coalesce(v::text, '~')"

static int64_t twice(struct fixture *f)
{
	return warehouse_count(
		f, "SELECT count(*) - count(DISTINCT (_lsn, _seq)) FROM public_history.items");
}

/* What history says last of each key is what current has. */
static void assert_folds(struct fixture *f)
{
	assert_int_equal(
		warehouse_count(f,
			"SELECT count(*) FROM (SELECT * FROM public_history.items QUALIFY "
			"row_number() OVER (PARTITION BY id ORDER BY _lsn DESC, _seq DESC) = 1) h "
			"JOIN public.items c USING (id) WHERE h.v IS DISTINCT FROM c.v"),
		0);
}

static void make_items(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE items (id int PRIMARY KEY, v int);"
		"CREATE TABLE others (id int PRIMARY KEY, v int);"
		"INSERT INTO items SELECT i, i FROM generate_series(1, 50) i");
	init_ok(f);
	catch_up_ok(f);
}

/* The commit that brings the change begins where the one before it ends, so its rows have the
 * position at which the stream stands. */
static void test_commits_side_by_side(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	source_run(f, "BEGIN; INSERT INTO others VALUES (1, 1); PREPARE TRANSACTION 'before'");
	source_run(f,
		"BEGIN; ALTER TABLE items ALTER v TYPE text USING 'was ' || v;"
		"UPDATE items SET v = 'mine' WHERE id <= 20; PREPARE TRANSACTION 'change'");
	source_run(f, "COMMIT PREPARED 'before'");
	source_run(f, "COMMIT PREPARED 'change'");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ROWS), 50);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.items WHERE _op = 'U' AND "
				 "_xid = 0"),
		50);
	assert_int_equal(twice(f), 0);
	assert_folds(f);
	/* No commit is at a position that is no multiple of eight. */
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.items WHERE _xid = 0 AND "
				 "_op = 'U' AND _lsn % 8 = 0"),
		0);
}

/* A change of a table at rest, whose rows were all copied where the stream stands. */
static void test_behind_a_copy(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	source_run(f, "ALTER TABLE items ALTER v TYPE text USING 'was ' || v");
	catch_up_ok(f);
	source_run(f, "UPDATE items SET v = 'mine' WHERE id <= 20");
	source_run(f, "ALTER TABLE items ALTER v TYPE varchar(60) USING v || '!'");
	source_run(f, "INSERT INTO items VALUES (51, 'x')");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ROWS), 51);
	assert_int_equal(twice(f), 0);
	assert_folds(f);
}

/* Each row that has the label gets a place of its own. */
static void test_a_label(void **state)
{
	struct fixture *f = *state;

	source_run(f,
		"DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('sad', 'glad');"
		"CREATE TABLE items (id int PRIMARY KEY, v mood);"
		"INSERT INTO items SELECT i, (CASE WHEN i %% 2 = 0 THEN 'sad' ELSE 'glad' END)::mood "
		"FROM generate_series(1, 40) i");
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'");
	catch_up_ok(f);
	source_run(f, "UPDATE items SET v = 'glad' WHERE id = 2");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ROWS), 40);
	assert_int_equal(twice(f), 0);
	assert_folds(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commits_side_by_side),
		TEST(test_behind_a_copy),
		TEST(test_a_label),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
