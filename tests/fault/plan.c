#include "plan.h"

#include <inttypes.h>

#include "rnd.h"

#define BUF_LIMIT ((size_t)1 << 20)
#define IDS       4000 /* the keys that writers fight over */

/* One transaction being thought out. */
struct draft {
	const struct plan *plan;
	struct rnd rnd;
	unsigned writer;
	uint64_t k;
	struct buf *sql;
};

void planned_init(struct planned *p)
{
	buf_init(&p->sql, BUF_LIMIT);
	buf_init(&p->finish, BUF_LIMIT);
	p->must = false;
}

void planned_free(struct planned *p)
{
	buf_free(&p->sql);
	buf_free(&p->finish);
}

static unsigned pick(struct draft *d, unsigned n)
{
	return (unsigned)rnd_below(&d->rnd, n);
}

/*
 * A primary key with a value that is TOASTed, a key of two columns, the full old row, a unique
 * index under names that need quotes, and no key at all, where rows are there twice and more.
 */
static const char tables[] =
	"CREATE TABLE ledger (id bigint PRIMARY KEY, account int NOT NULL, amount numeric(14,4),"
	" note text, payload text, at timestamptz, flag bool, raw bytea, doc jsonb, score numeric);"
	"ALTER TABLE ledger ALTER payload SET STORAGE EXTERNAL;"
	"CREATE TABLE people (region text, id int, email text, born date, code uuid,"
	" PRIMARY KEY (region, id));"
	"CREATE TABLE events (id bigserial PRIMARY KEY, n bigint NOT NULL, kind text NOT NULL, value int);"
	"ALTER TABLE events REPLICA IDENTITY FULL;"
	"CREATE TABLE \"Odd. Täble\" (\"the id\" int NOT NULL, \"va\"\"lue\" text, \"Body\" text);"
	"CREATE UNIQUE INDEX odd_key ON \"Odd. Täble\" (\"the id\");"
	"ALTER TABLE \"Odd. Täble\" REPLICA IDENTITY USING INDEX odd_key;";
static const char twins[] =
	"CREATE TABLE twins (a int, b text); ALTER TABLE twins REPLICA IDENTITY FULL;"
	"INSERT INTO twins SELECT i % 50, CASE WHEN i % 3 > 0 THEN 't' || i % 7 END FROM "
	"generate_series(1, 600) i;";

void plan_tables(struct buf *sql, unsigned rows, bool keyless)
{
	buf_puts(sql, tables);
	if (keyless)
		buf_puts(sql, twins);
	buf_putf(sql,
		"INSERT INTO ledger SELECT i, i %% 97, i / 7.0, 'row ' || i, CASE WHEN i %% 40 = 0 "
		"THEN repeat('x', 2500 + i %% 100) END, now(), i %% 2 = 0, decode(md5(i::text), "
		"'hex'), jsonb_build_object('n', i), i / 3.0 FROM generate_series(1, %u) i;",
		rows);
	buf_putf(sql,
		"INSERT INTO people SELECT 'r' || i %% 5, i, i || '@example.org', "
		"'2000-01-01'::date + i %% 9999, md5(i::text)::uuid FROM generate_series(1, %u) i;"
		"INSERT INTO events (n, kind, value) SELECT i, 'first', i %% 10 FROM generate_series(1, %u) i;"
		"INSERT INTO \"Odd. Täble\" SELECT i, 'v' || i, NULL FROM generate_series(1, %u) i;",
		rows / 2, rows / 8, rows / 8);
}

/* ---- one statement each ---- */

/* The row type fills in whatever columns the table has by now. */
static void insert_ledger(struct draft *d)
{
	static const char *const scores[] = {"0.1", "\"NaN\"", "12345678901234567890123456789.5",
		"\"Infinity\"", "-1e-20", "null"};
	unsigned id = pick(d, 2 * IDS), n = pick(d, 1000000);

	buf_putf(d->sql,
		"INSERT INTO ledger SELECT (jsonb_populate_record(NULL::ledger, "
		"'{\"id\":%u,\"account\":%u,\"amount\":%u.%04u,\"note\":\"né\\tw %u\","
		"\"at\":\"%s\",\"flag\":%s,\"raw\":\"\\\\x00ff%02x\",\"doc\":{\"a\":[%u,null]},"
		"\"score\":%s}'))",
		id, n % 97, n, n % 10000, n,
		n % 50 == 0 ? "infinity" : "2024-02-29T12:34:56.789012+02",
		n % 2 == 0 ? "true" : "null", n % 256, n, scores[n % 6]);
	buf_puts(d->sql, ".* ON CONFLICT DO NOTHING;");
	if (n % 10 == 0)
		buf_putf(d->sql, "UPDATE ledger SET payload = repeat('%c', %u) WHERE id = %u;",
			'a' + (char)(n % 26), 2100 + n % 3000, id);
}

