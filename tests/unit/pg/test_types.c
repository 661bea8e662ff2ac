/*
 * Every type that PostgreSQL has, each also as elements of arrays, as domains (nested, over arrays,
 * within arrays) and as fields of composites (nested, within arrays), with values drawn at random.
 */
#include "oracle.h"

#include "pg_types.h"
#include "pg_value.h"
#include "type_values.h"

#define SLOT "types"

#define PG_POINTS_ARE_NO_ARRAY 600 /* type point has elements, but is no array */

/* The statements are long: an error's text would hold nothing else. */
static void run(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};

	if (pg_exec(f->pg, sql, "drawing", &e) != OK)
		fail_msg("%s\n%s", e.text, sql);
}

static int rows_each(void)
{
	return getenv("SLUICE_LONG") != NULL ? 2000 : 25;
}

/* A type for messages: without quotes it names files and tables too. */
static const char *table_name(struct fixture *f, size_t i)
{
	return arena_fmt(&f->mem, "types_%zu", i).p;
}

/* %1$s: its table's name, which its own types carry on; %2$s: the type. */
static void make_types(struct fixture *f, size_t i)
{
	const char *t = table_name(f, i), *type = drawn_types[i].type;

	if (drawn_types[i].extension != NULL)
		run(f,
			arena_fmt(&f->mem, "CREATE EXTENSION IF NOT EXISTS %s",
				drawn_types[i].extension)
				.p);
	run(f,
		arena_fmt(&f->mem,
			"CREATE DOMAIN %s_d AS %s; CREATE DOMAIN %s_dd AS %s_d CHECK (true); "
			"CREATE DOMAIN %s_da AS %s[];"
			"CREATE TYPE %s_c AS (x %s, y %s[], z %s_dd); "
			"CREATE TYPE %s_cc AS (n integer, c %s_c)",
			t, type, t, t, t, type, t, type, type, t, t, t)
			.p);
	run(f,
		arena_fmt(&f->mem,
			"CREATE TABLE %s (id integer PRIMARY KEY, v %s, a %s[], d %s_d, "
			"dd %s_dd, da %s_da, ad %s_dd[], c %s_c, cc %s_cc, ca %s_c[])",
			t, type, type, t, t, t, t, t, t, t)
			.p);
}

/* An array of any shape: NULLs in it, other lower bounds, six dimensions, none at all. */
static const char *any_array(struct fixture *f, const char *type, const char *draw)
{
	const char *one = arena_fmt(&f->mem, "CAST((%s) AS %s)", draw, type).p;

	return arena_fmt(&f->mem,
		"CASE r(7) WHEN 0 THEN '{}'::%s[] WHEN 1 THEN ARRAY[%s] "
		"WHEN 2 THEN ARRAY[%s, NULL, %s] WHEN 3 THEN ARRAY[[%s, NULL], [%s, %s]] "
		"WHEN 4 THEN array_fill(%s, ARRAY[2], ARRAY[-3]) "
		"WHEN 5 THEN array_fill(%s, ARRAY[1, 2, 1, 1, 2, 1]) ELSE ARRAY[NULL, %s] END",
		type, one, one, one, one, one, one, one, one, one)
		.p;
}

static void draw_rows(struct fixture *f, size_t i, int from, int n)
{
	const char *t = table_name(f, i), *type = drawn_types[i].type;
	const char *draw = drawn_types[i].draw;
	const char *one = arena_fmt(&f->mem, "CAST((%s) AS %s)", draw, type).p;
	const char *arrays = any_array(f, type, draw);
	const char *domain = arena_fmt(&f->mem, "%s_dd", t).p;
	const char *pair = arena_fmt(&f->mem, "ROW(%s, %s, %s)::%s_c", one, arrays, one, t).p;

	run(f,
		arena_fmt(&f->mem,
			"INSERT INTO %s SELECT i, CASE WHEN chance(0.95) THEN %s END, %s, %s, %s, "
			"%s, %s, %s, ROW(i, %s)::%s_cc, ARRAY[%s, NULL] "
			"FROM generate_series(%d, %d) i",
			t, one, arrays, one, one, arrays, any_array(f, domain, draw), pair, pair, t,
			pair, from, from + n - 1)
			.p);
}

