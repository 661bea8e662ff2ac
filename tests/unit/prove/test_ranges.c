/* Comparing in key ranges: every kind of key, faults in any range, going on after a crash. */
#include "prove_fixture.h"

#include "counts.h"
#include "failpoint.h"

/* One table for each kind of key; values that are hard to cut are among them. */
static const char schema_sql[] =
	"CREATE TABLE k_text (k text PRIMARY KEY, v int);"
	"INSERT INTO k_text SELECT chr(32 + i % 90) || chr(200 + i % 700) || '''' || i, i FROM "
	"generate_series(1, 300) i ON CONFLICT DO NOTHING;"
	"INSERT INTO k_text VALUES ('', 0), ('A', 1), ('a', 1), ('B', 1), ('b ', 1), ('\\', 2);"
	"CREATE TABLE k_cased (k text COLLATE \"C\" PRIMARY KEY, v int);"
	"INSERT INTO k_cased SELECT k, v FROM k_text;"
	"CREATE TABLE k_uuid (k uuid PRIMARY KEY, v int);"
	"INSERT INTO k_uuid SELECT md5(i::text)::uuid, i FROM generate_series(1, 300) i;"
	"CREATE TABLE k_numeric (k numeric PRIMARY KEY, v int);"
	"INSERT INTO k_numeric SELECT (i - 150) * 1.00000000025, i FROM generate_series(1, 300) i;"
	"INSERT INTO k_numeric VALUES ('NaN', 1), ('Infinity', 2), ('-Infinity', 3), (1e40, 1004), "
	"(-1e40, 5), (0.00000000001, 6);"
	"CREATE TABLE k_time (k timestamptz PRIMARY KEY, v int);"
	"INSERT INTO k_time SELECT timestamptz '2017-01-01' + i * interval '1 hour 1 us', i FROM "
	"generate_series(1, 300) i;"
	"INSERT INTO k_time VALUES ('infinity', 1), ('-infinity', 2), ('294276-12-31 23:59:59+00', 3), "
	"('4713-01-01 00:00:00+00 BC', 4);"
	"CREATE TABLE k_date (k date PRIMARY KEY, v int);"
	"INSERT INTO k_date SELECT date '2017-01-01' + i, i FROM generate_series(1, 300) i;"
	"INSERT INTO k_date VALUES ('infinity', 1), ('5874897-12-31', 3);"
	"CREATE TABLE k_negative (k bigint PRIMARY KEY, v int);"
	"INSERT INTO k_negative SELECT (i - 150) * 12345678901, i FROM generate_series(1, 300) i;"
	"CREATE TABLE k_two (b text COLLATE \"C\", n int, a smallint, PRIMARY KEY (a, b));"
	"INSERT INTO k_two SELECT 'x' || i, i, i % 3 FROM generate_series(1, 300) i;"
	"CREATE TABLE k_mood (k char(5) PRIMARY KEY, v int);"
	"INSERT INTO k_mood SELECT i::text, i FROM generate_series(1, 300) i;"
	"CREATE TABLE k_bool (k boolean, n int, PRIMARY KEY (k, n));"
	"INSERT INTO k_bool SELECT i % 2 = 0, i FROM generate_series(1, 300) i;"
	"CREATE TABLE k_none (v int);"
	"INSERT INTO k_none SELECT i % 50 FROM generate_series(1, 300) i;"
	"CREATE TABLE k_parts (k int PRIMARY KEY, v int) PARTITION BY RANGE (k);"
	"CREATE TABLE k_parts_1 PARTITION OF k_parts FOR VALUES FROM (0) TO (100);"
	"CREATE TABLE k_parts_2 PARTITION OF k_parts FOR VALUES FROM (100) TO (1000);"
	"INSERT INTO k_parts SELECT i, i FROM generate_series(1, 300) i;"
	"ALTER PUBLICATION " PUBLICATION " SET (publish_via_partition_root = true);"
	"ALTER PUBLICATION " PUBLICATION " ADD TABLE k_text, k_cased, k_uuid, k_numeric, k_time, "
	"k_date, k_negative, k_two, k_mood, k_bool, k_none, k_parts;"
	"ANALYZE";

/* Tables that stay whole: without a key, or with one that has no order that both sides share. */
static const char *const one_range[] = {"public.k_bool", "public.k_none", "public.nothing"};

static bool is_one_range(struct str name)
{
	for (size_t i = 0; i < sizeof one_range / sizeof *one_range; i++)
		if (str_eqc(name, one_range[i]))
			return true;
	return false;
}

