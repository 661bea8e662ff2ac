/*
 * A thousand reconciliations beside twelve writers that do all that writers do: savepoints and
 * their rollback, whole transactions thrown away, two-phase commits that stay prepared for a while,
 * transactions of up to a minute, hot rows that all fight for, several tables. None may raise an
 * alarm; and after all of it one spoiled value is still found. SLUICE_LONG=1: all thousand.
 */
#include "prove_fixture.h"

#include <stdatomic.h>

#include "replicate.h"
#include "thread.h"

#define WRITERS     12
#define SLOW        2 /* of them: transactions that stay open */
#define ROWS        4000
#define HOT         8 /* rows of `hot` */
#define ROUNDS_LONG 1000
#define ROUNDS      15

struct writer {
	struct live *l;
	struct thread thread;
	unsigned number;
	struct rnd rnd;
	struct env env;
	struct pg *pg;
	struct buf sql;
	unsigned prepared; /* transactions prepared so far */
};

enum count { COMMITTED, ROLLED_BACK, PREPARED, SAVEPOINTS, LONGEST_MS, COUNTS };

struct live {
	struct fixture f;
	char journal[160];
	struct replicate_options options;
	struct replicate *replicate;
	struct writer writers[WRITERS];
	int64_t longest_us; /* of a transaction */
	atomic_bool stop;
	atomic_uint counts[COUNTS];
};

static const char schema_sql[] =
	"CREATE TABLE accounts (id bigint PRIMARY KEY, branch int NOT NULL, balance numeric(14,2) "
	"NOT NULL, rate float8, owner text, extra jsonb, touched timestamptz NOT NULL);"
	"CREATE TABLE moves (account bigint, n bigint, amount numeric NOT NULL, note text, PRIMARY "
	"KEY (account, n));"
	"CREATE TABLE hot (id int PRIMARY KEY, hits bigint NOT NULL, last text);"
	"CREATE TABLE queue (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job text, due "
	"timestamptz);"
	"ALTER TABLE accounts ALTER owner SET STORAGE EXTERNAL;"
	"INSERT INTO accounts SELECT i, i % 20, i, sin(i), repeat('o', i % 5 * 700), '{\"n\": 1}', "
	"now() FROM generate_series(1, 4000) i;"
	"INSERT INTO hot SELECT i, 0, '' FROM generate_series(1, 8) i;"
	"INSERT INTO queue (job, due) SELECT 'job ' || i, now() FROM generate_series(1, 300) i;"
	"ALTER PUBLICATION " PUBLICATION " SET TABLE accounts, moves, hot, queue;";

/* ---- what a writer does ---- */

static unsigned below(struct writer *w, unsigned n)
{
	return (unsigned)rnd_below(&w->rnd, n);
}

static void put_change(struct writer *w)
{
	struct buf *s = &w->sql;
	/* Accounts of its own, so that only hot rows are fought for, always in one order. */
	unsigned id = 1 + w->number + WRITERS * below(w, ROWS / WRITERS - 1);

	switch (below(w, 8)) {
	case 0:
		buf_putf(s,
			"INSERT INTO accounts VALUES (%u, 1, 0, 'NaN', NULL, NULL, now()) ON "
			"CONFLICT (id) DO UPDATE SET balance = accounts.balance + 1;",
			id);
		break;
	case 1:
		buf_putf(s, "DELETE FROM accounts WHERE id = %u;", id);
		break;
	case 2:
		buf_putf(s,
			"UPDATE accounts SET id = id + 100000 WHERE id = %u AND NOT EXISTS "
			"(SELECT 1 FROM accounts WHERE id = %u);",
			id, id + 100000);
		break;
	case 3:
		buf_putf(s,
			"INSERT INTO moves VALUES (%u, %u, random()::numeric * 1e20, 'note  ') ON "
			"CONFLICT (account, n) DO UPDATE SET amount = moves.amount / 3;",
			w->number, below(w, 500));
		break;
	case 4:
		buf_putf(s, "DELETE FROM moves WHERE account = %u AND n %% 17 = %u;", w->number,
			below(w, 17));
		break;
	case 5:
		buf_putf(s, "INSERT INTO queue (job, due) VALUES ('w%u', clock_timestamp());",
			w->number);
		break;
	case 6:
		buf_putf(s,
			"DELETE FROM queue WHERE id IN (SELECT id FROM queue WHERE job = 'w%u' "
			"LIMIT 3);",
			w->number);
		break;
	default:
		buf_putf(s,
			"UPDATE accounts SET balance = balance - 0.01, touched = "
			"clock_timestamp() WHERE id = %u;",
			id);
		break;
	}
}

/* Changes behind a savepoint, kept or taken back; savepoints lie within one another. */
static void put_savepoint(struct writer *w, unsigned depth)
{
	buf_putf(&w->sql, "SAVEPOINT s%u;", depth);
	put_change(w);
	if (depth < 3 && below(w, 2) == 0)
		put_savepoint(w, depth + 1);
	buf_putf(&w->sql, below(w, 2) == 0 ? "ROLLBACK TO s%u;" : "RELEASE s%u;", depth);
	put_change(w);
	atomic_fetch_add(&w->l->counts[SAVEPOINTS], 1);
}

