#include "fixture.h"

static void test_widened(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
		answer(f,
			"SELECT 1::TINYINT, 255::UTINYINT, 65535::USMALLINT, "
			"18446744073709551615::UBIGINT, sum(x), NULL, count(*) FROM (SELECT "
			"unnest([9223372036854775807, 9223372036854775807]) AS x)"),
		"1|255|65535|18446744073709551615|18446744073709551614|-|2");
	assert_string_equal(answer(f,
				    "SELECT '2020-01-01 00:00:00'::TIMESTAMP_S, "
				    "'2020-01-01 00:00:00.5'::TIMESTAMP_MS, "
				    "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS"),
		"2020-01-01 00:00:00|2020-01-01 00:00:00.5|2020-01-01 00:00:00.123456789");
}

static void test_cast_to_text(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(answer(f,
				    "SELECT [1, 2] AS a, {'x': 1} AS a, 'b'::ENUM('a', 'b'), 5 ;\n"
				    "-- the end"),
		"[1, 2]|{'x': 1}|b|5");
	assert_string_equal(
		answer(f, "SELECT [x] FROM (VALUES (3), (1), (2)) t(x) ORDER BY x DESC"),
		"[3]\n[2]\n[1]");
}

static void test_time_zone_is_utc(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(answer(f,
				    "SELECT TIMESTAMPTZ '2020-06-01 12:00:00+02', "
				    "CAST(TIMESTAMPTZ '2020-06-01 12:00:00+02' AS VARCHAR), "
				    "current_setting('TimeZone')"),
		"2020-06-01 10:00:00+00|2020-06-01 10:00:00+00|UTC");
}

struct count {
	size_t chunks, rows, stop_after;
};

static enum err count_rows(void *arg, const struct chunk *c, struct error *e)
{
	struct count *n = arg;

	n->chunks++;
	n->rows += c->rows;
	if (n->stop_after > 0 && n->chunks == n->stop_after)
		return FAIL(e, ERR_CONFLICT, "enough");
	return OK;
}

static void test_streams(void **state)
{
	struct fixture *f = *state;
	struct count n = {0};

	assert_ok(warehouse_query(
			  f->w, STR("SELECT range FROM range(3000000)"), count_rows, &n, &f->e),
		&f->e);
	assert_int_equal(n.rows, 3000000);
	assert_true(n.chunks > 1000);
	n = (struct count){.stop_after = 3};
	assert_err(warehouse_query(
			   f->w, STR("SELECT range FROM range(3000000)"), count_rows, &n, &f->e),
		ERR_CONFLICT, &f->e);
	assert_int_equal(n.chunks, 3);
	/* A failure in the middle of an answer is not its end. */
	n = (struct count){0};
	assert_err(
		warehouse_query(f->w,
			STR("SELECT CASE WHEN range = 2500000 THEN error('odd row') ELSE range END "
			    "FROM range(3000000)"),
			count_rows, &n, &f->e),
		ERR_INPUT, &f->e);
	assert_has(f->e.text, "odd row");
}

/* Streamed, this one never ends in DuckDB 1.4: see duckdb_plan.c. */
static void test_many_pipelines(void **state)
{
	struct fixture *f = *state;
	struct count n = {0};

	assert_ok(warehouse_script(f->w,
			  STR("CREATE TABLE reports.a AS SELECT range AS x, 'some longer text ' || "
			      "range AS y FROM range(400000)"),
			  &f->e),
		&f->e);
	assert_ok(
		warehouse_query(f->w,
			STR("WITH t AS MATERIALIZED (SELECT DISTINCT x FROM reports.a WHERE x % 2 "
			    "= "
			    "0) SELECT * FROM reports.a a WHERE NOT EXISTS (SELECT 1 FROM t WHERE "
			    "t.x = a.x) UNION ALL SELECT x, y FROM (SELECT *, row_number() OVER "
			    "(PARTITION BY x ORDER BY y) n FROM reports.a a WHERE EXISTS (SELECT 1 "
			    "FROM t WHERE t.x = a.x)) WHERE n = 1; -- done"),
			count_rows, &n, &f->e),
		&f->e);
	assert_int_equal(n.rows, 400000);
	n.rows = 0;
	assert_ok(warehouse_query(f->w,
			  STR("SELECT a.x, b.x FROM reports.a a FULL JOIN (SELECT x + 200000 AS x "
			      "FROM "
			      "reports.a) b ON a.x = b.x"),
			  count_rows, &n, &f->e),
		&f->e);
	assert_int_equal(n.rows, 600000);
	assert_string_equal(answer(f, "DESCRIBE SELECT 1 AS one"), "one|INTEGER|YES|-|-|-");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"SELEC 1", "SELECT 1; SELECT 2", "SELECT ?", "", "SELECT * FROM nowhere.nothing"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(
			warehouse_query(f->w, str_of(bad[i]), NULL, NULL, &f->e), ERR_INPUT, &f->e);
}

