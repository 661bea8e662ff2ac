/* The worker and the migrations, and importing the past, against a private PostgreSQL. */
#include "unit.h"

#include "app_fixture.h"
#include "app_migrate.h"
#include "app_worker.h"
#include "thread.h"

static struct app_worker_result work(struct app_fixture *f)
{
	struct app_worker_result result;
	struct app_worker_options o = {
		.database = f->database, .workflow = "cancel-risk", .threshold = 0.5, .once = true};

	assert_ok(app_worker_run(&o, &f->env, &result, &f->e), &f->e);
	return result;
}

static void events_become_tasks(void **state)
{
	struct app_fixture *f = *state;
	struct app_client c;
	char path[64];

	app_client_open(&c, f);
	int64_t id = app_new_booking(&c, "");
	(void)app_new_booking(&c, "");
	(void)snprintf(path, sizeof path, "/v1/bookings/%lld/cancel", (long long)id);
	assert_int_equal(app_call(&c, "POST", path, NULL), 200);
	struct app_worker_result r = work(f);
	assert_int_equal(r.events, 3);
	assert_int_equal(r.tasks, 3);
	assert_int_equal(r.reconfirmations, 0);
	assert_string_equal(r.gate, "closed");
	assert_int_equal(app_number(f, "SELECT count(*) FROM outbox"), 0);
	assert_str(app_sql(f, "SELECT string_agg(kind, ',' ORDER BY kind) FROM worker_tasks"),
		"cancellation_notice,confirmation,confirmation");
	assert_int_equal(work(f).events, 0);
	/* The same event twice makes one task. */
	app_exec(f,
		"INSERT INTO outbox (topic, booking_id, payload) SELECT 'booking.created', "
		"booking_id, '{}' FROM worker_tasks WHERE kind = 'confirmation'");
	r = work(f);
	assert_int_equal(r.events, 2);
	assert_int_equal(r.tasks, 0);
	app_client_close(&c);
}

static enum err run_one(void *arg, struct error *e)
{
	struct app_fixture *f = arg;
	struct app_worker_result result;
	struct app_worker_options o = {.database = f->database, .once = true};

	return app_worker_run(&o, &f->env, &result, e);
}

/* Three workers, 5000 events: each becomes a task once. */
static void workers_share_the_work(void **state)
{
	struct app_fixture *f = *state;
	struct thread threads[3] = {{.fn = NULL}};

	app_exec(f,
		"TRUNCATE worker_tasks; INSERT INTO outbox (topic, booking_id, payload) SELECT "
		"'booking.created', n, '{}' FROM generate_series(1000001, 1005000) n");
	for (int i = 0; i < 3; i++)
		assert_ok(thread_start(&threads[i], "worker", run_one, f, &f->e), &f->e);
	for (int i = 0; i < 3; i++)
		assert_ok(thread_join(&threads[i], &f->e), &f->e);
	assert_int_equal(app_number(f, "SELECT count(*) FROM outbox"), 0);
	assert_int_equal(app_number(f, "SELECT count(*) FROM worker_tasks"), 5000);
	app_exec(f, "TRUNCATE worker_tasks");
}

static int64_t asked(struct app_fixture *f)
{
	return app_number(f, "SELECT count(*) FROM worker_tasks WHERE kind = 'reconfirm'");
}

