#include "pg_catalog.h"

#include <string.h>

#include "guard.h"
#include "pg_patterns.h"
#include "pg_value.h"

/* What "find the tables" selects; the conditions that say which ones are put in between. */
enum cell {
	CELL_RELID,
	CELL_SCHEMA,
	CELL_NAME,
	CELL_IDENTITY,
	CELL_COLUMN,
	CELL_TYPE,
	CELL_MODIFIER,
	CELL_BASE_TYPE, /* of a domain, at the bottom; else the type itself */
	CELL_BASE_MODIFIER,
	CELL_NOT_NULL,
	CELL_IS_KEY,
	CELL_ELEMENT, /* of an array that has a form: its elements' base type; else 0 */
	CELL_IS_HSTORE,
	CELL_ATTNUM,
	CELL_VARIED,
	CELL_HIGHEST,
	CELL_FILTER, /* of the publication */
};

/*
 * One row per column (one with a NULL column for a table without any). A domain is followed to
 * its base type, taking the outermost modifier that there is. An array is what its element's type
 * calls its array. The key is what the replica
 * identity says (full: the primary key where there is one, else every column); PostgreSQL does
 * not take an index for it that is deferrable or not valid.
 */
#define SELECT_TABLES(filter_)                                                                            \
	"WITH RECURSIVE bases(declared, type, modifier) AS ("                                             \
	" SELECT oid, typbasetype, typtypmod FROM pg_catalog.pg_type WHERE typtype = 'd'"                 \
	" UNION ALL"                                                                                      \
	" SELECT b.declared, t.typbasetype,"                                                              \
	"  CASE WHEN b.modifier >= 0 THEN b.modifier ELSE t.typtypmod END"                                \
	" FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd'"                   \
	"), domains AS ("                                                                                 \
	" SELECT b.* FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.type"                            \
	" WHERE t.typtype <> 'd'"                                                                         \
	") SELECT c.oid, n.nspname, c.relname, c.relreplident, a.attname, a.atttypid,"                    \
	" a.atttypmod, coalesce(d.type, a.atttypid), coalesce(d.modifier, a.atttypmod),"                  \
	" a.attnotnull, coalesce(a.attnum = ANY (k.columns), c.relreplident = 'f'),"                      \
	" CASE WHEN et.typarray IS DISTINCT FROM bt.oid THEN 0"                                           \
	" WHEN et.typdelim = ',' THEN coalesce(de.type, et.oid)"                                          \
	" WHEN et.typdelim = ';' THEN 603 ELSE 0 END," /* as box, the only one of the server's */         \
	" EXISTS (SELECT FROM pg_catalog.pg_depend p"                                                     \
	"  JOIN pg_catalog.pg_extension x ON x.oid = p.refobjid AND x.extname = 'hstore'"                 \
	"  WHERE p.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND p.objid = bt.oid"              \
	"  AND p.deptype = 'e' AND bt.typname = 'hstore'), a.attnum,"                                     \
	" bt.typlen = -1 AND EXISTS (SELECT FROM pg_catalog.pg_stats s"                                   \
	"  WHERE s.schemaname = n.nspname AND s.tablename = c.relname"                                    \
	"  AND s.attname = a.attname AND s.n_distinct < -0.5 AND s.avg_width > 16), c.relnatts, " filter_ \
	" FROM pg_catalog.pg_class c"                                                                     \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
#define SELECT_COLUMNS                                                                             \
	" LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"              \
	" AND NOT a.attisdropped AND a.attgenerated = ''"
#define SELECT_REST                                                                                \
	" LEFT JOIN domains d ON d.declared = a.atttypid"                                          \
	" LEFT JOIN pg_catalog.pg_type bt ON bt.oid = coalesce(d.type, a.atttypid)"                \
	" LEFT JOIN pg_catalog.pg_type et ON et.oid = bt.typelem"                                  \
	" LEFT JOIN domains de ON de.declared = bt.typelem"                                        \
	" LEFT JOIN LATERAL ("                                                                     \
	"  SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns"                              \
	"  FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid"                   \
	"  AND i.indimmediate AND (c.relreplident IN ('d', 'f') AND i.indisprimary"                \
	"   OR c.relreplident = 'i' AND i.indisreplident)"                                         \
	" ) k ON true"
#define SELECT_ORDER " ORDER BY n.nspname, c.relname, a.attnum"

static uint32_t cell_oid(const PGresult *r, int row, int col)
{
	return (uint32_t)pg_cell_i64(r, row, col);
}

static struct type landing(const PGresult *r, int row)
{
	uint32_t element = cell_oid(r, row, CELL_ELEMENT);

	if (element != 0)
		return pg_landing_array(element);
	if (pg_cell_bool(r, row, CELL_IS_HSTORE))
		return pg_landing_hstore();
	return pg_landing(
		cell_oid(r, row, CELL_BASE_TYPE), (int32_t)pg_cell_i64(r, row, CELL_BASE_MODIFIER));
}

