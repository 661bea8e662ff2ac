#include "parts_key.h"

#include <stdlib.h>
#include <string.h>

#include "pg_types.h"
#include "warehouse.h"

/* The last moment that 64 bits of microseconds since 1970 hold below the infinity's. */
#define LAST_MOMENT "294247-01-10 04:00:54.775806"

/* Every value of the kind has one order on both sides. */
static bool has_order(const struct column *c)
{
	switch (c->type.kind) {
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UUID:
	case T_DATE:
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
	case T_DECIMAL:
	case T_TEXT:
		return c->guard == NULL;
	case T_UINT4:
		return c->guard == NULL && c->pg_type == PG_OID;
	case T_BOOL:
	case T_FLOAT4:
	case T_FLOAT8:
	case T_JSON:
	case T_BYTES:
	case T_TIME:
	case T_INTERVAL:
	case T_KINDS:
		break;
	}
	return false;
}

/* What a DECIMAL of the warehouse holds: neither NaN nor infinity, nor too many digits. */
static struct str decimal_held(struct str name, struct type t, struct arena *mem)
{
	int whole = t.precision - t.scale;

	return arena_fmt(mem,
		"(pg_catalog.abs(%.*s) < ('1e%d')::pg_catalog.numeric AND %.*s = "
		"pg_catalog.trunc(%.*s, %u))",
		STR_ARG(name), whole, STR_ARG(name), STR_ARG(name), t.scale);
}

static struct str held(const struct column *c, struct str name, struct arena *mem)
{
	const char *zone = c->type.kind == T_TIMESTAMPTZ ? "+00" : "";

	if (c->type.kind == T_DECIMAL)
		return decimal_held(name, c->type, mem);
	if (c->type.kind != T_TIMESTAMP && c->type.kind != T_TIMESTAMPTZ)
		return STR_NONE;
	return arena_fmt(mem, "(%.*s <= '" LAST_MOMENT "%s' OR %.*s = 'infinity')", STR_ARG(name),
		zone, STR_ARG(name));
}

static void cut_column_of(const struct column *c, struct str pg_type, bool plain_bytes,
	struct arena *mem, struct cut_column *out)
{
	struct str name = pg_ident(mem, c->name);
	bool text = c->type.kind == T_TEXT;
	bool own = c->pg_type == PG_TEXT || c->pg_type == PG_VARCHAR;

	*out = (struct cut_column){.column = c,
		.expression = name,
		.pg_type = pg_type,
		.held = held(c, name, mem),
		.indexed = !text || (own && plain_bytes)};
	if (!text)
		return;
	out->pg_type = STR("pg_catalog.text");
	if (!own)
		out->expression = arena_fmt(mem, "pg_catalog.concat(%.*s)", STR_ARG(name));
	if (!own || !plain_bytes)
		out->collate = STR(" COLLATE pg_catalog.\"C\"");
}

static enum err index_columns(
	struct pg *c, const struct table *t, struct arena *mem, PGresult **out, struct error *e)
{
	const char *relid = arena_fmt(mem, "%u", t->relid).p;
	const char *const params[] = {relid};
	const char *icu = c->server_version >= 150000 ? " AND d.datlocprovider <> 'i'" : "";
	struct str sql = arena_fmt(mem,
		"SELECT a.attname, pg_catalog.format_type(a.atttypid, NULL), a.attnotnull, "
		"coalesce(l.collname IN ('C', 'POSIX') OR (l.collname = 'default' AND "
		"d.datcollate IN ('C', 'POSIX')%s), true), "
		"coalesce((SELECT s.correlation FROM pg_catalog.pg_stats s WHERE s.schemaname = "
		"n.nspname AND s.tablename = r.relname AND s.attname = a.attname "
		"ORDER BY s.inherited DESC LIMIT 1), 1)"
		" FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace"
		" JOIN pg_catalog.pg_index i ON i.indrelid = r.oid AND CASE r.relreplident "
		"WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END"
		" CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) "
		"WITH ORDINALITY AS k(attnum, place)"
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum"
		" LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
		" JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
		" WHERE r.oid = $1::pg_catalog.oid AND k.place <= i.indnkeyatts ORDER BY k.place",
		icu);
	return pg_query(c, sql.p, 1, params, "reading the order of a table's key", mem, out, e);
}

enum err cut_key_of(struct pg *c, const struct table *t, struct arena *mem, struct cut_key *out,
	struct error *e)
{
	PGresult *r;
	const char *encoding = PQparameterStatus(c->conn, "server_encoding");
	bool no_encoding = encoding == NULL || strcmp(encoding, "SQL_ASCII") == 0;

	*out = (struct cut_key){.n = 0};
	TRY(index_columns(c, t, mem, &r, e));
	for (int i = 0; i < PQntuples(r) && out->n < CUT_COLUMNS; i++) {
		int at = table_column(t, pg_cell_str(r, i, 0));

		if (at < 0 || !pg_cell_bool(r, i, 2) || !has_order(&t->columns[at]) ||
			(no_encoding && t->columns[at].type.kind == T_TEXT))
			break;
		cut_column_of(&t->columns[at], arena_str(mem, pg_cell_str(r, i, 1)),
			pg_cell_bool(r, i, 3), mem, &out->columns[out->n]);
		double correlation = strtod(pg_cell(r, i, 4), NULL);
		if (out->n == 0)
			out->scans = !out->columns[0].indexed ||
				(correlation < 0.5 && correlation > -0.5);
		out->n++;
	}
	return OK;
}

