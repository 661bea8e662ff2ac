/* Transactions that the source streams before they end: its memory for decoding is made small, so
 * that nearly all are. */
#include "replicate_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal.h"
#include "thread.h"

#define ITEMS "id::text, coalesce(name, '~'), coalesce(n::text, '~')"

static void connect_again(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct pg_options p = {.conninfo = pg_server_conninfo(f->server)};

	pg_close(f->pg);
	assert_ok(pg_open(&f->pg, &p, &f->env, &e), &e);
}

static int start(void **state)
{
	struct error e = {.kind = OK};

	fixture_start(state);
	struct fixture *f = *state;
	source_run(f, "ALTER SYSTEM SET logical_decoding_work_mem = '64kB'");
	source_run(f, "ALTER SYSTEM SET max_prepared_transactions = 10");
	assert_ok(pg_server_restart(f->server, false, &e), &e);
	connect_again(f);
	return 0;
}

static void make_items(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE items (id bigint PRIMARY KEY, name text, n int);"
		"INSERT INTO items SELECT i, 'name ' || i, i %% 7 FROM generate_series(1, 1000) i");
}

static struct pg *another(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct pg_options p = {.conninfo = f->o.conninfo, .application = "another"};
	struct pg *pg;

	assert_ok(pg_open(&pg, &p, &f->env, &e), &e);
	return pg;
}

static void run(struct pg *pg, const char *sql)
{
	struct error e = {.kind = OK};

	assert_ok(pg_exec(pg, sql, "writing", &e), &e);
}

/* How many transactions the server has streamed before their end. The walsender tells when it is
 * idle or ends. */
static int64_t streamed(struct fixture *f)
{
	const char *sql = arena_fmt(&f->mem,
		"SELECT coalesce(sum(stream_txns), 0)::text FROM pg_stat_replication_slots WHERE "
		"slot_name = '%s'",
		f->slot)
				  .p;

	for (int i = 0; i < 200; i++) {
		int64_t n = strtoll(source_text(f, sql), NULL, 10);
		if (n > 0)
			return n;
		usleep(20000);
	}
	return 0;
}

/* No message of protocol 2 may stand in the journal; gives its transactions. */
static unsigned check_journal(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct journal_identity id;
	struct journal_reader *r;
	struct journal_record rec;
	bool got = true, inside = false;
	unsigned n = 0;

	assert_ok(journal_identity_read(f->journal, &id, &e), &e);
	assert_ok(journal_reader_open(&r, f->journal, NULL, id.start, &e), &e);
	while (got) {
		assert_ok(journal_reader_next(r, &rec, &got, &e), &e);
		if (!got || rec.kind != JOURNAL_MESSAGE)
			continue;
		char kind = rec.payload.p[0];
		assert_non_null(strchr("BCRYOIUDT", kind));
		if (kind == 'B')
			assert_false(inside);
		else if (kind == 'C')
			n += inside;
		inside = kind == 'B' || (inside && kind != 'C');
		journal_reader_release(r);
	}
	assert_false(inside);
	journal_reader_close(r);
	return n;
}

static unsigned spill_files(struct fixture *f)
{
	char dir[256];
	unsigned n = 0;

	snprintf(dir, sizeof(dir), "%s/spill", f->journal);
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *one; (one = readdir(d)) != NULL;)
		n += one->d_name[0] != '.';
	closedir(d);
	return n;
}

#define MANY(from, to, name)                                                                       \
	"INSERT INTO items SELECT i, '" name "' || i || repeat('x', 60), i FROM "                  \
	"generate_series(" #from ", " #to ") i;"

/* Savepoints undone, released and nested, and a schema that changes in one that is undone. */
static void write_subtransactions(struct fixture *f)
{
	source_run(f,
		"BEGIN;" MANY(10000, 12000, "kept") "SAVEPOINT a;" MANY(
			20000, 22000, "lost") "ROLLBACK TO a;" MANY(30000, 31000,
			"kept") "SAVEPOINT b;" MANY(40000, 41000,
			"lost inside") "SAVEPOINT c;" MANY(50000, 52000,
			"lost twice") "RELEASE c; ROLLBACK TO b; SAVEPOINT d;" MANY(60000, 62000,
			"kept") "RELEASE d; UPDATE items SET n = -1 WHERE id BETWEEN 10000 "
				"AND 10900; DELETE FROM items WHERE id < 500; COMMIT");
	source_run(f,
		"BEGIN; SAVEPOINT a; CREATE TABLE gone (id int PRIMARY KEY); ALTER TABLE items ADD "
		"COLUMN extra int; INSERT INTO items SELECT i, 'lost', i, 7 FROM "
		"generate_series(70000, 73000) i; ROLLBACK TO a;" MANY(
			80000, 82000, "kept") "COMMIT");
	source_run(f,
		"BEGIN; SAVEPOINT a;" MANY(
			90000, 93000, "lost") "ROLLBACK TO a; ALTER TABLE items "
					      "ADD COLUMN more text DEFAULT 'm';" MANY(
						      95000, 97000, "kept") "COMMIT");
	source_run(f, "BEGIN;" MANY(110000, 113000, "never") "ROLLBACK");
}

