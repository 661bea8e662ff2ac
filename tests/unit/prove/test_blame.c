/* Who is blamed: the same wrong rows in the warehouse, beside journals that are right, wrong,
 * silent or gone. */
#include "streamed.h"

#include "journal.h"
#include "journal_files.h"

static const char more_sql[] = "ALTER TABLE items ALTER COLUMN name SET STORAGE EXTERNAL;"
			       "UPDATE items SET note = 'second' WHERE id IN (305, 306);"
			       "UPDATE items SET name = repeat('long ', 1000) WHERE id = 307;"
			       "UPDATE items SET n = n + 1 WHERE id = 307;"
			       "UPDATE items SET id = 1308 WHERE id = 308;"
			       "INSERT INTO nothing VALUES (1, 'a'), (2, 'b');"
			       "TRUNCATE nothing;"
			       "INSERT INTO nothing VALUES (3, 'c');"
			       "DELETE FROM items WHERE id = 309;"
			       "INSERT INTO items (id, name) VALUES (309, 'anew');";

static int setup(void **state)
{
	static struct streamed s;

	streamed_open(&s);
	source_run(&s.f, more_sql);
	streamed_catch_up(&s);
	streamed_save(&s);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	streamed_close(*state);
	return 0;
}

/* ---- a journal that is not what was sent ---- */

struct forgery {
	const char *drop;        /* messages that contain it are left out */
	const char *drop_delete; /* so are deletions that contain it */
	const char *from, *to;   /* of the same length: replaced wherever it stands */
};

static void forge_message(struct forgery *f, struct buf *text)
{
	size_t n = f->from != NULL ? strlen(f->from) : 0;
	ptrdiff_t at = n > 0 ? str_find(buf_str(text), str_of(f->from)) : -1;

	if (at >= 0)
		memcpy(text->p + at, f->to, n);
}

static void copy_messages(struct forgery *f, struct journal_reader *from, struct journal *to)
{
	struct journal_record rec;
	struct error e = {.kind = OK};
	struct buf text;
	bool got;

	buf_init(&text, 1 << 20);
	for (;;) {
		assert_ok(journal_reader_next(from, &rec, &got, &e), &e);
		if (!got)
			break;
		if (rec.kind != JOURNAL_MESSAGE)
			continue;
		if (f->drop != NULL && str_find(rec.payload, str_of(f->drop)) >= 0)
			continue;
		if (f->drop_delete != NULL && rec.payload.p[0] == 'D' &&
			str_find(rec.payload, str_of(f->drop_delete)) >= 0)
			continue;
		buf_reset(&text);
		buf_put(&text, rec.payload);
		forge_message(f, &text);
		assert_ok(journal_append(to, rec.start, buf_str(&text), &e), &e);
	}
	assert_ok(journal_sync(to, &e), &e);
	buf_free(&text);
}

static const char *forge(struct streamed *s, const char *name, struct forgery f)
{
	struct journal_options o = {.segment_size = 1 << 30, .retention_us = INT64_C(3600000000)};
	struct journal_reader *from = NULL;
	struct journal *to = NULL;
	struct segment_list segments;
	struct error e = {.kind = OK};
	static char dir[256];

	snprintf(dir, sizeof dir, "%s/forged-%s", s->f.dir, name);
	assert_ok(journal_identity_read(s->journal, &o.identity, &e), &e);
	assert_ok(segment_list_read(s->journal, &segments, &e), &e);
	assert_ok(journal_reader_open(&from, s->journal, NULL, segments.items[0].first, &e), &e);
	o.dir = dir;
	assert_ok(journal_open(&to, &o, &s->f.env, &e), &e);
	copy_messages(&f, from, to);
	journal_close(to);
	journal_reader_close(from);
	segment_list_free(&segments);
	return dir;
}

/* ---- the same wrong rows ---- */

static void spoil(struct streamed *s, const char *set, const char *where)
{
	warehouse_run(&s->f,
		"UPDATE public.items SET %s WHERE %s; UPDATE public_history.items SET %s WHERE %s",
		set, where, set, where);
}

