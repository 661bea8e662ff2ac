#include "repair_sql.h"

#include <inttypes.h>

#include "warehouse.h"

void repair_sql_of(const struct subject *s, struct str id, size_t number, struct arena *mem,
	struct repair_sql *out)
{
	const struct table *t = s->table;
	struct str *columns = arena_array(mem, t->ncolumns + 1, sizeof *columns);
	struct str *keys = arena_array(mem, s->nkeys + 1, sizeof *keys);

	for (size_t c = 0; c < t->ncolumns; c++)
		columns[c] = t->columns[c].name;
	for (size_t k = 0; k < s->nkeys; k++)
		keys[k] = columns[s->keys[k]];
	*out = (struct repair_sql){.schema = t->schema,
		.table = t->name,
		.columns = columns,
		.ncolumns = t->ncolumns,
		.keys = keys,
		.nkeys = s->nkeys,
		.key_in_exact = s->key_in_exact,
		.rows = arena_fmt(mem, "repair_rows_%.*s_%zu", STR_ARG(id), number),
		.keyed = arena_fmt(mem, "repair_keys_%.*s_%zu", STR_ARG(id), number)};
}

/* ---- pieces ---- */

static void put_two(struct buf *out, struct str dataset, struct str name)
{
	sql_name(out, dataset);
	buf_putc(out, '.');
	sql_name(out, name);
}

void repair_put_current(struct buf *out, const struct repair_sql *q)
{
	put_two(out, q->schema, q->table);
}

void repair_put_history(struct buf *out, const struct repair_sql *q)
{
	struct arena mem = {0};

	put_two(out, arena_fmt(&mem, "%.*s_history", STR_ARG(q->schema)), q->table);
	arena_free(&mem);
}

void repair_put_stage(struct buf *out, struct str name)
{
	put_two(out, STR("ops"), name);
}

static void put_column(struct buf *out, const char *alias, struct str name)
{
	if (alias != NULL)
		buf_putf(out, "%s.", alias);
	sql_name(out, name);
}

void repair_put_columns(struct buf *out, const struct repair_sql *q, const char *alias)
{
	for (size_t c = 0; c < q->ncolumns; c++) {
		if (c > 0)
			buf_puts(out, ", ");
		put_column(out, alias, q->columns[c]);
	}
}

/* A JSON pointer takes any name: only ~ and / are special in it. */
void repair_put_member(struct buf *out, const char *doc, struct str name)
{
	struct buf pointer;

	buf_init(&pointer, 1 << 16);
	buf_putc(&pointer, '/');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '~')
			buf_puts(&pointer, "~0");
		else if (name.p[i] == '/')
			buf_puts(&pointer, "~1");
		else
			buf_putc(&pointer, name.p[i]);
	}
	buf_putf(out, "json_extract_string(%s, ", doc);
	sql_text(out, buf_str(&pointer));
	buf_putc(out, ')');
	buf_free(&pointer);
}

static void put_exact(struct buf *out, const char *alias, struct str name)
{
	struct arena mem = {0};

	repair_put_member(out, arena_fmt(&mem, "%s._exact", alias).p, name);
	arena_free(&mem);
}

void repair_put_match(struct buf *out, const struct repair_sql *q, const char *a, const char *b)
{
	for (size_t k = 0; k < q->nkeys; k++) {
		if (k > 0)
			buf_puts(out, " AND ");
		put_column(out, a, q->keys[k]);
		buf_puts(out, " IS NOT DISTINCT FROM ");
		put_column(out, b, q->keys[k]);
		if (!q->key_in_exact)
			continue;
		buf_puts(out, " AND ");
		put_exact(out, a, q->keys[k]);
		buf_puts(out, " IS NOT DISTINCT FROM ");
		put_exact(out, b, q->keys[k]);
	}
}

static void put_pair(struct buf *out, const char *alias, struct str name, bool first)
{
	if (!first)
		buf_puts(out, ", ");
	sql_text(out, name);
	buf_puts(out, ", CAST(");
	put_column(out, alias, name);
	buf_puts(out, " AS VARCHAR)");
}

void repair_put_image(struct buf *out, const struct repair_sql *q, const char *alias, bool ours)
{
	buf_puts(out, "CAST(json_object(");
	for (size_t c = 0; c < q->ncolumns; c++)
		put_pair(out, alias, q->columns[c], c == 0);
	if (ours) {
		put_pair(out, alias, STR("_lsn"), q->ncolumns == 0);
		put_pair(out, alias, STR("_committed_at"), false);
	}
	put_pair(out, alias, STR("_exact"), q->ncolumns == 0 && !ours);
	buf_puts(out, ") AS VARCHAR)");
}

