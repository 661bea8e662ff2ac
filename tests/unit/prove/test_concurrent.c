/* Reconciling while writers write and replication runs: no false alarm, and a fault is found. */
#include "prove_fixture.h"

#include <stdatomic.h>

#include "replicate.h"
#include "thread.h"

#define WRITERS 4

struct writer {
	struct fixture *f;
	struct thread thread;
	unsigned number;
	uint64_t seed;
	atomic_bool *stop;
	atomic_uint *transactions;
};

struct live {
	struct fixture f;
	char journal[160];
	struct replicate_options options;
	struct replicate *replicate;
	struct writer writers[WRITERS];
	atomic_bool stop;
	atomic_uint transactions;
};

/* One transaction: some rows changed, some kept behind a savepoint, some thrown away. Writers
 * have keys of their own, so that they never wait for one another. */
static void write_sql(struct writer *w, struct rnd *rnd, char *sql, size_t n)
{
	unsigned id = 10000 * (w->number + 1) + (unsigned)rnd_below(rnd, 300);
	unsigned other = 10000 * (w->number + 1) + (unsigned)rnd_below(rnd, 300);
	bool back = rnd_below(rnd, 5) == 0, undo = rnd_below(rnd, 3) == 0;

	snprintf(sql, n,
		"BEGIN; INSERT INTO items (id, name, price, at) VALUES (%u, 'n%u', %u, now()) "
		"ON CONFLICT (id) DO UPDATE SET price = items.price + 1, name = 'again', "
		"amount = random()::numeric * 1e30; SAVEPOINT s; DELETE FROM items WHERE id = %u; "
		"INSERT INTO pairs VALUES ('w%u', 'x%u', 1) ON CONFLICT (a, b) DO UPDATE SET "
		"v = pairs.v + 1; %s %s",
		id, id, id % 1000, other, w->number, id % 50,
		undo ? "ROLLBACK TO s;" : "RELEASE s;", back ? "ROLLBACK" : "COMMIT");
}

static enum err write_on(void *arg, struct error *e)
{
	struct writer *w = arg;
	struct rnd rnd;
	struct pg *pg = NULL;
	struct env env = w->f->env;
	const struct pg_options o = {
		.conninfo = pg_server_conninfo(w->f->server), .application = "writer"};
	char sql[1024];
	enum err rc;

	rnd_seed(&rnd, w->seed);
	env.rnd = &rnd;
	TRY(pg_open(&pg, &o, &env, e));
	for (rc = OK; rc == OK && !atomic_load(w->stop);) {
		write_sql(w, &rnd, sql, sizeof sql);
		rc = pg_exec(pg, sql, "writing", e);
		atomic_fetch_add(w->transactions, 1);
	}
	pg_close(pg);
	return rc;
}

static void start_writers(struct live *l)
{
	struct error e = {.kind = OK};

	for (unsigned i = 0; i < WRITERS; i++) {
		l->writers[i] = (struct writer){.f = &l->f,
			.number = i,
			.seed = rnd_u64(&l->f.rnd),
			.stop = &l->stop,
			.transactions = &l->transactions};
		assert_ok(
			thread_start(&l->writers[i].thread, "writer", write_on, &l->writers[i], &e),
			&e);
	}
}

static enum err reach_live(void *arg, lsn at, struct error *e)
{
	return replicate_wait(arg, at, 60000000, e);
}

static int setup(void **state)
{
	static struct live l;
	struct error e = {.kind = OK};
	struct replicate_init_report made = {.created = false};

	fixture_open(&l.f);
	fixture_empty(&l.f);
	snprintf(l.journal, sizeof l.journal, "%s/journal", l.f.dir);
	l.options = (struct replicate_options){.conninfo = pg_server_conninfo(l.f.server),
		.publication = PUBLICATION,
		.slot = "sluice",
		.tables = "public.*",
		.journal = l.journal,
		.segment_size = 1 << 20,
		.retention_us = 1000000,
		.batch_rows = 5000,
		.flush_interval_us = 50000,
		.fsync_interval_us = 5000};
	assert_ok(replicate_init(&l.options, l.f.warehouse, &l.f.env, &made, &e), &e);
	replicate_init_report_free(&made);
	assert_ok(replicate_start(&l.replicate, &l.options, l.f.warehouse, &l.f.env, &e), &e);
	start_writers(&l);
	*state = &l;
	return 0;
}

static int teardown(void **state)
{
	struct live *l = *state;
	struct error e = {.kind = OK};

	atomic_store(&l->stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_ok(thread_join(&l->writers[i].thread, &e), &e);
	assert_ok(replicate_stop(l->replicate, &e), &e);
	fixture_close(&l->f);
	return 0;
}

static enum err reconcile_live(struct live *l, struct reconcile_report *r, struct error *e)
{
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(l->f.server),
		.publication = PUBLICATION,
		.reach = reach_live,
		.reach_arg = l->replicate,
		.max_keys = 5};
	return reconcile(&o, l->f.warehouse, &l->f.env, r, e);
}

/* The first copy must be done before a cut can be compared with it. */
static void wait_for_first_copy(struct live *l)
{
	struct replicate_progress p;
	struct error e = {.kind = OK};

	do {
		env_sleep(&l->f.env, 20000);
		replicate_progress(l->replicate, &p);
		if (p.failed)
			assert_ok(replicate_wait(l->replicate, (lsn){UINT64_MAX}, 1, &e), &e);
	} while (p.snapshotting || p.applied.v == 0);
}

static void test_no_false_alarm(void **state)
{
	struct live *l = *state;
	unsigned rounds = getenv("SLUICE_LONG") != NULL ? 1000 : 15;
	struct error e = {.kind = OK};

	wait_for_first_copy(l);
	for (unsigned i = 0; i < rounds; i++) {
		struct reconcile_report r;
		unsigned before = atomic_load(&l->transactions);
		assert_ok(reconcile_live(l, &r, &e), &e);
		if (!r.ok)
			fail_msg("false alarm in round %u: %s", i, buf_cstr(&r.json));
		reconcile_report_free(&r);
		/* Every round must have been written into, or it proves nothing. */
		while (atomic_load(&l->transactions) == before)
			env_sleep(&l->f.env, 1000);
	}
	print_message("%u rounds beside %u transactions\n", rounds, atomic_load(&l->transactions));
}

/* The same under way, with one value spoiled that no writer touches. */
static void test_fault_is_found_beside_writers(void **state)
{
	struct live *l = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	warehouse_run(&l->f, "UPDATE public.items SET price = price + 0.01 WHERE id = 7");
	assert_ok(reconcile_live(l, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.items");
	assert_false(r.ok);
	assert_int_equal(t->count[ROW_DIFFERENT], 1);
	assert_int_equal(t->count[ROW_MISSING] + t->count[ROW_EXTRA], 0);
	assert_str(t->keys[0].key, "{\"id\":7}");
	assert_str(t->keys[0].columns[0], "price");
	reconcile_report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_false_alarm),
		cmocka_unit_test(test_fault_is_found_beside_writers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
