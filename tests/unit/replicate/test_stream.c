/* End to end: a real PostgreSQL, the journal, a real DuckDB. */
#include "replicate_fixture.h"

#include <unistd.h>

#include "file.h"
#include "journal.h"

#define ITEMS "id::text, coalesce(name, '~'), coalesce(n::text, '~')"

static void make_items(struct fixture *f)
{
	source_run(f,
		"CREATE TABLE items (id bigint PRIMARY KEY, name text, n int);"
		"INSERT INTO items SELECT i, 'name ' || i, i %% 7 FROM generate_series(1, 1000) i");
}

static void test_snapshot_then_changes(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;

	make_items(f);
	init_ok(f);
	source_run(f, "INSERT INTO items VALUES (2001, 'before the copy', 1)");
	assert_ok(catch_up(f, &result, &e), &e);
	assert_int_equal(result.rows, 1001);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001);
	source_run(f,
		"INSERT INTO items SELECT i, 'new ' || i, NULL FROM generate_series(3000, 3099) i");
	source_run(f, "UPDATE items SET name = 'changed', n = n + 1 WHERE id <= 50");
	source_run(f, "DELETE FROM items WHERE id BETWEEN 40 AND 60");
	source_run(f, "UPDATE items SET id = id + 10000 WHERE id BETWEEN 100 AND 119");
	assert_ok(catch_up(f, &result, &e), &e);
	assert_int_equal(result.rows, 100 + 50 + 21 + 2 * 20);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001 + 100 - 21);
	/* Caught up already: nothing is applied twice. */
	assert_ok(catch_up(f, &result, &e), &e);
	assert_int_equal(result.rows, 0);
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public_history.items WHERE _op = 'r'"),
		1001);
}

static void test_transactions_as_they_end(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "BEGIN; UPDATE items SET n = 99; ROLLBACK");
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (5000, 'kept', 1); SAVEPOINT s; "
		"UPDATE items SET name = 'lost' WHERE id = 5000; DELETE FROM items WHERE id < 100; "
		"ROLLBACK TO s; UPDATE items SET n = 2 WHERE id = 5000; COMMIT");
	/* The same key many times in one transaction and one batch. */
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (6000, 'a', 1); UPDATE items SET name = 'b' WHERE "
		"id = 6000; DELETE FROM items WHERE id = 6000; INSERT INTO items VALUES (6000, "
		"'c', "
		"3); UPDATE items SET id = 6001 WHERE id = 6000; UPDATE items SET id = 6000 WHERE "
		"id "
		"= 6001; COMMIT");
	/* Keys that change places. */
	source_run(f,
		"BEGIN; UPDATE items SET id = -1 WHERE id = 1; UPDATE items SET id = 1 WHERE id = "
		"2; "
		"UPDATE items SET id = 2 WHERE id = -1; COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1002);
	assert_string_equal(
		warehouse_text_of(f, "SELECT name FROM public.items WHERE id = 1"), "name 2");
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public_history.items WHERE name = 'lost'"),
		0);
}

static void test_truncate(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	source_run(f, "CREATE TABLE parts (id int PRIMARY KEY, item bigint REFERENCES items)");
	source_run(f, "INSERT INTO parts SELECT i, i FROM generate_series(1, 10) i");
	init_ok(f);
	catch_up_ok(f);
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (7000, 'before', 1); TRUNCATE items CASCADE; "
		"INSERT INTO items VALUES (1, 'after', 2), (8000, 'after', 2); COMMIT");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 2);
	assert_int_equal(assert_same(f, "public.parts", "id::text, item::text"), 0);
	source_run(f, "TRUNCATE items CASCADE");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 0);
}

#define DOCS "id::text, length(body)::text, substr(body, 1, 40), coalesce(n::text, '~')"