void repair_put_outside(struct buf *out, const char *alias, const struct cut *cut)
{
	uint64_t at = cut->at.v <= INT64_MAX ? cut->at.v : INT64_MAX;

	buf_putf(out, "(%s._xid <> 0 AND (%s._lsn > %" PRIu64, alias, alias, at);
	if (cut->xmax <= INT64_MAX)
		buf_putf(out, " OR %s._xid >= %" PRIu64, alias, cut->xmax);
	if (cut->nrunning > 0)
		buf_putf(out, " OR %s._xid IN (", alias);
	for (size_t i = 0; i < cut->nrunning; i++)
		buf_putf(out, "%s%" PRIu64, i > 0 ? ", " : "", cut->running[i]);
	buf_puts(out, cut->nrunning > 0 ? ")))" : "))");
}

void repair_put_position(struct buf *out, const char *alias)
{
	buf_putf(out, "(CAST(%s._lsn AS HUGEINT) * 4294967296 + %s._seq)", alias, alias);
}

/* ---- tables of our own ---- */

void repair_put_ledger(struct buf *out)
{
	buf_puts(out,
		"CREATE TABLE IF NOT EXISTS ops.repairs ("
		"repair_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, key VARCHAR NOT NULL, "
		"kind VARCHAR NOT NULL, differences BIGINT NOT NULL, before VARCHAR NOT NULL, "
		"after VARCHAR NOT NULL, lsn VARCHAR NOT NULL, position HUGEINT NOT NULL, "
		"history_added BOOLEAN NOT NULL, repaired_at TIMESTAMPTZ NOT NULL, undone_at TIMESTAMPTZ);");
}

void repair_put_stages(struct buf *out, const struct repair_sql *q)
{
	/* One that was killed may have left its own. */
	repair_put_unstage(out, q);
	buf_puts(out, "CREATE TABLE ");
	repair_put_stage(out, q->rows);
	buf_puts(out,
		" AS SELECT CAST(0 AS UINTEGER) AS " REPAIR_N
		", CAST(0 AS UINTEGER) AS " REPAIR_COPY ", true AS " REPAIR_SOURCE ", ");
	repair_put_columns(out, q, NULL);
	buf_puts(out, ", _exact FROM ");
	repair_put_current(out, q);
	buf_puts(out, " LIMIT 0; CREATE TABLE ");
	repair_put_stage(out, q->keyed);
	buf_puts(out,
		" (n UINTEGER, key VARCHAR, kind VARCHAR, differences BIGINT, before VARCHAR);");
}

void repair_put_unstage(struct buf *out, const struct repair_sql *q)
{
	buf_puts(out, "DROP TABLE IF EXISTS ");
	repair_put_stage(out, q->rows);
	buf_puts(out, "; DROP TABLE IF EXISTS ");
	repair_put_stage(out, q->keyed);
	buf_puts(out, ";");
}

/* The engine skips an update that changes nothing, and with it the conflict: a blank comes to the
 * end of the mark's JSON, or goes. */
void repair_put_token(struct buf *out, const struct repair_sql *q)
{
	struct arena mem = {0};

	buf_puts(out,
		"UPDATE ops.marks SET value = CASE WHEN ends_with(value, ' ') THEN rtrim(value) "
		"ELSE value || ' ' END WHERE name IN ('position', ");
	sql_text(out, arena_fmt(&mem, "snapshot:%.*s.%.*s", STR_ARG(q->schema), STR_ARG(q->table)));
	buf_puts(out, ");");
	arena_free(&mem);
}

/* ---- what is to be written ---- */

/* What stands in current under each staged key, as the list that `before` is. */
void repair_put_held(struct buf *out, const struct repair_sql *q)
{
	buf_puts(out, "held AS (SELECT s." REPAIR_N " AS n, string_agg(");
	repair_put_image(out, q, "c", true);
	buf_puts(out, ", ',' ORDER BY ");
	repair_put_image(out, q, "c", true);
	buf_puts(out, ") AS images FROM ");
	repair_put_stage(out, q->rows);
	buf_puts(out, " s JOIN ");
	repair_put_current(out, q);
	buf_puts(out, " c ON ");
	repair_put_match(out, q, "s", "c");
	buf_puts(out, " WHERE s." REPAIR_COPY " = 0 GROUP BY s." REPAIR_N ")");
}

