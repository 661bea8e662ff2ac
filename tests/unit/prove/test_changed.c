/* Checks that cost what has changed: the digests they give are those of a full comparison. */
#include "streamed.h"

#include "file.h"
#include "json.h"

static struct reconcile_options options_of(struct streamed *s, enum reconcile_mode mode)
{
	return (struct reconcile_options){.conninfo = pg_server_conninfo(s->f.server),
		.publication = PUBLICATION,
		.reach = reached,
		.max_keys = 20,
		.mode = mode,
		.range_rows = 60,
		.journal = s->journal,
		.hashes = s->hashes};
}

static void run(
	struct streamed *s, enum reconcile_mode mode, uint32_t rolling, struct reconcile_report *r)
{
	struct reconcile_options o = options_of(s, mode);
	struct error e = {.kind = OK};

	o.rolling = rolling;
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, r, &e), &e);
}

static void assert_digests(const struct reconcile_report *a, const struct reconcile_report *b)
{
	assert_int_equal(a->ntables, b->ntables);
	for (size_t i = 0; i < a->ntables; i++)
		if (!digest_eq(&a->tables[i].source, &b->tables[i].source) ||
			!digest_eq(&a->tables[i].replica, &b->tables[i].replica))
			fail_msg("%.*s: the digests are not those of a full comparison",
				STR_ARG(a->tables[i].name));
}

static void change_something(struct streamed *s)
{
	char sql[1024];
	unsigned a = (unsigned)rnd_below(&s->f.rnd, 400), b = (unsigned)rnd_below(&s->f.rnd, 400);

	snprintf(sql, sizeof sql,
		"BEGIN; UPDATE items SET price = price + 1, name = name || '''x' WHERE id BETWEEN %u "
		"AND %u; DELETE FROM items WHERE id = %u; INSERT INTO items (id, name) VALUES (%u, "
		"'again') ON CONFLICT (id) DO UPDATE SET name = 'twice'; UPDATE pairs SET b = b || "
		"'\"\\' WHERE v = %u; DELETE FROM pairs WHERE v = %u; %s",
		a, a + 10, b, b + 7, a % 200, b % 200,
		rnd_below(&s->f.rnd, 4) == 0 ? "ROLLBACK" : "COMMIT");
	source_run(&s->f, sql);
}

static void test_digests_are_those_of_a_full_comparison(void **state)
{
	struct streamed *s = *state;
	unsigned rounds = getenv("SLUICE_LONG") != NULL ? 300 : 5;
	uint64_t changed = 0;
	struct reconcile_report full, check;

	run(s, RECONCILE_FULL, 0, &full);
	assert_true(full.ok && full.cuts > 3);
	reconcile_report_free(&full);
	for (unsigned i = 0; i < rounds; i++) {
		change_something(s);
		streamed_catch_up(s);
		run(s, RECONCILE_CHANGED, i % 2 == 0 ? 0 : 5, &check);
		if (!check.ok)
			fail_msg("round %u: %s", i, buf_cstr(&check.json));
		assert_false(check.whole);
		for (size_t t = 0; t < check.ntables; t++)
			changed += check.tables[t].changed;
		/* The full one must not be what the next check starts from. */
		struct reconcile_options o = options_of(s, RECONCILE_FULL);
		struct error e = {.kind = OK};
		o.sample = 100;
		assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &full, &e), &e);
		assert_digests(&full, &check);
		reconcile_report_free(&full);
		reconcile_report_free(&check);
	}
	assert_true(changed > rounds);
}

/* What is not touched is not read: an equal check after nothing happened looks at no key. */
static void test_nothing_changed(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	run(s, RECONCILE_CHANGED, 0, &r);
	reconcile_report_free(&r);
	run(s, RECONCILE_CHANGED, 0, &r);
	assert_true(r.ok);
	for (size_t i = 0; i < r.ntables; i++)
		/* The keys of `odd` cannot be listed: it is read whole each time. */
		if (r.tables[i].changed != 0 ||
			r.tables[i].compared != str_eqc(r.tables[i].name, "public.odd"))
			fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
}

/* A changed row that is wrong in the warehouse is found, with its key and who is to blame; the
 * range stays unsound until it has been read whole and is equal. */