/* A TOASTed value that an update leaves alone is not sent. */
static void test_unchanged_toast(void **state)
{
	struct fixture *f = *state;
	static const char body[] =
		"(SELECT string_agg(md5((s * %d + g)::text), '') FROM generate_series(1, 300) g)";
	char one[160], sql[512];

	source_run(f,
		"CREATE TABLE docs (id int PRIMARY KEY, body text, n int);"
		"ALTER TABLE docs ALTER body SET STORAGE EXTERNAL");
	snprintf(one, sizeof(one), body, 1000);
	snprintf(sql, sizeof(sql), "INSERT INTO docs SELECT s, %s, 0 FROM generate_series(1, 20) s",
		one);
	source_run(f, "%s", sql);
	init_ok(f);
	catch_up_ok(f);
	/* Known only to the warehouse. */
	source_run(f, "UPDATE docs SET n = 1 WHERE id <= 5");
	/* With another key. */
	source_run(f, "UPDATE docs SET id = id + 100 WHERE id BETWEEN 6 AND 8");
	/* Known from the same batch, twice, then under another key. */
	snprintf(sql, sizeof(sql),
		"INSERT INTO docs SELECT s, %s, 0 FROM generate_series(50, 53) s", one);
	source_run(f, "%s", sql);
	source_run(f, "UPDATE docs SET n = n + 1 WHERE id >= 50 AND id < 100");
	source_run(f, "UPDATE docs SET n = n + 1 WHERE id >= 50 AND id < 100");
	source_run(f, "UPDATE docs SET id = id + 1000 WHERE id >= 50 AND id < 100");
	/* Changed, then left alone. */
	source_run(f, "UPDATE docs SET body = reverse(body) WHERE id = 10");
	source_run(f, "UPDATE docs SET n = 77 WHERE id = 10");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), 24);
	source_run(f, "ALTER TABLE docs REPLICA IDENTITY FULL");
	source_run(f, "UPDATE docs SET n = 5 WHERE id = 11");
	source_run(f, "UPDATE docs SET id = 2012 WHERE id = 12");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.docs", DOCS), 24);
}

static void test_columns_come_and_go(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "UPDATE items SET n = 1 WHERE id = 1");
	source_run(f, "ALTER TABLE items ADD COLUMN price numeric(8,2)");
	source_run(f, "INSERT INTO items VALUES (5000, 'priced', 1, 12.50)");
	catch_up_ok(f);
	assert_int_equal(
		assert_same(f, "public.items", ITEMS ", coalesce(price::text, '~')"), 1001);
	assert_string_equal(
		warehouse_text_of(f, "SELECT string_agg(change, '/') FROM ops.schema_changes"),
		"added price decimal");
	source_run(f, "ALTER TABLE items DROP COLUMN n");
	source_run(f, "UPDATE items SET price = 1 WHERE id = 2");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items",
				 "id::text, coalesce(name, '~'), coalesce(price::text, '~')"),
		1001);
	/* Between the rows of one transaction, of several tables. */
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (6000, 'narrow', 2); ALTER TABLE items ADD COLUMN "
		"tag text; INSERT INTO items VALUES (6001, 'wide', 3, 'x'); ALTER TABLE items DROP "
		"COLUMN price; UPDATE items SET tag = 'y' WHERE id = 6000; COMMIT");
	catch_up_ok(f);
	assert_int_equal(
		assert_same(f, "public.items", "id::text, coalesce(name, '~'), coalesce(tag, '~')"),
		1003);
	/* History keeps what the source has dropped. */
	assert_string_equal(warehouse_text_of(f,
				    "SELECT price::text FROM public_history.items WHERE id = 6001 "
				    "AND _op = 'I'"),
		"3.00");
	source_run(f, "ALTER TABLE items ALTER COLUMN id TYPE text USING 'k' || id");
	source_run(f, "UPDATE items SET tag = 'z' WHERE id = 'k7'");
	struct error e = {.kind = OK};
	struct replicate_result result;
	assert_ok(catch_up(f, &result, &e), &e);
	assert_string_equal(
		warehouse_text_of(f, "SELECT tag FROM public.items WHERE id = 'k7'"), "z");
}