static struct reconcile_options options_of(struct fixture *f, uint64_t range_rows)
{
	return (struct reconcile_options){.conninfo = pg_server_conninfo(f->server),
		.publication = PUBLICATION,
		.reach = reached,
		.max_keys = 10,
		.range_rows = range_rows,
		.resume_us = INT64_C(3600000000)};
}

static void run(struct fixture *f, const struct reconcile_options *o, struct reconcile_report *r)
{
	struct error e = {.kind = OK};

	assert_ok(reconcile(o, f->warehouse, &f->env, r, &e), &e);
}

static int64_t count_source(struct fixture *f, struct str name)
{
	struct arena mem = {0};
	struct error e = {.kind = OK};
	PGresult *r;
	const char *sql = arena_fmt(&mem, "SELECT count(*) FROM %.*s", STR_ARG(name)).p;

	assert_ok(pg_query(f->pg, sql, 0, NULL, "counting", &mem, &r, &e), &e);
	int64_t n = pg_cell_i64(r, 0, 0);
	arena_free(&mem);
	return n;
}

/* Ranges neither overlap nor leave a row out, on either side; their digests add up. */
static void test_ranges_are_a_partition(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options whole = options_of(f, 0), ranges = options_of(f, 40);
	struct reconcile_report a, b;

	run(f, &whole, &a);
	run(f, &ranges, &b);
	if (!a.ok || !b.ok)
		fail_msg("%s\n%s", buf_cstr(&a.json), buf_cstr(&b.json));
	assert_true(a.whole && b.whole);
	assert_int_equal(a.cuts, 1);
	assert_true(b.cuts > 20);
	assert_true(lsn_cmp(b.cut.at, b.last_cut) <= 0);
	for (size_t i = 0; i < a.ntables; i++) {
		const struct reconcile_table *x = &a.tables[i], *y = &b.tables[i];

		if (!digest_eq(&x->source, &y->source) || !digest_eq(&x->replica, &y->replica))
			fail_msg("%.*s: other rows in ranges", STR_ARG(x->name));
		assert_int_equal(x->source.rows, count_source(f, x->name));
		if (is_one_range(x->name) ? y->ranges != 1 : y->ranges < 4)
			fail_msg("%.*s: %u ranges", STR_ARG(x->name), y->ranges);
		assert_int_equal(y->compared, y->ranges);
	}
	reconcile_report_free(&a);
	reconcile_report_free(&b);
}

static void expect_one(struct fixture *f, const char *sql, const char *table, const char *key,
	enum difference kind)
{
	struct reconcile_options o = options_of(f, 40);
	struct reconcile_report r;

	warehouse_run(f, "%s", sql);
	run(f, &o, &r);
	assert_false(r.ok);
	const struct reconcile_table *t = report_table(&r, table);
	assert_int_equal(t->count[kind], 1);
	assert_int_equal(t->nkeys, 1);
	assert_str(t->keys[0].key, key);
	assert_int_equal(t->keys[0].kind, kind);
	for (size_t i = 0; i < r.ntables; i++)
		assert_true(&r.tables[i] == t || r.tables[i].nkeys == 0);
	reconcile_report_free(&r);
}

static void test_faults_in_ranges(void **state)
{
	struct fixture *f = *state;

	expect_one(f, "UPDATE public.k_two SET n = n + 1 WHERE a = 1 AND b = 'x61'", "public.k_two",
		"{\"b\":\"x61\",\"a\":1}", ROW_DIFFERENT);
	warehouse_run(f, "UPDATE public.k_two SET n = n - 1 WHERE a = 1 AND b = 'x61'");
	/* A value that no DECIMAL holds: it stands in the last range. */
	expect_one(f,
		"CREATE TABLE ops.gone AS FROM public.k_numeric WHERE v = 1004; "
		"DELETE FROM public.k_numeric WHERE v = 1004",
		"public.k_numeric", "{\"k\":\"10000000000000000000000000000000000000000\"}",
		ROW_MISSING);
	warehouse_run(f, "INSERT INTO public.k_numeric FROM ops.gone; DROP TABLE ops.gone");
	expect_one(f,
		"INSERT INTO public.k_uuid SELECT * REPLACE "
		"(CAST('ffffffff-ffff-ffff-ffff-ffffffffffff' AS UUID) AS k) FROM "
		"public.k_uuid LIMIT 1",
		"public.k_uuid", "{\"k\":\"ffffffff-ffff-ffff-ffff-ffffffffffff\"}", ROW_EXTRA);
	warehouse_run(
		f, "DELETE FROM public.k_uuid WHERE k = 'ffffffff-ffff-ffff-ffff-ffffffffffff'");
}