/* The newest of history for each staged key, and whether any of it is outside the cut. */
static void put_told(struct buf *out, const struct repair_sql *q, const struct cut *cut)
{
	static const char *const newest[] = {
		"_op", "op", "_lsn", "lsn", "_committed_at", "committed"};

	buf_puts(out, "told AS (SELECT s." REPAIR_N " AS n, bool_or(");
	repair_put_outside(out, "h", cut);
	buf_puts(out, ") AS touched, max(");
	repair_put_position(out, "h");
	buf_puts(out, ") AS position, ");
	for (size_t i = 0; i < 6; i += 2) {
		buf_putf(out, "arg_max(h.%s, ", newest[i]);
		repair_put_position(out, "h");
		buf_putf(out, ") AS %s, ", newest[i + 1]);
	}
	buf_puts(out, "arg_max(");
	repair_put_image(out, q, "h", false);
	buf_puts(out, ", ");
	repair_put_position(out, "h");
	buf_puts(out, ") AS image FROM ");
	repair_put_stage(out, q->rows);
	buf_puts(out, " s JOIN ");
	repair_put_history(out, q);
	buf_puts(out, " h ON ");
	repair_put_match(out, q, "s", "h");
	buf_puts(out, " WHERE s." REPAIR_COPY " = 0 AND h._op <> 'T' GROUP BY s." REPAIR_N ")");
}

/* A truncation outside the cut has changed every key. */
static void put_cleared(struct buf *out, const struct repair_sql *q, const struct cut *cut)
{
	buf_puts(out, "cleared AS (SELECT coalesce(max(");
	repair_put_position(out, "t");
	buf_puts(out, "), -1) AS position, coalesce(bool_or(");
	repair_put_outside(out, "t", cut);
	buf_puts(out, "), false) AS lost FROM ");
	repair_put_history(out, q);
	buf_puts(out, " t WHERE t._op = 'T')");
}

/*
 * A new entry of history goes behind everything inside the cut. No commit inside it begins at
 * cut - 1, for a commit record is longer than that, and none outside it that is still to come
 * begins before the cut: they all are in history by now.
 */
void repair_put_chosen(
	struct buf *out, const struct repair_sql *q, const struct cut *cut, int64_t cut_us)
{
	buf_puts(out, "WITH ");
	repair_put_held(out, q);
	buf_puts(out, ", ");
	put_told(out, q, cut);
	buf_puts(out, ", ");
	put_cleared(out, q, cut);
	buf_puts(out,
		", judged AS (SELECT k.n, k.key, k.kind, k.differences, k.before, "
		"s." REPAIR_SOURCE " AS has_source, coalesce(t.op <> 'D' AND t.position > "
		"z.position, false) AS alive, greatest(coalesce(t.position, -1), z.position) AS "
		"newest, t.lsn AS told_lsn, t.committed AS told_at, t.image = ");
	repair_put_image(out, q, "s", false);
	buf_puts(out, " AS same FROM ");
	repair_put_stage(out, q->keyed);
	buf_puts(out, " k JOIN ");
	repair_put_stage(out, q->rows);
	buf_puts(out,
		" s ON s." REPAIR_N " = k.n AND s." REPAIR_COPY " = 0 CROSS JOIN cleared z "
		"LEFT JOIN told t ON t.n = k.n LEFT JOIN held x ON x.n = k.n "
		"WHERE NOT z.lost AND NOT coalesce(t.touched, false) AND "
		"coalesce('[' || x.images || ']', '[]') = k.before) SELECT *, "
		"CASE WHEN has_source THEN alive AND same ELSE NOT alive END AS \"right\", ");
	buf_putf(out,
		"greatest(newest, CAST(%" PRIu64 " AS HUGEINT) * 4294967296 - 1) + 1 AS next, "
		"greatest(told_at, make_timestamptz(%" PRId64 ")) AS corrected_at FROM judged",
		cut->at.v > 0 ? cut->at.v - 1 : 0, cut_us);
}

/* ---- writing it ---- */

void repair_put_delete(struct buf *out, const struct repair_sql *q)
{
	buf_puts(out, "DELETE FROM ");
	repair_put_current(out, q);
	buf_puts(out, " AS c USING ");
	repair_put_stage(out, q->rows);
	buf_puts(out,
		" AS s, " REPAIR_CHOSEN " AS x WHERE s." REPAIR_N " = x.n AND s." REPAIR_COPY
		" = 0 AND ");
	repair_put_match(out, q, "s", "c");
	buf_putc(out, ';');
}

