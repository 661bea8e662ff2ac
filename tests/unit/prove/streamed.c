#include "streamed.h"

static const char *const tables[] = {"public.items", "public.pairs", "public.nothing", "public.odd",
	"public_history.items", "public_history.pairs", "public_history.nothing",
	"public_history.odd"};
#define TABLES (sizeof tables / sizeof tables[0])

/* Keys whose values stand in _exact, or compare in their own way. */
static const char odd_sql[] =
	"CREATE TABLE odd (a numeric(10,2), b timestamptz, c real, d bytea, v text, span interval, "
	"PRIMARY KEY (a, b, c, d));"
	"ALTER PUBLICATION " PUBLICATION " ADD TABLE odd;"
	"INSERT INTO odd VALUES ('NaN', 'infinity', 'NaN', '\\x00ff', 'one', '1 month'), "
	"('NaN', '-infinity', '-Infinity', '', 'two', '30 days'), "
	"(1.5, '0044-03-15 12:00:00+00 BC', -0.0, '\\x5c27', 'three', '-1 mon +2 days -03:04:05'), "
	"(1.5, '2017-03-01 12:00:00.000001+00', 1e-30, '\\x22', '', NULL), "
	"(-0.01, '2017-03-01 12:00:00.000002+00', 3.4e38, 'x', NULL, '100 years 00:00:00.000001');";

static const char stream_sql[] =
	"UPDATE items SET name = coalesce(name, '') || ' again', price = price + 1 "
	"WHERE id BETWEEN 151 AND 300;"
	"DELETE FROM items WHERE id BETWEEN 241 AND 260;"
	"INSERT INTO items (id, tiny, n, big, ok, price, share, name, note, plain, at, local, "
	"clock, mark, list) SELECT i, 1, i, i, true, i, 0.5, 'late ' || i, 'note', '{\"k\": 1}', "
	"timestamptz '2018-01-01 00:00+00', '2018-01-01', '10:00', md5(i::text)::uuid, '{1,2}' "
	"FROM generate_series(301, 320) AS i;"
	"UPDATE pairs SET v = v + 1 WHERE v % 2 = 0;"
	"UPDATE odd SET v = v || '!' WHERE b = 'infinity';";

void streamed_catch_up(struct streamed *s)
{
	const struct replicate_until until = {.kind = REPLICATE_CAUGHT_UP};
	struct replicate_result result;
	struct error e = {.kind = OK};

	assert_ok(replicate_run(&s->options, s->f.warehouse, &s->f.env, until, &result, &e), &e);
}

void streamed_open(struct streamed *s)
{
	struct replicate_init_report made = {.created = false};
	struct error e = {.kind = OK};

	fixture_open(&s->f);
	fixture_empty(&s->f);
	source_run(&s->f, odd_sql);
	snprintf(s->journal, sizeof s->journal, "%s/journal", s->f.dir);
	s->options = (struct replicate_options){.conninfo = pg_server_conninfo(s->f.server),
		.publication = PUBLICATION,
		.slot = "sluice",
		.tables = "public.*",
		.journal = s->journal,
		.segment_size = 1 << 20,
		.retention_us = INT64_C(3600000000),
		.batch_rows = 5000,
		.flush_interval_us = 20000,
		.fsync_interval_us = 5000};
	assert_ok(replicate_init(&s->options, s->f.warehouse, &s->f.env, &made, &e), &e);
	replicate_init_report_free(&made);
	streamed_catch_up(s);
	source_run(&s->f, stream_sql);
	streamed_catch_up(s);
	streamed_save(s);
}

void streamed_close(struct streamed *s)
{
	fixture_close(&s->f);
}

void streamed_save(struct streamed *s)
{
	for (size_t i = 0; i < TABLES; i++)
		warehouse_run(
			&s->f, "CREATE OR REPLACE TABLE ops.saved_%zu AS FROM %s", i, tables[i]);
}

void streamed_restore(struct streamed *s)
{
	for (size_t i = 0; i < TABLES; i++)
		warehouse_run(&s->f, "DELETE FROM %s; INSERT INTO %s FROM ops.saved_%zu", tables[i],
			tables[i], i);
}

const char *streamed_state(struct streamed *s, char out[64])
{
	struct error e = {.kind = OK};
	struct buf sql, text;

	buf_init(&sql, 1 << 16);
	buf_init(&text, 1 << 10);
	buf_puts(&sql, "SELECT md5(string_agg(t, chr(10) ORDER BY t)) FROM (");
	for (size_t i = 0; i < TABLES; i++)
		buf_putf(&sql, "%sSELECT '%zu ' || CAST(r AS VARCHAR) AS t FROM %s r",
			i > 0 ? " UNION ALL " : "", i, tables[i]);
	buf_puts(&sql, ")");
	assert_ok(warehouse_text(s->f.warehouse, buf_str(&sql), &text, &e), &e);
	snprintf(out, 64, "%s", buf_cstr(&text));
	buf_free(&sql);
	buf_free(&text);
	return out;
}

static struct reconcile_options options_of(struct streamed *s, const char *journal, size_t max_keys)
{
	return (struct reconcile_options){.conninfo = pg_server_conninfo(s->f.server),
		.publication = PUBLICATION,
		.table = s->only,
		.reach = reached,
		.max_keys = max_keys,
		.journal = journal != NULL ? journal : s->journal};
}

void streamed_reconcile(
	struct streamed *s, const char *journal, size_t max_keys, struct reconcile_report *out)
{
	const struct reconcile_options o = options_of(s, journal, max_keys);
	struct error e = {.kind = OK};

	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, out, &e), &e);
}

enum err streamed_repair(
	struct streamed *s, bool dry_run, struct repair_report *out, struct error *e)
{
	const struct repair_options o = {.reconcile = options_of(s, NULL, 0), .dry_run = dry_run};
	enum err rc = repair(&o, s->f.warehouse, &s->f.env, out, e);

	/* Told: the next repair is another. */
	return rc == OK && !dry_run ? repair_finish(s->f.warehouse, out->repair_id, e) : rc;
}

const struct reconcile_key *streamed_key(
	const struct reconcile_report *r, const char *table, const char *key)
{
	const struct reconcile_table *t = report_table(r, table);

	for (size_t i = 0; i < t->nkeys; i++)
		if (str_eqc(t->keys[i].key, key))
			return &t->keys[i];
	fail_msg("%s: the key %s is not listed", table, key);
	return NULL;
}