static void test_asking_changes_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"DELETE FROM reports.a",
		"INSERT INTO reports.a VALUES (2)", "DROP TABLE reports.a",
		"CREATE TABLE reports.b (x INT)", "UPDATE reports.a SET x = 2",
		"COPY reports.a TO '/nowhere/a.csv'", "SET threads = 1", "COMMIT", "CHECKPOINT",
		"ATTACH ':memory:' AS other", "SELEC 1", "SELECT 1; DELETE FROM reports.a"};
	struct count n = {0};

	assert_ok(warehouse_script(f->w,
			  STR("CREATE TABLE reports.a (x INT); INSERT INTO reports.a VALUES (1);"
			      "CREATE SEQUENCE reports.s"),
			  &f->e),
		&f->e);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(
			warehouse_ask(f->w, str_of(bad[i]), NULL, NULL, &f->e), ERR_INPUT, &f->e);
	assert_true(warehouse_ask(f->w, STR("EXPLAIN ANALYZE DELETE FROM reports.a"), NULL, NULL,
			    &f->e) != OK);
	assert_true(
		warehouse_ask(f->w, STR("SELECT nextval('reports.s')"), NULL, NULL, &f->e) != OK);
	assert_string_equal(answer(f, "SELECT sum(x) FROM reports.a"), "1");

	static const char *const good[] = {"FROM reports.a", "SELECT [x] FROM reports.a",
		"WITH t AS (SELECT 1) SELECT * FROM t UNION ALL SELECT x FROM reports.a",
		"DESCRIBE reports.a", "SHOW TABLES", "EXPLAIN SELECT 1"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_ok(warehouse_ask(f->w, str_of(good[i]), count_rows, &n, &f->e), &f->e);
	assert_true(n.rows >= 6);
}

static void test_one_value(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	int64_t n;

	buf_init(&out, 100);
	assert_ok(warehouse_i64(f->w, STR("SELECT count(*) FROM range(5)"), &n, &f->e), &f->e);
	assert_int_equal(n, 5);
	assert_ok(warehouse_i64(f->w, STR("SELECT sum(range) FROM range(5)"), &n, &f->e), &f->e);
	assert_int_equal(n, 10);
	assert_err(warehouse_i64(f->w, STR("SELECT 'x'"), &n, &f->e), ERR_INPUT, &f->e);
	assert_err(warehouse_i64(f->w, STR("SELECT 1 WHERE false"), &n, &f->e), ERR_INPUT, &f->e);
	assert_ok(warehouse_text(f->w, STR("SELECT 1.50"), &out, &f->e), &f->e);
	assert_str(buf_str(&out), "1.50");
	buf_reset(&out);
	assert_ok(warehouse_text(f->w, STR("SELECT NULL"), &out, &f->e), &f->e);
	assert_ok(warehouse_text(f->w, STR("SELECT 1 WHERE false"), &out, &f->e), &f->e);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

static void test_script(void **state)
{
	struct fixture *f = *state;

	assert_ok(
		warehouse_script(f->w,
			STR("CREATE TABLE reports.a (x INT); -- one\nINSERT INTO reports.a VALUES "
			    "(1);\nINSERT INTO reports.a VALUES (2)"),
			&f->e),
		&f->e);
	assert_string_equal(answer(f, "SELECT sum(x) FROM reports.a"), "3");
	assert_err(
		warehouse_script(f->w,
			STR("INSERT INTO reports.a VALUES (3); INSERT INTO reports.b VALUES (4)"),
			&f->e),
		ERR_INPUT, &f->e);
	assert_err(warehouse_script(f->w, STR("INSERT INTO reports.a VALUES (3); COMMIT"), &f->e),
		ERR_INPUT, &f->e);
	assert_err(warehouse_script(f->w, STR("INSERT INTO"), &f->e), ERR_INPUT, &f->e);
	assert_string_equal(answer(f, "SELECT sum(x) FROM reports.a"), "3");
	assert_ok(warehouse_ensure_ops(f->w, &f->e), &f->e); /* again is fine */
}

static void test_quoting(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	sql_name(&out, STR("a\"b'"));
	sql_text(&out, STR("a\"b'"));
	assert_str(buf_str(&out), "\"a\"\"b'\"'a\"b'''");
	buf_free(&out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_widened),
		TEST(test_cast_to_text),
		TEST(test_time_zone_is_utc),
		TEST(test_streams),
		TEST(test_many_pipelines),
		TEST(test_refused),
		TEST(test_asking_changes_nothing),
		TEST(test_one_value),
		TEST(test_script),
		TEST(test_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