static void expect_landing(const struct drawn_type *d, const struct table *t)
{
	static const char columns[] = "v a d dd da ad c cc ca";
	const enum type_kind base = d->lands,
			     lands[] = {base, T_JSON, base, base, T_JSON, T_JSON, T_TEXT, T_TEXT,
				     T_JSON};

	assert_int_equal(t->ncolumns, 1 + sizeof lands / sizeof *lands);
	for (size_t i = 0; i < sizeof lands / sizeof *lands; i++)
		if (t->columns[1 + i].type.kind != lands[i])
			fail_msg("%s, column %.*s of %s: lands as %s", d->type,
				STR_ARG(t->columns[1 + i].name), columns,
				type_name(t->columns[1 + i].type.kind));
}

static void seed(struct fixture *f)
{
	/* setseed() takes -1 to 1. */
	double share = (double)(unit_seed() % 1000000007) / 1000000007;

	run(f, arena_fmt(&f->mem, "SELECT setseed(%.17g)", share).p);
}

static void test_values_of_every_type(void **state)
{
	struct fixture *f = *state;
	struct tried tried[128];

	assert_true(ndrawn_types <= sizeof tried / sizeof *tried);
	run(f, "SET client_min_messages = error");
	run(f, drawing_functions);
	run(f, "CREATE TYPE mood AS ENUM ('sad', 'so so', 'o,k', 'NULL')");
	struct pg *c = oracle_open_slot(f, SLOT);
	seed(f);
	for (size_t i = 0; i < ndrawn_types; i++) {
		make_types(f, i);
		draw_rows(f, i, 1, rows_each());
		oracle_open(f, table_name(f, i), &tried[i]);
		expect_landing(&drawn_types[i], tried[i].table);
		oracle_read_text(f, &tried[i]);
		oracle_read_copy(f, &tried[i]);
	}
	oracle_read_stream(f, c, SLOT, tried, ndrawn_types);
	for (size_t i = 0; i < ndrawn_types; i++) {
		oracle_judge(f, &tried[i]);
		oracle_close(&tried[i]);
	}
	oracle_close_slot(f, c, SLOT);
}

/* A type of the server's own that stands neither in the list nor among the internal ones. */
static void test_no_type_is_forgotten(void **state)
{
	struct fixture *f = *state;
	PGresult *r = fixture_query(f,
		arena_fmt(&f->mem,
			"SELECT t.oid::regtype::text, format_type(t.oid, NULL) FROM pg_type t "
			"LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid "
			"WHERE t.typnamespace = 'pg_catalog'::regnamespace AND e.oid IS NULL "
			"AND t.typtype IN ('b', 'r', 'm', 'e', 'd') AND t.typname NOT IN (%s)",
			internal_types)
			.p);

	assert_true(PQntuples(r) > 70);
	for (int row = 0; row < PQntuples(r); row++) {
		const char *type = pg_cell(r, row, 0);
		size_t n = strlen(type), i = 0;
		const char *zone = strstr(type, " without time zone");
		if (zone != NULL)
			n = (size_t)(zone - type);
		for (; i < ndrawn_types; i++)
			if (strncmp(drawn_types[i].type, type, n) == 0 &&
				(drawn_types[i].type[n] == '\0' || drawn_types[i].type[n] == '('))
				break;
		if (i == ndrawn_types)
			fail_msg("no values are drawn of type %s", type);
	}
}

/* The stream gives ids only: those of the server's arrays are known by heart. */
static void test_arrays_are_known(void **state)
{
	struct fixture *f = *state;
	PGresult *r = fixture_query(f,
		"SELECT t.oid, t.typelem FROM pg_type t JOIN pg_type e ON e.oid = t.typelem AND "
		"e.typarray = t.oid WHERE t.oid < 10000 AND e.typtype <> 'p'");

	assert_true(PQntuples(r) > 70);
	for (int row = 0; row < PQntuples(r); row++) {
		uint32_t oid = (uint32_t)pg_cell_i64(r, row, 0);
		assert_int_equal(pg_array_element(oid), pg_cell_i64(r, row, 1));
		assert_int_equal(pg_landing(oid, -1).kind, T_JSON);
		assert_false(pg_has_binary(oid));
	}
	assert_int_equal(pg_array_element(PG_POINTS_ARE_NO_ARRAY), 0);
	assert_int_equal(pg_array_element(0), 0);
	assert_int_equal(pg_array_element(UINT32_MAX), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_type_is_forgotten),
		cmocka_unit_test(test_arrays_are_known),
		cmocka_unit_test(test_values_of_every_type),
	};

	return cmocka_run_group_tests_name("types", tests, fixture_start, fixture_stop);
}