static void update_ledger(struct draft *d)
{
	unsigned id = pick(d, IDS), n = pick(d, 1000000);

	switch (n % 4) {
	case 0:
		buf_putf(d->sql,
			"UPDATE ledger SET amount = amount + 1, note = 'n%u' WHERE id "
			"BETWEEN %u AND %u;",
			n, id, id + n % 30);
		break;
	case 1:
		buf_putf(d->sql, "UPDATE ledger SET score = score / 7, doc = NULL WHERE id = %u;",
			id);
		break;
	case 2: /* another key; what is TOASTed goes with it unsent */
		buf_putf(d->sql,
			"UPDATE ledger SET id = %u WHERE id = %u AND NOT EXISTS (SELECT 1 FROM "
			"ledger WHERE id = %u);",
			id + 2 * IDS, id, id + 2 * IDS);
		break;
	default: /* to the same values: a change all the same */
		buf_putf(d->sql, "UPDATE ledger SET note = note WHERE id = %u;", id);
		break;
	}
}

static void change_people(struct draft *d)
{
	unsigned id = pick(d, IDS / 2), n = pick(d, 1000000);

	switch (n % 4) {
	case 0:
		buf_putf(d->sql,
			"INSERT INTO people (region, id, email) VALUES ('r%u', %u, 'new %u') ON "
			"CONFLICT (region, id) DO UPDATE SET email = excluded.email;",
			n % 5, id, n);
		break;
	case 1:
		buf_putf(d->sql, "DELETE FROM people WHERE id = %u;", id);
		break;
	case 2:
		buf_putf(d->sql,
			"UPDATE people p SET region = 'moved%u' WHERE id = %u AND region = "
			"(SELECT min(region) FROM people WHERE id = %u) AND NOT EXISTS "
			"(SELECT 1 FROM people o WHERE o.region = 'moved%u' AND o.id = p.id);",
			n % 3, id, id, n % 3);
		break;
	default:
		buf_putf(d->sql, "UPDATE people SET born = born + 1 WHERE id < %u;", id % 60);
		break;
	}
}

static void change_events(struct draft *d)
{
	unsigned n = pick(d, 1000000);

	if (n % 3 > 0)
		buf_putf(d->sql,
			"INSERT INTO events (n, kind, value) SELECT %" PRIu64
			" + i, 'w%u', %u FROM "
			"generate_series(1, %u) i;",
			d->k * 1000 + n % 10 * 50, d->writer, n, 1 + n % 5);
	else if (n % 2 == 0)
		buf_putf(d->sql, "UPDATE events SET value = value + 1 WHERE n %% 211 = %u;",
			n % 211);
	else
		buf_putf(d->sql, "DELETE FROM events WHERE n %% 97 = %u;", n % 97);
}

static void change_odd(struct draft *d)
{
	unsigned id = pick(d, IDS / 4), n = pick(d, 1000000);

	switch (n % 4) {
	case 0:
		buf_putf(d->sql,
			"INSERT INTO \"Odd. Täble\" (\"the id\", \"va\"\"lue\", \"Body\") VALUES "
			"(%u, 'é\"%u', repeat('b', %u)) ON CONFLICT DO NOTHING;",
			id, n, n % 5 == 0 ? 9000 : n % 50);
		break;
	case 1:
		buf_putf(d->sql,
			"UPDATE \"Odd. Täble\" SET \"va\"\"lue\" = 'u%u' WHERE \"the id\" = %u;", n,
			id);
		break;
	case 2:
		buf_putf(d->sql, "DELETE FROM \"Odd. Täble\" WHERE \"the id\" = %u;", id);
		break;
	default:
		buf_putf(d->sql,
			"UPDATE \"Odd. Täble\" SET \"the id\" = \"the id\" + 100000 WHERE \"the id\" = %u "
			"AND NOT EXISTS (SELECT 1 FROM \"Odd. Täble\" WHERE \"the id\" = %u);",
			id, id + 100000);
		break;
	}
}

