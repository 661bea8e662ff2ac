#include "pg_fixture.h"

#include "pg_catalog.h"
#include "table.h"

static struct table *find(struct fixture *f, const char *name)
{
	struct error e = {.kind = OK};
	struct table *t = NULL;

	assert_ok(pg_table(f->pg, STR("shop"), str_of(name), &f->mem, &t, &e), &e);
	return t;
}

/* The names of the key's columns, with commas. */
static const char *keys(struct fixture *f, const struct table *t)
{
	struct str all = STR("");

	for (size_t i = 0; i < t->nkeys; i++)
		all = arena_fmt(&f->mem, "%.*s%s%.*s", STR_ARG(all), i > 0 ? "," : "",
			STR_ARG(t->columns[t->keys[i]].name));
	return all.p;
}

static const char *names(struct fixture *f, const struct pg_tables *found)
{
	struct str all = STR("");

	for (size_t i = 0; i < found->n; i++)
		all = arena_fmt(&f->mem, "%.*s%s%.*s", STR_ARG(all), i > 0 ? " " : "",
			STR_ARG(table_full_name(found->tables[i], &f->mem)));
	return all.p;
}

static const char schema[] =
	"CREATE SCHEMA shop; CREATE SCHEMA \"we.ird\";"
	"CREATE DOMAIN shop.euro AS numeric(10,2);"
	"CREATE DOMAIN shop.price AS shop.euro CHECK (value >= 0);"
	"CREATE TABLE shop.plain (a text NOT NULL, b shop.price, gone integer, c numeric(3,1), "
	" d integer GENERATED ALWAYS AS (1) STORED, e timestamptz, PRIMARY KEY (a));"
	"ALTER TABLE shop.plain DROP gone;"
	"CREATE TABLE shop.two (x integer, y integer, z integer, PRIMARY KEY (z, x) INCLUDE (y));"
	"CREATE TABLE shop.none (x integer);"
	"CREATE TABLE shop.nothing (x integer PRIMARY KEY); ALTER TABLE shop.nothing REPLICA "
	"IDENTITY "
	"NOTHING;"
	"CREATE TABLE shop.full (x integer, y text); ALTER TABLE shop.full REPLICA IDENTITY FULL;"
	"CREATE TABLE shop.by_index (x integer PRIMARY KEY, y integer NOT NULL);"
	"CREATE UNIQUE INDEX by_y ON shop.by_index (y);"
	"ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by_y;"
	"CREATE TABLE shop.deferred (x integer PRIMARY KEY DEFERRABLE);"
	"CREATE TABLE shop.empty ();"
	"CREATE TABLE shop.parts (k integer, d date, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);"
	"CREATE TABLE shop.parts_a PARTITION OF shop.parts FOR VALUES FROM (MINVALUE) TO "
	"(MAXVALUE);"
	"CREATE TABLE \"we.ird\".\"a\"\"b.c,d\" (\"Id\" integer PRIMARY KEY, \"x\"\"y\" text);"
	"CREATE UNLOGGED TABLE shop.fleeting (x integer PRIMARY KEY);"
	"CREATE VIEW shop.seen AS SELECT 1 AS x;";

static void test_columns_and_types(void **state)
{
	struct fixture *f = *state;
	struct table *t = find(f, "plain");

	assert_int_equal(t->ncolumns, 4); /* neither the dropped nor the generated one */
	assert_str(t->columns[0].name, "a");
	assert_str(t->columns[3].name, "e");
	assert_string_equal(keys(f, t), "a");
	assert_false(t->columns[0].nullable);
	assert_true(t->columns[1].nullable);
	/* A domain of a domain: declared as itself, landing as what it is underneath. */
	assert_int_equal(t->columns[1].pg_modifier, -1);
	assert_true(t->columns[1].pg_type > 16383);
	assert_int_equal(t->columns[1].type.kind, T_DECIMAL);
	assert_int_equal(t->columns[1].type.precision, 10);
	assert_int_equal(t->columns[1].type.scale, 2);
	assert_int_equal(t->columns[2].pg_modifier, ((3 << 16) | 1) + 4);
	assert_int_equal(t->columns[2].type.precision, 3);
	assert_int_equal(t->columns[3].type.kind, T_TIMESTAMPTZ);
	assert_true(t->relid ==
		(uint32_t)strtoul(fixture_cell(f, "SELECT 'shop.plain'::regclass::oid"), NULL, 10));
	assert_int_equal(find(f, "empty")->ncolumns, 0);
}

static void test_keys_by_replica_identity(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name, *keys;
		enum identity identity;
	} cases[] = {
		{"two", "x,z", IDENTITY_DEFAULT},
		{"none", "", IDENTITY_DEFAULT},
		{"nothing", "", IDENTITY_NOTHING},
		{"full", "x,y", IDENTITY_FULL},
		{"by_index", "y", IDENTITY_INDEX},
		{"deferred", "", IDENTITY_DEFAULT},
		{"parts", "k,d", IDENTITY_DEFAULT},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct table *t = find(f, cases[i].name);
		assert_int_equal(t->identity, cases[i].identity);
		assert_string_equal(keys(f, t), cases[i].keys);
	}
	struct error e = {.kind = OK};
	struct table *t;
	assert_err(pg_table(f->pg, STR("shop"), STR("absent"), &f->mem, &t, &e), ERR_NOT_FOUND, &e);
	assert_err(pg_table(f->pg, STR("shop"), STR("seen"), &f->mem, &t, &e), ERR_NOT_FOUND, &e);
	assert_ok(pg_table(f->pg, STR("we.ird"), STR("a\"b.c,d"), &f->mem, &t, &e), &e);
	assert_str(t->columns[0].name, "Id");
	assert_str(t->columns[1].name, "x\"y");
}

