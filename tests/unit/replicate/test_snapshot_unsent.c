/* TOASTed values that the stream leaves out, of rows that the copy has not written yet. */
#include "replicate_fixture.h"

#include "tables_live.h"

#define DOCS "id::text, coalesce(body, '~'), n::text"
#define KEYS 40

/* Every body begins with the number of its document, whatever key that has by now. */
#define BODY "%d || ':' || repeat('%s', 3000)"

static void make_docs(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE docs (id int PRIMARY KEY, doc int NOT NULL, body text, n int NOT "
		"NULL);"
		"ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;"
		"INSERT INTO docs SELECT i, i, i || ':' || repeat('o', 3000), 0 FROM "
		"generate_series(1, %d) i",
		KEYS);
}

/* C0 is taken and no range has been read: the next run reads them after all that is done now. */
static void begin_copy(struct fixture *f)
{
	struct replicate_result result;
	struct error e = {.kind = OK};

	arm(f, "snapshot.read=error@1+");
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	arm(f, NULL);
}

static void insert_doc(struct fixture *f, int id, const char *body)
{
	source_run(f, "INSERT INTO docs VALUES (%d, %d, " BODY ", 0)", id, id, id, body);
}

/* A row that is not there yet, changed beside a deletion that has nothing to do with it. */
static void beside_deletions(struct fixture *f)
{
	source_run(f,
		"BEGIN; DELETE FROM docs WHERE id = 1; UPDATE docs SET n = 1 WHERE id = 2; "
		"COMMIT");
	source_run(f,
		"BEGIN; INSERT INTO docs VALUES (101, 101, " BODY ", 0); DELETE FROM docs WHERE id "
		"= 101; UPDATE docs SET n = 1 WHERE id = 3; COMMIT",
		101, "x");
	source_run(f,
		"BEGIN; DELETE FROM docs WHERE id = 4; UPDATE docs SET id = 105 WHERE id = "
		"5; DELETE FROM docs WHERE id = 6; UPDATE docs SET n = 2 WHERE id = 105; "
		"COMMIT");
}

static void change_keys(struct fixture *f)
{
	source_run(f, "UPDATE docs SET id = 107 WHERE id = 7");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 107");
	source_run(f,
		"BEGIN; UPDATE docs SET id = 108 WHERE id = 8; UPDATE docs SET id = 208 "
		"WHERE id = 108; COMMIT");
	/* Two that change places, and one that takes the place of one deleted. */
	source_run(f,
		"BEGIN; UPDATE docs SET id = -1 WHERE id = 10; UPDATE docs SET id = 10 WHERE "
		"id = 11; UPDATE docs SET id = 11 WHERE id = -1; COMMIT");
	source_run(f,
		"BEGIN; DELETE FROM docs WHERE id = 12; UPDATE docs SET id = 12 WHERE id = "
		"13; COMMIT");
	source_run(f, "UPDATE docs SET n = 1 WHERE id IN (10, 11, 12)");
	/* With a value of its own. */
	source_run(f, "UPDATE docs SET id = 114, body = '14:' || repeat('n', 3000) WHERE id = 14");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 114");
}

static void set_and_leave_alone(struct fixture *f)
{
	source_run(f, "DELETE FROM docs WHERE id = 20");
	insert_doc(f, 20, "again");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 20");
	source_run(f, "UPDATE docs SET body = '21:' || repeat('n', 3000) WHERE id = 21");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 21");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 22");
	source_run(f, "UPDATE docs SET body = '22:' || repeat('n', 3000) WHERE id = 22");
	/* A NULL stays NULL. */
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 23");
	source_run(f, "UPDATE docs SET body = NULL WHERE id = 23");
	source_run(f, "UPDATE docs SET n = 2 WHERE id = 23");
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 24");
	source_run(f, "DELETE FROM docs WHERE id = 24");
	/* Given up and taken by another while its value is missing. */
	source_run(f, "UPDATE docs SET n = 1 WHERE id = 25");
	source_run(f,
		"BEGIN; DELETE FROM docs WHERE id = 25; UPDATE docs SET id = 25 WHERE id = "
		"26; COMMIT");
}

