#include "replicate_fixture.h"

#include "file.h"
#include "mem.h"

int fixture_start(void **state)
{
	struct error e = {.kind = OK};
	struct fixture *f = mem_zalloc(sizeof(*f));

	rnd_system(&f->rnd);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd, .metrics = metrics_new()};
	if (getenv("SLUICE_TEST_LOG") != NULL)
		f->env.log = log_open(2, LOG_TEXT, LOG_DEBUG, f->env.clock);
	unit_tmpdir(f->dir, sizeof(f->dir));
	struct str dir = arena_fmt(&f->mem, "%s/pg", f->dir);
	struct pg_server_options o = {.dir = dir.p, .database = "shop"};
	assert_ok(pg_server_start(&f->server, &o, &f->env, &e), &e);
	struct pg_options p = {
		.conninfo = pg_server_conninfo(f->server), .application = "replicate test"};
	assert_ok(pg_open(&f->pg, &p, &f->env, &e), &e);
	*state = f;
	return 0;
}

int fixture_stop(void **state)
{
	struct error e = {.kind = OK};
	struct fixture *f = *state;

	pg_close(f->pg);
	pg_server_stop(f->server, true);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	metrics_free(f->env.metrics);
	log_close(f->env.log);
	arena_free(&f->mem);
	mem_free(f);
	return 0;
}

void source_run(struct fixture *f, const char *fmt, ...)
{
	struct error e = {.kind = OK};
	char sql[8192];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sql, sizeof(sql), fmt, args);
	va_end(args);
	assert_ok(pg_exec(f->pg, sql, "preparing a test", &e), &e);
}

void open_warehouse(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct warehouse_options o = {.url = f->url, .threads = 1};

	assert_ok(warehouse_open(&f->w, &o, &f->env, &e), &e);
}

void close_warehouse(struct fixture *f)
{
	warehouse_close(f->w);
	f->w = NULL;
}

int fixture_begin(void **state)
{
	struct fixture *f = *state;

	f->n++;
	snprintf(f->slot, sizeof(f->slot), "slot_%u", f->n);
	snprintf(f->publication, sizeof(f->publication), "pub_%u", f->n);
	snprintf(f->journal, sizeof(f->journal), "%s/journal-%u", f->dir, f->n);
	snprintf(f->url, sizeof(f->url), "duckdb://%s/warehouse-%u.db", f->dir, f->n);
	snprintf(f->tables, sizeof(f->tables), "public.*");
	f->o = (struct replicate_options){.conninfo = pg_server_conninfo(f->server),
		.publication = f->publication,
		.slot = f->slot,
		.tables = f->tables,
		.journal = f->journal,
		.segment_size = 65536,
		.retention_us = 3600000000,
		.batch_rows = 5000,
		.flush_interval_us = 200000,
		.fsync_interval_us = 10000};
	source_run(f, "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public");
	open_warehouse(f);
	return 0;
}

int fixture_end(void **state)
{
	struct fixture *f = *state;

	arm(f, NULL);
	close_warehouse(f);
	/* The server notices that our last session has ended a moment later. */
	source_run(f,
		"DO $$ BEGIN FOR i IN 1..200 LOOP "
		"EXIT WHEN NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE active); "
		"PERFORM pg_sleep(0.05); END LOOP; END $$");
	source_run(f, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
	source_run(f, "DROP PUBLICATION IF EXISTS %s", f->publication);
	return 0;
}

void init_ok(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct replicate_init_report report;

	assert_ok(replicate_init(&f->o, f->w, &f->env, &report, &e), &e);
	replicate_init_report_free(&report);
}

enum err catch_up(struct fixture *f, struct replicate_result *out, struct error *e)
{
	struct replicate_until until = {.kind = REPLICATE_CAUGHT_UP};

	return replicate_run(&f->o, f->w, &f->env, until, out, e);
}

void catch_up_ok(struct fixture *f)
{
	struct error e = {.kind = OK};
	struct replicate_result result;

	assert_ok(catch_up(f, &result, &e), &e);
}

void arm(struct fixture *f, const char *spec)
{
	struct error e = {.kind = OK};

	failpoints_free(f->env.failpoints);
	f->env.failpoints = NULL;
	if (spec != NULL)
		assert_ok(failpoints_parse(&f->env.failpoints, str_of(spec), &e), &e);
}

const char *source_text(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};
	PGresult *r;

	assert_ok(pg_query(f->pg, sql, 0, NULL, "asking the source", &f->mem, &r, &e), &e);
	return arena_cstr(&f->mem, pg_cell_str(r, 0, 0));
}

const char *warehouse_text_of(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	assert_ok(warehouse_text(f->w, str_of(sql), &out, &e), &e);
	const char *text = arena_cstr(&f->mem, buf_str(&out));
	buf_free(&out);
	return text;
}

int64_t warehouse_count(struct fixture *f, const char *sql)
{
	struct error e = {.kind = OK};
	int64_t n = 0;

	assert_ok(warehouse_i64(f->w, str_of(sql), &n, &e), &e);
	return n;
}

static void assert_text(const char *what, const char *a, const char *b)
{
	size_t at = 0;

	if (strcmp(a, b) == 0)
		return;
	while (a[at] == b[at])
		at++;
	at = at > 60 ? at - 60 : 0;
	fail_msg("%s: from byte %zu on: source \"%.160s\", warehouse \"%.160s\"", what, at, a + at,
		b + at);
}

int64_t assert_same(struct fixture *f, const char *table, const char *columns)
{
	static const char form[] =
		"SELECT coalesce(string_agg(line, ';' ORDER BY line), '') FROM (SELECT "
		"concat_ws('|', %s) AS line FROM %s) AS lines";
	char history[256];
	const char *sql = arena_fmt(&f->mem, form, columns, table).p;
	const char *source = source_text(f, sql);

	assert_text(table, source, warehouse_text_of(f, sql));
	struct str name = str_of(table), schema;
	assert_true(str_cut(&name, '.', &schema));
	snprintf(history, sizeof(history),
		"(SELECT * FROM %.*s_history.%.*s_versions WHERE _valid_to = 'infinity') AS v",
		STR_ARG(schema), STR_ARG(name));
	assert_text(history, source,
		warehouse_text_of(f, arena_fmt(&f->mem, form, columns, history).p));
	int64_t rows = source[0] != '\0';
	for (const char *p = source; *p != '\0'; p++)
		rows += *p == ';';
	return rows;
}
