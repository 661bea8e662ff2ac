/* Rows that the warehouse refuses: exactly those become letters, the stream flows on, and once the
 * cause is mended a retry makes both sides the same. */
#include "replicate_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "dead_letters.h"
#include "sift.h"

#define ROWS "id::text, coalesce(v::text, '~'), coalesce(note, '~')"

static void make_items(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE items (id int PRIMARY KEY, v int, note text);"
		"CREATE TABLE others (id int PRIMARY KEY, v int, note text)");
	init_ok(f);
	catch_up_ok(f);
}

static int64_t waiting(struct fixture *f)
{
	return warehouse_count(f, "SELECT count(*) FROM ops.dead_letters WHERE settled_at IS NULL");
}

static struct dead_letters_retried retry_ok(struct fixture *f, const char *table)
{
	struct error e = {.kind = OK};
	struct dead_letters_retried out;

	assert_ok(dead_letters_retry(f->w, &f->env, STR("public"), str_of(table), &out, &e), &e);
	return out;
}

/* The warehouse of the test behind a decorator that refuses; fixture_end closes both. */
static void refuse(struct fixture *f, unsigned one_in)
{
	f->w = warehouse_faulty(f->w, "none", 1);
	warehouse_faulty_refuse(f->w, one_in);
}

/* Whether the decorator refuses the key, by its own word. */
static bool is_refused(int32_t id, unsigned one_in)
{
	struct column column = {.name = STR("id"), .type = {.kind = T_INT4}, .is_key = true};
	uint16_t key = 0;
	struct table t = {.ncolumns = 1, .columns = &column, .nkeys = 1, .keys = &key};
	struct batch *b = batch_new(&t);
	size_t row = batch_add(b);

	b->op[row] = OP_INSERT;
	VEC_AT(&b->cols[0], int32_t, row) = id;
	batch_set_valid(b, row, 0);
	bool refused = warehouse_refuses(b, row, one_in);
	batch_free(b);
	return refused;
}

static void test_exactly_the_refused(void **state)
{
	struct fixture *f = *state;
	int64_t expected = 0;

	make_items(f);
	for (int32_t id = 1; id <= 3000; id++)
		expected += is_refused(id, 100);
	assert_in_range(expected, 10, 60);
	refuse(f, 100);
	source_run(
		f, "INSERT INTO items SELECT i, i, 'note ' || i FROM generate_series(1, 3000) i");
	source_run(f, "INSERT INTO others SELECT i, i, NULL FROM generate_series(1, 50) i");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 3000 - expected);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM ops.dead_letters WHERE "
				 "table_name = 'public.items'"),
		expected);
	for (int32_t id = 1; id <= 3000; id++) {
		char sql[256];
		if (!is_refused(id, 100))
			continue;
		snprintf(sql, sizeof sql,
			"SELECT count(*) FROM ops.dead_letters WHERE table_name = 'public.items' AND "
			"row_key = '{\"id\":\"%d\"}' AND op = 'I' AND reason LIKE '%%on purpose%%'",
			id);
		assert_int_equal(warehouse_count(f, sql), 1);
	}
	/* Asked again while the cause stands, they stay. */
	struct dead_letters_retried again = retry_ok(f, "items");
	assert_int_equal(again.tried, expected);
	assert_int_equal(again.refused, expected);
	warehouse_faulty_refuse(f->w, 0);
	again = retry_ok(f, "items");
	assert_int_equal(again.applied, expected);
	(void)retry_ok(f, "others");
	assert_int_equal(waiting(f), 0);
	assert_int_equal(assert_same(f, "public.items", ROWS), 3000);
	assert_int_equal(assert_same(f, "public.others", ROWS), 50);
}