/* A domain is sent by its own id; it lands as what it is made of. */
static void test_types_of_our_own(void **state)
{
	static const char columns[] =
		"id::text, coalesce(p::text, '~'), coalesce(q::text, '~'), mood";
	struct fixture *f = *state;

	source_run(f,
		"CREATE DOMAIN price AS numeric(10,2); CREATE TYPE mood AS ENUM ('sad', 'glad');"
		"CREATE TABLE things (id int PRIMARY KEY, p price, mood mood);"
		"INSERT INTO things VALUES (1, 1.50, 'sad')");
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "INSERT INTO things VALUES (2, 2.25, 'glad')");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM ops.schema_changes"), 0);
	source_run(f, "CREATE DOMAIN small AS price CHECK (value < 10)");
	source_run(f, "ALTER TABLE things ADD COLUMN q small");
	source_run(f, "INSERT INTO things VALUES (3, 3, 'sad', 4.75)");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.things", columns), 3);
	assert_string_equal(warehouse_text_of(f,
				    "SELECT typeof(p) || ' ' || typeof(q) FROM public.things "
				    "WHERE id = 3"),
		"DECIMAL(10,2) DECIMAL(10,2)");
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM ops.schema_changes"), 1);
}

static void test_init_again_adds_tables(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_init_report report;

	make_items(f);
	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	assert_true(report.created);
	assert_int_equal(report.ntables, 1);
	assert_string_equal(report.tables[0], "public.items");
	replicate_init_report_free(&report);
	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	assert_false(report.created);
	replicate_init_report_free(&report);
	catch_up_ok(f);
	source_run(f, "CREATE TABLE late (id int PRIMARY KEY, v text)");
	source_run(f, "INSERT INTO late VALUES (1, 'not published yet')");
	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	assert_true(report.created);
	assert_int_equal(report.ntables, 2);
	replicate_init_report_free(&report);
	source_run(f,
		"INSERT INTO late VALUES (2, 'published'); INSERT INTO items VALUES (0, 'x', 1)");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.late", "id::text, v"), 2);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001);
	source_run(f, "UPDATE late SET v = v || '!'");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.late", "id::text, v"), 2);
}

/* A table joins the publication while the stream runs. */
static void test_table_joins_a_running_stream(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	lsn now;

	make_items(f);
	init_ok(f);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 30000000, &e), &e);
	source_run(f, "CREATE TABLE late (id int PRIMARY KEY, v text)");
	source_run(f, "INSERT INTO late SELECT i, 'old' FROM generate_series(1, 500) i");
	init_ok(f);
	source_run(f, "UPDATE late SET v = 'new' WHERE id <= 10; DELETE FROM late WHERE id = 20");
	source_run(f, "INSERT INTO items VALUES (0, 'x', 1)");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 30000000, &e), &e);
	struct replicate_progress p;
	replicate_progress(r, &p);
	assert_true(p.applied.v >= now.v && p.durable.v >= p.applied.v);
	assert_true(p.connected && !p.failed);
	assert_ok(replicate_stop(r, &e), &e);
	assert_int_equal(assert_same(f, "public.late", "id::text, v"), 499);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001);
}

/* Dropped and made anew: another table under the same name. */
static void test_table_made_anew(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "DROP TABLE items");
	source_run(f, "CREATE TABLE items (id bigint PRIMARY KEY, name text, n int)");
	source_run(f, "INSERT INTO items VALUES (5, 'again', 5), (5000, 'again', 6)");
	init_ok(f);
	source_run(f, "UPDATE items SET n = 7 WHERE id = 5");
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 2);
}