static enum err run(struct writer *w, const char *what, struct error *e)
{
	enum err rc = pg_exec(w->pg, buf_cstr(&w->sql), what, e);

	buf_reset(&w->sql);
	return rc;
}

/* Sleeps a random time up to `us`, but not past the end of the campaign. */
static void linger(struct writer *w, int64_t us)
{
	int64_t until = clock_mono(w->env.clock) + (int64_t)rnd_below(&w->rnd, (uint64_t)us + 1);

	while (!atomic_load(&w->l->stop) && clock_mono(w->env.clock) < until)
		env_sleep(&w->env, 20000);
}

static enum err end_prepared(struct writer *w, struct error *e)
{
	unsigned n = w->prepared++;

	buf_putf(&w->sql, "PREPARE TRANSACTION 'w%u-%u'", w->number, n);
	TRY(run(w, "preparing", e));
	linger(w, w->number < SLOW ? w->l->longest_us : 30000);
	buf_putf(&w->sql, "%s PREPARED 'w%u-%u'", below(w, 4) == 0 ? "ROLLBACK" : "COMMIT",
		w->number, n);
	atomic_fetch_add(&w->l->counts[PREPARED], 1);
	return run(w, "ending what was prepared", e);
}

static void note_longest(struct writer *w, int64_t began)
{
	unsigned ms = (unsigned)((clock_mono(w->env.clock) - began) / 1000);
	unsigned seen = atomic_load(&w->l->counts[LONGEST_MS]);

	while (ms > seen && !atomic_compare_exchange_weak(&w->l->counts[LONGEST_MS], &seen, ms))
		;
}

static enum err one_transaction(struct writer *w, struct error *e)
{
	int64_t began = clock_mono(w->env.clock);
	unsigned kind = below(w, 10);
	bool slow = w->number < SLOW;

	buf_puts(&w->sql, "BEGIN;");
	for (unsigned n = below(w, 5) + 1; n > 0; n--)
		put_change(w);
	if (below(w, 2) == 0)
		put_savepoint(w, 0);
	TRY(run(w, "writing", e));
	if (slow) {
		linger(w, w->l->longest_us);
		put_change(w);
	} else if (below(w, 2) == 0)
		buf_putf(&w->sql, "UPDATE hot SET hits = hits + 1, last = 'w%u' WHERE id = %u;",
			w->number, 1 + below(w, HOT));
	TRY(run(w, "writing on", e));
	if (kind == 0)
		return end_prepared(w, e);
	buf_puts(&w->sql, kind < 3 ? "ROLLBACK" : "COMMIT");
	atomic_fetch_add(&w->l->counts[kind < 3 ? ROLLED_BACK : COMMITTED], 1);
	TRY(run(w, "ending", e));
	note_longest(w, began);
	return OK;
}

static enum err write_on(void *arg, struct error *e)
{
	struct writer *w = arg;
	const struct pg_options o = {
		.conninfo = pg_server_conninfo(w->l->f.server), .application = "writer"};
	enum err rc = pg_open(&w->pg, &o, &w->env, e);

	buf_init(&w->sql, 1 << 16);
	while (rc == OK && !atomic_load(&w->l->stop))
		rc = one_transaction(w, e);
	buf_free(&w->sql);
	pg_close(w->pg);
	return rc;
}

static void start_writers(struct live *l)
{
	struct error e = {.kind = OK};

	for (unsigned i = 0; i < WRITERS; i++) {
		struct writer *w = &l->writers[i];
		*w = (struct writer){.l = l, .number = i, .env = l->f.env};
		rnd_seed(&w->rnd, rnd_u64(&l->f.rnd));
		w->env.rnd = &w->rnd;
		assert_ok(thread_start(&w->thread, "writer", write_on, w, &e), &e);
	}
}

/* ---- the campaign ---- */

static enum err reach_live(void *arg, lsn at, struct error *e)
{
	return replicate_wait(arg, at, 60000000, e);
}

static enum err reconcile_how(
	struct live *l, enum reconcile_mode mode, struct reconcile_report *r, struct error *e)
{
	char hashes[200];
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(l->f.server),
		.publication = PUBLICATION,
		.reach = reach_live,
		.reach_arg = l->replicate,
		.max_keys = 5,
		.mode = mode,
		.hashes = hashes,
		.journal = l->journal};

	snprintf(hashes, sizeof hashes, "%s/hashes", l->f.dir);
	return reconcile(&o, l->f.warehouse, &l->f.env, r, e);
}

static enum err reconcile_live(struct live *l, struct reconcile_report *r, struct error *e)
{
	return reconcile_how(l, RECONCILE_FULL, r, e);
}

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

static unsigned transactions(struct live *l)
{
	return atomic_load(&l->counts[COMMITTED]) + atomic_load(&l->counts[ROLLED_BACK]) +
		atomic_load(&l->counts[PREPARED]);
}

