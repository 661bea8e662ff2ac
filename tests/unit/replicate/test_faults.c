/* Nothing missing, extra or different: under writers during the snapshot, after an error at every
 * failpoint, and after SIGKILL at every failpoint. */
#include "replicate_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "thread.h"

#define ROWS                                                                                       \
	"id::text, coalesce(name, '~'), coalesce(n::text, '~'), coalesce(length(body)::text, '~')"
#define WRITERS 3
#define WRITES  1500 /* of each, so that it ends where apply is slower than the writers */

static void make_tables(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE items (id int PRIMARY KEY, name text, n int, body text);"
		"CREATE TABLE others (id int PRIMARY KEY, name text, n int, body text);"
		"ALTER TABLE items ALTER body SET STORAGE EXTERNAL;"
		"INSERT INTO items SELECT i, 'name ' || i, i, CASE WHEN i %% 50 = 0 THEN "
		"repeat('x', 3000 + i) END FROM generate_series(1, 2000) i;"
		"INSERT INTO others SELECT i, 'other ' || i, i, NULL FROM generate_series(1, 500) "
		"i");
}

static void assert_both_same(struct fixture *f)
{
	assert_same(f, "public.items", ROWS);
	assert_same(f, "public.others", ROWS);
}

/* ---- random transactions ---- */

static void put_statement(struct buf *sql, struct rnd *rnd)
{
	const char *table = rnd_below(rnd, 4) == 0 ? "others" : "items";
	unsigned id = (unsigned)rnd_below(rnd, 3000), other = (unsigned)rnd_below(rnd, 3000);

	switch (rnd_below(rnd, 8)) {
	case 0:
	case 1:
		buf_putf(sql,
			"INSERT INTO %s VALUES (%u, 'new %u', %u, %s) ON CONFLICT DO NOTHING;",
			table, id, other, other, other % 20 == 0 ? "repeat('y', 4000)" : "NULL");
		break;
	case 2:
		buf_putf(sql, "DELETE FROM %s WHERE id = %u;", table, id);
		break;
	case 3:
		buf_putf(sql,
			"UPDATE %s SET id = %u WHERE id = %u AND NOT EXISTS (SELECT 1 FROM %s "
			"WHERE id = %u);",
			table, id + 10000, id, table, id + 10000);
		break;
	case 4:
		buf_putf(sql, "UPDATE %s SET n = n + 1 WHERE id BETWEEN %u AND %u;", table, id,
			id + 20);
		break;
	case 5:
		buf_putf(sql,
			"SAVEPOINT s; UPDATE %s SET name = 'rolled back' WHERE id BETWEEN %u AND "
			"%u; "
			"ROLLBACK TO s;",
			table, id, id + 5);
		break;
	default:
		buf_putf(sql, "UPDATE %s SET name = 'changed %u' WHERE id = %u;", table, other, id);
		break;
	}
}

/* Deadlocks and conflicts of the writers with each other are theirs to roll back. */
static void one_transaction(struct pg *pg, struct rnd *rnd)
{
	struct buf sql;
	struct error e = {.kind = OK};

	buf_init(&sql, 1 << 20);
	buf_puts(&sql, "BEGIN;");
	for (uint64_t n = 1 + rnd_below(rnd, 6); n > 0; n--)
		put_statement(&sql, rnd);
	if (rnd_below(rnd, 200) == 0)
		buf_puts(&sql, "TRUNCATE others;");
	buf_puts(&sql, rnd_below(rnd, 10) == 0 ? "ROLLBACK;" : "COMMIT;");
	if (pg_exec(pg, buf_cstr(&sql), "writing", &e) != OK)
		assert_ok(pg_exec(pg, "ROLLBACK", "rolling back", &e), &e);
	buf_free(&sql);
}

static void mutate(struct fixture *f, struct rnd *rnd, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		one_transaction(f->pg, rnd);
}

struct writer {
	struct fixture *f;
	struct pg *pg;
	struct rnd rnd;
	atomic_bool *stop;
	atomic_uint done;
	struct thread thread;
};

static enum err write_on(void *arg, struct error *e)
{
	struct writer *w = arg;

	(void)e;
	while (!atomic_load(w->stop) && atomic_load(&w->done) < WRITES) {
		one_transaction(w->pg, &w->rnd);
		atomic_fetch_add(&w->done, 1);
	}
	return OK;
}

/* ---- tests ---- */