static void test_acknowledged_is_durable_and_idle_moves(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct replicate_progress p;
	lsn now, confirmed;

	make_items(f);
	init_ok(f);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	/* The log moves without any change of ours. */
	source_run(f, "CREATE TABLE elsewhere (v text); DROP TABLE elsewhere");
	source_run(f, "CHECKPOINT");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 30000000, &e), &e);
	for (int i = 0; i < 600; i++) {
		assert_true(lsn_parse(
			str_of(source_text(
				f, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots")),
			&confirmed));
		replicate_progress(r, &p);
		assert_true(confirmed.v <= p.durable.v);
		if (confirmed.v >= now.v)
			break;
		usleep(50000);
	}
	assert_true(confirmed.v >= now.v);
	assert_ok(replicate_stop(r, &e), &e);
}

static void test_refuses_a_gap(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;
	char away[224];

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	/* Somebody else reads from the slot. */
	source_run(f, "INSERT INTO items VALUES (0, 'lost', 0)");
	source_run(f,
		"DO $$ BEGIN FOR i IN 1..200 LOOP EXIT WHEN NOT EXISTS (SELECT 1 FROM "
		"pg_replication_slots WHERE active); PERFORM pg_sleep(0.05); END LOOP; END $$");
	source_run(
		f, "SELECT pg_replication_slot_advance('%s', pg_current_wal_flush_lsn())", f->slot);
	assert_err(catch_up(f, &result, &e), ERR_CHECK, &e);
	assert_has(e.text, "has been told that everything before");
	/* The slot is made anew behind our back. */
	source_run(f, "SELECT pg_drop_replication_slot('%s')", f->slot);
	assert_err(catch_up(f, &result, &e), ERR_CHECK, &e);
	assert_has(e.text, "is gone");
	/* The journal is of another server. */
	struct journal_identity id;
	assert_ok(journal_identity_read(f->journal, &id, &e), &e);
	id.system_id++;
	assert_ok(journal_identity_write(f->journal, &id, &e), &e);
	assert_err(catch_up(f, &result, &e), ERR_CHECK, &e);
	assert_has(e.text, "is of system");
	/* A new journal cannot follow the old warehouse. */
	snprintf(away, sizeof(away), "%s.away", f->journal);
	assert_int_equal(rename(f->journal, away), 0);
	assert_err(catch_up(f, &result, &e), ERR_USAGE, &e);
	assert_has(e.text, "sluice init");
	struct replicate_init_report report;
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_CHECK, &e);
	assert_has(e.text, "start with an empty warehouse");
}

static void test_refuses_tables_without_keys(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_init_report report;

	make_items(f);
	source_run(f, "CREATE TABLE audit (at timestamptz, what text)");
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_USAGE, &e);
	assert_has(e.text, "public.audit has no primary key");
	assert_has(e.text, "'!public.audit'");
	source_run(f, "ALTER TABLE audit REPLICA IDENTITY FULL");
	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	assert_int_equal(report.ntables, 2);
	replicate_init_report_free(&report);
	source_run(f, "ALTER PUBLICATION %s DROP TABLE audit", f->publication);
	source_run(f, "ALTER TABLE audit REPLICA IDENTITY NOTHING");
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_USAGE, &e);
	assert_has(e.text, "insert_only = true");
	f->o.tables = "public.*, !public.audit";
	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	assert_int_equal(report.ntables, 1);
	replicate_init_report_free(&report);
	f->o.tables = "sales.*";
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_USAGE, &e);
	assert_has(e.text, "no table matches");
}

/* Rows that are alike in what was the key are all kept, and damage to them is seen. */
static void test_key_is_dropped(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	source_run(f,
		"CREATE TABLE full_items (id int PRIMARY KEY, v text);"
		"ALTER TABLE full_items REPLICA IDENTITY FULL;"
		"INSERT INTO full_items SELECT i, 'v' FROM generate_series(1, 10) i");
	init_ok(f);
	catch_up_ok(f);
	source_run(f, "UPDATE items SET n = 5 WHERE id <= 10");
	source_run(f,
		"ALTER TABLE items DROP CONSTRAINT items_pkey;"
		"ALTER TABLE full_items DROP CONSTRAINT full_items_pkey");
	source_run(f, "ALTER TABLE items ALTER id DROP NOT NULL");
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (1, 'x', 1); INSERT INTO items VALUES (1, "
		"'x', 1); INSERT INTO items VALUES (NULL, NULL, NULL); COMMIT");
	source_run(f, "INSERT INTO full_items VALUES (1, 'other'), (2, 'other')");
	source_run(f, "UPDATE full_items SET v = 'changed' WHERE id = 2 AND v = 'other'");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items"), 1003);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.items WHERE id = 1"), 3);
	assert_string_equal(warehouse_text_of(f,
				    "SELECT string_agg(id || v, ',' ORDER BY id, v) "
				    "FROM public.full_items WHERE id < 4"),
		"1other,1v,2changed,2v,3v");
	source_run(f, "DELETE FROM full_items WHERE id = 1 AND v = 'v'");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(*) FROM public.full_items"), 11);
}