/* The known gap without --history: the current row is right, its entry of history is not. */
static void test_history_is_compared(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 40);
	struct reconcile_report r;

	warehouse_run(f,
		"UPDATE public_history.k_uuid SET v = v + 1 WHERE v = 7; "
		"DELETE FROM public_history.k_date WHERE v = 9; "
		"INSERT INTO public_history.k_negative SELECT * REPLACE (5 AS k) FROM "
		"public_history.k_negative LIMIT 1");
	run(f, &o, &r);
	assert_true(r.ok);
	reconcile_report_free(&r);
	o.history = true;
	for (int i = 0; i < 2; i++, o.range_rows = 0) {
		run(f, &o, &r);
		assert_false(r.ok);
		const struct reconcile_table *u = report_table(&r, "public.k_uuid");
		assert_int_equal(u->history.count[ROW_DIFFERENT], 1);
		assert_int_equal(u->count[ROW_DIFFERENT], 0);
		assert_true(u->nkeys == 1 && u->keys[0].in_history);
		assert_str(u->keys[0].key, "{\"k\":\"8f14e45f-ceea-167a-5a36-dedd4bea2543\"}");
		assert_int_equal(report_table(&r, "public.k_date")->history.count[ROW_MISSING], 1);
		assert_int_equal(
			report_table(&r, "public.k_negative")->history.count[ROW_EXTRA], 1);
		assert_has(buf_cstr(&r.json), "\"in_history\":true");
		reconcile_report_free(&r);
	}
	fixture_copy(f);
}

/* seconds and times apart, a report of one comparison is a report of the other. */
static void assert_same_findings(const struct reconcile_report *a, const struct reconcile_report *b)
{
	assert_int_equal(a->ok, b->ok);
	assert_int_equal(a->whole, b->whole);
	for (size_t i = 0; i < a->ntables; i++) {
		const struct reconcile_table *x = &a->tables[i], *y = &b->tables[i];

		assert_true(digest_eq(&x->source, &y->source));
		assert_true(digest_eq(&x->replica, &y->replica));
		assert_memory_equal(x->count, y->count, sizeof x->count);
		assert_int_equal(x->nkeys, y->nkeys);
		for (size_t k = 0; k < x->nkeys; k++) {
			assert_true(str_eq(x->keys[k].key, y->keys[k].key));
			assert_int_equal(x->keys[k].ncolumns, y->keys[k].ncolumns);
			assert_int_equal(x->keys[k].blame, y->keys[k].blame);
		}
	}
}

/* Broken off after any group: the next call does the rest and finds the same. */
static void test_goes_on(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 700);
	struct reconcile_report whole, r;
	struct error e = {.kind = OK};
	unsigned groups = 0;

	warehouse_run(f,
		"UPDATE public.k_uuid SET v = v + 1 WHERE v %% 50 = 7; "
		"DELETE FROM public.items WHERE id = 3; UPDATE public.items SET name = 'x' WHERE id = 9");
	run(f, &o, &whole);
	assert_false(whole.ok);
	for (unsigned n = 1;; n++) {
		char spec[64];

		snprintf(spec, sizeof spec, "reconcile.kept=error@%u", n);
		assert_ok(failpoints_parse(&f->env.failpoints, str_of(spec), &e), &e);
		enum err rc = reconcile(&o, f->warehouse, &f->env, &r, &e);
		failpoints_free(f->env.failpoints);
		f->env.failpoints = NULL;
		if (rc == OK) {
			reconcile_report_free(&r);
			break;
		}
		assert_int_equal(rc, ERR_UNAVAILABLE);
		run(f, &o, &r);
		assert_true(r.resumed > 0);
		assert_same_findings(&whole, &r);
		reconcile_report_free(&r);
		groups++;
	}
	assert_true(groups > 2);
	reconcile_report_free(&whole);
	fixture_copy(f);
}