static void test_publications(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg_tables found;

	fixture_exec(f,
		"CREATE PUBLICATION \"odd 'pub\" FOR TABLE shop.two, shop.plain (a, e), "
		"\"we.ird\".\"a\"\"b.c,d\", shop.parts "
		"WITH (publish_via_partition_root = true);"
		"CREATE PUBLICATION filtered FOR TABLE shop.two WHERE (x > 1);"
		"CREATE PUBLICATION nobody");
	assert_ok(pg_publication_tables(f->pg, "odd 'pub", &f->mem, &found, &e), &e);
	assert_string_equal(names(f, &found), "shop.parts shop.plain shop.two we.ird.a\"b.c,d");
	assert_int_equal(found.tables[1]->ncolumns, 2);
	assert_str(found.tables[1]->columns[1].name, "e");
	assert_string_equal(keys(f, found.tables[1]), "a");
	assert_ok(pg_publication_tables(f->pg, "nobody", &f->mem, &found, &e), &e);
	assert_int_equal(found.n, 0);
	assert_ok(pg_publication_tables(f->pg, "filtered", &f->mem, &found, &e), &e);
	assert_str(found.tables[0]->filter, "(x > 1)");
	assert_err(pg_publication_tables(f->pg, "absent", &f->mem, &found, &e), ERR_NOT_FOUND, &e);
}

static void test_patterns(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg_tables found;
	static const struct {
		const char *patterns, *tables;
	} cases[] = {
		{"", ""},
		{"shop.two", "shop.two"},
		{"shop.n*", "shop.none shop.nothing"},
		{"shop.*, !shop.n*, !shop.p*, shop.none, !shop.e*y",
			"shop.by_index shop.deferred shop.full shop.none shop.two"},
		{" \"we.ird\".\"a\"\"b.c,d\" ,shop.p*s", "shop.parts we.ird.a\"b.c,d"},
		{"*.*b*c*", "we.ird.a\"b.c,d"},
		{"!shop.absent,shop.f*g", ""}, /* unlogged: has no WAL to read */
		{"shop.parts*", "shop.parts"}, /* the root speaks for its partitions */
		{"pg_catalog.*, information_schema.*", ""},
	};
	static const char *const wrong[] = {
		"two", "shop.", ".two", "shop.two.x", "\"shop.two", "!"};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_ok(pg_match_tables(f->pg, cases[i].patterns, &f->mem, &found, &e), &e);
		assert_string_equal(names(f, &found), cases[i].tables);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_err(pg_match_tables(f->pg, wrong[i], &f->mem, &found, &e), ERR_USAGE, &e);
	assert_err(pg_match_tables(f->pg, "shop.absent", &f->mem, &found, &e), ERR_NOT_FOUND, &e);
	assert_err(pg_match_tables(f->pg, "shop.\"p*\"", &f->mem, &found, &e), ERR_NOT_FOUND, &e);
}

static void test_cut(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg *other = fixture_open(f, false);
	struct cut cut;

	fixture_exec(f, "CREATE TABLE IF NOT EXISTS shop.cutting (x integer PRIMARY KEY)");
	/* A transaction that is under way when the cut is made is outside it, and so are later
	 * ones. */
	assert_ok(pg_exec(other, "BEGIN; INSERT INTO shop.cutting VALUES (1)", "writing", &e), &e);
	PGresult *r;
	assert_ok(pg_query(other, "SELECT pg_current_xact_id()::text", 0, NULL, "asking", &f->mem,
			  &r, &e),
		&e);
	uint64_t open_xid = (uint64_t)pg_cell_i64(r, 0, 0);
	fixture_exec(f, "INSERT INTO shop.cutting VALUES (2)");
	fixture_exec(f, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	assert_ok(pg_cut(f->pg, &f->mem, &cut, &e), &e);
	assert_ok(pg_exec(other, "COMMIT", "committing", &e), &e);
	assert_string_equal(fixture_cell(f, "SELECT count(*) FROM shop.cutting"), "1");
	fixture_exec(f, "COMMIT");
	assert_true(cut.at.v > 0);
	assert_false(cut_sees_xid(&cut, open_xid));
	uint64_t done = (uint64_t)strtoull(
		fixture_cell(f, "SELECT xmin::text FROM shop.cutting WHERE x = 2"), NULL, 10);
	assert_true(cut_sees_xid(&cut, done));

	fixture_exec(f, "BEGIN");
	assert_err(pg_cut(f->pg, &f->mem, &cut, &e), ERR_BUG, &e);
	fixture_exec(f, "ROLLBACK");
	pg_close(other);
}

static void test_absent_slot(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct pg_slot s;

	assert_ok(pg_slot(f->pg, "absent", &f->mem, &s, &e), &e);
	assert_false(s.exists);
	fixture_exec(f, "SELECT pg_create_logical_replication_slot('there', 'pgoutput')");
	assert_ok(pg_slot(f->pg, "there", &f->mem, &s, &e), &e);
	assert_true(s.exists);
	assert_false(s.active);
	assert_true(s.restart.v > 0 && s.confirmed.v >= s.restart.v);
}

static int start(void **state)
{
	if (fixture_start(state) != 0)
		return 1;
	fixture_exec(*state, schema);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_and_types),
		cmocka_unit_test(test_keys_by_replica_identity),
		cmocka_unit_test(test_publications),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_absent_slot),
	};

	return cmocka_run_group_tests_name("catalog", tests, start, fixture_stop);
}
