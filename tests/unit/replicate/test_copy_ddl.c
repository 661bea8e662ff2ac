/* Copies of tables whose shape, files or existence change while they are copied. */
#include "replicate_fixture.h"

#include <stdatomic.h>

#include "thread.h"

#define DROPPED  12
#define PAUSE_US 20000

/* Statements in a session of their own, one after the other, until they end or are stopped. */
struct hand {
	struct fixture *f;
	struct pg *pg;
	const char *const *sql;
	size_t n;
	bool again; /* from the first one on */
	atomic_bool stop;
	atomic_uint done;
	struct thread thread;
};

static enum err work(void *arg, struct error *e)
{
	struct hand *h = arg;

	for (size_t i = 0; !atomic_load(&h->stop) && (h->again || i < h->n); i++) {
		TRY(pg_exec(h->pg, h->sql[i % h->n], "changing a table that is copied", e));
		atomic_fetch_add(&h->done, 1);
		env_sleep(&h->f->env, PAUSE_US);
	}
	return OK;
}

static void begin(struct hand *h)
{
	struct error e = {.kind = OK};
	struct pg_options p = {.conninfo = h->f->o.conninfo, .application = "hand"};

	assert_ok(pg_open(&h->pg, &p, &h->f->env, &e), &e);
	assert_ok(thread_start(&h->thread, "hand", work, h, &e), &e);
}

static void end(struct hand *h)
{
	struct error e = {.kind = OK};

	atomic_store(&h->stop, true);
	assert_ok(thread_join(&h->thread, &e), &e);
	pg_close(h->pg);
	assert_true(atomic_load(&h->done) > 0);
}

static void make_kept(struct fixture *f)
{
	source_run(f, "CREATE TABLE kept (id int PRIMARY KEY, v text)");
	source_run(f,
		"INSERT INTO kept SELECT i, repeat('kept ' || i, 20) FROM generate_series(1, 8000) i");
	f->o.batch_rows = 400;
}

/* Some are gone before they are copied, some go while they are: the rest is copied all the same. */
static void test_dropped_while_copied(void **state)
{
	struct fixture *f = *state;
	const char *sql[DROPPED];
	struct hand h = {.f = f, .sql = sql, .n = DROPPED};

	make_kept(f);
	for (int i = 0; i < DROPPED; i++) {
		source_run(f, "CREATE TABLE goes_%d (id int PRIMARY KEY, v text)", i);
		source_run(f,
			"INSERT INTO goes_%d SELECT i, repeat('goes', 100) FROM generate_series(1, 2000) i",
			i);
		sql[i] = arena_fmt(&f->mem, "DROP TABLE goes_%d", i).p;
	}
	source_run(f, "CREATE TABLE gone (id int PRIMARY KEY)");
	init_ok(f);
	source_run(f, "DROP TABLE gone");
	arm(f, "snapshot.read=sleep:10@1+;snapshot.begin=sleep:5@1+");
	begin(&h);
	catch_up_ok(f);
	catch_up_ok(f);
	end(&h);
	assert_int_equal(assert_same(f, "public.kept", "id::text, v"), 8000);
}

static void same_bag(struct fixture *f)
{
	static const char sql[] =
		"SELECT count(*) || ' ' || sum(n) || ' ' || count(DISTINCT v) FROM "
		"public.bag";

	assert_string_equal(warehouse_text_of(f, sql), source_text(f, sql));
}

/* Each of these makes a copy begin anew; the rows that stand there are gone over. */
static void test_begun_anew_by_ddl(void **state)
{
	static const char *const sql[] = {"VACUUM FULL kept", "INSERT INTO bag VALUES ('new', 1)",
		"ALTER TABLE kept ADD COLUMN more int DEFAULT 3",
		"UPDATE kept SET v = 'u' WHERE id % 9 = 0",
		"ALTER TABLE bag ADD COLUMN more int DEFAULT 3",
		"UPDATE bag SET n = n + 1 WHERE n % 50 = 0", "ALTER TABLE kept DROP COLUMN more",
		"ALTER TABLE bag DROP COLUMN more",
		"DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE v = 'v 3' LIMIT 5)",
		"BEGIN; TRUNCATE kept; INSERT INTO kept SELECT i, 'anew' FROM generate_series(1, 3000) i; "
		"COMMIT",
		"BEGIN; TRUNCATE bag; INSERT INTO bag SELECT 'v ' || i % 7, i FROM generate_series(1, 2000) "
		"i; COMMIT",
		"ALTER TABLE kept ALTER COLUMN v TYPE varchar(400)",
		"DELETE FROM kept WHERE id % 11 = 0"};
	struct fixture *f = *state;
	struct hand h = {.f = f, .sql = sql, .n = sizeof(sql) / sizeof(sql[0])};

	make_kept(f);
	source_run(f, "CREATE TABLE bag (v text, n int); ALTER TABLE bag REPLICA IDENTITY FULL");
	source_run(f, "INSERT INTO bag SELECT 'v ' || i %% 7, i FROM generate_series(1, 4000) i");
	init_ok(f);
	arm(f, "snapshot.read=sleep:20@1+;snapshot.batch=sleep:5@1+");
	begin(&h);
	catch_up_ok(f);
	end(&h);
	catch_up_ok(f);
	assert_true(assert_same(f, "public.kept", "id::text, v") > 0);
	same_bag(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_dropped_while_copied, fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(test_begun_anew_by_ddl, fixture_begin, fixture_end),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