static void test_wrong_change_is_found(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	source_run(&s->f,
		"INSERT INTO pairs VALUES ('ab', 'c ', 1), ('ab', 'd', 1) "
		"ON CONFLICT DO NOTHING");
	streamed_catch_up(s);
	source_run(&s->f,
		"UPDATE items SET price = 5 WHERE id IN (20, 21, 22); "
		"UPDATE pairs SET v = 77 WHERE a = 'ab' AND b = 'c '");
	streamed_catch_up(s);
	warehouse_run(&s->f,
		"UPDATE public.items SET price = 6 WHERE id = 21; "
		"DELETE FROM public.pairs WHERE a = 'ab' AND b = 'c '; "
		"UPDATE public_history.items SET price = 4 WHERE id = 22 AND "
		"_lsn = (SELECT max(_lsn) FROM public_history.items WHERE id = 22)");
	for (int i = 0; i < 2; i++) {
		run(s, RECONCILE_CHANGED, 0, &r);
		assert_false(r.ok);
		const struct reconcile_table *t = report_table(&r, "public.items");
		assert_int_equal(t->count[ROW_DIFFERENT], 1);
		assert_int_equal(t->history.count[ROW_DIFFERENT], 1);
		assert_int_equal(t->nkeys, 2);
		assert_int_equal(
			streamed_key(&r, "public.items", "{\"id\":21}")->blame, BLAME_WAREHOUSE);
		assert_true(streamed_key(&r, "public.items", "{\"id\":22}")->in_history);
		assert_int_equal(report_table(&r, "public.pairs")->count[ROW_MISSING], 1);
		reconcile_report_free(&r);
	}
	source_run(&s->f,
		"UPDATE items SET price = 7 WHERE id IN (21, 22); "
		"DELETE FROM pairs WHERE a = 'ab' AND b = 'c '");
	streamed_catch_up(s);
	run(s, RECONCILE_CHANGED, 0, &r);
	if (!r.ok)
		fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
}

/* Silent damage to a row that nobody changes: by the rolling part alone, and within N checks. */
static void test_silent_damage_is_found_by_rolling(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	for (int history = 0; history < 2; history++) {
		unsigned checks = 0;
		bool ok = true;

		warehouse_run(&s->f, "UPDATE public%s.items SET note = note || ' ' WHERE id = 100",
			history ? "_history" : "");
		run(s, RECONCILE_CHANGED, 0, &r);
		assert_true(r.ok);
		reconcile_report_free(&r);
		while (ok && checks < 5) {
			run(s, RECONCILE_CHANGED, 5, &r);
			ok = r.ok;
			checks++;
			if (!ok)
				assert_int_equal(streamed_key(&r, "public.items", "{\"id\":100}")
							 ->in_history,
					history);
			reconcile_report_free(&r);
		}
		assert_false(ok);
		warehouse_run(&s->f, "UPDATE public%s.items SET note = rtrim(note) WHERE id = 100",
			history ? "_history" : "");
		run(s, RECONCILE_CHANGED, 5, &r);
		assert_true(r.ok);
		reconcile_report_free(&r);
	}
}

/* A truncation and a change of shape are no lists of keys: the ranges are read whole. */
static void test_read_whole_where_keys_do_not_tell(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	source_run(&s->f, "TRUNCATE pairs; INSERT INTO pairs VALUES ('after', 'it', 1)");
	streamed_catch_up(s);
	run(s, RECONCILE_CHANGED, 0, &r);
	const struct reconcile_table *t = report_table(&r, "public.pairs");
	assert_true(r.ok && t->compared == t->ranges && t->source.rows == 1);
	reconcile_report_free(&r);
	source_run(&s->f,
		"ALTER TABLE nothing ADD COLUMN more int DEFAULT 3; "
		"INSERT INTO nothing VALUES (1, 'x', 4)");
	streamed_catch_up(s);
	run(s, RECONCILE_CHANGED, 0, &r);
	t = report_table(&r, "public.nothing");
	if (!r.ok)
		fail_msg("%s", buf_cstr(&r.json));
	assert_true(t->compared == t->ranges && t->source.rows == 1);
	reconcile_report_free(&r);
}

