#include "prove_fixture.h"

#include "enc.h"
#include "json.h"

static int setup(void **state)
{
	static struct fixture f;

	fixture_open(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	return 0;
}

static void assert_counts(
	const struct reconcile_table *t, uint64_t missing, uint64_t extra, uint64_t different)
{
	if (t->count[ROW_MISSING] != missing || t->count[ROW_EXTRA] != extra ||
		t->count[ROW_DIFFERENT] != different)
		fail_msg("%.*s: %llu missing, %llu extra, %llu different; not %llu, %llu, %llu",
			STR_ARG(t->name), (unsigned long long)t->count[ROW_MISSING],
			(unsigned long long)t->count[ROW_EXTRA],
			(unsigned long long)t->count[ROW_DIFFERENT], (unsigned long long)missing,
			(unsigned long long)extra, (unsigned long long)different);
}

static void test_equal(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	assert_ok(reconcile_now(f, NULL, 20, &r, &e), &e);
	if (!r.ok)
		print_message("%s\n", buf_cstr(&r.json));
	for (size_t i = 0; i < r.ntables; i++) {
		const struct reconcile_table *t = &r.tables[i];
		assert_counts(t, 0, 0, 0);
		assert_true(digest_eq(&t->source, &t->replica));
	}
	assert_true(r.ok);
	assert_int_equal(r.ntables, 3);
	assert_int_equal(report_table(&r, "public.items")->source.rows, ITEMS);
	assert_int_equal(report_table(&r, "public.pairs")->source.rows, 204);
	assert_int_equal(report_table(&r, "public.nothing")->source.rows, 0);
	reconcile_report_free(&r);
}

/* The report is kept as it was printed, under its digest. */
static void test_report_is_kept(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};
	struct buf kept;
	char digest[ENC_SHA256_TEXT];
	json_t *o, *cut, *tables;
	bool ok;

	assert_ok(reconcile_now(f, NULL, 20, &r, &e), &e);
	buf_init(&kept, 1 << 20);
	assert_ok(warehouse_text(f->warehouse,
			  STR("SELECT report FROM ops.reconciliations ORDER BY finished_at DESC "
			      "LIMIT 1"),
			  &kept, &e),
		&e);
	assert_true(str_eq(buf_str(&kept), buf_str(&r.json)));
	enc_sha256(buf_str(&kept), digest);
	assert_string_equal(digest, r.sha256);
	assert_ok(json_read(buf_str(&kept), "report", &o, &e), &e);
	assert_ok(json_want_bool(o, "ok", &ok, &e), &e);
	assert_ok(json_want_object(o, "cut", &cut, &e), &e);
	assert_ok(json_want_array(o, "tables", &tables, &e), &e);
	assert_true(ok && json_array_size(tables) == 3);
	assert_true(r.whole && json_is_true(json_object_get(o, "whole")));
	assert_true(json_get_str(cut, "snapshot").n > 0);
	json_decref(o);
	buf_free(&kept);
	reconcile_report_free(&r);
}

/* One table that is equal says nothing of the others, and the report does not pretend to. */
static void test_report_says_what_it_covers(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};
	int64_t whole = -1;

	warehouse_run(f, "DELETE FROM ops.reconciliations");
	for (int i = 0; i < 2; i++) {
		assert_ok(reconcile_now(f, i == 0 ? "items" : NULL, 20, &r, &e), &e);
		assert_int_equal(r.whole, i);
		assert_has(buf_cstr(&r.json), i == 0 ? "\"whole\":false" : "\"whole\":true");
		reconcile_report_free(&r);
		assert_ok(warehouse_i64(f->warehouse,
				  STR("SELECT count(*) FROM ops.reconciliations WHERE whole"),
				  &whole, &e),
			&e);
		assert_int_equal(whole, i);
	}
}

/* --- planted faults --- */

/* The first rows have none of the special values, so every fault changes them. */
#define ROWS_TO_SPOIL 16

static const char *const both[] = {"public", "public_history"};

struct fault {
	const char *name, *set; /* assignment to the one row */
	const char *column;     /* that must be named */
	bool bit;               /* any one of the column's bits */
};