/* Somebody has made a column NOT NULL by hand. */
static void test_a_constraint_of_the_engine(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct dead_letters_summary sum;

	make_items(f);
	source_run(f, "INSERT INTO items SELECT i, i, 'first' FROM generate_series(1, 10) i");
	catch_up_ok(f);
	assert_ok(warehouse_script(f->w, STR("ALTER TABLE public.items ALTER v SET NOT NULL"), &e),
		&e);
	source_run(f,
		"INSERT INTO items SELECT i, CASE WHEN i <> 500 THEN i END, 'second' FROM "
		"generate_series(11, 1000) i");
	source_run(f, "UPDATE items SET v = NULL, note = 'third' WHERE id = 3");
	catch_up_ok(f);
	assert_int_equal(waiting(f), 2);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 999);
	assert_string_equal(
		warehouse_text_of(f, "SELECT note FROM public.items WHERE id = 3"), "first");
	assert_ok(dead_letters_summary(f->w, &f->mem, &sum, &e), &e);
	assert_int_equal(sum.waiting, 2);
	assert_str(sum.table, "public.items");
	assert_has(arena_cstr(&f->mem, sum.reason), "NOT NULL");
	/* Newer state comes for one of them; the other waits alone. */
	source_run(f, "UPDATE items SET v = 33, note = 'fourth' WHERE id = 3");
	catch_up_ok(f);
	assert_ok(warehouse_script(f->w, STR("ALTER TABLE public.items ALTER v DROP NOT NULL"), &e),
		&e);
	struct dead_letters_retried out = retry_ok(f, "items");
	assert_int_equal(out.tried, 2);
	assert_int_equal(out.applied, 1);
	assert_int_equal(out.superseded, 1);
	assert_int_equal(assert_same(f, "public.items", ROWS), 1000);
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public_history.items WHERE id = 3"), 3);
	out = retry_ok(f, "items");
	assert_int_equal(out.tried, 0);
}

/* A value that is unique in the warehouse: rows are judged after those before them, so one that
 * takes over what another gives up is fine, and of two that want the same the later is refused. */
static void test_rows_in_their_order(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};

	make_items(f);
	source_run(f, "INSERT INTO items VALUES (1, 100, 'a'), (2, 200, 'b')");
	catch_up_ok(f);
	assert_ok(
		warehouse_script(f->w, STR("CREATE UNIQUE INDEX one ON public.items (v)"), &e), &e);
	source_run(f, "INSERT INTO items SELECT i, i * 1000, 'c' FROM generate_series(3, 40) i");
	source_run(f, "INSERT INTO items VALUES (50, 7000, 'same as 7')");
	catch_up_ok(f);
	assert_int_equal(waiting(f), 1);
	assert_string_equal(
		warehouse_text_of(f, "SELECT row_key FROM ops.dead_letters"), "{\"id\":\"50\"}");
	assert_ok(warehouse_script(f->w, STR("DROP INDEX public.one"), &e), &e);
	(void)retry_ok(f, "items");
	assert_int_equal(assert_same(f, "public.items", ROWS), 41);
}

/* A crash between finding them and keeping them loses and doubles nothing. */
static void test_kept_with_the_position(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;

	make_items(f);
	refuse(f, 10);
	source_run(f, "INSERT INTO items SELECT i, i, 'x' FROM generate_series(1, 200) i");
	arm(f, "letters.commit=error");
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	arm(f, NULL);
	error_clear(&e);
	assert_int_equal(waiting(f), 0);
	catch_up_ok(f);
	int64_t letters = waiting(f);
	assert_true(letters > 0);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 200 - letters);
	warehouse_faulty_refuse(f->w, 0);
	arm(f, "letters.retry=error@3");
	struct dead_letters_retried out;
	assert_err(dead_letters_retry(f->w, &f->env, STR("public"), STR("items"), &out, &e),
		ERR_UNAVAILABLE, &e);
	arm(f, NULL);
	assert_int_equal(waiting(f), letters - 2);
	(void)retry_ok(f, "items");
	assert_int_equal(assert_same(f, "public.items", ROWS), 200);
}

static void change(struct fixture *f, struct rnd *rnd)
{
	unsigned id = (unsigned)rnd_below(rnd, 60), v = (unsigned)rnd_below(rnd, 1000);
	bool null = rnd_below(rnd, 3) == 0;
	char value[16];

	snprintf(value, sizeof value, "%u", v);
	switch (rnd_below(rnd, 12)) {
	case 0:
		source_run(f, "DELETE FROM items WHERE id = %u", id);
		break;
	case 1:
		source_run(f,
			"UPDATE items SET id = id + 1000 WHERE id = %u AND NOT EXISTS (SELECT FROM "
			"items WHERE id = %u)",
			id, id + 1000);
		break;
	case 2:
		if (rnd_below(rnd, 10) == 0)
			source_run(f, "TRUNCATE items");
		break;
	default:
		source_run(f,
			"INSERT INTO items VALUES (%u, %s, repeat('n', %u)) ON CONFLICT (id) DO "
			"UPDATE SET v = excluded.v, note = excluded.note",
			id, null ? "NULL" : value, v % 7);
	}
}