static void fill_column(const PGresult *r, int row, struct arena *mem, struct column *out)
{
	*out = (struct column){
		.name = arena_str(mem, pg_cell_str(r, row, CELL_COLUMN)),
		.pg_type = cell_oid(r, row, CELL_TYPE),
		.pg_modifier = (int32_t)pg_cell_i64(r, row, CELL_MODIFIER),
		.type = landing(r, row),
		.is_key = pg_cell_bool(r, row, CELL_IS_KEY),
		.nullable = !pg_cell_bool(r, row, CELL_NOT_NULL),
		.attnum = (int16_t)pg_cell_i64(r, row, CELL_ATTNUM),
		.varied = pg_cell_bool(r, row, CELL_VARIED),
	};
}

/* The rows from..to, which are the columns of one table. */
static struct table *make_table(const PGresult *r, int from, int to, struct arena *mem)
{
	struct table *t = arena_alloc(mem, sizeof *t);
	const char *identity = pg_cell(r, from, CELL_IDENTITY);
	bool empty = pg_cell(r, from, CELL_COLUMN) == NULL;

	t->relid = cell_oid(r, from, CELL_RELID);
	t->schema = arena_str(mem, pg_cell_str(r, from, CELL_SCHEMA));
	t->name = arena_str(mem, pg_cell_str(r, from, CELL_NAME));
	t->filter = arena_str(mem, pg_cell_str(r, from, CELL_FILTER));
	t->highest = (int16_t)pg_cell_i64(r, from, CELL_HIGHEST);
	t->identity = identity != NULL ? (enum identity)identity[0] : IDENTITY_NOTHING;
	t->ncolumns = empty ? 0 : (size_t)(to - from);
	t->columns = arena_array(mem, t->ncolumns + 1, sizeof *t->columns);
	for (size_t i = 0; i < t->ncolumns; i++)
		fill_column(r, from + (int)i, mem, &t->columns[i]);
	table_index_keys(t, mem);
	return t;
}

static enum err make_tables(
	struct pg *c, const PGresult *r, struct arena *mem, struct pg_tables *out, struct error *e)
{
	int rows = PQntuples(r), to;

	*out = (struct pg_tables){
		.tables = arena_array(mem, (size_t)rows + 1, sizeof(struct table *))};
	for (int from = 0; from < rows; from = to) {
		uint32_t relid = cell_oid(r, from, CELL_RELID);
		for (to = from; to < rows && cell_oid(r, to, CELL_RELID) == relid;)
			to++;
		struct table *t = make_table(r, from, to, mem);
		TRY(guard_describe(c->guard, t, mem, e));
		out->tables[out->n++] = t;
	}
	return OK;
}

static enum err check_publication(
	struct pg *c, const char *publication, struct arena *mem, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c, "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1", 1,
		&publication, "looking for the publication", mem, &r, e));
	if (PQntuples(r) == 0)
		return FAIL(e, ERR_NOT_FOUND,
			"reading the tables of publication %s: there is none of that name; run "
			"`sluice init`",
			publication);
	return OK;
}

enum err pg_publication_tables(struct pg *c, const char *publication, struct arena *mem,
	struct pg_tables *out, struct error *e)
{
	/* Column lists and row filters came with PostgreSQL 15. */
	static const char with_lists[] = SELECT_TABLES(
		"p.rowfilter") " JOIN pg_catalog.pg_publication_tables p ON p.pubname = $1"
			       " AND p.schemaname = n.nspname AND p.tablename = c.relname" SELECT_COLUMNS
			       " AND a.attname = ANY (p.attnames)" SELECT_REST SELECT_ORDER;
	static const char without[] = SELECT_TABLES(
		"NULL") " JOIN pg_catalog.pg_publication_tables p ON p.pubname = $1"
			" AND p.schemaname = n.nspname AND p.tablename = c.relname" SELECT_COLUMNS
				SELECT_REST SELECT_ORDER;
	struct arena scratch = {0};
	PGresult *r;

	enum err rc = check_publication(c, publication, &scratch, e);
	if (rc == OK)
		rc = pg_query(c, c->server_version >= 150000 ? with_lists : without, 1,
			&publication, "reading the tables of the publication", &scratch, &r, e);
	if (rc == OK)
		rc = make_tables(c, r, mem, out, e);
	arena_free(&scratch);
	return rc;
}

enum err pg_table(struct pg *c, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e)
{
	static const char sql[] = SELECT_TABLES("NULL") SELECT_COLUMNS SELECT_REST
		" WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')" SELECT_ORDER;
	struct arena scratch = {0};
	const char *params[] = {arena_cstr(&scratch, schema), arena_cstr(&scratch, name)};
	struct pg_tables found;
	PGresult *r;

