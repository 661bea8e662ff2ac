#include "backfill.h"

#include "guard.h"
#include "json.h"
#include "pg_value.h"

void backfill_free(struct backfill *b)
{
	batch_free(b->value);
	arena_free(&b->mem);
	*b = (struct backfill){.value = NULL};
}

/* ---- what is to be done ---- */

static void add_again(struct backfill *b, size_t column, bool added)
{
	b->again[b->nagain] = (uint16_t)column;
	b->added[b->nagain++] = added;
}

/* A value of the catalog in the form in which it may be kept. */
static struct str guarded(struct apply *a, const struct table *t, const struct column *c,
	struct str value, struct arena *mem)
{
	const struct guard_table *rules = guard_find(a->r->o->guard, t->schema, t->name);
	const struct guard_column *rule = rules != NULL ? guard_find_column(rules, c->name) : NULL;
	struct buf kept;

	if (rule == NULL)
		return arena_str(mem, value);
	buf_init(&kept, BUF_MAX_DEFAULT);
	guard_value(rule, value, &kept);
	struct str s = arena_str(mem, buf_str(&kept));
	buf_free(&kept);
	return s;
}

/* The text must live as long as the batch. */
static enum err set_value(
	struct backfill *b, const struct table *now, size_t i, struct str text, struct error *e)
{
	if (b->value == NULL) {
		b->value = batch_new(now);
		(void)batch_add(b->value);
	}
	b->texts[i] = arena_str(&b->mem, text);
	return pg_value_text(b->value, 0, i, b->texts[i], e);
}

static enum err plan_new(struct apply *a, struct backfill *b, const struct table *now, size_t i,
	const struct attribute *at, struct buf *unknown, struct error *e)
{
	struct str name = now->columns[i].name;

	/* It has gone again, and its values with it. */
	if (at != NULL && !at->live)
		return OK;
	if (at == NULL) {
		buf_putf(unknown, "%s%.*s", unknown->n > 0 ? ", " : "", STR_ARG(name));
		return OK;
	}
	if (at->filled)
		add_again(b, i, true);
	if (at->filled || !at->has_value || at->value_null)
		return OK;
	return set_value(b, now, i, guarded(a, now, &now->columns[i], at->value, &b->mem), e);
}

static void make_room(struct backfill *b, const struct table *now)
{
	b->again = arena_array(&b->mem, now->ncolumns + 1, sizeof(*b->again));
	b->added = arena_array(&b->mem, now->ncolumns + 1, sizeof(*b->added));
	b->texts = arena_array(&b->mem, now->ncolumns + 1, sizeof(*b->texts));
}

static bool is_retyped(const struct column *was, const struct column *is)
{
	return was->pg_type != is->pg_type || was->pg_modifier != is->pg_modifier;
}

enum err backfill_plan(struct apply *a, const struct table *now, const struct table *before,
	const int *from, const struct attributes *asked, struct backfill *out, struct error *e)
{
	struct buf unknown;
	enum err rc = OK;

	*out = (struct backfill){.value = NULL};
	/* A replay to which nothing was handed has no source to ask: its rows keep NULL. */
	if (a->r->replay != NULL || before == NULL)
		return OK;
	make_room(out, now);
	buf_init(&unknown, 1 << 20);
	for (size_t i = 0; rc == OK && i < now->ncolumns; i++) {
		const struct column *c = &now->columns[i];
		if (from[i] < 0)
			rc = plan_new(
				a, out, now, i, attributes_find(asked, c->attnum), &unknown, e);
		else if (is_retyped(&before->columns[from[i]], c))
			add_again(out, i, false);
	}
	out->unknown = arena_str(&out->mem, buf_str(&unknown));
	buf_free(&unknown);
	if (rc != OK)
		backfill_free(out);
	return rc;
}

/* ---- the plan, kept ---- */

void backfill_write(const struct backfill *b, const struct table *now, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_array(&j, "values");
	for (size_t i = 0; b->value != NULL && i < now->ncolumns; i++) {
		if (b->texts[i].p == NULL)
			continue;
		jo_object(&j, NULL);
		jo_str(&j, "name", now->columns[i].name);
		jo_str(&j, "value", b->texts[i]);
		jo_end_object(&j);
	}
	jo_end_array(&j);
	jo_array(&j, "again");
	for (size_t i = 0; i < b->nagain; i++) {
		jo_object(&j, NULL);
		jo_str(&j, "name", now->columns[b->again[i]].name);
		jo_bool(&j, "added", b->added[i]);
		jo_end_object(&j);
	}
	jo_end_array(&j);
	jo_str(&j, "unknown", b->unknown);
	jo_end_object(&j);
}

static enum err want_column(
	const json_t *item, const struct table *now, size_t *out, struct error *e)
{
	struct str name;

	TRY(json_want_str(item, "name", &name, e));
	int at = table_column(now, name);
	if (at < 0)
		return FAIL(e, ERR_INPUT, "%.*s is no column of the table", STR_ARG(name));
	*out = (size_t)at;
	return OK;
}

static enum err parse_plan(
	const json_t *doc, const struct table *now, struct backfill *out, struct error *e)
{
	const json_t *item;
	struct str value;
	size_t k, at = 0;
	bool added;

	json_array_foreach (json_object_get(doc, "values"), k, item) {
		TRY(want_column(item, now, &at, e));
		TRY(json_want_str(item, "value", &value, e));
		TRY(set_value(out, now, at, value, e));
	}
	json_array_foreach (json_object_get(doc, "again"), k, item) {
		TRY(want_column(item, now, &at, e));
		TRY(json_want_bool(item, "added", &added, e));
		if (out->nagain < now->ncolumns)
			add_again(out, at, added);
	}
	TRY(json_want_str(doc, "unknown", &value, e));
	out->unknown = arena_str(&out->mem, value);
	return OK;
}

enum err backfill_parse(
	struct str text, const struct table *now, struct backfill *out, struct error *e)
{
	json_t *doc = NULL;

	*out = (struct backfill){.value = NULL};
	make_room(out, now);
	if (text.n == 0)
		return OK;
	enum err rc = json_read(text, "what is to be filled in", &doc, e);
	if (rc == OK)
		rc = parse_plan(doc, now, out, e);
	json_decref(doc);
	if (rc != OK)
		backfill_free(out);
	return rc;
}

/* ---- a value that all rows have in common ---- */

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

static void put_update(struct buf *sql, const struct backfill *b, struct str schema)
{
	const struct table *t = b->value->table;
	bool first = true;

	buf_puts(sql, "UPDATE ");
	sql_name(sql, schema);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
	buf_puts(sql, " SET ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (vec_is_null(&b->value->cols[i], 0))
			continue;
		buf_puts(sql, first ? "" : ", ");
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, " = ");
		put_value(sql, &b->value->cols[i]);
		first = false;
	}
	put_exact(sql, b->value, first);
}

enum err backfill_rows(struct apply *a, const struct backfill *b, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	if (b->value == NULL)
		return OK;
	buf_init(&sql, BUF_MAX_DEFAULT);
	put_update(&sql, b, b->value->table->schema);
	buf_puts(&sql, "; ");
	/* Versions of before are asked for as well: what a row was at a cut it was with the value.
	 */
	put_update(&sql, b, arena_fmt(&mem, "%.*s_history", STR_ARG(b->value->table->schema)));
	buf_puts(&sql, " WHERE _op NOT IN ('D', 'T')");
	enum err rc = apply_script(a, buf_str(&sql), e);
	buf_free(&sql);
	arena_free(&mem);
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