/* No version has the body of another document; one without a body says that it was not sent. */
static void assert_history(struct fixture *f)
{
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.docs WHERE "
				 "_op <> 'D' AND NOT starts_with(body, doc || ':')"),
		0);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.docs WHERE _op <> 'D' AND "
				 "doc <> 23 AND body IS NULL AND NOT "
				 "list_contains(CAST(_unchanged AS VARCHAR[]), 'body')"),
		0);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.docs WHERE doc = 23 AND n "
				 "= 2 AND body IS NOT NULL"),
		0);
}

static void assert_docs(struct fixture *f)
{
	/* 101 came and went; gone are 1, 4, 6, 12, 24 and 25. */
	assert_int_equal(assert_same(f, "public.docs", DOCS), KEYS - 6);
	assert_history(f);
}

static void run_all(struct fixture *f)
{
	make_docs(f);
	init_ok(f);
	begin_copy(f);
	beside_deletions(f);
	change_keys(f);
	set_and_leave_alone(f);
	catch_up_ok(f);
	assert_docs(f);
	/* What comes afterwards finds what it needs. */
	source_run(f, "UPDATE docs SET n = n + 10");
	source_run(f, "UPDATE docs SET id = id + 1000 WHERE id < 20");
	catch_up_ok(f);
	assert_docs(f);
}

static void test_rows_not_there_yet(void **state)
{
	run_all(*state);
}

/* In batches of a row or two, transactions in parts. */
static void test_in_small_batches(void **state)
{
	struct fixture *f = *state;

	f->o.batch_rows = 2;
	f->o.snapshot_workers = 1;
	run_all(f);
}

/* Some rows are in and some are not. */
static void test_half_copied(void **state)
{
	struct fixture *f = *state;
	struct replicate_result result;
	struct error e = {.kind = OK};

	f->o.batch_rows = 10;
	f->o.snapshot_workers = 1;
	make_docs(f);
	/* Rows so wide that there are several blocks. */
	source_run(f, "ALTER TABLE docs ADD pad text; UPDATE docs SET pad = repeat('p', 900)");
	source_run(f, "VACUUM FULL docs");
	init_ok(f);
	arm(f, "snapshot.read=error@3+");
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	arm(f, NULL);
	int64_t in = warehouse_count(f, "SELECT count(*) FROM public.docs");
	assert_in_range(in, 1, KEYS - 1);
	/* A row that is in goes, and its neighbour in the transaction is not in. */
	for (int i = 1; i <= 15; i++)
		source_run(f,
			"BEGIN; DELETE FROM docs WHERE id = %d; UPDATE docs SET n = 1 WHERE id = "
			"%d; COMMIT",
			i, KEYS + 1 - i);
	source_run(f, "UPDATE docs SET id = id + 100 WHERE id BETWEEN 18 AND 22");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), KEYS - 15);
	assert_history(f);
}

/* Values in the rows that an earlier copy has left may be out of date: they are not used. */
static void test_over_rows_out_of_date(void **state)
{
	struct fixture *f = *state;
	struct tables_live live = {.o = &f->o, .w = NULL, .env = &f->env};
	struct error e = {.kind = OK};

	make_docs(f);
	init_ok(f);
	catch_up_ok(f);
	live.w = f->w;
	assert_ok(tables_resync(&live, STR("public"), STR("docs"), &e), &e);
	source_run(f, "UPDATE docs SET body = doc || ':' || repeat('n', 3000)");
	begin_copy(f);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public.docs WHERE body LIKE "
				 "'%:o%'"),
		KEYS);
	source_run(f, "UPDATE docs SET n = 1 WHERE id <= 10");
	source_run(f, "UPDATE docs SET id = id + 100 WHERE id BETWEEN 8 AND 15");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), KEYS);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.docs WHERE _op = "
				 "'U' AND body LIKE '%:o%'"),
		0);
	assert_history(f);
}

