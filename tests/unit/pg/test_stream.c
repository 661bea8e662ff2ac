/* A real slot: what is written in one session arrives in order in the other. */
#include "pg_fixture.h"

#include <unistd.h>

#include "clock.h"
#include "pg_catalog.h"
#include "pg_stream.h"
#include "pgoutput.h"

#define PATIENCE ((int64_t)20 * 1000000)

struct reading {
	struct fixture *f;
	struct pg *c;
	struct pgoutput *d;
	struct pgoutput_msg m;
	lsn end; /* of the newest message */
};

static void open_reading(struct reading *r, struct fixture *f, const char *slot, int version)
{
	struct error e = {.kind = OK};
	struct str snapshot;
	lsn at;

	*r = (struct reading){.f = f, .c = fixture_open(f, true), .d = pgoutput_new()};
	assert_ok(pg_create_slot(r->c, slot, &f->mem, &at, &snapshot, &e), &e);
	assert_ok(pg_stream_start(r->c, slot, at, version, "everything", &e), &e);
}

static void close_reading(struct reading *r)
{
	pg_close(r->c);
	pgoutput_free(r->d);
}

/* The next change, passing over keepalives. */
static const struct pgoutput_msg *next(struct reading *r)
{
	struct error e = {.kind = OK};
	struct pg_message in;

	do {
		assert_ok(pg_stream_receive(r->c, PATIENCE, -1, &in, &e), &e);
		assert_true(in.kind != PG_NOTHING);
	} while (in.kind != PG_DATA);
	assert_true(in.sent_us > 0);
	r->end = in.end;
	assert_ok(pgoutput_decode(r->d, in.payload, &r->m, &e), &e);
	return &r->m;
}

static const struct pgoutput_msg *expect(struct reading *r, enum pgoutput_kind kind)
{
	const struct pgoutput_msg *m = next(r);

	if (m->kind != kind)
		fail_msg("a message '%c' instead of '%c'", m->kind, kind);
	return m;
}

static void expect_update(struct reading *r)
{
	const struct pgoutput_msg *m = expect(r, PGO_UPDATE);

	/* Not the key: the key is not sent again; a large value that stays is not sent either. */
	assert_int_equal(m->old_kind, 0);
	assert_str(m->new_row.values[1].bytes, "two");
	assert_int_equal(m->new_row.values[2].kind, PGV_UNCHANGED);
	m = expect(r, PGO_UPDATE);
	assert_int_equal(m->old_kind, 'K');
	assert_str(m->old_row.values[0].bytes, "1");
	assert_int_equal(m->old_row.values[1].kind, PGV_NULL);
	assert_str(m->new_row.values[0].bytes, "2");
}

/* The form by version; only the oldest of them is there to be asked. */
static void test_slot_command(void **state)
{
	struct fixture *f = *state;
	static const char plain[] =
		"CREATE_REPLICATION_SLOT \"a \"\"b\"\"\" LOGICAL pgoutput EXPORT_SNAPSHOT";
	static const char follows[] = "CREATE_REPLICATION_SLOT \"a \"\"b\"\"\" LOGICAL pgoutput "
				      "(SNAPSHOT 'export', FAILOVER true)";

	assert_string_equal(pg_create_slot_sql("a \"b\"", 130000, false, &f->mem), plain);
	assert_string_equal(pg_create_slot_sql("a \"b\"", 160004, false, &f->mem), plain);
	assert_string_equal(pg_create_slot_sql("a \"b\"", 170000, false, &f->mem), follows);
	assert_string_equal(pg_create_slot_sql("a \"b\"", 180001, false, &f->mem), follows);
	/* A standby cannot make one. */
	assert_string_equal(pg_create_slot_sql("a \"b\"", 170000, true, &f->mem), plain);
}