/* What was done for other options, too long ago or with another shape does not count. */
static void test_goes_on_only_with_the_same(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 200);
	struct reconcile_report r;
	struct error e = {.kind = OK};

	for (int i = 0; i < 4; i++) {
		struct reconcile_options other = o;

		assert_ok(failpoints_parse(&f->env.failpoints, STR("reconcile.kept=error@2"), &e),
			&e);
		assert_err(reconcile(&o, f->warehouse, &f->env, &r, &e), ERR_UNAVAILABLE, &e);
		failpoints_free(f->env.failpoints);
		f->env.failpoints = NULL;
		if (i == 0)
			other.range_rows = 100;
		else if (i == 1)
			other.afresh = true;
		else if (i == 2)
			other.table = "items";
		else
			other.resume_us = 1;
		run(f, &other, &r);
		assert_true(r.ok);
		assert_int_equal(r.resumed, 0);
		reconcile_report_free(&r);
		warehouse_run(f, "DELETE FROM ops.reconcile_runs; DELETE FROM ops.reconcile_parts");
	}
}

static void test_sample(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 0);
	struct reconcile_report r;
	int64_t whole = 0;
	struct error e = {.kind = OK};

	source_run(f,
		"CREATE TABLE big (id int PRIMARY KEY, v text); "
		"INSERT INTO big SELECT i, 'v' || i FROM generate_series(1, 20000) i; "
		"ALTER PUBLICATION " PUBLICATION " ADD TABLE big; ANALYZE big");
	fixture_copy(f);
	warehouse_run(f, "DELETE FROM ops.reconciliations");
	o.sample = 10;
	run(f, &o, &r);
	const struct reconcile_table *t = report_table(&r, "public.big");
	assert_true(r.ok && !r.whole);
	assert_true(t->ranges >= 15 && t->compared == (t->ranges + 9) / 10);
	assert_true(t->source.rows > 500 && t->source.rows < 6000);
	assert_has(buf_cstr(&r.json), "\"sample\":10");
	reconcile_report_free(&r);
	assert_ok(warehouse_i64(f->warehouse,
			  STR("SELECT count(*) FROM ops.reconciliations WHERE whole"), &whole, &e),
		&e);
	assert_int_equal(whole, 0);
	source_run(f, "DROP TABLE big");
	warehouse_run(f,
		"DROP VIEW public_history.big_versions; DROP TABLE public_history.big; "
		"DROP TABLE public.big");
}

static void test_counts(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 0);
	struct counts_report r;
	struct error e = {.kind = OK};

	assert_ok(reconcile_counts(&o, "at", f->warehouse, &f->env, &r, &e), &e);
	if (!r.ok)
		fail_msg("%s", buf_cstr(&r.json));
	assert_has(buf_cstr(&r.json),
		"\"table\":\"public.items\",\"source_rows\":300,"
		"\"replica_rows\":300,\"by_day\":\"at\"");
	assert_has(buf_cstr(&r.json), "{\"day\":\"infinity\"");
	assert_has(buf_cstr(&r.json), "{\"day\":null");
	assert_has(buf_cstr(&r.json), "{\"day\":\"2017-03-02\"");
	counts_report_free(&r);
	warehouse_run(f, "UPDATE public.items SET \"at\" = \"at\" - INTERVAL 1 DAY WHERE id = 5");
	assert_ok(reconcile_counts(&o, "at", f->warehouse, &f->env, &r, &e), &e);
	assert_false(r.ok);
	counts_report_free(&r);
	assert_ok(reconcile_counts(&o, NULL, f->warehouse, &f->env, &r, &e), &e);
	assert_true(r.ok);
	assert_int_equal(r.nlines, r.ntables);
	counts_report_free(&r);
	assert_err(reconcile_counts(&o, "nowhere", f->warehouse, &f->env, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "nowhere");
	fixture_copy(f);
}

/* A busy source is waited for; when it stays busy, what is done is kept. */
static void test_throttle(void **state)
{
	struct fixture *f = *state;
	struct reconcile_options o = options_of(f, 200);
	struct reconcile_report r;
	struct error e = {.kind = OK};

	o.limits = (struct reconcile_limits){.transaction_us = 1, .patience_us = 600000};
	source_run(f, "BEGIN; SELECT 1");
	assert_err(reconcile(&o, f->warehouse, &f->env, &r, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "less busy");
	source_run(f, "COMMIT");
	run(f, &o, &r);
	assert_true(r.ok && r.whole && r.resumed > 0);
	reconcile_report_free(&r);
}

static int setup(void **state)
{
	static struct fixture f;

	fixture_open(&f);
	source_run(&f, schema_sql);
	fixture_copy(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_a_partition),
		cmocka_unit_test(test_faults_in_ranges),
		cmocka_unit_test(test_history_is_compared),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_goes_on_only_with_the_same),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_throttle),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