/* The row is the fold of history's newest entry for it, which may be one that we add. */
static void put_insert(struct buf *out, const struct repair_sql *q)
{
	buf_puts(out, "INSERT INTO ");
	repair_put_current(out, q);
	buf_puts(out, " (");
	repair_put_columns(out, q, NULL);
	buf_puts(out, ", _lsn, _committed_at, _exact) SELECT ");
	repair_put_columns(out, q, "s");
	buf_puts(out,
		", CASE WHEN x.\"right\" THEN x.told_lsn ELSE CAST(x.next // 4294967296 AS BIGINT) "
		"END, CASE WHEN x.\"right\" THEN x.told_at ELSE x.corrected_at END, s._exact FROM ");
	repair_put_stage(out, q->rows);
	buf_puts(out,
		" s JOIN " REPAIR_CHOSEN " x ON s." REPAIR_N " = x.n WHERE s." REPAIR_SOURCE ";");
}

static bool is_key(const struct repair_sql *q, size_t c)
{
	for (size_t k = 0; k < q->nkeys; k++)
		if (str_eq(q->keys[k], q->columns[c]))
			return true;
	return false;
}

/* A deletion has its key alone, as the stream brings it. */
static void put_history_values(struct buf *out, const struct repair_sql *q)
{
	for (size_t c = 0; c < q->ncolumns; c++) {
		if (c > 0)
			buf_puts(out, ", ");
		if (!is_key(q, c))
			buf_puts(out, "CASE WHEN x.has_source THEN ");
		put_column(out, "s", q->columns[c]);
		if (!is_key(q, c))
			buf_puts(out, " END");
	}
}

static void put_history_entry(struct buf *out, const struct repair_sql *q)
{
	buf_puts(out, "INSERT INTO ");
	repair_put_history(out, q);
	buf_puts(out, " (");
	repair_put_columns(out, q, NULL);
	buf_puts(out, ", _op, _lsn, _seq, _xid, _committed_at, _exact) SELECT ");
	put_history_values(out, q);
	buf_puts(out,
		", CASE WHEN NOT x.has_source THEN 'D' WHEN x.alive THEN 'U' ELSE 'I' END, "
		"CAST(x.next // 4294967296 AS BIGINT), CAST(x.next % 4294967296 AS UINTEGER), 1, "
		"x.corrected_at, ");
	buf_puts(out, q->key_in_exact ? "s._exact" : "CASE WHEN x.has_source THEN s._exact END");
	buf_puts(out, " FROM ");
	repair_put_stage(out, q->rows);
	buf_puts(out,
		" s JOIN " REPAIR_CHOSEN " x ON s." REPAIR_N " = x.n WHERE NOT x.\"right\" AND "
		"s." REPAIR_COPY " = 0;");
}

static void put_record(struct buf *out, const struct repair_sql *q, const struct cut *cut,
	struct str id, int64_t now_us)
{
	struct arena mem = {0};
	char at[LSN_TEXT];

	buf_puts(out, "INSERT INTO ops.repairs WITH ");
	repair_put_held(out, q);
	buf_puts(out, " SELECT ");
	sql_text(out, id);
	buf_puts(out, ", ");
	sql_text(out, arena_fmt(&mem, "%.*s.%.*s", STR_ARG(q->schema), STR_ARG(q->table)));
	buf_putf(out,
		", x.key, x.kind, x.differences, x.before, "
		"coalesce('[' || h.images || ']', '[]'), '%s', "
		"CASE WHEN x.\"right\" THEN x.newest ELSE x.next END, NOT x.\"right\", "
		"make_timestamptz(%" PRId64 "), NULL FROM " REPAIR_CHOSEN
		" x LEFT JOIN held h ON h.n = x.n ORDER BY x.n;",
		lsn_format(cut->at, at), now_us);
	arena_free(&mem);
}

void repair_put_script(struct buf *out, const struct repair_sql *q, const struct cut *cut,
	int64_t cut_us, struct str id, int64_t now_us, bool token_first)
{
	if (token_first)
		repair_put_token(out, q);
	buf_puts(out, "CREATE TEMP TABLE repair_chosen AS ");
	repair_put_chosen(out, q, cut, cut_us);
	buf_putc(out, ';');
	repair_put_delete(out, q);
	put_insert(out, q);
	put_history_entry(out, q);
	put_record(out, q, cut, id, now_us);
	repair_put_unstage(out, q);
	if (!token_first)
		repair_put_token(out, q);
}