/* PostgreSQL keeps the default of an added column in its catalog; the stream says nothing of it. */
static void test_added_column_has_its_default(void **state)
{
	struct fixture *f = *state;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f,
		"ALTER TABLE items ADD COLUMN note text NOT NULL DEFAULT 'it''s', ADD COLUMN "
		"price numeric(6,2) DEFAULT 1.5, ADD COLUMN b bytea DEFAULT '\\x00ff', ADD "
		"COLUMN at timestamptz DEFAULT '2020-01-02 03:04:05+00', ADD COLUMN d date "
		"DEFAULT 'infinity', ADD COLUMN none int");
	source_run(f, "UPDATE items SET price = 7 WHERE id = 1");
	/* In a transaction that has rows of the table already. */
	source_run(f,
		"BEGIN; INSERT INTO items VALUES (2000, 'n', 1, 'own', 2); ALTER TABLE items "
		"ADD COLUMN late int DEFAULT 42; INSERT INTO items VALUES (2001, 'n', 1, "
		"'own', 2); COMMIT");
	catch_up_ok(f);
	assert_int_equal(
		warehouse_count(f,
			"SELECT count(*) FROM public.items WHERE note = 'it''s' AND price = "
			"1.5 AND b = unhex('00ff') AND \"at\" = TIMESTAMPTZ '2020-01-02 "
			"03:04:05+00' AND none IS NULL AND late = 42"),
		999);
	assert_int_equal(
		warehouse_count(f, "SELECT count(*) FROM public.items WHERE late = 42"), 1002);
	assert_string_equal(source_text(f, "SELECT d FROM items WHERE id = 5"), "infinity");
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public.items WHERE coalesce(CAST(d "
				 "AS VARCHAR), _exact ->> 'd') = 'infinity'"),
		1002);
	/* One value for each row: they are not in the catalog, and read again by key. */
	source_run(f, "ALTER TABLE items ADD COLUMN r float8 DEFAULT random()");
	source_run(f, "UPDATE items SET price = 8 WHERE id = 1");
	catch_up_ok(f);
	assert_int_equal(warehouse_count(f, "SELECT count(DISTINCT r) FROM public.items"), 1002);
	assert_int_equal(warehouse_count(f,
				 "SELECT count(*) FROM public_history.items WHERE r IS NULL "
				 "AND _op NOT IN ('D', 'T')"),
		0);
	assert_string_equal(source_text(f, "SELECT round(sum(r)::numeric, 6) FROM items"),
		warehouse_text_of(f,
			"SELECT CAST(round(CAST(sum(r) AS DECIMAL(20,10)), 6) AS "
			"DECIMAL(20,6)) FROM public.items"));
}

/* As if the server had gone back in time: its log ends before what the journal has. */
static void test_restored_source(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;
	struct journal *j = NULL;
	struct journal_options o = {.dir = f->journal, .segment_size = 65536};

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	assert_ok(journal_identity_read(f->journal, &o.identity, &e), &e);
	assert_ok(journal_open(&j, &o, &f->env, &e), &e);
	assert_ok(journal_position(j, (lsn){journal_end(j).v + (1 << 30)}, &e), &e);
	assert_ok(journal_sync(j, &e), &e);
	journal_close(j);
	assert_err(catch_up(f, &result, &e), ERR_CHECK, &e);
	assert_has(e.text, "restored from an older copy");
	assert_has(e.text, "pg_drop_replication_slot");
}

/* The remedy that the messages name, done to the letter. */
static void test_starting_afresh(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_init_report report;
	struct replicate_result result;
	char away[224];

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	source_run(f,
		"DO $$ BEGIN FOR i IN 1..200 LOOP EXIT WHEN NOT EXISTS (SELECT 1 FROM "
		"pg_replication_slots WHERE active); PERFORM pg_sleep(0.05); END LOOP; END $$");
	source_run(f, "SELECT pg_drop_replication_slot('%s')", f->slot);
	assert_err(catch_up(f, &result, &e), ERR_CHECK, &e);
	assert_has(e.text, "move away the journal's directory");
	/* Half of it is refused, and leaves no slot behind. */
	snprintf(away, sizeof(away), "%s.away", f->journal);
	assert_int_equal(rename(f->journal, away), 0);
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_CHECK, &e);
	assert_has(e.text, "the warehouse's file");
	assert_string_equal(source_text(f, "SELECT count(*) FROM pg_replication_slots"), "0");
	close_warehouse(f);
	const char *file = f->url + strlen("duckdb://");
	snprintf(away, sizeof(away), "%s.away", file);
	assert_int_equal(rename(file, away), 0);
	open_warehouse(f);
	source_run(f, "INSERT INTO items VALUES (0, 'meanwhile', 0)");
	init_ok(f);
	catch_up_ok(f);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001);
}