/* Of several rows that are alike one is changed, or all are. */
static void change_twins(struct draft *d)
{
	unsigned a = pick(d, 50), n = pick(d, 1000000);

	switch (n % 4) {
	case 0:
	case 1:
		buf_putf(d->sql, "INSERT INTO twins SELECT %u, %s FROM generate_series(1, %u);", a,
			n % 3 == 0 ? "NULL" : "'t1'", 1 + n % 3);
		break;
	case 2:
		buf_putf(d->sql,
			"UPDATE twins SET b = 't%u' WHERE ctid IN (SELECT ctid FROM twins WHERE a = "
			"%u LIMIT %u);",
			n % 7, a, 1 + n % 2);
		break;
	default:
		buf_putf(d->sql,
			"DELETE FROM twins WHERE ctid IN (SELECT ctid FROM twins WHERE a = %u LIMIT "
			"%u);",
			a, 1 + n % 3);
		break;
	}
}

static void truncate_one(struct draft *d)
{
	static const char *const victims[] = {
		"people", "events", "\"Odd. Täble\"", "people, \"Odd. Täble\"", "ledger"};

	/* The big one only now and then. */
	unsigned n = pick(d, 20);
	buf_putf(d->sql, "TRUNCATE %s;", victims[n == 0 ? 4 : n % 4]);
}

static void statement(struct draft *d)
{
	switch (pick(d, d->plan->keyless ? 11 : 10)) {
	case 0:
	case 1:
		insert_ledger(d);
		break;
	case 2:
	case 3:
	case 4:
		update_ledger(d);
		break;
	case 5:
		buf_putf(d->sql, "DELETE FROM ledger WHERE id = %u;", pick(d, IDS));
		break;
	case 6:
	case 7:
		change_people(d);
		break;
	case 8:
		change_events(d);
		break;
	case 9:
		change_odd(d);
		break;
	default:
		change_twins(d);
		break;
	}
}

/* ---- a transaction ---- */

/* Savepoints within savepoints, some of them rolled back. */
static void some_statements(struct draft *d, unsigned depth)
{
	for (unsigned n = 1 + pick(d, 4); n > 0; n--) {
		if (depth > 0 && pick(d, 5) == 0) {
			buf_putf(d->sql, "SAVEPOINT s%u;", depth);
			some_statements(d, depth - 1);
			buf_putf(d->sql, pick(d, 2) == 0 ? "ROLLBACK TO s%u;" : "RELEASE s%u;",
				depth);
		} else
			statement(d);
	}
	if (depth == 2 && pick(d, 100) == 0)
		truncate_one(d);
}

/* More than logical_decoding_work_mem: the server sends it while it is not decided yet. */
static void large_statements(struct draft *d)
{
	unsigned rows = d->plan->large_rows;
	uint64_t first = 1000000 + (d->k * 8 + d->writer) * 1000000;

	buf_putf(d->sql,
		"INSERT INTO ledger (id, account, note) SELECT %" PRIu64 " + i, %u, 'large' FROM "
		"generate_series(1, %u) i ON CONFLICT DO NOTHING;",
		first, d->writer, rows);
	buf_putf(d->sql,
		"SAVEPOINT a; UPDATE ledger SET note = 'never' WHERE id BETWEEN %" PRIu64
		" AND %" PRIu64
		"; INSERT INTO events (n, kind, value) SELECT i, 'never', 0 FROM generate_series(1, "
		"%u) i; ROLLBACK TO a; SAVEPOINT b; UPDATE ledger SET account = account + 1 WHERE "
		"id BETWEEN %" PRIu64 " AND %" PRIu64 "; RELEASE b;",
		first, first + rows / 2, rows / 4, first, first + rows / 4);
	statement(d);
	/* Most of it goes again, so that the table stays of a size. */
	buf_putf(d->sql, "DELETE FROM ledger WHERE id BETWEEN %" PRIu64 " AND %" PRIu64 ";",
		first + 100, first + rows);
}

static void end_transaction(struct draft *d, struct planned *out, bool large)
{
	unsigned how = pick(d, 20);

	if (how < 2 || (large && how < 6))
		buf_puts(d->sql, "ROLLBACK;");
	else if (how < 4) {
		buf_putf(d->sql, "PREPARE TRANSACTION 'load_%u_%" PRIu64 "';", d->writer, d->k);
		buf_putf(&out->finish, "%s PREPARED 'load_%u_%" PRIu64 "'",
			how == 2 ? "ROLLBACK" : "COMMIT", d->writer, d->k);
	} else
		buf_puts(d->sql, "COMMIT;");
}