static const struct fault faults[] = {
	{.name = "bit", .column = "big", .bit = true},
	{"small bit", "tiny = xor(coalesce(tiny, 0), 1::SMALLINT)", "tiny"},
	{"boolean", "ok = NOT ok", "ok"},
	{"cent", "price = price + 0.01", "price"},
	{"last digit of a double", "share = -coalesce(share, 1) - 1", "share"},
	{"trailing space", "note = note || ' '", "note"},
	{"case", "note = upper(note)", "note"},
	{"NULL for a value", "local = NULL", "local"},
	{"microsecond", "clock = TIME '01:02:03.000001'", "clock"},
	{"byte", "mark = '00000000-0000-0000-0000-0000000000ff'", "mark"},
	{"JSON text", "plain = '{\"k\": [1,2]}'", "plain"},
	{"note of an exact value", "_exact = '{\"n\":\"1\", \"nowhere\":\"2\"}'", "_exact"},
	{"broken note", "_exact = '\"x\"'", "_exact"},
};

/* Current and history alike, so that it does not matter which of them is asked. */
static void set_row(struct fixture *f, const char *assignment, unsigned id)
{
	warehouse_run(f,
		"UPDATE public.items SET %s WHERE id = %u; "
		"UPDATE public_history.items SET %s WHERE id = %u",
		assignment, id, assignment, id);
}

static void restore(struct fixture *f)
{
	warehouse_run(f,
		"DELETE FROM public.items; INSERT INTO public.items FROM saved_current; "
		"DELETE FROM public_history.items; "
		"INSERT INTO public_history.items FROM saved_history");
}

static void assert_key(const struct reconcile_table *t, enum difference kind, unsigned id,
	const char *column, const char *what)
{
	char want[64];

	snprintf(want, sizeof want, "{\"id\":%u}", id);
	for (size_t i = 0; i < t->nkeys; i++) {
		const struct reconcile_key *k = &t->keys[i];
		if (k->kind != kind || !str_eqc(k->key, want))
			continue;
		if (column == NULL)
			return;
		for (size_t c = 0; c < k->ncolumns; c++)
			if (str_eqc(k->columns[c], column))
				return;
		fail_msg("%s, row %u: the column %s is not named; %.*s is", what, id, column,
			STR_ARG(k->ncolumns > 0 ? k->columns[0] : STR("none")));
	}
	fail_msg("%s, row %u: no key %s of kind %s", what, id, want, difference_name(kind));
}

/* What one round has planted, each in a row of its own. */
struct planted {
	struct expected {
		const char *what, *column;
		enum difference kind;
		unsigned id;
	} list[ROWS_TO_SPOIL];
	unsigned n, next; /* rows still sound: next.. of `rows` */
	unsigned rows[ROWS_TO_SPOIL];
};

static void expect(
	struct planted *p, enum difference kind, unsigned id, const char *column, const char *what)
{
	p->list[p->n++] = (struct expected){.what = what, .column = column, .kind = kind, .id = id};
}

static void plant_value(struct fixture *f, struct planted *p, unsigned id)
{
	const struct fault *fault = &faults[rnd_below(&f->rnd, sizeof faults / sizeof faults[0])];
	char assignment[256];

	if (fault->bit)
		snprintf(assignment, sizeof assignment, "big = xor(big, 1::BIGINT << %u)",
			(unsigned)rnd_below(&f->rnd, 62));
	else
		snprintf(assignment, sizeof assignment, "%s", fault->set);
	set_row(f, assignment, id);
	expect(p, ROW_DIFFERENT, id, fault->column, fault->name);
}

static void plant_swap(struct fixture *f, struct planted *p, unsigned id, unsigned other)
{
	for (size_t t = 0; t < 2; t++)
		warehouse_run(f,
			"UPDATE %s.items SET mark = (SELECT o.mark FROM %s.items o WHERE "
			"o.id = CASE items.id WHEN %u THEN %u ELSE %u END) WHERE id IN (%u, %u)",
			both[t], both[t], id, other, id, id, other);
	expect(p, ROW_DIFFERENT, id, "mark", "swapped values");
	expect(p, ROW_DIFFERENT, other, "mark", "swapped values");
}

static void plant_deleted(struct fixture *f, struct planted *p, unsigned id)
{
	for (size_t t = 0; t < 2; t++)
		warehouse_run(f, "DELETE FROM %s.items WHERE id = %u", both[t], id);
	expect(p, ROW_MISSING, id, NULL, "deleted row");
}

static void plant_copy(struct fixture *f, struct planted *p, unsigned id, unsigned as)
{
	for (size_t t = 0; t < 2; t++)
		warehouse_run(f,
			"INSERT INTO %s.items SELECT * REPLACE (%u AS id) FROM %s.items "
			"WHERE id = %u",
			both[t], as, both[t], id);
	expect(p, ROW_EXTRA, as, NULL, as == id ? "duplicate row" : "extra row");
}