/* A table that is new is copied when asked for, without a change of it. */
static void test_refresh_copies_new_tables(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate *r = NULL;

	make_items(f);
	init_ok(f);
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	source_run(f,
		"CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late VALUES (1, 'v')");
	init_ok(f);
	replicate_refresh(r);
	struct replicate_snapshot s = {.state = SNAPSHOT_NONE};
	for (int i = 0; i < 400 && s.state != SNAPSHOT_DONE; i++) {
		usleep(50000);
		assert_ok(
			replicate_snapshot(f->w, STR("public"), STR("late"), &f->mem, &s, &e), &e);
	}
	assert_int_equal(s.state, SNAPSHOT_DONE);
	assert_ok(replicate_stop(r, &e), &e);
	assert_int_equal(assert_same(f, "public.late", "id::text, v"), 1);
}

static void test_source_that_refuses(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_result result;
	static const char *const changes[] = {
		" dbname=nowhere", " user=nobody_at_all", " sslmode=perhaps", " port=abc"};

	make_items(f);
	init_ok(f);
	const char *good = f->o.conninfo;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		f->o.conninfo = arena_fmt(&f->mem, "%s%s", good, changes[i]).p;
		assert_err(catch_up(f, &result, &e), ERR_USAGE, &e);
	}
	f->o.conninfo = good;
}

static void test_source_that_is_down(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct replicate_init_report report;
	struct replicate_result result;
	struct replicate *r = NULL;
	lsn now;

	make_items(f);
	init_ok(f);
	catch_up_ok(f);
	const char *good = f->o.conninfo;
	f->o.conninfo = "host=/nonexistent dbname=shop";
	assert_err(replicate_init(&f->o, f->w, &f->env, &report, &e), ERR_UNAVAILABLE, &e);
	assert_err(catch_up(f, &result, &e), ERR_UNAVAILABLE, &e);
	assert_err(replicate_start(&r, &f->o, f->w, &f->env, &e), ERR_UNAVAILABLE, &e);
	f->o.conninfo = good;
	/* Once running, it waits for the server to come back. */
	assert_ok(replicate_start(&r, &f->o, f->w, &f->env, &e), &e);
	assert_ok(pg_server_restart(f->server, true, &e), &e);
	pg_close(f->pg);
	struct pg_options p = {.conninfo = pg_server_conninfo(f->server)};
	assert_ok(pg_open(&f->pg, &p, &f->env, &e), &e);
	source_run(f, "INSERT INTO items VALUES (0, 'after the restart', 0)");
	assert_ok(replicate_source_flushed(&f->o, &f->env, &now, &e), &e);
	assert_ok(replicate_wait(r, now, 60000000, &e), &e);
	assert_ok(replicate_stop(r, &e), &e);
	assert_int_equal(assert_same(f, "public.items", ITEMS), 1001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_snapshot_then_changes),
		TEST(test_transactions_as_they_end),
		TEST(test_truncate),
		TEST(test_unchanged_toast),
		TEST(test_columns_come_and_go),
		TEST(test_types_of_our_own),
		TEST(test_init_again_adds_tables),
		TEST(test_table_joins_a_running_stream),
		TEST(test_table_made_anew),
		TEST(test_acknowledged_is_durable_and_idle_moves),
		TEST(test_refuses_a_gap),
		TEST(test_refuses_tables_without_keys),
		TEST(test_key_is_dropped),
		TEST(test_added_column_has_its_default),
		TEST(test_restored_source),
		TEST(test_starting_afresh),
		TEST(test_refresh_copies_new_tables),
		TEST(test_source_that_refuses),
		TEST(test_source_that_is_down),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
