#include "fixture.h"

static struct table *ensure(struct fixture *f, const char *columns)
{
	struct table *t = make_table(f, "t", columns);

	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	return t;
}

static void put(struct fixture *f, struct table *t, uint64_t at, const char *cells)
{
	struct batch *b = batch_new(t);

	add_row(b, 'I', at, 0, at, cells);
	must_apply(f, b);
	batch_free(b);
}

static const char *shape(struct fixture *f, const char *schema)
{
	char sql[300];

	snprintf(sql, sizeof sql,
		"SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_index) "
		"FROM "
		"duckdb_columns() WHERE schema_name = '%s' AND table_name = 't'",
		schema);
	return answer(f, sql);
}

static void test_made_and_made_again(void **state)
{
	struct fixture *f = *state;
	const char *columns = "id int8 key, price decimal(10,2), at timestamptz, doc json";
	struct table *t = ensure(f, columns);

	put(f, t, 5, "1|2.50|0|{}");
	ensure(f, columns);
	assert_string_equal(shape(f, "shop"),
		"id BIGINT, price DECIMAL(10,2), at TIMESTAMP WITH TIME ZONE, doc JSON, _lsn "
		"BIGINT, "
		"_committed_at TIMESTAMP WITH TIME ZONE, _exact JSON");
	assert_string_equal(shape(f, "shop_history"),
		"id BIGINT, price DECIMAL(10,2), at TIMESTAMP WITH TIME ZONE, doc JSON, _op "
		"VARCHAR, "
		"_lsn BIGINT, _seq UINTEGER, _xid BIGINT, _committed_at TIMESTAMP WITH TIME ZONE, "
		"_exact JSON, _unchanged JSON");
	assert_string_equal(answer(f, "SELECT id, price FROM shop.t"), "1|2.50");
}

static void test_columns_come_and_go(void **state)
{
	struct fixture *f = *state;

	put(f, ensure(f, "id int8 key, a text"), 5, "1|x");
	put(f, ensure(f, "b text, id int8 key"), 6, "new|2");
	assert_string_equal(answer(f, "SELECT id, b FROM shop.t ORDER BY id"), "1|-\n2|new");
	assert_string_equal(
		answer(f, "SELECT id, a, b FROM shop_history.t ORDER BY id"), "1|x|-\n2|-|new");
	put(f, ensure(f, "id int8 key, a text"), 7, "3|y"); /* a comes back */
	assert_string_equal(answer(f, "SELECT id, a FROM shop.t ORDER BY id"), "1|-\n2|-\n3|y");
	/* It is another column: what the one before had stands beside it. */
	assert_string_equal(
		answer(f, "SELECT id, a, b, a__was_varchar FROM shop_history.t ORDER BY id"),
		"1|-|-|x\n2|-|new|-\n3|y|-|-");
	assert_string_equal(answer(f, "SELECT id, a FROM shop_history.t_versions ORDER BY id"),
		"1|-\n2|-\n3|y");
}

static void test_type_widens(void **state)
{
	struct fixture *f = *state;

	put(f, ensure(f, "id int8 key, a decimal(4,1)"), 5, "1|12.5");
	put(f, ensure(f, "id int8 key, a decimal(10,3)"), 6, "2|1234.125");
	assert_string_equal(answer(f, "SELECT id, a, _exact FROM shop.t ORDER BY id"),
		"1|12.500|-\n2|1234.125|-");
	assert_string_equal(answer(f, "SELECT id, a, _lsn FROM shop_history.t ORDER BY id"),
		"1|12.500|5\n2|1234.125|6");
	assert_null(strstr(shape(f, "shop_history"), "__was_"));
}

/* What the new type cannot hold stays: in _exact, and in the history's old column. */
static void test_type_narrows(void **state)
{
	struct fixture *f = *state;

	put(f, ensure(f, "id int8 key, a text, b text"), 5, "1|12|q");
	put(f, ensure(f, "id int8 key, a text, b text"), 6, "2|many|r");
	put(f, ensure(f, "id int8 key, a int8, b text"), 7, "3|33|s");
	assert_string_equal(answer(f, "SELECT id, a, b, _exact FROM shop.t ORDER BY id"),
		"1|12|q|-\n2|-|r|{\"a\":\"many\"}\n3|33|s|-");
	assert_string_equal(answer(f,
				    "SELECT id, a__was_varchar, a, b, _op FROM shop_history.t "
				    "ORDER BY id"),
		"1|12|12|q|I\n2|many|-|r|I\n3|-|33|s|I");
	ensure(f, "id int8 key, a text, b text");
	put(f, ensure(f, "id int8 key, a text, b text"), 8, "4|more|t");
	ensure(f, "id int8 key, a int8, b text"); /* the old name is taken already */
	assert_string_equal(answer(f,
				    "SELECT id, a__was_varchar, a__was_varchar_2, a FROM "
				    "shop_history.t ORDER BY id"),
		"1|12|12|12\n2|many|-|-\n3|-|33|33\n4|-|more|-");
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.t_versions"), "4");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "t", "id int8 key, _lsn int8");

	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	assert_has(f->e.text, "_lsn");
	t = make_table(f, "t", "id int8 key, Note text, note text");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	t = make_table(f, "t", "id int8 key, d decimal(39,2)");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	t = make_table(f, "t", "id int8 key, n text");
	t->valid_time = STR("n");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	t->valid_time = STR("absent");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	t->valid_time = STR_NONE;
	t->schema = STR("ops");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	t->schema = STR("a_history");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	ensure(f, "id int8 key");
	t = make_table(f, "T", "id int8 key");
	assert_err(warehouse_ensure_table(f->w, t, &f->e), ERR_USAGE, &f->e);
	assert_has(f->e.text, "upper case");
}