static void test_subtransactions(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	write_subtransactions(f);
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 501 + 2001 + 1001 + 2001 + 4002);
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public.items WHERE more = 'm'"), 9506);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.items WHERE name LIKE "
				 "'lost%' OR name LIKE 'never%'"),
		0);
	assert_true(streamed(f) >= 3);
	assert_int_equal(check_journal(f), 3);
	assert_int_equal(spill_files(f), 0);
}

/* The same transactions by protocol 1, which knows no streaming. */
static void test_protocol_1_gives_the_same(void **state)
{
	struct fixture *f = *state;

	f->o.protocol = 1;
	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	write_subtransactions(f);
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 9506);
	assert_int_equal(check_journal(f), 3);
}

/* While one is in progress others go through, and the slot with them; a cut connection makes the
 * source send it again. */
static void test_others_overtake(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct replicate_progress p;
	lsn now;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	struct pg *slow = another(f), *slower = another(f);
	run(slow, "BEGIN;" MANY(10000, 14000, "slow"));
	run(slower, "BEGIN;" MANY(20000, 24000, "slower"));
	source_run(f, "INSERT INTO items VALUES (5000, 'quick', 1)");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 60000000, &e), &e);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1001);
	assert_int_equal(streamed(f), 2);
	for (int i = 0; i < 1200; i++) {
		replicate_progress(r, &p);
		if (p.acked.v >= now.v)
			break;
		usleep(50000);
	}
	assert_true(p.acked.v >= now.v);
	source_run(f,
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
		"active");
	run(slower, MANY(30000, 34000, "slower") "COMMIT");
	source_run(f, "INSERT INTO items VALUES (5001, 'quick', 1)");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 60000000, &e), &e);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1002 + 8002);
	run(slow, MANY(40000, 44000, "slow") "COMMIT");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 60000000, &e), &e);
	assert_ok(replicate_stop(r, &e), &e);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1002 + 16004);
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public_history.items"), 1002 + 16004);
	pg_close(slow);
	pg_close(slower);
}

/* Without the option for them they come when they are committed. */
static void test_prepared_transactions(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(
		f, "BEGIN; INSERT INTO items VALUES (5000, 'small', 1); PREPARE TRANSACTION 's'");
	source_run(f, "BEGIN;" MANY(10000, 14000, "large") "PREPARE TRANSACTION 'l'");
	source_run(f, "BEGIN;" MANY(20000, 24000, "lost") "PREPARE TRANSACTION 'never'");
	source_run(f,
		"BEGIN; SAVEPOINT a;" MANY(30000, 32000, "lost") "ROLLBACK TO a;" MANY(
			34000, 34999, "kept") "PREPARE TRANSACTION 'sub'");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1000);
	assert_true(streamed(f) >= 2);
	source_run(f, "ROLLBACK PREPARED 'never'");
	source_run(f, "COMMIT PREPARED 'l'");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 5001);
	source_run(f, "COMMIT PREPARED 's'");
	source_run(f, "COMMIT PREPARED 'sub'");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1000 + 1 + 4001 + 1000);
	assert_int_equal(check_journal(f), 3);
}

static void test_logical_messages(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "SELECT pg_logical_emit_message(false, 'app', 'alone')");
	source_run(f, "SELECT pg_logical_emit_message(true, 'app', 'alone in a transaction')");
	source_run(f,
		"BEGIN; SELECT pg_logical_emit_message(true, 'app', 'first'); INSERT INTO items "
		"VALUES (5000, 'a', 1); SELECT pg_logical_emit_message(false, 'app', 'between'); "
		"INSERT INTO items VALUES (5001, 'b', 1); COMMIT");
	source_run(f,
		"BEGIN;" MANY(10000, 12000,
			"a") "SELECT pg_logical_emit_message(true, 'app', "
			     "repeat('m', 200000));" MANY(20000, 22000,
				     "b") "SELECT pg_logical_emit_message(false, 'app', repeat('m', 200000)); "
					  "COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1002 + 4002);
	(void)check_journal(f);
}

/* ---- faults ---- */

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

/* In place of the large ones that stand there: 3001 new rows whose n is `n`. */
static void write_large(struct fixture *f, unsigned n)
{
	source_run(f,
		"BEGIN; DELETE FROM items WHERE id >= 100000; INSERT INTO items SELECT i, 'large' "
		"|| repeat('y', 200), %u FROM generate_series(%u, %u) i; SAVEPOINT a; UPDATE items "
		"SET n = -1 WHERE id < 1000; ROLLBACK TO a; UPDATE items SET name = 'changed' WHERE "
		"id < 600; COMMIT",
		n, 100000 + n * 1000, 100000 + n * 1000 + 3000);
}