static void test_snapshot_under_writers(void **state)
{
	struct fixture *f = *state;
	struct writer writers[WRITERS];
	struct error e = {.kind = OK};
	struct replicate_result result;
	atomic_bool stop = false;
	uint64_t seed = unit_seed();

	make_tables(f);
	f->o.batch_rows = 300;
	for (unsigned i = 0; i < WRITERS; i++) {
		struct writer *w = &writers[i];
		struct pg_options p = {.conninfo = f->o.conninfo, .application = "writer"};
		*w = (struct writer){.f = f, .stop = &stop};
		rnd_seed(&w->rnd, seed + i);
		assert_ok(pg_open(&w->pg, &p, &f->env, &e), &e);
		assert_ok(thread_start(&w->thread, "writer", write_on, w, &e), &e);
	}
	/* Slow batches, so that much is written while the tables are read. */
	arm(f, "snapshot.batch=sleep:20@1+");
	init_ok(f);
	enum err rc = catch_up(f, &result, &e);
	/* Again, with everything already there but the stream running on. */
	if (rc == OK)
		rc = catch_up(f, &result, &e);
	atomic_store(&stop, true);
	unsigned written = 0;
	for (unsigned i = 0; i < WRITERS; i++) {
		struct error ignored = {.kind = OK};
		assert_int_equal(thread_join(&writers[i].thread, &ignored), OK);
		written += atomic_load(&writers[i].done);
		pg_close(writers[i].pg);
	}
	assert_ok(rc, &e);
	print_message("%u transactions while it was copied\n", written);
	catch_up_ok(f);
	assert_both_same(f);
}

/* The snapshot's come first, and are passed only as long as it is not whole. A place that is
 * passed at least so often in every run must be reached. */
static const struct point {
	const char *name;
	unsigned at;
	bool snapshot, sure;
} points[] = {
	{"snapshot.batch", 1, true, true},
	{"snapshot.batch", 4, true, true},
	{"snapshot.done", 1, true, true},
	{"snapshot.done", 1, true, true},
	{"capture.received", 1, false, true},
	{"capture.received", 50, false, true},
	{"journal.append", 1, false, true},
	{"journal.append", 70, false, true},
	{"journal.fsync", 1, false, true},
	{"journal.fsync", 2, false, true},
	{"journal.seal", 1, false, true},
	{"capture.ack", 1, false, true},
	{"capture.ack", 3, false, false},
	{"apply.before", 1, false, true},
	{"apply.before", 3, false, false},
	{"apply.after", 1, false, true},
	{"apply.after", 3, false, false},
};
#define NPOINTS (sizeof(points) / sizeof(points[0]))

/* Enough for a segment to be sealed. */
static void fill(struct fixture *f, struct rnd *rnd)
{
	mutate(f, rnd, 60);
	source_run(f,
		"INSERT INTO items SELECT i, repeat('z', 500), 0, NULL FROM generate_series(20000, "
		"20080) i ON CONFLICT (id) DO UPDATE SET n = items.n + 1, name = repeat('w', 500)");
}

static void test_error_at_every_failpoint(void **state)
{
	struct fixture *f = *state;
	struct rnd rnd;

	rnd_seed(&rnd, unit_seed());
	make_tables(f);
	f->o.batch_rows = 200;
	f->o.segment_size = 16384;
	init_ok(f);
	for (size_t i = 0; i < NPOINTS; i++) {
		struct error e = {.kind = OK};
		struct replicate_result result;
		char spec[64];
		fill(f, &rnd);
		snprintf(spec, sizeof(spec), "%s=error@%u", points[i].name, points[i].at);
		arm(f, spec);
		enum err rc = catch_up(f, &result, &e);
		if (rc != OK)
			assert_has(e.text, points[i].name);
		else if (points[i].sure)
			fail_msg("%s did not fail", spec);
		arm(f, NULL);
		if (points[i].snapshot)
			continue;
		mutate(f, &rnd, 10);
		catch_up_ok(f);
		assert_both_same(f);
	}
}