static void risk_needs_an_open_gate(void **state)
{
	struct app_fixture *f = *state;
	struct app_client c;
	char sql[1024];

	app_client_open(&c, f);
	int64_t low = app_new_booking(&c, ""), high = app_new_booking(&c, "");
	int64_t gone = app_new_booking(&c, ""), none = app_new_booking(&c, "");
	app_exec(f, "CREATE SCHEMA sluice");
	assert_string_equal(work(f).gate, "closed");
	app_exec(f,
		"CREATE TABLE sluice.gates (workflow text PRIMARY KEY, state text NOT NULL);"
		"CREATE TABLE sluice.scores (workflow text, version bigint, key text, score double "
		"precision); CREATE VIEW sluice.live_scores AS SELECT * FROM sluice.scores");
	(void)snprintf(sql, sizeof sql,
		"UPDATE bookings SET status = 'cancelled' WHERE booking_id = %lld;"
		"INSERT INTO sluice.scores VALUES ('cancel-risk', 7, '%lld', 0.49), "
		"('cancel-risk', 7, "
		"'%lld', 0.5), ('cancel-risk', 7, '%lld', 0.9), ('cancel-risk', 7, '%lld', 'NaN'), "
		"('cancel-risk', 7, 'no number', 0.9), ('other', 7, '%lld', 0.9)",
		(long long)gone, (long long)low, (long long)high, (long long)gone, (long long)none,
		(long long)low);
	app_exec(f, sql);
	assert_string_equal(work(f).gate, "closed");
	app_exec(f, "INSERT INTO sluice.gates VALUES ('cancel-risk', 'requested')");
	struct app_worker_result r = work(f);
	assert_string_equal(r.gate, "closed");
	assert_int_equal(asked(f), 0);

	app_exec(f, "UPDATE sluice.gates SET state = 'open'");
	r = work(f);
	assert_string_equal(r.gate, "open");
	assert_int_equal(r.reconfirmations, 1);
	(void)snprintf(sql, sizeof sql,
		"SELECT details::text FROM worker_tasks WHERE kind = 'reconfirm' AND booking_id = "
		"%lld",
		(long long)high);
	assert_str(
		app_sql(f, sql), "{\"score\": 0.5, \"version\": 7, \"workflow\": \"cancel-risk\"}");
	assert_int_equal(work(f).reconfirmations, 0);

	/* A new version raises a score: the guest is asked. The one asked before is not asked
	 * again. */
	app_exec(f, "UPDATE sluice.scores SET version = 8, score = 0.8 WHERE score < 0.5");
	assert_int_equal(work(f).reconfirmations, 1);
	assert_int_equal(asked(f), 2);
	app_exec(f, "UPDATE sluice.gates SET state = 'closed'; DELETE FROM worker_tasks");
	r = work(f);
	assert_string_equal(r.gate, "closed");
	assert_int_equal(asked(f), 0);
	/* A gate that cannot be read is closed. */
	app_exec(f, "UPDATE sluice.gates SET state = 'open'; DROP VIEW sluice.live_scores");
	assert_string_equal(work(f).gate, "closed");
	assert_int_equal(asked(f), 0);
	app_client_close(&c);
}

struct looper {
	struct app_fixture *f;
	struct env env;
	struct app_worker_result result;
	const struct pg_options *database; /* to be migrated; NULL: the fixture's */
};

static enum err run_on(void *arg, struct error *e)
{
	struct looper *l = arg;
	struct app_worker_options o = {
		.database = l->database != NULL ? *l->database : l->f->database,
		.migrate = l->database != NULL,
		.poll_interval_us = 1000,
	};

	return app_worker_run(&o, &l->env, &l->result, e);
}

static void wait_empty(struct app_fixture *f)
{
	while (app_number(f, "SELECT count(*) FROM outbox") > 0)
		clock_sleep(f->env.clock, 2000);
}

/* It outlives a lost connection, and ends when asked. */
static void a_worker_goes_on_until_stopped(void **state)
{
	struct app_fixture *f = *state;
	atomic_bool stop = false;
	struct looper l = {.f = f, .env = f->env};
	struct thread thread = {.fn = NULL};

	l.env.stop = &stop;
	assert_ok(thread_start(&thread, "worker", run_on, &l, &f->e), &f->e);
	for (int i = 0; i < 3; i++) {
		app_exec(f,
			"INSERT INTO outbox (topic, booking_id, payload) VALUES "
			"('booking.created', 1, '{}'), ('something.else', 1, '{}')");
		wait_empty(f);
		app_exec(f,
			"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> "
			"pg_backend_pid() AND backend_type = 'client backend'");
	}
	atomic_store(&stop, true);
	assert_ok(thread_join(&thread, &f->e), &f->e);
	assert_int_equal(l.result.events, 6);
}