/* A crash while the values are put in loses none and puts none in twice. */
static void test_filling_is_taken_up(void **state)
{
	struct fixture *f = *state;
	struct replicate_result result;
	struct error e = {.kind = OK};

	make_docs(f);
	init_ok(f);
	begin_copy(f);
	source_run(f, "UPDATE docs SET n = 1 WHERE id <= 30");
	arm(f, "snapshot.fill=error@1+");
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	arm(f, NULL);
	assert_true(warehouse_count(f, "SELECT count(*) FROM public.docs WHERE body IS NULL") > 0);
	source_run(f, "UPDATE docs SET n = 2 WHERE id BETWEEN 5 AND 9");
	source_run(f, "UPDATE docs SET id = id + 100 WHERE id BETWEEN 8 AND 12");
	source_run(f, "UPDATE docs SET body = doc || ':' || repeat('n', 3000) WHERE id = 20");
	source_run(f,
		"BEGIN; DELETE FROM docs WHERE id = 21; UPDATE docs SET n = 3 WHERE id = 22; "
		"COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), KEYS - 1);
	assert_history(f);
}

/* ---- changes while the values are fetched ---- */

static void wait_for(struct fixture *f, const char *sql)
{
	while (strcmp(source_text(f, sql), "t") != 0)
		env_sleep(&f->env, 5000);
}

/* The cut at which values are fetched lies before changes that are applied when they come. */
static void test_changes_while_fetching(void **state)
{
	struct fixture *f = *state;
	struct replicate_result result;
	struct replicate *running;
	struct error e = {.kind = OK};

	make_docs(f);
	init_ok(f);
	begin_copy(f);
	source_run(f, "UPDATE docs SET n = 1 WHERE id <= 20");
	arm(f, "snapshot.fill=error@1+");
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	/* Between the two: long enough, by far, for what follows; none of it waits for its end. */
	arm(f, "snapshot.fetched=sleep:2000");
	assert_ok(replicate_start(&running, &f->o, f->w, &f->env, &e), &e);
	wait_for(f,
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'COPY (%' AND "
		"state <> 'idle' AND pid <> pg_backend_pid()");
	source_run(f, "UPDATE docs SET n = 2 WHERE id <= 3");
	/* Its key is given up, to nobody and to others. */
	source_run(f, "UPDATE docs SET id = 104 WHERE id = 4");
	source_run(f,
		"BEGIN; UPDATE docs SET id = 105 WHERE id = 5; UPDATE docs SET id = 5 WHERE "
		"id = 6; COMMIT");
	source_run(f,
		"BEGIN; UPDATE docs SET id = -7 WHERE id = 7; UPDATE docs SET id = 7 WHERE "
		"id = 8; UPDATE docs SET id = 8 WHERE id = -7; COMMIT");
	source_run(f,
		"BEGIN; UPDATE docs SET id = 109 WHERE id = 9; UPDATE docs SET id = 9 WHERE "
		"id = 109; COMMIT");
	source_run(f, "UPDATE docs SET n = 99 WHERE id = 39");
	while (warehouse_count(f, "SELECT count(*) FROM public_history.docs WHERE n = 99") == 0)
		env_sleep(&f->env, 5000);
	assert_ok(replicate_wait(running, (lsn){0}, 60000000, &e), &e);
	assert_ok(replicate_stop(running, &e), &e);
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), KEYS);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.docs WHERE "
				 "_op <> 'D' AND NOT starts_with(body, doc || ':')"),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_rows_not_there_yet, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(test_in_small_batches, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(test_half_copied, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(
			test_over_rows_out_of_date, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(
			test_filling_is_taken_up, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(
			test_changes_while_fetching, fixture_begin, fixture_end),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