static void assert_blamed(struct streamed *s, const char *journal, const char *table,
	const char *key, enum blame want)
{
	struct reconcile_report r;

	streamed_reconcile(s, journal, 20, &r);
	const struct reconcile_key *k = streamed_key(&r, table, key);
	if (k->blame != want)
		fail_msg("%s %s: blamed on %s, not %s", table, key, blame_name(k->blame),
			blame_name(want));
	const struct reconcile_table *t = report_table(&r, table);
	assert_true(t->blamed.by[want] > 0);
	reconcile_report_free(&r);
}

static void test_what_was_captured_wrong(void **state)
{
	struct streamed *s = *state;
	const char *forged;

	/* One byte of a value that was inserted. */
	spoil(s, "name = 'latx 310'", "id = 310");
	forged = forge(s, "value", (struct forgery){.from = "late 310", .to = "latx 310"});
	assert_blamed(s, forged, "public.items", "{\"id\":310}", BLAME_CAPTURE);
	assert_blamed(s, NULL, "public.items", "{\"id\":310}", BLAME_APPLY);
	streamed_restore(s);

	/* A change that is not there, of a row that was sent before. */
	spoil(s, "note = 'note'", "id IN (305, 306)");
	forged = forge(s, "update", (struct forgery){.drop = "second"});
	assert_blamed(s, forged, "public.items", "{\"id\":305}", BLAME_CAPTURE);
	assert_blamed(s, NULL, "public.items", "{\"id\":305}", BLAME_APPLY);
	streamed_restore(s);

	/* The same of a row that the first copy brought: the journal has nothing of it, but the
	 * source wrote it after that copy. */
	spoil(s, "name = 'name 200'", "id = 200");
	forged = forge(s, "silent", (struct forgery){.drop = "name 200"});
	assert_blamed(s, forged, "public.items", "{\"id\":200}", BLAME_CAPTURE);
	streamed_restore(s);

	/* A row that was inserted since, and of which nobody has heard. */
	warehouse_run(&s->f,
		"DELETE FROM public.items WHERE id = 312; "
		"DELETE FROM public_history.items WHERE id = 312");
	forged = forge(s, "lost", (struct forgery){.drop = "late 312"});
	assert_blamed(s, forged, "public.items", "{\"id\":312}", BLAME_CAPTURE);
	assert_blamed(s, NULL, "public.items", "{\"id\":312}", BLAME_APPLY);
	streamed_restore(s);

	/* A deletion that is not there, of a row that the first copy brought: nobody can tell. */
	warehouse_run(&s->f,
		"INSERT INTO public.items SELECT * REPLACE (250 AS id) FROM public.items WHERE id = "
		"20; "
		"DELETE FROM public_history.items WHERE id = 250 AND _op = 'D'");
	forged = forge(s, "gone", (struct forgery){.drop = "name 250", .drop_delete = "250"});
	assert_blamed(s, forged, "public.items", "{\"id\":250}", BLAME_CAPTURE_OR_APPLY);
	streamed_restore(s);
}