static void plant(struct fixture *f, struct planted *p)
{
	unsigned id = p->rows[p->next++];

	switch (rnd_below(&f->rnd, 8)) {
	case 0:
		plant_deleted(f, p, id);
		break;
	case 1:
		plant_copy(f, p, id, 1000 + id);
		break;
	case 2:
		plant_copy(f, p, id, id);
		break;
	case 3:
		if (p->next < ROWS_TO_SPOIL)
			plant_swap(f, p, id, p->rows[p->next++]);
		break;
	default:
		plant_value(f, p, id);
		break;
	}
}

static void shuffle_rows(struct fixture *f, struct planted *p)
{
	for (unsigned i = 0; i < ROWS_TO_SPOIL; i++)
		p->rows[i] = i + 1;
	for (unsigned i = ROWS_TO_SPOIL - 1; i > 0; i--) {
		unsigned k = (unsigned)rnd_below(&f->rnd, i + 1), row = p->rows[i];
		p->rows[i] = p->rows[k];
		p->rows[k] = row;
	}
}

/* Each is found with its key, its kind and its column, and nothing else is. */
static void assert_found(struct fixture *f, const struct planted *p)
{
	struct reconcile_report r;
	struct error e = {.kind = OK};
	uint64_t want[DIFFERENCES] = {0};

	assert_ok(reconcile_now(f, "items", ROWS_TO_SPOIL, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.items");
	for (unsigned i = 0; i < p->n; i++) {
		assert_key(t, p->list[i].kind, p->list[i].id, p->list[i].column, p->list[i].what);
		want[p->list[i].kind]++;
	}
	assert_counts(t, want[ROW_MISSING], want[ROW_EXTRA], want[ROW_DIFFERENT]);
	assert_int_equal(t->nkeys, p->n);
	assert_int_equal(r.ok, p->n == 0);
	reconcile_report_free(&r);
}

static void test_200_faults(void **state)
{
	struct fixture *f = *state;
	unsigned planted = 0;

	warehouse_run(f,
		"CREATE OR REPLACE TABLE saved_current AS FROM public.items; "
		"CREATE OR REPLACE TABLE saved_history AS FROM public_history.items");
	for (unsigned round = 0; planted < 200; round++) {
		struct planted p = {.n = 0};
		/* The first rounds plant one each: nothing else can give it away. */
		unsigned most = round < 20 ? 1 : 1 + (unsigned)rnd_below(&f->rnd, ROWS_TO_SPOIL);
		shuffle_rows(f, &p);
		while (p.next < most)
			plant(f, &p);
		assert_found(f, &p);
		planted += p.n;
		restore(f);
	}
	const struct planted none = {.n = 0};
	assert_found(f, &none);
	warehouse_run(f, "DROP TABLE saved_current; DROP TABLE saved_history");
}

/* --- the rest --- */

static void test_change_in_the_source(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	source_run(f,
		"UPDATE pairs SET v = 5 WHERE a = 'ab' AND b = 'c '; "
		"DELETE FROM pairs WHERE a = '' AND b = ''; "
		"INSERT INTO pairs VALUES ('a\"b', E'x\\ny', 9)");
	assert_ok(reconcile_now(f, "pairs", 5, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.pairs");
	assert_false(r.ok);
	assert_counts(t, 1, 1, 1);
	assert_int_equal(t->nkeys, 3);
	assert_str(t->keys[0].key, "{\"a\":\"a\\\"b\",\"b\":\"x\\ny\"}");
	assert_str(t->keys[1].key, "{\"a\":\"\",\"b\":\"\"}");
	assert_str(t->keys[2].key, "{\"a\":\"ab\",\"b\":\"c \"}");
	assert_int_equal(t->keys[2].ncolumns, 1);
	assert_str(t->keys[2].columns[0], "v");
	assert_has(buf_cstr(&r.json), "\"kind\":\"different\",\"columns\":[\"v\"]");
	reconcile_report_free(&r);
	fixture_copy(f);
}

static void test_table_absent_from_the_warehouse(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	source_run(f,
		"CREATE TABLE late (id int PRIMARY KEY, v text); "
		"INSERT INTO late SELECT i, 'v' FROM generate_series(1, 50) AS i; "
		"ALTER PUBLICATION " PUBLICATION " ADD TABLE late");
	/* Not copied yet: nothing is known of it. */
	assert_err(reconcile_now(f, NULL, 3, &r, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "public.late");
	error_clear(&e);
	/* Copied, and then lost. */
	fixture_copy(f);
	warehouse_run(f,
		"DROP TABLE public.late; DROP VIEW public_history.late_versions; DROP "
		"TABLE public_history.late");
	assert_ok(reconcile_now(f, NULL, 3, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.late");
	assert_false(r.ok);
	assert_counts(t, 50, 0, 0);
	assert_int_equal(t->nkeys, 3);
	reconcile_report_free(&r);
	source_run(f, "DROP TABLE late");
}

/* More differences than are listed, of every kind, and no list at all. */
static void test_many_differences(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	source_run(f,
		"DELETE FROM items WHERE id BETWEEN 1 AND 60; "
		"INSERT INTO items (id, name) SELECT i, 'new' FROM "
		"generate_series(1001, 1040) AS i; "
		"UPDATE items SET ok = NOT ok, price = 3 WHERE id BETWEEN 100 AND 179");
	for (size_t max = 0; max <= 10; max += 10) {
		assert_ok(reconcile_now(f, "items", max, &r, &e), &e);
		const struct reconcile_table *t = report_table(&r, "public.items");
		assert_counts(t, 40, 60, 80);
		assert_int_equal(t->nkeys, 3 * max);
		reconcile_report_free(&r);
	}
	fixture_copy(f);
}

static void test_wrong_use(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	assert_err(reconcile_now(f, "itens", 5, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "\"itens\"");
	assert_has(e.text, "items");
	assert_int_equal(r.ntables, 0);
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(f->server),
		.publication = "nobody",
		.reach = reached};
	enum err rc = reconcile(&o, f->warehouse, &f->env, &r, &e);
	assert_true(rc == ERR_USAGE || rc == ERR_NOT_FOUND);
	assert_has(e.text, "nobody");
}

static enum err cannot_reach(void *arg, lsn at, struct error *e)
{
	(void)arg;
	(void)at;
	return FAIL(e, ERR_FAILED, "it does not move");
}

/* Law 4: a comparison that could not be made is neither equal nor different. */
static void test_unknown_is_not_ok(void **state)
{
	struct fixture *f = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};
	struct reconcile_options o = {.conninfo = pg_server_conninfo(f->server),
		.publication = PUBLICATION,
		.reach = cannot_reach};

	assert_err(reconcile(&o, f->warehouse, &f->env, &r, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "it does not move");
	assert_false(r.ok);

	o.reach = reached;
	o.conninfo = "host=/nonexistent dbname=none";
	assert_err(reconcile(&o, f->warehouse, &f->env, &r, &e), ERR_UNAVAILABLE, &e);
	assert_false(r.ok);

	warehouse_run(f,
		"ALTER TABLE public_history.pairs RENAME COLUMN v TO w; "
		"ALTER TABLE public.pairs RENAME COLUMN v TO w");
	assert_err(reconcile_now(f, "pairs", 5, &r, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "public.pairs");
	assert_false(r.ok);
	fixture_copy(f);
}

/* Every call of the warehouse fails once; none of it passes for equal. */
static void test_every_warehouse_call_fails_once(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	const struct warehouse_options wo = {.url = f->url, .threads = 1};
	static const char *const ops[] = {"query", "select_at", "insert", "mark"};
	unsigned failed = 0;

	for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
		for (unsigned nth = 1;; nth++) {
			struct reconcile_report r;
			warehouse_close(f->warehouse);
			f->warehouse = NULL;
			assert_ok(warehouse_open(&f->warehouse, &wo, &f->env, &e), &e);
			f->warehouse = warehouse_faulty(f->warehouse, ops[op], nth);
			enum err rc = reconcile_now(f, NULL, 5, &r, &e);
			bool ok = r.ok;
			reconcile_report_free(&r);
			if (rc == OK) {
				assert_true(ok);
				break;
			}
			assert_int_equal(rc, ERR_UNAVAILABLE);
			assert_false(ok);
			assert_true(e.text[0] != '\0');
			failed++;
		}
	assert_true(failed >= 8);
	warehouse_close(f->warehouse);
	f->warehouse = NULL;
	assert_ok(warehouse_open(&f->warehouse, &wo, &f->env, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_report_is_kept),
		cmocka_unit_test(test_report_says_what_it_covers),
		cmocka_unit_test(test_200_faults),
		cmocka_unit_test(test_change_in_the_source),
		cmocka_unit_test(test_table_absent_from_the_warehouse),
		cmocka_unit_test(test_many_differences),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_unknown_is_not_ok),
		cmocka_unit_test(test_every_warehouse_call_fails_once),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