/* No call of the warehouse that fails makes an "ok". */
static void test_every_warehouse_call_fails_once(void **state)
{
	struct streamed *s = *state;
	static const char *const ops[] = {"query", "insert", "mark", "script"};
	const struct warehouse_options wo = {.url = s->f.url, .threads = 1};
	struct reconcile_options o = options_of(s, RECONCILE_CHANGED);
	struct error e = {.kind = OK};
	/* Short form: every third of the many calls. */
	unsigned failed = 0, step = getenv("SLUICE_LONG") != NULL ? 1 : 3;

	o.rolling = 5;
	o.table = "pairs";
	for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
		for (unsigned nth = 1;; nth += step) {
			struct reconcile_report r;

			warehouse_close(s->f.warehouse);
			s->f.warehouse = NULL;
			assert_ok(warehouse_open(&s->f.warehouse, &wo, &s->f.env, &e), &e);
			change_something(s);
			streamed_catch_up(s);
			s->f.warehouse = warehouse_faulty(s->f.warehouse, ops[op], nth);
			enum err rc = reconcile(&o, s->f.warehouse, &s->f.env, &r, &e);
			bool ok = r.ok;
			reconcile_report_free(&r);
			if (rc == OK) {
				assert_true(ok);
				break;
			}
			assert_int_equal(rc, ERR_UNAVAILABLE);
			failed++;
		}
	assert_true(failed >= 5);
	warehouse_close(s->f.warehouse);
	s->f.warehouse = NULL;
	assert_ok(warehouse_open(&s->f.warehouse, &wo, &s->f.env, &e), &e);
}

/* Keys of every kind that can be looked up, extreme values with them; what a column cannot hold has
 * the table read whole. */
static void test_keys_of_many_kinds(void **state)
{
	struct streamed *s = *state;
	struct reconcile_options o = options_of(s, RECONCILE_CHANGED);
	struct error e = {.kind = OK};
	struct reconcile_report r;

	o.table = "kinds";
	source_run(&s->f,
		"CREATE TABLE kinds (a numeric, b timestamptz, c timestamp, d bytea, f oid, g date, v int, "
		"PRIMARY KEY (a, b, c, d, f, g)); ALTER PUBLICATION " PUBLICATION
		" ADD TABLE kinds;"
		"INSERT INTO kinds SELECT i / 8.0, timestamptz '2026-01-01 00:00+00' + i * interval "
		"'1.000001 s', timestamp '2026-01-01' - i * interval '1 day', decode(md5(i::text), 'hex'), "
		"4294967295 - i, date '2026-01-01' - i, i FROM generate_series(1, 40) i;"
		"INSERT INTO kinds VALUES (-0.5, 'infinity', '-infinity', '', 0, 'infinity', 41), (1, "
		"'0044-03-15 12:00:00.5+00 BC', '0044-03-15 12:00:00.5 BC', '\\x5c27', 1, "
		"'0044-03-15 BC', 42), (123456789012345678901234567.123456789, '12345-01-01 00:00+00', "
		"'12345-01-01', '\\x00', 2, '12345-01-01', 43)");
	streamed_catch_up(s);
	for (int i = 0; i < 2; i++) {
		assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &r, &e), &e);
		assert_true(r.ok && r.tables[0].source.rows == 43);
		reconcile_report_free(&r);
	}
	source_run(&s->f, "UPDATE kinds SET v = v + 1 WHERE v > 30; DELETE FROM kinds WHERE v < 4");
	streamed_catch_up(s);
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &r, &e), &e);
	if (!r.ok || r.tables[0].compared > 0 || r.tables[0].changed != 16)
		fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
	source_run(&s->f, "UPDATE kinds SET v = v + 1 WHERE v > 30");
	streamed_catch_up(s);
	warehouse_run(&s->f, "UPDATE public.kinds SET v = v + 1 WHERE v > 30");
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &r, &e), &e);
	if (r.ok || r.tables[0].count[ROW_DIFFERENT] != 13 || r.tables[0].compared > 0)
		fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
	source_run(&s->f,
		"DELETE FROM kinds WHERE v > 30; INSERT INTO kinds VALUES ('NaN', "
		"'infinity', 'infinity', '', 3, 'infinity', 44)");
	streamed_catch_up(s);
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &r, &e), &e);
	if (!r.ok || r.tables[0].compared == 0)
		fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
	source_run(&s->f, "DROP TABLE kinds");
	streamed_catch_up(s);
}

/* With its hash at hand an old version is not asked of history: what has become of it there is
 * seen by --history and --rolling, and shifts no digest. */
