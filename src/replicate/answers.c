#include "answers.h"

#include <inttypes.h>
#include <string.h>

#include "marks.h"

/* ---- in the warehouse ---- */

static void put_key(const struct answer *x, struct buf *sql)
{
	buf_putf(sql, "relid = %" PRIu32 " AND lsn_number = %" PRIu64 " AND kind = ", x->relid,
		x->at.v);
	sql_text(sql, x->kind);
	buf_puts(sql, " AND shape_before = ");
	sql_text(sql, x->before);
	buf_puts(sql, " AND shape_said = ");
	sql_text(sql, x->said);
	buf_puts(sql, " AND body = ");
	sql_text(sql, x->body);
}

void answer_sql(const struct answer *x, struct buf *sql)
{
	const struct str texts[] = {x->kind, x->schema, x->name, x->before, x->said, x->body};

	buf_putf(sql,
		"INSERT INTO ops.schema_answers SELECT (SELECT coalesce(max(n), 0) + 1 FROM "
		"ops.schema_answers), %" PRIu32 ", %" PRIu64 ", %s",
		x->relid, x->at.v, x->at_rest ? "true" : "false");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_puts(sql, ", ");
		sql_text(sql, texts[i]);
	}
	buf_puts(sql, " WHERE NOT EXISTS (SELECT 1 FROM ops.schema_answers WHERE ");
	put_key(x, sql);
	buf_puts(sql, "); ");
}

void answer_sql_new(const struct answer *x, uint64_t n, struct buf *sql)
{
	const struct str texts[] = {x->kind, x->schema, x->name, x->before, x->said, x->body};

	buf_putf(sql, "%s(%" PRIu64 ", %" PRIu32 ", %" PRIu64 ", %s",
		sql->n == 0 ? "INSERT INTO ops.schema_answers VALUES " : ", ", n, x->relid, x->at.v,
		x->at_rest ? "true" : "false");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_puts(sql, ", ");
		sql_text(sql, texts[i]);
	}
	buf_putc(sql, ')');
}

struct reading {
	struct arena *mem;
	struct answers *out;
};

static struct answer *add(struct answers *all, struct arena *mem)
{
	if (all->n == all->cap) {
		size_t cap = all->cap > 0 ? all->cap * 2 : 32;
		struct answer *more = arena_array(mem, cap, sizeof(*more));
		if (all->n > 0)
			memcpy(more, all->items, all->n * sizeof(*more));
		all->items = more;
		all->cap = cap;
	}
	return &all->items[all->n++];
}

/* Every column is read as text. */
static enum err take_rows(void *arg, const struct chunk *c, struct error *e)
{
	struct reading *r = arg;

	for (size_t row = 0; row < c->rows; row++) {
		struct answer *x = add(r->out, r->mem);
		uint64_t relid = 0, at = 0;
		struct str *const texts[] = {
			&x->kind, &x->schema, &x->name, &x->before, &x->said, &x->body};
		if (!str_to_u64(vec_text(&c->cols[0], row), &relid) || relid > UINT32_MAX ||
			!str_to_u64(vec_text(&c->cols[1], row), &at))
			return FAIL(e, ERR_INPUT,
				"reading ops.schema_answers: a relid or position is no number; "
				"remove that row");
		x->relid = (uint32_t)relid;
		x->at.v = at;
		x->at_rest = str_eqc(vec_text(&c->cols[2], row), "true");
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			*texts[i] = arena_str(r->mem, vec_text(&c->cols[3 + i], row));
	}
	return OK;
}

enum err answers_read(struct warehouse *w, struct str where, struct arena *mem, struct answers *out,
	struct error *e)
{
	struct reading r = {.mem = mem, .out = out};
	struct buf sql;