/* ---- the schema ---- */

#define STAGES 6

/* A column's life: added with a default, widened and used, renamed, given another type twice, and
 * gone. Several are under way at a time, each at another stage. */
static void column_stage(struct draft *d, uint64_t column, unsigned stage)
{
	static const char *const where[] = {"ledger", "people", "\"Odd. Täble\""};
	const char *table = where[column % 3];
	int64_t id = (int64_t)column;

	switch (stage) {
	case 0:
		buf_putf(d->sql, "ALTER TABLE %s ADD COLUMN x_%" PRId64 " %s;", table, id,
			column % 2 == 0 ? "int DEFAULT 7" : "int");
		break;
	case 1:
		buf_putf(d->sql,
			"UPDATE %s SET x_%" PRId64 " = 5 WHERE ctid IN (SELECT ctid FROM %s LIMIT "
			"20); ALTER TABLE %s ALTER x_%" PRId64 " TYPE bigint;",
			table, id, table, table, id);
		break;
	case 2:
		buf_putf(d->sql, "ALTER TABLE %s RENAME x_%" PRId64 " TO y_%" PRId64 ";", table, id,
			id);
		break;
	case 3:
		buf_putf(d->sql,
			"ALTER TABLE %s ALTER y_%" PRId64 " TYPE numeric(20,3); UPDATE %s SET "
			"y_%" PRId64 " = 1.125 WHERE ctid IN (SELECT ctid FROM %s LIMIT 10);",
			table, id, table, id, table);
		break;
	case 4:
		buf_putf(d->sql, "ALTER TABLE %s ALTER y_%" PRId64 " TYPE text;", table, id);
		break;
	default:
		buf_putf(d->sql, "ALTER TABLE %s DROP COLUMN y_%" PRId64 ";", table, id);
		break;
	}
}

/* Step s moves one of three columns on; each table has its own. */
static void schema_step(struct draft *d, uint64_t s)
{
	uint64_t round = s / (3 * STAGES), within = s % (3 * STAGES);

	column_stage(d, round * 3 + within % 3, (unsigned)(within / 3));
}

static void table_step(struct draft *d, uint64_t t)
{
	buf_putf(d->sql,
		"CREATE TABLE IF NOT EXISTS extra_%" PRIu64
		" (id int PRIMARY KEY, v text); INSERT INTO extra_%" PRIu64
		" SELECT i, 'v' || i FROM generate_series(1, 700) i ON CONFLICT DO NOTHING;",
		t, t);
	if (t >= 2 && d->plan->drops)
		buf_putf(d->sql, "DROP TABLE IF EXISTS extra_%" PRIu64 ";", t - 2);
}

static void schema_transaction(struct draft *d, struct planned *out)
{
	out->must = true;
	buf_puts(d->sql, "BEGIN;");
	if (d->k % 48 == 37)
		table_step(d, d->k / 48);
	else {
		if (pick(d, 2) == 0)
			statement(d);
		schema_step(d, d->k / 12);
	}
	if (pick(d, 2) == 0)
		statement(d);
	buf_puts(d->sql, "COMMIT;");
}

void plan_transaction(const struct plan *p, unsigned writer, uint64_t k, struct planned *out)
{
	struct draft d = {.plan = p, .writer = writer, .k = k, .sql = &out->sql};

	buf_reset(&out->sql);
	buf_reset(&out->finish);
	out->must = false;
	rnd_seed(&d.rnd, p->seed * 1000003 + k * 64 + writer);
	if (p->schema && writer == 0 && (k % 12 == 7 || k % 48 == 37)) {
		schema_transaction(&d, out);
		return;
	}
	bool large = p->large_rows > 0 && k % p->large_every == p->large_every / 2;
	buf_puts(d.sql, "BEGIN;");
	if (large)
		large_statements(&d);
	else
		some_statements(&d, 2);
	if (writer == 1 && p->schema && k >= 48)
		buf_putf(d.sql, "UPDATE extra_%" PRIu64 " SET v = 'w%" PRIu64 "' WHERE id = %u;",
			(k - 48) / 48, k, pick(&d, 700));
	end_transaction(&d, out, large);
}