static void test_changes_in_order(void **state)
{
	struct fixture *f = *state;
	struct reading r;

	fixture_exec(f,
		"CREATE TABLE \"odd.name\" (id integer PRIMARY KEY, t text, big text);"
		"ALTER TABLE \"odd.name\" ALTER big SET STORAGE external");
	open_reading(&r, f, "changes", 1);
	fixture_exec(f,
		"BEGIN;"
		"INSERT INTO \"odd.name\" VALUES (1, NULL, repeat('x', 10000));"
		"UPDATE \"odd.name\" SET t = 'two';"
		"UPDATE \"odd.name\" SET id = 2;"
		"DELETE FROM \"odd.name\";"
		"TRUNCATE \"odd.name\" RESTART IDENTITY;"
		"COMMIT");
	const struct pgoutput_msg *m = expect(&r, PGO_BEGIN);
	lsn commit = m->commit;
	uint32_t xid = m->xid;
	assert_true(commit.v > 0 && xid > 0);
	m = expect(&r, PGO_RELATION);
	assert_str(m->relation.schema, "public");
	assert_str(m->relation.name, "odd.name");
	assert_int_equal(m->relation.n, 3);
	assert_int_equal(m->relation.columns[0].flags, 1);
	uint32_t relid = m->relation.relid;
	m = expect(&r, PGO_INSERT);
	assert_int_equal(m->relid, relid);
	assert_str(m->new_row.values[0].bytes, "1");
	assert_int_equal(m->new_row.values[1].kind, PGV_NULL);
	assert_int_equal(m->new_row.values[2].bytes.n, 10000);
	expect_update(&r);
	m = expect(&r, PGO_DELETE);
	assert_int_equal(m->old_kind, 'K');
	assert_str(m->old_row.values[0].bytes, "2");
	expect(&r, PGO_RELATION); /* TRUNCATE gives the table a new file: described again */
	m = expect(&r, PGO_TRUNCATE);
	assert_int_equal(m->nrelids, 1);
	assert_int_equal(m->relids[0], relid);
	assert_int_equal(m->truncate_flags, 2);
	m = expect(&r, PGO_COMMIT);
	assert_true(m->commit.v == commit.v);
	assert_true(m->end.v > commit.v);
	close_reading(&r);
}

static lsn confirmed(struct fixture *f, const char *slot, bool *active)
{
	struct error e = {.kind = OK};
	struct pg_slot s;

	assert_ok(pg_slot(f->pg, slot, &f->mem, &s, &e), &e);
	assert_true(s.exists);
	assert_str(s.plugin, "pgoutput");
	assert_str(s.wal_status, "reserved");
	assert_true(s.retained_bytes >= 0);
	*active = s.active;
	return s.confirmed;
}

/* Only feedback moves the slot, and only to what it says is flushed. */
static void test_feedback_moves_the_slot(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct reading r;
	struct pg_message in;
	bool active;

	fixture_exec(f, "CREATE TABLE fed (id integer PRIMARY KEY)");
	open_reading(&r, f, "fed", 1);
	lsn before = confirmed(f, "fed", &active);
	assert_true(active);
	fixture_exec(f, "INSERT INTO fed VALUES (1)");
	while (next(&r)->kind != PGO_COMMIT)
		;
	lsn end = r.m.end;
	assert_true(confirmed(f, "fed", &active).v == before.v);

	assert_ok(pg_stream_feedback(r.c, end, before, true, &e), &e);
	do /* the answer that was asked for */
		assert_ok(pg_stream_receive(r.c, PATIENCE, -1, &in, &e), &e);
	while (in.kind != PG_KEEPALIVE);
	assert_true(in.end.v >= end.v);
	assert_true(confirmed(f, "fed", &active).v == before.v);

	/* A keepalive may have been on its way already: look again after each one. */
	assert_ok(pg_stream_feedback(r.c, end, end, true, &e), &e);
	do
		assert_ok(pg_stream_receive(r.c, PATIENCE, -1, &in, &e), &e);
	while (in.kind == PG_NOTHING || confirmed(f, "fed", &active).v == before.v);
	assert_true(confirmed(f, "fed", &active).v == end.v);
	close_reading(&r);
}

