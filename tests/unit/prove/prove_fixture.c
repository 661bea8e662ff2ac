#include "prove_fixture.h"

#include "file.h"
#include "marks.h"
#include "mem.h"
#include "pg_catalog.h"
#include "pg_copy.h"

/* Every landing, each also with what is hard about it: NULL, the infinities, -0, NaN, empty and
 * blank-ended text, values that no column of the warehouse holds. */
static const char schema_sql[] =
	"CREATE TABLE items (id bigint PRIMARY KEY, tiny smallint, n int, big bigint, ok boolean, "
	"price numeric(10,2), amount numeric, ratio float8, share real, name text, note "
	"varchar(80), "
	"tags jsonb, plain json, raw bytea, day date, at timestamptz, local timestamp, clock time, "
	"span interval, mark uuid, list int[], who oid);"
	"CREATE TABLE pairs (a text, b text, v int, PRIMARY KEY (a, b));"
	"CREATE TABLE nothing (id int PRIMARY KEY, v text);"
	"INSERT INTO items SELECT i, i % 100, i * 7, i * 1234567890123, i % 2 = 0, i * 1.25, "
	"i / 3.0, sin(i), (sin(i))::real, 'name ' || i, 'note ' || i % 10, "
	"jsonb_build_object('i', i, 'x', i / 7.0), '{\"k\": [1, 2]}', "
	"decode(md5(i::text), 'hex'), date '2017-01-01' + i, "
	"timestamptz '2017-03-01 12:00+00' + i * interval '1.000001 hour', "
	"timestamp '2017-03-01 12:00' + i * interval '7 minutes', "
	"time '08:00' + i * interval '1 second', i * interval '1 day 2 hours', "
	"md5(i::text)::uuid, ARRAY[i, i + 1], i FROM generate_series(1, 300) AS i;"
	"UPDATE items SET n = NULL, name = NULL, tags = NULL, raw = NULL, at = NULL, span = NULL "
	"WHERE id % 17 = 0;"
	"UPDATE items SET at = 'infinity', local = '-infinity', day = 'infinity', ratio = 'NaN', "
	"share = '-Infinity', amount = 'NaN' WHERE id % 23 = 0;"
	"UPDATE items SET name = '', note = '  ', raw = '', ratio = -0.0, clock = '24:00' "
	"WHERE id % 29 = 0;"
	"UPDATE items SET amount = 12345678901234567890123456789012345678901234567890.5, "
	"at = '4714-11-24 00:00:00+00 BC', day = '5874897-12-31' WHERE id % 31 = 0;"
	"INSERT INTO pairs SELECT 'a' || i % 20, 'b' || i, i FROM generate_series(1, 200) AS i;"
	"INSERT INTO pairs VALUES ('ab', 'c', 1), ('a', 'bc', 1), ('ab', 'c ', 1), ('', '', 0);"
	"CREATE PUBLICATION " PUBLICATION " FOR TABLE items, pairs, nothing;";

struct copying {
	struct fixture *f;
	const struct cut *cut;
	uint32_t seq;
};

/* One COPY batch into the warehouse as snapshot rows, the way replication brings them. */
static enum err take_rows(void *arg, struct batch *b, struct error *e)
{
	struct copying *c = arg;
	uint32_t *newest = mem_array(b->rows + 1, sizeof *newest);

	for (size_t i = 0; i < b->rows; i++) {
		b->op[i] = OP_SNAPSHOT;
		b->commit[i] = c->cut->at;
		b->seq[i] = c->seq++;
		b->xid[i] = 0;
		b->committed_at[i] = clock_wall(c->f->env.clock);
		newest[i] = (uint32_t)i;
	}
	const struct table_changes changes = {
		.table = b->table, .rows = b, .newest = newest, .nnewest = b->rows, .fresh = true};
	const struct change_set set = {.tables = &changes, .ntables = 1};
	enum err rc = warehouse_apply(c->f->warehouse, &set, e);
	mem_free(newest);
	return rc;
}

static void set_position(struct fixture *f, lsn at)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	const struct replicate_position p = {.found = true, .at = at, .xid = 700};
	const struct mark mark = {STR("position"), mark_position(&mem, &p)};
	const struct change_set set = {.marks = &mark, .nmarks = 1};
	assert_ok(warehouse_apply(f->warehouse, &set, &e), &e);
	arena_free(&mem);
}