/* What is wrong in the database is said once for each change, and may be mended meanwhile. */
static void a_worker_outlives_every_error(void **state)
{
	struct app_fixture *f = *state;
	atomic_bool stop = false;
	struct app_log log;
	struct thread thread = {.fn = NULL};

	app_log_open(&log, f);
	struct looper l = {.f = f, .env = log.env};
	l.env.stop = &stop;
	app_exec(f, "ALTER TABLE outbox RENAME TO away");
	assert_ok(thread_start(&thread, "worker", run_on, &l, &f->e), &f->e);
	assert_int_equal(app_log_wait(&log, "goes on trying"), 1);
	app_exec(f,
		"ALTER TABLE away RENAME TO outbox;"
		"ALTER TABLE worker_tasks RENAME TO gone");
	app_exec(f,
		"INSERT INTO outbox (topic, booking_id, payload) VALUES "
		"('booking.created', 2000001, '{}')");
	for (int i = 0; i < 5000 && app_log_count(&log, "goes on trying") == 1; i++)
		clock_sleep(f->env.clock, 2000);
	clock_sleep(f->env.clock, 100000);
	assert_int_equal(app_log_count(&log, "goes on trying"), 2);
	app_exec(f, "ALTER TABLE gone RENAME TO worker_tasks");
	assert_int_equal(app_log_wait(&log, "works again"), 1);
	wait_empty(f);
	atomic_store(&stop, true);
	assert_ok(thread_join(&thread, &f->e), &f->e);
	assert_int_equal(l.result.tasks, 1);
	app_log_close(&log);
}

/* It waits for a database that is away at its start, and makes the schema there. */
static void a_worker_waits_for_its_database(void **state)
{
	struct app_fixture *f = *state;
	atomic_bool stop = false;
	struct app_late late;
	struct app_log log;
	struct thread thread = {.fn = NULL};

	app_log_open(&log, f);
	app_late_make(&late, f, "late_worker");
	struct looper l = {.f = f, .env = log.env, .database = &late.database};
	l.env.stop = &stop;
	assert_ok(thread_start(&thread, "worker", run_on, &l, &f->e), &f->e);
	assert_int_equal(app_log_wait(&log, "waiting for the database"), 1);
	clock_sleep(f->env.clock, 50000);
	assert_int_equal(app_log_count(&log, "waiting for the database"), 1);
	app_late_arrives(&late);
	assert_int_equal(app_log_wait(&log, "works again"), 1);
	assert_int_equal(app_log_count(&log, "the schema is up to date"), 1);
	atomic_store(&stop, true);
	assert_ok(thread_join(&thread, &f->e), &f->e);
	/* A schema that is not ours will not become so by waiting. */
	struct pg *pg;
	atomic_store(&stop, false);
	assert_ok(pg_open(&pg, &late.database, &f->env, &f->e), &f->e);
	assert_ok(pg_exec(pg, "INSERT INTO schema_migrations VALUES (9000, '9000_later', 'x')",
			  "arranging", &f->e),
		&f->e);
	pg_close(pg);
	assert_err(run_on(&l, &f->e), ERR_CHECK, &f->e);
	app_late_leaves(&late);
	app_log_close(&log);
}

static void once_every_error_ends_it(void **state)
{
	struct app_fixture *f = *state;
	struct app_worker_result result;
	struct app_worker_options o = {.database = f->database, .once = true};

	app_exec(f, "ALTER TABLE outbox RENAME TO away");
	assert_err(app_worker_run(&o, &f->env, &result, &f->e), ERR_FAILED, &f->e);
	app_exec(f, "ALTER TABLE away RENAME TO outbox");
}

static void without_a_database_it_says_so(void **state)
{
	struct app_fixture *f = *state;
	struct app_worker_result result;
	struct app_worker_options o = {
		.once = true, .database = {.conninfo = "host=/nonexistent dbname=x"}};

	assert_err(app_worker_run(&o, &f->env, &result, &f->e), ERR_UNAVAILABLE, &f->e);
	assert_string_equal(result.gate, "closed");
}