static void test_waiting_ends(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct reading r;
	struct pg_message in;
	int wake[2];

	open_reading(&r, f, "waiting", 1);
	do /* until there is nothing to read */
		assert_ok(pg_stream_receive(r.c, 1000, -1, &in, &e), &e);
	while (in.kind != PG_NOTHING);
	assert_int_equal(pipe(wake), 0);
	assert_int_equal(write(wake[1], "x", 1), 1);
	int64_t from = clock_mono(clock_system());
	assert_ok(pg_stream_receive(r.c, 600 * (int64_t)1000000, wake[0], &in, &e), &e);
	assert_int_equal(in.kind, PG_NOTHING);
	assert_true(clock_mono(clock_system()) - from < 300 * (int64_t)1000000);
	close(wake[0]);
	close(wake[1]);

	fixture_exec(f,
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
		"WHERE slot_name = 'waiting'");
	enum err rc;
	do
		rc = pg_stream_receive(r.c, PATIENCE, -1, &in, &e);
	while (rc == OK && in.kind != PG_NOTHING);
	assert_int_equal(rc, ERR_UNAVAILABLE);
	assert_has(e.text, "replication stream");
	close_reading(&r);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct reading r;
	struct pg_message in;
	struct str snapshot;
	lsn at;

	struct pg *c = fixture_open(f, true);
	assert_err(pg_stream_start(c, "no such slot", LSN_NONE, 1, "p", &e), ERR_NOT_FOUND, &e);
	assert_true(pg_failed_with(c, "42704"));

	struct pg_system system;
	assert_ok(pg_identify(c, &system, &e), &e);
	assert_int_equal(system.timeline, 1);
	assert_string_equal(arena_fmt(&f->mem, "%llu", (unsigned long long)system.system_id).p,
		fixture_cell(f, "SELECT system_identifier FROM pg_control_system()"));
	assert_true(system.flushed.v > 0);

	open_reading(&r, f, "busy", 1);
	assert_err(pg_create_slot(c, "busy", &f->mem, &at, &snapshot, &e), ERR_CONFLICT, &e);
	assert_err(pg_stream_start(c, "busy", LSN_NONE, 1, "p", &e), ERR_CONFLICT, &e);
	pg_close(c);
	close_reading(&r);

	/* A publication that is not there ends the stream at the first change. */
	c = fixture_open(f, true);
	assert_ok(pg_create_slot(c, "lonely", &f->mem, &at, &snapshot, &e), &e);
	assert_ok(pg_stream_start(c, "lonely", at, 1, "it's \"absent\"", &e), &e);
	fixture_exec(f, "CREATE TABLE lonely AS SELECT 1 AS x");
	enum err rc;
	do
		rc = pg_stream_receive(c, PATIENCE, -1, &in, &e);
	while (rc == OK && in.kind != PG_NOTHING);
	assert_int_equal(rc, ERR_NOT_FOUND);
	assert_has(e.text, "it's \"absent\"");
	pg_close(c);
}

/* Large transactions in progress come in blocks, and what a savepoint took back is told. */
static void test_streamed_transaction(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	size_t blocks = 0, inserts = 0, aborts = 0;
	uint32_t top = 0;
	bool inside = false;

	fixture_exec(f, "CREATE TABLE wide (id integer PRIMARY KEY, t text)");
	fixture_exec(f, "ALTER SYSTEM SET logical_decoding_work_mem = '64kB'");
	fixture_exec(f, "SELECT pg_reload_conf()");
	open_reading(&r, f, "streamed", 2);
	fixture_exec(f,
		"BEGIN;"
		"INSERT INTO wide SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;"
		"SAVEPOINT s;"
		"INSERT INTO wide SELECT i, repeat('y', 100) FROM generate_series(2001, 4000) i;"
		"ROLLBACK TO s;"
		"INSERT INTO wide SELECT i, repeat('z', 100) FROM generate_series(4001, 5000) i;"
		"COMMIT");
	do {
		const struct pgoutput_msg *m = next(&r);
		if (m->kind == PGO_STREAM_START) {
			assert_int_equal(m->first_segment, blocks == 0);
			top = m->xid;
			blocks++;
			inside = true;
		} else if (m->kind == PGO_STREAM_STOP) {
			inside = false;
		} else if (m->kind == PGO_STREAM_ABORT) {
			assert_int_equal(m->xid, top);
			assert_true(m->subxid != top);
			aborts++;
		} else if (m->kind == PGO_INSERT) {
			assert_true(inside);
			assert_true(m->xid >= top);
			assert_int_equal(m->new_row.values[1].bytes.n, 100);
			inserts++;
		}
	} while (r.m.kind != PGO_STREAM_COMMIT);
	assert_int_equal(r.m.xid, top);
	assert_true(r.m.commit.v > 0 && r.m.committed_us > 0);
	assert_true(blocks >= 2);
	assert_int_equal(aborts, 1);
	assert_in_range(inserts, 3000, 5000);
	close_reading(&r);
	fixture_exec(f, "ALTER SYSTEM RESET ALL");
	fixture_exec(f, "SELECT pg_reload_conf()");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_command),
		cmocka_unit_test(test_changes_in_order),
		cmocka_unit_test(test_feedback_moves_the_slot),
		cmocka_unit_test(test_waiting_ends),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_streamed_transaction),
	};

	return cmocka_run_group_tests_name("stream", tests, fixture_start, fixture_stop);
}