	enum err rc = pg_query(c, sql, 2, params, "reading a table's description", &scratch, &r, e);
	if (rc == OK && PQntuples(r) == 0)
		rc = FAIL(e, ERR_NOT_FOUND,
			"reading the description of %s.%s: there is no such table", params[0],
			params[1]);
	if (rc == OK)
		rc = make_tables(c, r, mem, &found, e);
	if (rc == OK)
		*out = found.tables[0];
	arena_free(&scratch);
	return rc;
}

/* Keeps the tables that the patterns choose. A pattern that names one table must find it. */
static enum err choose(const struct pg_patterns *p, struct pg_tables *tables, struct error *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < tables->n; i++)
		if (pg_patterns_choose(p, tables->tables[i]->schema, tables->tables[i]->name))
			tables->tables[kept++] = tables->tables[i];
	tables->n = kept;
	return pg_patterns_all_found(p, e);
}

enum err pg_match_tables(struct pg *c, const char *patterns, struct arena *mem,
	struct pg_tables *out, struct error *e)
{
	static const char sql[] = SELECT_TABLES("NULL") SELECT_COLUMNS SELECT_REST
		" WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
		" AND c.relpersistence = 'p' AND n.nspname <> 'information_schema'"
		" AND n.nspname NOT LIKE 'pg\\_%'" SELECT_ORDER;
	struct arena scratch = {0};
	struct pg_patterns p;
	PGresult *r;

	enum err rc = pg_patterns_parse(str_of(patterns), &scratch, &p, e);
	if (rc == OK)
		rc = pg_query(c, sql, 0, NULL, "reading the tables", &scratch, &r, e);
	if (rc == OK)
		rc = make_tables(c, r, mem, out, e);
	if (rc == OK)
		rc = choose(&p, out, e);
	arena_free(&scratch);
	return rc;
}

enum err pg_cut(struct pg *c, struct arena *mem, struct cut *out, struct error *e)
{
	struct arena scratch = {0};
	PGresult *snapshot, *position;
	lsn at;

	enum err rc = pg_query(c,
		"SELECT pg_catalog.pg_current_snapshot()::text, "
		"pg_catalog.current_setting('transaction_isolation')",
		0, NULL, "taking a cut: the snapshot", &scratch, &snapshot, e);
	if (rc == OK && !str_eqc(pg_cell_str(snapshot, 0, 1), "repeatable read") &&
		!str_eqc(pg_cell_str(snapshot, 0, 1), "serializable"))
		rc = FAIL(e, ERR_BUG,
			"taking a cut: the transaction is %s, where each statement has "
			"a snapshot of its own",
			pg_cell(snapshot, 0, 1));
	/* A statement of its own, so that it is read after the snapshot was taken. */
	if (rc == OK)
		rc = pg_query(c, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text", 0, NULL,
			"taking a cut: the position", &scratch, &position, e);
	if (rc == OK && !lsn_parse(pg_cell_str(position, 0, 0), &at))
		rc = FAIL(e, ERR_INPUT, "taking a cut: the server's position is no LSN");
	if (rc == OK)
		rc = cut_parse(pg_cell_str(snapshot, 0, 0), at, mem, out, e);
	arena_free(&scratch);
	return rc;
}

enum err pg_slot(
	struct pg *c, const char *name, struct arena *mem, struct pg_slot *out, struct error *e)
{
	static const char old[] =
		"SELECT active, restart_lsn::text, confirmed_flush_lsn::text, "
		"pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() "
		"THEN pg_catalog.pg_last_wal_replay_lsn() "
		"ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::bigint, "
		"plugin, 'reserved' FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
	static const char since_13[] =
		"SELECT active, restart_lsn::text, confirmed_flush_lsn::text, "
		"pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() "
		"THEN pg_catalog.pg_last_wal_replay_lsn() "
		"ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::bigint, "
		"plugin, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
	struct arena scratch = {0};
	PGresult *r;

	*out = (struct pg_slot){.exists = false};
	enum err rc = pg_query(c, c->server_version >= 130000 ? since_13 : old, 1, &name,
		"looking at the replication slot", &scratch, &r, e);
	if (rc == OK && PQntuples(r) > 0) {
		out->exists = true;
		out->active = pg_cell_bool(r, 0, 0);
		/* A slot that was invalidated has no positions. */
		if (!lsn_parse(pg_cell_str(r, 0, 1), &out->restart))
			out->restart = LSN_NONE;
		if (!lsn_parse(pg_cell_str(r, 0, 2), &out->confirmed))
			out->confirmed = LSN_NONE;
		out->retained_bytes = pg_cell_i64(r, 0, 3);
		out->plugin = arena_str(mem, pg_cell_str(r, 0, 4));
		out->wal_status = arena_str(mem, pg_cell_str(r, 0, 5));
	}
	arena_free(&scratch);
	return rc;
}