static void migrations_are_applied_once(void **state)
{
	struct app_fixture *f = *state;
	struct app_migration done;

	assert_ok(app_migrate(f->pg, &done, &f->e), &f->e);
	assert_int_equal(done.applied, 0);
	assert_int_equal(done.version, app_number(f, "SELECT max(number) FROM schema_migrations"));
	assert_true(done.version >= 2);
	app_exec(f, "UPDATE schema_migrations SET checksum = 'x' WHERE number = 1");
	assert_err(app_migrate(f->pg, &done, &f->e), ERR_CHECK, &f->e);
	assert_has(f->e.text, "0001_reservations");
	app_exec(f, "DELETE FROM schema_migrations WHERE number = 1");
	/* Its tables stand already, so it fails; nothing of it may stay. */
	enum err rc = app_migrate(f->pg, &done, &f->e);
	assert_int_not_equal(rc, OK);
	assert_has(f->e.text, "0001_reservations");
	assert_int_equal(
		app_number(f, "SELECT count(*) FROM schema_migrations WHERE number = 1"), 0);
	app_exec(f, "INSERT INTO schema_migrations VALUES (9000, '9000_later', 'x')");
	rc = app_migrate(f->pg, &done, &f->e);
	assert_int_equal(rc, ERR_CHECK);
	assert_has(f->e.text, "9000_later");
}

/* Business times, in import mode. */
static void the_past_can_be_imported(void **state)
{
	struct app_fixture *f = *state;
	struct app_client c;
	char path[64];

	app_client_open(&c, f);
	int64_t id = app_new_booking(&c, "\"booked_at\":\"2016-01-01T10:00:00Z\"");
	assert_string_equal(app_json_text(&c, "booked_at"), "2016-01-01T10:00:00+00:00");
	assert_string_equal(app_json_text(&c, "changed_at"), "2016-01-01T10:00:00+00:00");
	(void)snprintf(path, sizeof path, "/v1/bookings/%lld/cancel", (long long)id);
	assert_int_equal(
		app_call(&c, "POST", path, "{\"occurred_at\":\"2015-12-31T00:00:00Z\"}"), 422);
	assert_string_equal(app_json_text(&c, "type"), "urn:sluice:problem:time-out-of-order");
	assert_int_equal(
		app_call(&c, "POST", path, "{\"occurred_at\":\"2016-02-01T00:00:00Z\"}"), 200);
	assert_string_equal(app_json_text(&c, "cancelled_at"), "2016-02-01T00:00:00+00:00");
	(void)snprintf(path, sizeof path,
		"SELECT count(*) FROM booking_events WHERE booking_id = %lld", (long long)id);
	assert_int_equal(app_number(f, path), 2);
	assert_int_equal(app_number(f,
				 "SELECT count(*) FROM booking_events WHERE occurred_at IN "
				 "('2016-01-01 10:00+00', '2016-02-01 00:00+00')"),
		2);
	/* Bookings without guests are part of history. */
	id = app_new_booking(&c, "\"booked_at\":\"2016-01-01T10:00:00Z\"");
	(void)snprintf(path, sizeof path, "/v1/bookings/%lld", (long long)id);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":0}"), 200);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"arrival_date\":\"2016-02-01\"}"), 200);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"arrival_date\":\"2015-12-30\"}"), 422);
	app_client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_become_tasks),
		cmocka_unit_test(workers_share_the_work),
		cmocka_unit_test(risk_needs_an_open_gate),
		cmocka_unit_test(a_worker_goes_on_until_stopped),
		cmocka_unit_test(a_worker_outlives_every_error),
		cmocka_unit_test(a_worker_waits_for_its_database),
		cmocka_unit_test(once_every_error_ends_it),
		cmocka_unit_test(without_a_database_it_says_so),
		cmocka_unit_test(the_past_can_be_imported),
		cmocka_unit_test(migrations_are_applied_once),
	};
	return cmocka_run_group_tests(tests, app_fixture_open_importing, app_fixture_close);
}