static void test_kept_hashes_speak_for_old_versions(void **state)
{
	struct streamed *s = *state;
	struct reconcile_options o = options_of(s, RECONCILE_FULL);
	struct reconcile_report full, check;
	struct error e = {.kind = OK};

	for (int round = 0; round < 2; round++) {
		o.sample = 0;
		o.table = "pairs";
		assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &full, &e), &e);
		assert_true(full.ok);
		reconcile_report_free(&full);
		warehouse_run(&s->f, "UPDATE public_history.pairs SET v = v + 1000 WHERE a = 'ab'");
		source_run(&s->f, "UPDATE pairs SET v = v + 1 WHERE a = 'ab'");
		streamed_catch_up(s);
		if (round == 1) /* damaged: history is asked, and its sums show what it holds */
			assert_ok(file_remove_tree(s->hashes, &e), &e);
		o.mode = RECONCILE_CHANGED;
		assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &check, &e), &e);
		o.mode = RECONCILE_FULL;
		o.sample = 100;
		assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &full, &e), &e);
		assert_true(check.ok && full.ok && check.tables[0].changed > 0);
		assert_int_equal(
			digest_eq(&full.tables[0].source, &check.tables[0].source), round == 0);
		reconcile_report_free(&full);
		reconcile_report_free(&check);
	}
	o.sample = 0;
	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, &full, &e), &e);
	reconcile_report_free(&full);
}

/* The old row of a changed key stands in current beside the new one, or it stands there though
 * its key was deleted: neither is among the newest rows. */
static void test_rows_left_behind_are_found(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;

	source_run(&s->f,
		"INSERT INTO items (id, name, price) VALUES (30, 'x', 7), (31, 'x', 7) "
		"ON CONFLICT (id) DO UPDATE SET price = 7");
	streamed_catch_up(s);
	run(s, RECONCILE_FULL, 0, &r);
	assert_true(r.ok);
	reconcile_report_free(&r);
	warehouse_run(&s->f,
		"CREATE TABLE public.left_behind AS SELECT * FROM public.items WHERE "
		"id IN (30, 31)");
	source_run(
		&s->f, "UPDATE items SET price = 8 WHERE id = 30; DELETE FROM items WHERE id = 31");
	streamed_catch_up(s);
	warehouse_run(&s->f, "INSERT INTO public.items SELECT * FROM public.left_behind");
	run(s, RECONCILE_CHANGED, 0, &r);
	assert_false(r.ok);
	const struct reconcile_table *t = report_table(&r, "public.items");
	assert_int_equal(t->count[ROW_EXTRA], 2);
	(void)streamed_key(&r, "public.items", "{\"id\":30}");
	(void)streamed_key(&r, "public.items", "{\"id\":31}");
	reconcile_report_free(&r);
	warehouse_run(&s->f, "DELETE FROM public.items WHERE id = 31 OR (id = 30 AND price <> 8)");
	warehouse_run(&s->f, "DROP TABLE public.left_behind");
	source_run(&s->f, "UPDATE items SET price = 9 WHERE id = 30");
	streamed_catch_up(s);
	run(s, RECONCILE_CHANGED, 0, &r);
	if (!r.ok)
		fail_msg("%s", buf_cstr(&r.json));
	reconcile_report_free(&r);
}

static int setup(void **state)
{
	static struct streamed s;

	streamed_open(&s);
	source_run(&s.f, "ANALYZE");
	*state = &s;
	return 0;
}

static int keep(void **state)
{
	static char dir[200];
	struct streamed *s = *state;

	snprintf(dir, sizeof dir, "%s/hashes", s->f.dir);
	s->hashes = dir;
	return 0;
}

static int teardown(void **state)
{
	streamed_close(*state);
	return 0;
}

int main(void)
{
	/* Those that say what is found come once more with the hashes of old versions at hand. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests_are_those_of_a_full_comparison),
		cmocka_unit_test(test_nothing_changed),
		cmocka_unit_test(test_wrong_change_is_found),
		cmocka_unit_test(test_silent_damage_is_found_by_rolling),
		cmocka_unit_test(test_read_whole_where_keys_do_not_tell),
		cmocka_unit_test(test_rows_left_behind_are_found),
		cmocka_unit_test(test_keys_of_many_kinds),
		cmocka_unit_test(test_every_warehouse_call_fails_once),
		cmocka_unit_test_setup(test_digests_are_those_of_a_full_comparison, keep),
		cmocka_unit_test(test_nothing_changed),
		cmocka_unit_test(test_wrong_change_is_found),
		cmocka_unit_test(test_rows_left_behind_are_found),
		cmocka_unit_test(test_kept_hashes_speak_for_old_versions),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
