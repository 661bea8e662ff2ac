/* Reading feature sets: what is taken, what is refused, what the SQL becomes. */
#include "unit.h"

#include "clock.h"
#include "feature_set.h"
#include "file.h"

#define HEAD "-- entity: id\n-- as_of: t\n-- label: y\n-- label_at: yt\n-- open: o\n"

static enum err parse(const char *text, struct arena *mem, struct feature_set *f, struct error *e)
{
	return feature_set_parse(STR("risk"), str_of(text), mem, f, e);
}

static void expect_sql(const char *body, const int64_t *hide, const char *want)
{
	struct arena mem = {0};
	struct feature_set f;
	struct error e = {0};
	struct buf sql;

	assert_ok(parse(arena_fmt(&mem, HEAD "%s", body).p, &mem, &f, &e), &e);
	buf_init(&sql, 1 << 16);
	feature_set_sql(&f, hide, &sql);
	assert_string_equal(buf_cstr(&sql), want);
	buf_free(&sql);
	arena_free(&mem);
}

static void test_substitution(void **state)
{
	int64_t at = 1488371696123456;

	(void)state;
	expect_sql("SELECT * FROM {{versions public.bookings}} b JOIN {{versions a.c}} ON true;\n",
		NULL,
		"SELECT * FROM \"public_history\".\"bookings_versions\" b JOIN "
		"\"a_history\".\"c_versions\" ON true");
	expect_sql("SELECT * FROM {{versions public.b}} x", &at,
		"SELECT * FROM (SELECT * REPLACE (CASE WHEN _valid_to > TIMESTAMPTZ "
		"'2017-03-01T12:34:56.123456Z' THEN TIMESTAMPTZ 'infinity' ELSE _valid_to END AS "
		"_valid_to) FROM \"public_history\".\"b_versions\" WHERE _valid_from <= "
		"TIMESTAMPTZ "
		"'2017-03-01T12:34:56.123456Z') x");
	/* What never changes is not hidden: the leak proof checks that it never does. */
	expect_sql("SELECT * FROM {{fixed public.b by k: c,\n\td}} x", &at,
		"SELECT * FROM (SELECT \"k\", \"c\", \"d\" FROM \"public_history\".\"b_versions\" "
		"WHERE _op NOT IN ('D', 'T') QUALIFY row_number() OVER (PARTITION BY \"k\" ORDER "
		"BY "
		"_valid_from, _lsn, _seq) = 1) x");
}

static void test_head(void **state)
{
	struct arena mem = {0};
	struct feature_set f;
	struct error e = {0};

	(void)state;
	assert_ok(parse("-- Prose first: with a colon, and\n--\n" HEAD
			"-- mature_at: m\n-- duplicate: d\n-- slices: a, b\n\n-- More: prose.\n"
			"SELECT 1 -- it's {{not}} a source\nFROM {{versions p.q}}",
			  &mem, &f, &e),
		&e);
	assert_str(f.entity, "id");
	assert_str(f.as_of, "t");
	assert_str(f.label, "y");
	assert_str(f.label_at, "yt");
	assert_str(f.open, "o");
	assert_str(f.mature_at, "m");
	assert_str(f.duplicate, "d");
	assert_int_equal(f.nslices, 2);
	assert_str(f.slices[1], "b");
	assert_int_equal(f.nsources, 1);
	assert_str(f.sources[0].table, "q");
	assert_true(feature_set_is_role(&f, STR("d")));
	assert_false(feature_set_is_role(&f, STR("a")));
	assert_int_equal(strlen(f.sha256), 64);
	arena_free(&mem);
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{"SELECT * FROM {{versions p.q}}", "entity"},
		{HEAD, "no SELECT"},
		{HEAD "-- entiti: id\nSELECT * FROM {{versions p.q}}", "entiti"},
		{HEAD "-- entity: id\nSELECT * FROM {{versions p.q}}", "twice"},
		{HEAD "-- mature_at: a, b\nSELECT * FROM {{versions p.q}}", "one column"},
		{HEAD "SELECT 1", "reads nothing"},
		{HEAD "SELECT 1 FROM {{versions p.q}}; DROP TABLE x", "';'"},
		{HEAD "SELECT 1 FROM {{versions p.q}", "pair"},
		{HEAD "SELECT 1 FROM versions p.q}}", "pair"},
		{HEAD "SELECT 1 FROM {{versions q}}", "SCHEMA.TABLE"},
		{HEAD "SELECT 1 FROM {{version p.q}}", "no source"},
		{HEAD "SELECT 1 FROM {{versions p.q extra}}", "no source"},
		{HEAD "SELECT 1 FROM {{versions p.q\" x}}", "SCHEMA.TABLE"},
		{HEAD "SELECT 1 FROM {{fixed p.q: a}}", "SCHEMA.TABLE"},
		{HEAD "SELECT 1 FROM {{fixed p.q for k: a}}", "{{fixed SCHEMA.TABLE by KEY"},
		{HEAD "SELECT 1 FROM {{first p.q}}", "{{first SCHEMA.TABLE by KEY"},
		{HEAD "SELECT 1 FROM {{fixed p.q by k:}}", "at least one column"},
		{HEAD "SELECT 1 FROM {{fixed p.q by k: a b}}", "column name"},
		{HEAD "SELECT 1 FROM {{versions p.q}} JOIN public.bookings ON true", "leak proof"},
		{HEAD "SELECT 1 FROM {{versions p.q}}, (SELECT 1 from \"x\") y", "leak proof"},
		{HEAD "SELECT 1 FROM {{versions p.q}} JOIN 'file.parquet' ON true", "leak proof"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct arena mem = {0};
		struct feature_set f;
		struct error e = {0};
		assert_err(parse(bad[i][0], &mem, &f, &e), ERR_USAGE, &e);
		assert_has(e.text, bad[i][1]);
		arena_free(&mem);
	}
}

static void test_own_names_are_read(void **state)
{
	struct arena mem = {0};
	struct feature_set f;
	struct error e = {0};

	(void)state;
	assert_ok(parse(HEAD "WITH a AS (SELECT 1 FROM {{versions p.q}}) SELECT 'it''s from x.y' "
			     "FROM a JOIN (SELECT 2) b ON a.x IS DISTINCT FROM b.x",
			  &mem, &f, &e),
		&e);
	arena_free(&mem);
}

static void test_find(void **state)
{
	struct arena mem = {0};
	struct feature_set f, own;
	struct error e = {0};
	char dir[100], path[140];

	(void)state;
	assert_ok(feature_set_find("", "cancel_risk", &mem, &f, &e), &e);
	assert_str(f.entity, "booking_id");
	assert_err(feature_set_find(NULL, "nothing", &mem, &f, &e), ERR_USAGE, &e);
	assert_has(e.text, "cancel_risk");
	assert_err(feature_set_find("/etc", "../etc/passwd", &mem, &f, &e), ERR_USAGE, &e);
	/* A directory's set goes before the built-in one. */
	unit_tmpdir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/cancel_risk.sql", dir);
	assert_ok(file_write_new(path, STR(HEAD "SELECT 1 FROM {{versions p.q}}"), &e), &e);
	assert_ok(feature_set_find(dir, "cancel_risk", &mem, &own, &e), &e);
	assert_str(own.entity, "id");
	assert_ok(file_remove_tree(dir, &e), &e);
	arena_free(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_substitution),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_own_names_are_read),
		cmocka_unit_test(test_find),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