/* ---- conditions ---- */

static void put_row(struct buf *out, const struct cut_key *k, const struct str *values)
{
	struct arena mem = {0};

	buf_puts(out, "ROW(");
	for (size_t i = 0; i < k->n; i++) {
		const struct cut_column *c = &k->columns[i];

		buf_puts(out, i > 0 ? ", " : "");
		if (values == NULL)
			buf_put(out, c->expression);
		else
			buf_putf(out, "%.*s::%.*s", STR_ARG(pg_literal(&mem, values[i])),
				STR_ARG(c->pg_type));
		buf_put(out, c->collate);
	}
	buf_putc(out, ')');
	arena_free(&mem);
}

/* Joins what is held by AND; false when everything always is. */
static bool put_held(struct buf *out, const struct cut_key *k, bool source)
{
	bool any = false;

	for (size_t i = 0; i < k->n; i++) {
		if (k->columns[i].held.n == 0)
			continue;
		buf_puts(out, any ? " AND " : "");
		any = true;
		if (source) {
			buf_put(out, k->columns[i].held);
			continue;
		}
		sql_name(out, k->columns[i].column->name);
		buf_puts(out, " IS NOT NULL");
	}
	return any;
}

typedef void put_bounds_fn(
	struct buf *out, const struct cut_key *k, const struct str *low, const struct str *high);

static void put_condition(struct buf *out, const struct cut_key *k, const struct str *low,
	const struct str *high, bool last, bool source, put_bounds_fn *put_bounds)
{
	struct buf holds;

	buf_init(&holds, 1 << 20);
	bool any = put_held(&holds, k, source);
	if (any && last)
		buf_puts(out, "(");
	put_bounds(out, k, low, high);
	if (any)
		buf_putf(out, " AND %.*s", STR_ARG(buf_str(&holds)));
	if (any && last)
		buf_putf(out, ") OR NOT (%.*s)", STR_ARG(buf_str(&holds)));
	buf_free(&holds);
}

static void put_source_bounds(
	struct buf *out, const struct cut_key *k, const struct str *low, const struct str *high)
{
	if (low != NULL) {
		put_row(out, k, NULL);
		buf_puts(out, " >= ");
		put_row(out, k, low);
	}
	if (low != NULL && high != NULL)
		buf_puts(out, " AND ");
	if (high != NULL) {
		put_row(out, k, NULL);
		buf_puts(out, " < ");
		put_row(out, k, high);
	}
}

void cut_key_put_source(struct buf *out, const struct cut_key *k, const struct str *low,
	const struct str *high, bool last)
{
	put_condition(out, k, low, high, last, true, put_source_bounds);
}

static void put_literal(struct buf *out, const struct column *c, struct str value)
{
	static const char *const casts[T_KINDS] = {[T_UUID] = "UUID",
		[T_DATE] = "DATE",
		[T_TIMESTAMP] = "TIMESTAMP",
		[T_TIMESTAMPTZ] = "TIMESTAMP WITH TIME ZONE"};

	if (c->type.kind == T_TEXT) {
		sql_text(out, value);
	} else if (c->type.kind == T_DECIMAL) {
		buf_puts(out, "CAST(");
		sql_text(out, value);
		buf_putf(out, " AS DECIMAL(%u, %u))", c->type.precision, c->type.scale);
	} else if (casts[c->type.kind] != NULL) {
		buf_puts(out, "CAST(");
		sql_text(out, value);
		buf_putf(out, " AS %s)", casts[c->type.kind]);
	} else {
		buf_put(out, value); /* an integer */
	}
}

static void put_comparison(
	struct buf *out, const struct cut_column *c, const char *operator, struct str value)
{
	sql_name(out, c->column->name);
	buf_putf(out, " %s ", operator);
	put_literal(out, c->column, value);
}

/* a > x OR (a = x AND (b > y OR (b = y AND ...))), the last column with `end`. */
static void put_beyond(struct buf *out, const struct cut_key *k, const struct str *values,
	const char *operator, const char * end)
{
	for (size_t i = 0; i + 1 < k->n; i++) {
		buf_putc(out, '(');
		put_comparison(out, &k->columns[i], operator, values[i]);
		buf_puts(out, " OR (");
		put_comparison(out, &k->columns[i], "=", values[i]);
		buf_puts(out, " AND ");
	}
	put_comparison(out, &k->columns[k->n - 1], end, values[k->n - 1]);
	for (size_t i = 0; i + 1 < k->n; i++)
		buf_puts(out, "))");
}

/* The first column's bound once more by itself: by it an engine leaves out what it need not read.
 */
static void put_replica_bounds(
	struct buf *out, const struct cut_key *k, const struct str *low, const struct str *high)
{
	if (low != NULL && k->n > 1) {
		put_comparison(out, &k->columns[0], ">=", low[0]);
		buf_puts(out, " AND ");
	}
	if (low != NULL)
		put_beyond(out, k, low, ">", ">=");
	if (low != NULL && high != NULL)
		buf_puts(out, " AND ");
	if (high != NULL && k->n > 1) {
		put_comparison(out, &k->columns[0], "<=", high[0]);
		buf_puts(out, " AND ");
	}
	if (high != NULL)
		put_beyond(out, k, high, "<", "<");
}

void cut_key_put_replica(struct buf *out, const struct cut_key *k, const struct str *low,
	const struct str *high, bool last)
{
	put_condition(out, k, low, high, last, false, put_replica_bounds);
}