/* Names that need quoting, everywhere a name goes. */
static void test_odd_names(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "or\"der 'x'", "i\"d~/ decimal(4,0) key, va'l text");
	struct batch *b = batch_new(t);

	t->schema = STR("my shop");
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	add_row(b, 'I', 5, 0, 1, "1|x");
	add_row(b, 'I', 5, 1, 1, "!NaN|y");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'U', 6, 0, 2, "!NaN|?");
	must_apply(f, b);
	assert_string_equal(
		answer(f, "SELECT \"va'l\" FROM \"my shop\".\"or\"\"der 'x'\" ORDER BY 1"), "x\ny");
	assert_string_equal(answer(f,
				    "SELECT count(*) FROM \"my shop_history\".\"or\"\"der "
				    "'x'_versions\""),
		"3");
	batch_free(b);
}

/* Applying goes on while a query reads, and the query sees one state. */
static enum err apply_meanwhile(void *arg, const struct chunk *c, struct error *e)
{
	struct fixture *f = arg;

	(void)e;
	if (c->rows > 0 && VEC_AT(&c->cols[0], int64_t, 0) == 0) {
		struct table *t = ensure(f, "id int8 key, a text, later text");

		put(f, t, 9, "9|x|y");
	}
	return OK;
}

static void test_readers_do_not_stop_changes(void **state)
{
	struct fixture *f = *state;

	put(f, ensure(f, "id int8 key, a text"), 5, "1|x");
	assert_ok(warehouse_query(f->w,
			  STR("SELECT range, (SELECT count(*) FROM shop.t) FROM range(100000)"),
			  apply_meanwhile, f, &f->e),
		&f->e);
	assert_string_equal(answer(f, "SELECT id, later FROM shop.t ORDER BY id"), "1|-\n9|y");
}

static const char *kept_as(struct fixture *f, const char *dataset)
{
	char sql[400];

	snprintf(sql, sizeof sql,
		"SELECT column_name, string_agg(DISTINCT compression, '+' ORDER BY compression) "
		"FROM pragma_storage_info('%s.t') WHERE segment_type <> 'VALIDITY' GROUP BY 1 "
		"ORDER BY 1",
		dataset);
	return answer(f, sql);
}

/* What DuckDB is not to try out for each group of rows; a value that stays the same costs nothing.
 */
static void test_ways_of_keeping(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "t", "id int8 key, d decimal(10,2), a text, b text");
	struct batch *b = batch_new(t);
	char cells[100];

	t->columns[2].varied = true;
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	for (int i = 0; i < 20000; i++) {
		snprintf(cells, sizeof cells, "%d|%d.25|text %d|%s", i, i * 7 % 5001, i * 3,
			i % 3 == 0 ? "x" : "a longer text that comes again");
		add_row(b, 'I', 5, (uint32_t)i, 5, cells);
	}
	must_apply(f, b);
	batch_free(b);
	fixture_reopen(f);
	assert_string_equal(kept_as(f, "shop"),
		"_committed_at|Constant\n_exact|Uncompressed\n_lsn|Constant\na|Uncompressed\n"
		"b|Dictionary\nd|BitPacking\nid|BitPacking");
	assert_string_equal(kept_as(f, "shop_history"),
		"_committed_at|Constant\n_exact|Uncompressed\n_lsn|Constant\n_op|Uncompressed\n"
		"_seq|BitPacking\n_unchanged|Uncompressed\n_xid|Constant\na|Uncompressed\n"
		"b|Dictionary\nd|BitPacking\nid|BitPacking");
	assert_string_equal(
		answer(f,
			"SELECT count(*), sum(id), sum(d), count(_exact), max(a), min(_op) FROM "
			"shop_history.t"),
		"20000|199990000|49995066.00|0|text 9999|I");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_made_and_made_again),
		TEST(test_columns_come_and_go),
		TEST(test_type_widens),
		TEST(test_type_narrows),
		TEST(test_refused),
		TEST(test_odd_names),
		TEST(test_readers_do_not_stop_changes),
		TEST(test_ways_of_keeping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