	*out = (struct answers){.n = 0};
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql,
		"SELECT CAST(relid AS VARCHAR), CAST(lsn_number AS VARCHAR), "
		"CAST(at_rest AS VARCHAR), kind, schema_name, table_name, shape_before, shape_said, "
		"body FROM ops.schema_answers WHERE ");
	buf_put(&sql, where);
	buf_puts(&sql, " ORDER BY lsn_number, n");
	enum err rc = warehouse_query(w, buf_str(&sql), take_rows, &r, e);
	buf_free(&sql);
	return rc;
}

/* ---- what it says of a table ---- */

bool answer_fits(const struct answer *x, const struct table *said, struct arena *mem)
{
	struct error why = {.kind = OK};
	struct table *t;

	if (mark_read_shape(x->said, x->schema, x->name, mem, &t, &why) != OK ||
		t->ncolumns != said->ncolumns)
		return false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *a = &t->columns[i], *b = &said->columns[i];
		if (!str_eq(a->name, b->name) || a->pg_type != b->pg_type ||
			a->pg_modifier != b->pg_modifier)
			return false;
	}
	return true;
}

enum err answer_take(const struct answer *x, struct table *said, struct arena *mem, struct error *e)
{
	struct table *t;

	TRY(mark_read_shape(x->said, x->schema, x->name, mem, &t, e));
	for (size_t i = 0; i < t->ncolumns && i < said->ncolumns; i++) {
		said->columns[i].type = t->columns[i].type;
		said->columns[i].is_key = t->columns[i].is_key;
		said->columns[i].attnum = t->columns[i].attnum;
	}
	said->highest = t->highest;
	table_index_keys(said, mem);
	return OK;
}

/* Columns whose number nobody knew go by their names. */
void answer_pair(const struct table *before, const struct table *said, int *from)
{
	for (size_t i = 0; i < said->ncolumns; i++) {
		const struct column *c = &said->columns[i];
		from[i] = -1;
		for (size_t k = 0; k < before->ncolumns && from[i] < 0; k++) {
			const struct column *was = &before->columns[k];
			if (c->attnum != 0 && was->attnum != 0 ? c->attnum == was->attnum
							       : str_eq(c->name, was->name))
				from[i] = (int)k;
		}
	}
}

/* ---- as a line of a file ---- */

void answer_write(const struct answer *x, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_i64(&j, "relid", x->relid);
	jo_u64(&j, "lsn", x->at.v);
	jo_bool(&j, "at_rest", x->at_rest);
	jo_str(&j, "kind", x->kind);
	jo_str(&j, "schema", x->schema);
	jo_str(&j, "table", x->name);
	jo_str(&j, "before", x->before);
	jo_str(&j, "said", x->said);
	jo_str(&j, "body", x->body);
	jo_end_object(&j);
}

enum err answer_parse(struct str text, struct arena *mem, struct answer *out, struct error *e)
{
	struct str *const texts[] = {
		&out->kind, &out->schema, &out->name, &out->before, &out->said, &out->body};
	static const char *const names[] = {"kind", "schema", "table", "before", "said", "body"};
	int64_t relid = 0, at = 0;
	json_t *doc;

	TRY(json_read(text, "a schema answer", &doc, e));
	enum err rc = json_want_i64(doc, "relid", &relid, e);
	if (rc == OK)
		rc = json_want_i64(doc, "lsn", &at, e);
	if (rc == OK)
		rc = json_want_bool(doc, "at_rest", &out->at_rest, e);
	for (size_t i = 0; rc == OK && i < sizeof(names) / sizeof(names[0]); i++) {
		struct str s;
		rc = json_want_str(doc, names[i], &s, e);
		if (rc == OK)
			*texts[i] = arena_str(mem, s);
	}
	json_decref(doc);
	if (rc == OK && (relid < 0 || relid > UINT32_MAX || at < 0))
		rc = FAIL(e, ERR_INPUT, "a schema answer: relid or lsn is out of range");
	out->relid = (uint32_t)relid;
	out->at.v = (uint64_t)at;
	return rc;
}
