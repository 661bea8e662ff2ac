#include "backfill.h"

#include <stdio.h>

#include "pg_value.h"
#include "source.h"

void backfill_free(struct backfill *b)
{
	batch_free(b->value);
	arena_free(&b->mem);
	*b = (struct backfill){.value = NULL};
}

static bool is_new(const struct table *before, struct str column)
{
	return table_column(before, column) < 0;
}

static bool any_new(const struct table *now, const struct table *before)
{
	for (size_t i = 0; i < now->ncolumns; i++)
		if (is_new(before, now->columns[i].name))
			return true;
	return false;
}

enum cell { CELL_NAME, CELL_VALUE, CELL_FILLED };

static enum err ask(
	struct apply *a, const struct table *t, struct arena *mem, PGresult **out, struct error *e)
{
	/* filled: rows that stood there may have got a value each, by a rewrite of the table. */
	static const char sql[] =
		"SELECT attname, (attmissingval::text::text[])[1], NOT atthasmissing AND "
		"(atthasdef OR attnotnull OR attidentity <> '') FROM pg_catalog.pg_attribute "
		"WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped";
	struct pg *c = NULL;
	char relid[16];
	const char *params[] = {relid};

	snprintf(relid, sizeof(relid), "%u", t->relid);
	enum err rc = source_open(&c, a->r->o, &a->r->env, false, e);
	if (rc == OK)
		rc = pg_query(c, sql, 1, params, "asking for the default of an added column", mem,
			out, e);
	pg_close(c);
	return rc;
}

static int find_row(const PGresult *r, struct str column)
{
	for (int row = 0; row < PQntuples(r); row++)
		if (str_eq(pg_cell_str(r, row, CELL_NAME), column))
			return row;
	return -1;
}

static enum err take(struct backfill *b, const PGresult *r, const struct table *now,
	const struct table *before, struct buf *unknown, struct error *e)
{
	for (size_t i = 0; i < now->ncolumns; i++) {
		struct str name = now->columns[i].name;
		int row = is_new(before, name) ? find_row(r, name) : -1;
		if (!is_new(before, name))
			continue;
		if (row < 0 || pg_cell_bool(r, row, CELL_FILLED)) {
			buf_putf(unknown, "%s%.*s", unknown->n > 0 ? ", " : "", STR_ARG(name));
			continue;
		}
		if (pg_cell(r, row, CELL_VALUE) == NULL)
			continue;
		if (b->value == NULL) {
			b->value = batch_new(now);
			(void)batch_add(b->value);
		}
		/* The text must live as long as the batch. */
		struct str text = arena_str(&b->value->mem, pg_cell_str(r, row, CELL_VALUE));
		TRY(pg_value_text(b->value, 0, i, text, e));
	}
	return OK;
}

enum err backfill_ask(struct apply *a, const struct table *now, const struct table *before,
	struct backfill *out, struct error *e)
{
	struct arena mem = {0};
	struct buf unknown;
	PGresult *r = NULL;

	*out = (struct backfill){.value = NULL};
	/* A replay has no source to ask: its rows keep NULL, as their history has it. */
	if (a->r->replay != NULL || before == NULL || !any_new(now, before))
		return OK;
	buf_init(&unknown, 1 << 20);
	enum err rc = ask(a, now, &mem, &r, e);
	if (rc == OK)
		rc = take(out, r, now, before, &unknown, e);
	out->unknown = arena_str(&out->mem, buf_str(&unknown));
	buf_free(&unknown);
	arena_free(&mem);
	if (rc != OK)
		backfill_free(out);
	return rc;
}

static void put_value(struct buf *sql, const struct vec *v)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	type_print(v, 0, &text);
	if (v->type.kind == T_BYTES) { /* printed as \x and hexadecimal digits */
		buf_puts(sql, "unhex(");
		sql_text(sql, str_from(buf_str(&text), 2));
		buf_putc(sql, ')');
	} else
		sql_text(sql, buf_str(&text));
	buf_free(&text);
}

/* Beside the values those that their columns cannot hold, as text. */
static void put_exact(struct buf *sql, const struct batch *value, bool first)
{
	struct buf json;
	size_t at = 0;

	buf_init(&json, BUF_MAX_DEFAULT);
	if (batch_exact_json(value, 0, &at, &json)) {
		buf_puts(sql, first ? "" : ", ");
		buf_puts(sql, "_exact = json_merge_patch(coalesce(_exact, '{}'), ");
		sql_text(sql, buf_str(&json));
		buf_putc(sql, ')');
	}
	buf_free(&json);
}

enum err backfill_current(struct apply *a, const struct backfill *b, struct error *e)
{
	struct buf sql;
	bool first = true;

	if (b->value == NULL)
		return OK;
	const struct table *t = b->value->table;
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "UPDATE ");
	sql_name(&sql, t->schema);
	buf_putc(&sql, '.');
	sql_name(&sql, t->name);
	buf_puts(&sql, " SET ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (vec_is_null(&b->value->cols[i], 0))
			continue;
		buf_puts(&sql, first ? "" : ", ");
		sql_name(&sql, t->columns[i].name);
		buf_puts(&sql, " = ");
		put_value(&sql, &b->value->cols[i]);
		first = false;
	}
	put_exact(&sql, b->value, first);
	enum err rc = warehouse_script(a->r->w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

enum err backfill_batch(const struct backfill *b, struct batch *rows, struct error *e)
{
	struct buf text;
	enum err rc = OK;

	if (b->value == NULL)
		return OK;
	buf_init(&text, BUF_MAX_DEFAULT);
	for (size_t i = 0; rc == OK && i < b->value->table->ncolumns; i++) {
		int at = table_column(rows->table, b->value->table->columns[i].name);
		if (at < 0 || vec_is_null(&b->value->cols[i], 0))
			continue;
		buf_reset(&text);
		type_print(&b->value->cols[i], 0, &text);
		struct str value = arena_str(&rows->mem, buf_str(&text));
		for (size_t row = 0; rc == OK && row < rows->rows; row++)
			if (rows->op[row] != OP_DELETE && rows->op[row] != OP_TRUNCATE)
				rc = pg_value_text(rows, row, (size_t)at, value, e);
	}
	buf_free(&text);
	return rc;
}