/* Whatever is refused, in whatever order the letters come: in the end both sides are the same. */
static void test_random_changes_come_right(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct rnd rnd;
	bool whole = getenv("SLUICE_LONG") != NULL;

	rnd_seed(&rnd, unit_seed());
	make_items(f);
	for (unsigned round = 0; round < (whole ? 20 : 2); round++) {
		source_run(f, "UPDATE items SET v = 0 WHERE v IS NULL");
		catch_up_ok(f);
		assert_ok(warehouse_script(
				  f->w, STR("ALTER TABLE public.items ALTER v SET NOT NULL"), &e),
			&e);
		for (unsigned i = 0; i < 80; i++) {
			change(f, &rnd);
			if (rnd_below(&rnd, 40) == 0)
				catch_up_ok(f);
		}
		catch_up_ok(f);
		assert_ok(warehouse_script(
				  f->w, STR("ALTER TABLE public.items ALTER v DROP NOT NULL"), &e),
			&e);
		(void)retry_ok(f, "items");
		assert_int_equal(waiting(f), 0);
		(void)assert_same(f, "public.items", ROWS);
	}
}

/* While replication runs, the retry is done by the thread that applies. */
static void test_retry_while_it_runs(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct dead_letters_retried out;
	lsn now;

	make_items(f);
	refuse(f, 5);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	source_run(f, "INSERT INTO items SELECT i, i, 'x' FROM generate_series(1, 100) i");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 60000000, &e), &e);
	int64_t letters = waiting(f);
	assert_true(letters > 0);
	warehouse_faulty_refuse(f->w, 0);
	assert_ok(replicate_retry(r, STR("public"), STR("items"), 60000000, &out, &e), &e);
	assert_int_equal(out.applied, letters);
	assert_err(replicate_retry(r, STR("public"), STR("nothing"), 60000000, &out, &e),
		ERR_NOT_FOUND, &e);
	error_clear(&e);
	assert_ok(replicate_stop(r, &e), &e);
	assert_int_equal(assert_same(f, "public.items", ROWS), 100);
}

/* A transaction that is larger than a batch: written in parts at first, then whole. */
static void test_a_large_transaction(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	f->o.batch_rows = 100;
	refuse(f, 100);
	source_run(f, "INSERT INTO items SELECT i, i, 'x' FROM generate_series(1, 1000) i");
	catch_up_ok(f);
	int64_t letters = waiting(f);
	assert_true(letters > 0);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1000 - letters);
	warehouse_faulty_refuse(f->w, 0);
	(void)retry_ok(f, "items");
	assert_int_equal(assert_same(f, "public.items", ROWS), 1000);
}

/* Rows that are refused while a table is copied. */
static void test_a_copy(void **state)
{
	struct fixture *f = *state;

	source_run(f,
		"CREATE TABLE items (id int PRIMARY KEY, v int, note text);"
		"INSERT INTO items SELECT i, i, 'x' FROM generate_series(1, 1000) i");
	init_ok(f);
	refuse(f, 50);
	catch_up_ok(f);
	int64_t letters = waiting(f);
	assert_true(letters > 0);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1000 - letters);
	source_run(f, "UPDATE items SET v = v + 1 WHERE id %% 3 = 0");
	warehouse_faulty_refuse(f->w, 0);
	catch_up_ok(f);
	(void)retry_ok(f, "items");
	assert_int_equal(waiting(f), 0);
	assert_int_equal(assert_same(f, "public.items", ROWS), 1000);
}