static void test_what_was_applied_wrong(void **state)
{
	struct streamed *s = *state;

	/* A value that was not sent again: the journal has it from the change before. */
	spoil(s, "name = 'short'", "id = 307");
	assert_blamed(s, NULL, "public.items", "{\"id\":307}", BLAME_APPLY);
	streamed_restore(s);

	/* A change of the key: the new row is missing, the old one is still there. */
	warehouse_run(&s->f,
		"DELETE FROM public.items WHERE id = 1308; "
		"DELETE FROM public_history.items WHERE id = 1308; "
		"INSERT INTO public.items SELECT * REPLACE (308 AS id) FROM public.items WHERE id = "
		"310; "
		"DELETE FROM public_history.items WHERE id = 308 AND _op = 'D'");
	assert_blamed(s, NULL, "public.items", "{\"id\":1308}", BLAME_APPLY);
	assert_blamed(s, NULL, "public.items", "{\"id\":308}", BLAME_APPLY);
	streamed_restore(s);

	/* A truncation that was not applied, of history or of the current table alone. */
	warehouse_run(&s->f,
		"INSERT INTO public.nothing SELECT * REPLACE (1 AS id) FROM public.nothing; "
		"DELETE FROM public_history.nothing WHERE _op = 'T'");
	assert_blamed(s, NULL, "public.nothing", "{\"id\":1}", BLAME_APPLY);
	streamed_restore(s);
	warehouse_run(
		&s->f, "INSERT INTO public.nothing SELECT * REPLACE (2 AS id) FROM public.nothing");
	assert_blamed(s, NULL, "public.nothing", "{\"id\":2}", BLAME_WAREHOUSE);
	streamed_restore(s);

	/* A deletion and a new row under its key. */
	warehouse_run(&s->f,
		"DELETE FROM public.items WHERE id = 309; DELETE FROM public_history.items WHERE id "
		"= 309 AND name = 'anew'");
	assert_blamed(s, NULL, "public.items", "{\"id\":309}", BLAME_APPLY);
	streamed_restore(s);
}

/* A row that has stood since the first copy: nothing was to be captured, so the copy is wrong. */
static void test_what_was_copied_wrong(void **state)
{
	struct streamed *s = *state;
	char dir[256];

	snprintf(dir, sizeof dir, "%s/none", s->f.dir);
	spoil(s, "name = 'copied wrong'", "id = 20");
	assert_blamed(s, NULL, "public.items", "{\"id\":20}", BLAME_APPLY);
	assert_blamed(s, dir, "public.items", "{\"id\":20}", BLAME_APPLY);
	streamed_restore(s);
	warehouse_run(&s->f,
		"UPDATE public.pairs SET v = 77 WHERE a = 'ab' AND b = 'c'; "
		"UPDATE public_history.pairs SET v = 77 WHERE a = 'ab' AND b = 'c'");
	assert_blamed(s, NULL, "public.pairs", "{\"a\":\"ab\",\"b\":\"c\"}", BLAME_APPLY);
	streamed_restore(s);
}

/* A journal that cannot be read tells nothing, and does not end the comparison. */
static void test_without_a_journal(void **state)
{
	struct streamed *s = *state;
	char dir[256];

	spoil(s, "name = 'latx 310'", "id = 310");
	warehouse_run(&s->f, "UPDATE public.items SET n = 5 WHERE id = 311");
	snprintf(dir, sizeof dir, "%s/none", s->f.dir);
	assert_blamed(s, dir, "public.items", "{\"id\":310}", BLAME_CAPTURE_OR_APPLY);
	assert_blamed(s, dir, "public.items", "{\"id\":311}", BLAME_WAREHOUSE);
	streamed_restore(s);
}

/* Every key that differs has its party counted; only so many are listed, the first of them. */
static void test_all_are_counted(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	spoil(s, "name = name || '?'", "id BETWEEN 151 AND 210");
	warehouse_run(&s->f, "UPDATE public.items SET n = coalesce(n, 0) + 5 WHERE id <= 40");
	streamed_reconcile(s, NULL, 3, &r);
	const struct reconcile_table *t = report_table(&r, "public.items");
	assert_int_equal(t->count[ROW_DIFFERENT], 100);
	assert_int_equal(t->nkeys, 3);
	assert_str(t->keys[0].key, "{\"id\":1}");
	assert_str(t->keys[2].key, "{\"id\":3}");
	assert_int_equal(t->blamed.keys, 100);
	assert_int_equal(t->blamed.by[BLAME_WAREHOUSE], 40);
	assert_int_equal(t->blamed.by[BLAME_APPLY], 60);
	assert_has(
		buf_cstr(&r.json), "\"blame\":{\"warehouse\":40,\"apply\":60},\"looked_at\":100");
	reconcile_report_free(&r);
	/* Nothing is to be listed: nobody is asked. */
	streamed_reconcile(s, NULL, 0, &r);
	assert_int_equal(report_table(&r, "public.items")->blamed.keys, 0);
	reconcile_report_free(&r);
	streamed_restore(s);
}