static void set_copied(struct fixture *f, const struct table *t, const struct cut *cut)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	const struct replicate_snapshot s = {
		.state = SNAPSHOT_DONE, .relid = t->relid, .floor = cut->at, .cut = *cut};
	const struct mark mark = {
		mark_name(&mem, "snapshot", t->schema, t->name), mark_snapshot(&mem, &s)};
	const struct change_set set = {.marks = &mark, .nmarks = 1};
	assert_ok(warehouse_apply(f->warehouse, &set, &e), &e);
	arena_free(&mem);
}

static void drop_table(struct fixture *f, const struct table *t)
{
	warehouse_run(f,
		"DROP VIEW IF EXISTS %.*s_history.%.*s_versions; "
		"DROP TABLE IF EXISTS %.*s_history.%.*s; DROP TABLE IF EXISTS %.*s.%.*s",
		STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(t->schema), STR_ARG(t->name),
		STR_ARG(t->schema), STR_ARG(t->name));
}

void fixture_empty(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	struct pg_tables all = {.n = 0};

	assert_ok(pg_publication_tables(f->pg, PUBLICATION, &mem, &all, &e), &e);
	for (size_t i = 0; i < all.n; i++)
		drop_table(f, all.tables[i]);
	warehouse_run(f, "DELETE FROM ops.marks");
	arena_free(&mem);
}

void fixture_copy(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	struct cut cut = {.at = LSN_NONE};
	struct pg_tables all = {.n = 0};
	struct copying c = {.f = f, .cut = &cut};

	source_run(f, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	assert_ok(pg_cut(f->pg, &mem, &cut, &e), &e);
	assert_ok(pg_publication_tables(f->pg, PUBLICATION, &mem, &all, &e), &e);
	for (size_t i = 0; i < all.n; i++) {
		const struct table *t = all.tables[i];
		drop_table(f, t);
		assert_ok(warehouse_ensure_table(f->warehouse, t, &e), &e);
		assert_ok(pg_copy_out(f->pg, t, STR_NONE, 128, take_rows, &c, &e), &e);
		set_copied(f, t, &cut);
	}
	source_run(f, "COMMIT");
	set_position(f, cut.at);
	arena_free(&mem);
}

void fixture_open(struct fixture *f)
{
	struct error e = {.kind = OK};
	char data[160];

	*f = (struct fixture){.env = {.clock = clock_system()}};
	f->env.rnd = &f->rnd;
	rnd_seed(&f->rnd, unit_seed());
	unit_tmpdir(f->dir, sizeof f->dir);
	snprintf(data, sizeof data, "%s/pg", f->dir);
	snprintf(f->url, sizeof f->url, "duckdb://%s/w.duckdb", f->dir);
	const struct pg_server_options so = {.dir = data, .database = "prove"};
	assert_ok(pg_server_start(&f->server, &so, &f->env, &e), &e);
	const struct pg_options po = {
		.conninfo = pg_server_conninfo(f->server), .application = "unit"};
	assert_ok(pg_open(&f->pg, &po, &f->env, &e), &e);
	source_run(f, schema_sql);
	const struct warehouse_options wo = {.url = f->url, .threads = 1};
	assert_ok(warehouse_open(&f->warehouse, &wo, &f->env, &e), &e);
	assert_ok(warehouse_ensure_ops(f->warehouse, &e), &e);
	fixture_copy(f);
}

void fixture_close(struct fixture *f)
{
	struct error e = {.kind = OK};

	pg_close(f->pg);
	warehouse_close(f->warehouse);
	pg_server_stop(f->server, true);
	assert_ok(file_remove_tree(f->dir, &e), &e);
}

void source_run(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};
	assert_ok(pg_exec(f->pg, sql, "running a statement of the test", &e), &e);
}

void warehouse_run(struct fixture *f, const char *fmt, ...)
{
	struct error e = {.kind = OK};
	char sql[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sql, sizeof sql, fmt, args);
	va_end(args);
	assert_ok(warehouse_script(f->warehouse, str_of(sql), &e), &e);
}

enum err reached(void *arg, lsn at, struct error *e)
{
	(void)arg;
	(void)at;
	(void)e;
	return OK;
}

enum err reconcile_now(struct fixture *f, const char *table, size_t max_keys,
	struct reconcile_report *out, struct error *e)
{
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(f->server),
		.publication = PUBLICATION,
		.table = table,
		.reach = reached,
		.max_keys = max_keys,
		.batch_rows = 100};
	return reconcile(&o, f->warehouse, &f->env, out, e);
}

const struct reconcile_table *report_table(const struct reconcile_report *r, const char *name)
{
	for (size_t i = 0; i < r->ntables; i++)
		if (str_eqc(r->tables[i].name, name))
			return &r->tables[i];
	fail_msg("the report has no table %s", name);
	return NULL;
}