/* A table that is gone refuses every row: that is no reason to make letters of them. */
static void test_a_table_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;

	make_items(f);
	assert_ok(
		warehouse_script(f->w, STR("ALTER TABLE public_history.items RENAME TO gone"), &e),
		&e);
	source_run(f, "INSERT INTO items VALUES (1, 1, 'x')");
	assert_err(catch_up(f, &result, &e), ERR_INPUT, &e);
	assert_has(e.text, "items");
	error_clear(&e);
	assert_int_equal(waiting(f), 0);
	assert_ok(
		warehouse_script(f->w, STR("ALTER TABLE public_history.gone RENAME TO items"), &e),
		&e);
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ROWS), 1);
}

/* ---- thousands of them ---- */

static struct batch *make_rows(const struct table *t, int32_t n)
{
	struct batch *b = batch_new(t);

	for (int32_t i = 0; i < n; i++) {
		size_t row = batch_add(b);
		b->op[row] = i == n / 2 ? OP_TRUNCATE : OP_INSERT;
		b->commit[row] = (lsn){0x500};
		b->seq[row] = (uint32_t)i;
		VEC_AT(&b->cols[0], int32_t, row) = i;
		batch_set_valid(b, row, 0);
	}
	return b;
}

/* With the looks used up: whoever is refused is put aside, and never a TRUNCATE. */
static void sift_some(struct fixture *f, const struct batch *rows, size_t looks, size_t *together)
{
	struct error e = {.kind = OK};
	struct fold fold = {0};
	struct table_changes c = {.table = rows->table, .rows = rows};
	struct sift s = {.w = f->w, .env = &f->env, .most = looks};
	struct sift_part p = {0};

	fold_run(&fold, rows, &c);
	sift_part_begin(&s, &p, &c);
	assert_ok(sift_part(&s, &p, &e), &e);
	for (size_t row = 0; row < rows->rows; row++) {
		bool refused = warehouse_refuses(rows, row, 10) && rows->op[row] != OP_TRUNCATE;
		assert_true(!refused || p.bad[row] != 0);
		assert_true(rows->op[row] != OP_TRUNCATE || p.bad[row] == 0);
		if (p.bad[row] != 0)
			assert_true(p.reasons[row].n > 0);
		if (s.together == 0)
			assert_int_equal(refused, p.bad[row] != 0);
	}
	*together = s.together;
	sift_part_free(&p);
	arena_free(&s.mem);
	fold_free(&fold);
}

static void test_more_than_can_be_looked_at(void **state)
{
	struct fixture *f = *state;
	size_t together;

	make_items(f);
	struct column columns[] = {{.name = STR("id"), .type = {.kind = T_INT4}, .is_key = true},
		{.name = STR("v"), .type = {.kind = T_INT4}},
		{.name = STR("note"), .type = {.kind = T_TEXT}}};
	uint16_t key = 0;
	struct table t = {.schema = STR("public"),
		.name = STR("items"),
		.ncolumns = 3,
		.columns = columns,
		.nkeys = 1,
		.keys = &key};
	struct batch *rows = make_rows(&t, 2000);
	refuse(f, 10);
	sift_some(f, rows, 0, &together);
	assert_int_equal(together, 0);
	sift_some(f, rows, 100, &together);
	assert_in_range(together, 200, 1999);
	sift_some(f, rows, 2, &together);
	assert_int_equal(together, 1999);
	batch_free(rows);
}

/* The stream goes on without any of them, and a retry brings them in. */
static void test_every_row_of_thousands(void **state)
{
	struct fixture *f = *state;
	int rows = getenv("SLUICE_LONG") != NULL ? 12000 : 400;

	make_items(f);
	refuse(f, 1);
	source_run(f, "INSERT INTO items SELECT i, i, 'x' FROM generate_series(1, %d) i", rows);
	catch_up_ok(f);
	assert_int_equal(waiting(f), rows);
	warehouse_faulty_refuse(f->w, 0);
	(void)retry_ok(f, "items");
	assert_int_equal(waiting(f), 0);
	assert_int_equal(assert_same(f, "public.items", ROWS), rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exactly_the_refused),
		TEST(test_a_constraint_of_the_engine),
		TEST(test_rows_in_their_order),
		TEST(test_kept_with_the_position),
		TEST(test_random_changes_come_right),
		TEST(test_retry_while_it_runs),
		TEST(test_a_large_transaction),
		TEST(test_a_copy),
		TEST(test_a_table_that_is_gone),
		TEST(test_more_than_can_be_looked_at),
		TEST(test_every_row_of_thousands),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