/* Runs up to what is there in a child that has the failpoint; gives how it ended. */
static int run_in_child(struct fixture *f, const char *spec)
{
	int status;
	fflush(NULL);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct error e = {.kind = OK};
		struct replicate_result result;
		struct warehouse_options o = {.url = f->url, .threads = 1};
		enum err rc = failpoints_parse(&f->env.failpoints, str_of(spec), &e);
		if (rc == OK)
			rc = warehouse_open(&f->w, &o, &f->env, &e);
		if (rc == OK)
			rc = catch_up(f, &result, &e);
		if (rc != OK)
			fprintf(stderr, "child: %s\n", e.text);
		_exit(rc == OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_kill_at_every_failpoint(void **state)
{
	struct fixture *f = *state;
	struct rnd rnd;

	rnd_seed(&rnd, unit_seed());
	make_tables(f);
	f->o.batch_rows = 200;
	f->o.segment_size = 16384;
	init_ok(f);
	for (size_t i = 0; i < NPOINTS; i++) {
		char spec[64];
		fill(f, &rnd);
		close_warehouse(f);
		snprintf(spec, sizeof(spec), "%s=kill@%u", points[i].name, points[i].at);
		int status = run_in_child(f, spec);
		bool dead = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (!dead && (points[i].sure || !WIFEXITED(status) || WEXITSTATUS(status) != 0))
			fail_msg("%s: the child ended with status %d", spec, status);
		open_warehouse(f);
		if (points[i].snapshot)
			continue;
		catch_up_ok(f);
		assert_both_same(f);
	}
}

/* A kill at no special place: after some time, whatever is going on. */
static void test_kill_at_random_moments(void **state)
{
	struct fixture *f = *state;
	struct rnd rnd;

	rnd_seed(&rnd, unit_seed());
	make_tables(f);
	f->o.batch_rows = 100;
	f->o.segment_size = 16384;
	init_ok(f);
	for (unsigned i = 0; i < 6; i++) {
		char spec[96];
		mutate(f, &rnd, 100);
		close_warehouse(f);
		snprintf(spec, sizeof(spec), "capture.received=kill@%u;apply.before=kill@%u",
			(unsigned)(1 + rnd_below(&rnd, 900)), (unsigned)(1 + rnd_below(&rnd, 4)));
		(void)run_in_child(f, spec);
		open_warehouse(f);
	}
	catch_up_ok(f);
	assert_both_same(f);
}

/* Capture has acknowledged what there is, and apply has said why it does not follow; which of them
 * is first is chance. */
static void wait_for_refusal(struct replicate *r, lsn now, struct replicate_progress *p)
{
	for (int i = 0; i < 2400 && (p->acked.v < now.v || p->apply_error.kind == OK); i++) {
		usleep(50000);
		replicate_progress(r, p);
	}
}

/* The warehouse is away for a while: the source is acknowledged all the same. */
static void test_warehouse_away_does_not_hold_the_slot(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct replicate_progress p = {.failed = false};
	struct rnd rnd;
	lsn now;

	rnd_seed(&rnd, unit_seed());
	make_tables(f);
	init_ok(f);
	catch_up_ok(f);
	arm(f, "apply.before=error@1+");
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	mutate(f, &rnd, 200);
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_err(replicate_wait(r, now, 1000000, &e), ERR_UNAVAILABLE, &e);
	wait_for_refusal(r, now, &p);
	assert_true(p.acked.v >= now.v);
	assert_true(p.applied.v < now.v);
	assert_true(p.lag_us > 0);
	assert_has(p.apply_error.text, "apply.before");
	assert_ok(replicate_stop(r, &e), &e);
	arm(f, NULL);
	catch_up_ok(f);
	assert_both_same(f);
}

/* What the warehouse refuses is no reason to stop reading the source. */
static void test_refusing_warehouse_does_not_stop_capture(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct replicate_progress p = {.failed = false};
	struct replicate_result result;
	lsn now;

	make_tables(f);
	init_ok(f);
	catch_up_ok(f);
	assert_ok(
		warehouse_script(f->w, STR("ALTER TABLE public_history.items RENAME TO gone"), &e),
		&e);
	source_run(f, "UPDATE items SET n = 1 WHERE id = 1");
	enum err rc = catch_up(f, &result, &e);
	assert_int_not_equal(rc, OK);
	assert_int_not_equal(rc, ERR_UNAVAILABLE);
	error_clear(&e);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	source_run(f, "UPDATE items SET n = 2 WHERE id = 2");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_err(replicate_wait(r, now, 1000000, &e), ERR_UNAVAILABLE, &e);
	wait_for_refusal(r, now, &p);
	assert_true(p.acked.v >= now.v);
	assert_true(p.applied.v < now.v);
	assert_false(p.failed);
	assert_int_not_equal(p.apply_error.kind, OK);
	/* It goes on by itself once it is mended. */
	error_clear(&e);
	assert_ok(
		warehouse_script(f->w, STR("ALTER TABLE public_history.gone RENAME TO items"), &e),
		&e);
	assert_ok(replicate_wait(r, now, 300000000, &e), &e);
	assert_ok(replicate_stop(r, &e), &e);
	assert_both_same(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_snapshot_under_writers),
		TEST(test_error_at_every_failpoint),
		TEST(test_kill_at_every_failpoint),
		TEST(test_kill_at_random_moments),
		TEST(test_warehouse_away_does_not_hold_the_slot),
		TEST(test_refusing_warehouse_does_not_stop_capture),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