/* Rows that all their columns tell apart: history is asked how often each came and went. */
static void test_rows_without_a_key(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(s->f.server),
		.publication = PUBLICATION,
		.reach = reached,
		.table = "public.bag",
		.max_keys = 10,
		.journal = s->journal,
		.history = true};

	source_run(&s->f,
		"CREATE TABLE bag (v int, w text); ALTER TABLE bag REPLICA IDENTITY FULL; "
		"INSERT INTO bag VALUES (1, 'copied'), (1, 'copied'); "
		"ALTER PUBLICATION " PUBLICATION " ADD TABLE bag");
	streamed_catch_up(s);
	source_run(&s->f,
		"INSERT INTO bag SELECT 2, 'twice' FROM generate_series(1, 2); "
		"INSERT INTO bag SELECT 3, 'thrice' FROM generate_series(1, 3); "
		"DELETE FROM bag WHERE ctid = (SELECT max(ctid) FROM bag WHERE v = 3)");
	streamed_catch_up(s);
	/* One of two that are left is taken away, once in current alone, once in history too. */
	warehouse_run(&s->f,
		"DELETE FROM public.bag WHERE v = 3 AND rowid = (SELECT max(rowid) FROM public.bag "
		"WHERE v = 3); "
		"DELETE FROM public.bag WHERE v = 2 AND rowid = (SELECT max(rowid) FROM public.bag "
		"WHERE v = 2); "
		"DELETE FROM public_history.bag WHERE v = 2 AND rowid = (SELECT max(rowid) FROM "
		"public_history.bag WHERE v = 2)");
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.bag");
	assert_int_equal(t->count[ROW_MISSING], 2);
	const struct reconcile_key *k = streamed_key(
		&r, "public.bag", "{\"v\":3,\"w\":\"thrice\"}");
	assert_string_equal(blame_name(k->blame), "warehouse");
	k = streamed_key(&r, "public.bag", "{\"v\":2,\"w\":\"twice\"}");
	assert_string_equal(blame_name(k->blame), "capture or apply");
	assert_has(buf_cstr(&r.json), "\"history_not_compared\":\"its rows have no key");
	reconcile_report_free(&r);
	source_run(&s->f, "DROP TABLE bag");
}

/* The members that the report promises, and what is added to them. */
static void test_report(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	spoil(s, "name = 'latx 310'", "id = 310");
	warehouse_run(&s->f, "UPDATE public.items SET n = 5 WHERE id IN (1, 311)");
	streamed_reconcile(s, NULL, 20, &r);
	assert_has(buf_cstr(&r.json),
		"{\"key\":{\"id\":1},\"kind\":\"different\",\"columns\":[\"n\"],\"blame\":"
		"\"warehouse\"}");
	assert_has(buf_cstr(&r.json), "\"blame\":{\"warehouse\":2,\"apply\":1},\"looked_at\":3");
	reconcile_report_free(&r);
	streamed_restore(s);
}

/* Where the warehouse has lost the table, history too, nobody can tell. Last: it stays lost. */
static void test_table_that_is_gone(void **state)
{
	struct streamed *s = *state;
	struct repair_report r;
	struct error e = {.kind = OK};

	warehouse_run(&s->f,
		"DROP VIEW public_history.nothing_versions; DROP TABLE public_history.nothing; "
		"DROP TABLE public.nothing");
	assert_blamed(s, NULL, "public.nothing", "{\"id\":3}", BLAME_UNKNOWN);
	assert_err(streamed_repair(s, false, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "public.nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_captured_wrong),
		cmocka_unit_test(test_what_was_applied_wrong),
		cmocka_unit_test(test_what_was_copied_wrong),
		cmocka_unit_test(test_without_a_journal),
		cmocka_unit_test(test_all_are_counted),
		cmocka_unit_test(test_rows_without_a_key),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_table_that_is_gone),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