/* Every round must have been written into, or it proves nothing. */
static void wait_for_writes(struct live *l, unsigned before)
{
	while (transactions(l) == before) {
		for (unsigned i = 0; i < WRITERS; i++)
			if (l->writers[i].thread.rc != OK)
				fail_msg(
					"a writer has failed: %s", l->writers[i].thread.error.text);
		env_sleep(&l->f.env, 1000);
	}
}

static void test_no_false_alarm(void **state)
{
	struct live *l = *state;
	unsigned rounds = getenv("SLUICE_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
	struct error e = {.kind = OK};

	wait_for_first_copy(l);
	for (unsigned i = 0; i < rounds; i++) {
		struct reconcile_report r;
		unsigned before = transactions(l);
		assert_ok(reconcile_live(l, &r, &e), &e);
		if (!r.ok)
			fail_msg("false alarm in round %u: %s", i, buf_cstr(&r.json));
		reconcile_report_free(&r);
		wait_for_writes(l, before);
	}
	print_message("%u reconciliations, no alarm, beside %u commits, %u rollbacks, %u two-phase "
		      "transactions, %u savepoints; the longest transaction took %u ms\n",
		rounds, atomic_load(&l->counts[COMMITTED]), atomic_load(&l->counts[ROLLED_BACK]),
		atomic_load(&l->counts[PREPARED]), atomic_load(&l->counts[SAVEPOINTS]),
		atomic_load(&l->counts[LONGEST_MS]));
	assert_true(atomic_load(&l->counts[PREPARED]) > 0);
	assert_true(atomic_load(&l->counts[ROLLED_BACK]) > 0);
}

/* Checks of the changes, each going on from the one before. */
static void test_no_false_alarm_of_changes(void **state)
{
	struct live *l = *state;
	unsigned rounds = getenv("SLUICE_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
	uint64_t changed = 0;
	struct error e = {.kind = OK};

	for (unsigned i = 0; i < rounds; i++) {
		struct reconcile_report r;
		unsigned before = transactions(l);
		assert_ok(reconcile_how(l, RECONCILE_CHANGED, &r, &e), &e);
		if (!r.ok)
			fail_msg("false alarm in check %u: %s", i, buf_cstr(&r.json));
		for (size_t t = 0; t < r.ntables; t++)
			changed += r.tables[t].changed;
		reconcile_report_free(&r);
		wait_for_writes(l, before);
	}
	print_message("%u checks of the changes, no alarm, of %llu keys\n", rounds,
		(unsigned long long)changed);
	assert_true(changed > rounds);
}

/* The same under way, with one value spoiled: the silence before was not deafness. */
static void test_fault_is_found_beside_writers(void **state)
{
	struct live *l = *state;
	struct reconcile_report r;
	struct error e = {.kind = OK};

	source_run(&l->f, "INSERT INTO accounts VALUES (90001, 1, 5, 1, 'nobody', NULL, now())");
	assert_ok(reconcile_live(l, &r, &e), &e);
	assert_true(r.ok);
	reconcile_report_free(&r);
	warehouse_run(
		&l->f, "UPDATE public.accounts SET balance = balance + 0.01 WHERE id = 90001");
	assert_ok(reconcile_live(l, &r, &e), &e);
	const struct reconcile_table *t = report_table(&r, "public.accounts");
	assert_false(r.ok);
	assert_int_equal(t->count[ROW_DIFFERENT], 1);
	assert_int_equal(t->count[ROW_MISSING] + t->count[ROW_EXTRA], 0);
	assert_str(t->keys[0].key, "{\"id\":90001}");
	assert_str(t->keys[0].columns[0], "balance");
	assert_int_equal(t->keys[0].blame, BLAME_WAREHOUSE);
	reconcile_report_free(&r);
}

static int setup(void **state)
{
	static struct live l;
	struct error e = {.kind = OK};
	struct replicate_init_report made = {.created = false};

	l.longest_us = getenv("SLUICE_LONG") != NULL ? 60000000 : 3000000;
	fixture_open(&l.f);
	fixture_empty(&l.f);
	source_run(&l.f, schema_sql);
	snprintf(l.journal, sizeof l.journal, "%s/journal", l.f.dir);
	l.options = (struct replicate_options){.conninfo = pg_server_conninfo(l.f.server),
		.publication = PUBLICATION,
		.slot = "sluice",
		.tables = "public.accounts, public.moves, public.hot, public.queue",
		.journal = l.journal,
		.segment_size = 4 << 20,
		.retention_us = 10000000,
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

	/* It was never set up: that has been told. */
	if (l == NULL)
		return 0;
	atomic_store(&l->stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_ok(thread_join(&l->writers[i].thread, &e), &e);
	assert_ok(replicate_stop(l->replicate, &e), &e);
	fixture_close(&l->f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_false_alarm),
		cmocka_unit_test(test_no_false_alarm_of_changes),
		cmocka_unit_test(test_fault_is_found_beside_writers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