/* The warehouse has all of the transaction, or nothing. */
static void assert_whole(struct fixture *f, unsigned n)
{
	const char *sql = arena_fmt(
		&f->mem, "SELECT count(*) FROM public.items WHERE id >= 100000 AND n = %u", n)
				  .p;
	int64_t rows = warehouse_count(f, sql);

	assert_true(rows == 0 || rows == 3001);
	sql = "SELECT count(DISTINCT n) FROM public.items WHERE id >= 100000";
	assert_true(warehouse_count(f, sql) <= 1);
}

/* The second pass of a place that is passed for each message lies inside a copy or a block. */
static const struct {
	const char *name;
	unsigned at;
} places[] = {
	{"spill.write", 1},
	{"spill.write", 3},
	{"spill.read", 1},
	{"spill.read", 2},
	{"capture.received", 2000},
	{"journal.append", 2},
	{"journal.append", 900},
	{"journal.fsync", 1},
	{"journal.seal", 1},
	{"capture.ack", 1},
	{"apply.before", 1},
	{"apply.part", 1},
	{"apply.part", 3},
	{"apply.after", 1},
};
#define NPLACES (sizeof(places) / sizeof(places[0]))

static void kill_at(struct fixture *f, const char *spec)
{
	close_warehouse(f);
	int status = run_in_child(f, spec);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("%s: the child ended with status %d", spec, status);
	open_warehouse(f);
}

static void fail_at(struct fixture *f, const char *spec)
{
	struct error e = {.kind = OK};
	struct replicate_result result;

	arm(f, spec);
	assert_err(catch_up(f, &result, &e), ERR_FAILED, &e);
	arm(f, NULL);
}

static void test_killed_and_failing_inside(void **state)
{
	struct fixture *f = *state;
	char spec[64];

	make_items(f);
	f->o.batch_rows = 500;
	init_ok(f);
	catch_up_ok(f);
	/* In the short form every place is passed once, killed or failing by turns. */
	bool whole = getenv("SLUICE_LONG") != NULL;
	for (unsigned i = 0; i < 2 * NPLACES; i++) {
		bool kills = i % 2 == 0;
		if (!whole && i / 2 % 2 == i % 2)
			continue;
		write_large(f, 10 + i);
		snprintf(spec, sizeof(spec), "%s=%s@%u", places[i / 2].name,
			kills ? "kill" : "enospc", places[i / 2].at);
		if (kills)
			kill_at(f, spec);
		else
			fail_at(f, spec);
		assert_whole(f, 10 + i);
		catch_up_ok(f);
		assert_int_equal(assert_same(f, "public.items", ITEMS), 1000 + 3001);
		assert_int_equal(spill_files(f), 0);
	}
}

/* Everything that may happen, in one transaction that is written in many parts. */
static void test_written_in_parts(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	f->o.batch_rows = 300;
	source_run(f,
		"CREATE TABLE wide (id int PRIMARY KEY, body text, n int); ALTER TABLE wide ALTER "
		"body SET STORAGE EXTERNAL; INSERT INTO wide SELECT i, repeat('b', 3000), i FROM "
		"generate_series(1, 100) i");
	init_ok(f);
	catch_up_ok(f);
	source_run(f,
		"BEGIN; INSERT INTO items SELECT i, 'first', i FROM generate_series(2000, 6000) i; "
		"UPDATE items SET n = 1 WHERE id <= 700; UPDATE items SET id = -id WHERE id <= 300; "
		"UPDATE wide SET n = n + 1; DELETE FROM items WHERE id %% 5 = 0; UPDATE items SET "
		"name = 'twice' WHERE id > 3000; ALTER TABLE items ADD COLUMN added int DEFAULT 3; "
		"INSERT INTO items SELECT i, 'second', i, 9 FROM generate_series(10000, 14000) i; "
		"UPDATE wide SET id = id + 1000, n = 7; ALTER TABLE items DROP COLUMN n; UPDATE "
		"items SET name = 'third' WHERE id %% 3 = 0; COMMIT");
	catch_up_ok(f);
	assert_true(assert_same(f, "public.items", "id::text, name") > 6000);
	assert_int_equal(assert_same(f, "public.wide", "id::text, n::text, md5(body)"), 100);
	const char *added = "SELECT string_agg(id::text || coalesce(added::text, '~'), ',' ORDER "
			    "BY id) FROM public.items";
	assert_string_equal(source_text(f, added), warehouse_text_of(f, added));
	source_run(f,
		"BEGIN; INSERT INTO items SELECT i, 'gone', 1 FROM generate_series(20000, 23000) i; "
		"TRUNCATE items; INSERT INTO items SELECT i, 'after', 1 FROM generate_series(1, 3000) "
		"i; DELETE FROM items WHERE id > 2500; COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", "id::text, name"), 2500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

/* usage: [PATTERN], to run only some */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_subtransactions),
		TEST(test_protocol_1_gives_the_same),
		TEST(test_others_overtake),
		TEST(test_prepared_transactions),
		TEST(test_logical_messages),
		TEST(test_written_in_parts),
		TEST(test_killed_and_failing_inside),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, start, fixture_stop);
}
