#include "duckdb_driver.h"

#include "json.h"

/*
 * Columns that have new names (column.was): current and history both follow, with the values that
 * stand there and the texts that _exact keeps of them. A column of the new name that is in the
 * way is one that the source has dropped: current loses it, history keeps it as NAME__was_TYPE.
 */

static enum err alter(struct duck *d, const struct duck_renaming *r, struct duck_column *c,
	struct str to, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "ALTER TABLE ");
	r->name(&sql, r->table);
	buf_puts(&sql, " RENAME COLUMN ");
	sql_name(&sql, c->name);
	buf_puts(&sql, " TO ");
	sql_name(&sql, to);
	enum err rc = duck_exec(d->writer, &sql, "renaming a column in the warehouse", e);
	buf_free(&sql);
	if (rc == OK)
		c->name = arena_str(r->mem, to);
	return rc;
}

static enum err drop(struct duck *d, const struct duck_renaming *r, size_t at, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "ALTER TABLE ");
	r->name(&sql, r->table);
	buf_puts(&sql, " DROP COLUMN ");
	sql_name(&sql, r->have->columns[at].name);
	enum err rc = duck_exec(d->writer, &sql, "dropping a column in the warehouse", e);
	buf_free(&sql);
	for (size_t i = at; i + 1 < r->have->n; i++)
		r->have->columns[i] = r->have->columns[i + 1];
	r->have->n--;
	return rc;
}

static enum err put_aside(struct duck *d, const struct duck_renaming *r, size_t at, struct error *e)
{
	struct duck_column *c = &r->have->columns[at];

	return alter(d, r, c, duck_old_name(c, r->have, r->mem), e);
}

enum err duck_make_way(struct duck *d, const struct duck_renaming *r,
	const struct duck_shape *current, struct error *e)
{
	const struct table *t = r->table;

	for (size_t i = 0; current->exists && i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];
		int at = duck_shape_find(r->have, c->name);
		if (c->was.n == 0 && at >= 0 && duck_shape_find(current, c->name) < 0)
			TRY(put_aside(d, r, (size_t)at, e));
	}
	return OK;
}

/* The texts in _exact stand under their columns' names. */
static enum err rename_notes(struct duck *d, const struct duck_renaming *r, struct str from,
	struct str to, struct error *e)
{
	struct buf sql, key;
	struct json_out j;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_init(&key, 1 << 16);
	jo_init(&j, &key);
	jo_object(&j, NULL);
	char *name = arena_cstr(r->mem, from);
	jo_null(&j, name);
	jo_end_object(&j);
	buf_puts(&sql, "UPDATE ");
	r->name(&sql, r->table);
	buf_puts(&sql, " SET _exact = json_merge_patch(json_merge_patch(_exact, ");
	sql_text(&sql, buf_str(&key));
	buf_puts(&sql, "), json_object(");
	sql_text(&sql, to);
	buf_puts(&sql, ", ");
	duck_exact_text(&sql, NULL, from);
	buf_puts(&sql, ")) WHERE ");
	duck_exact_text(&sql, NULL, from);
	buf_puts(&sql, " IS NOT NULL");
	enum err rc = duck_exec(d->writer, &sql, "renaming a column in the warehouse", e);
	buf_free(&sql);
	buf_free(&key);
	return rc;
}

/* True when another column takes its new name from this one: then nothing is in the way. */
static bool moves_away(const struct table *t, struct str name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (str_ieq(t->columns[i].was, name))
			return true;
	return false;
}

static enum err clear_target(
	struct duck *d, const struct duck_renaming *r, struct str name, struct error *e)
{
	int at = duck_shape_find(r->have, name);

	if (at < 0 || moves_away(r->table, name))
		return OK;
	return r->keeps ? put_aside(d, r, (size_t)at, e) : drop(d, r, (size_t)at, e);
}

/* Two columns may swap their names, so all first take one that nobody has. */
static struct str between(const struct duck_renaming *r, size_t i)
{
	return arena_fmt(r->mem, "sluice__renaming_%zu", i);
}

/* What stands under the name of a column that came in the place of another goes. */
static enum err clear_replaced(struct duck *d, const struct duck_renaming *r, struct error *e)
{
	const struct table *t = r->table;

	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].anew)
			TRY(clear_target(d, r, t->columns[i].name, e));
	return OK;
}

enum err duck_rename_columns(struct duck *d, const struct duck_renaming *r, struct error *e)
{
	const struct table *t = r->table;

	TRY(clear_replaced(d, r, e));

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];
		/* When its old name is gone, an earlier try has come so far. */
		int at = c->was.n > 0 ? duck_shape_find(r->have, c->was) : -1;
		if (at < 0)
			continue;
		TRY(clear_target(d, r, c->name, e));
		at = duck_shape_find(r->have, c->was);
		TRY(rename_notes(d, r, c->was, between(r, i), e));
		TRY(alter(d, r, &r->have->columns[at], between(r, i), e));
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		int at = duck_shape_find(r->have, between(r, i));
		if (at < 0)
			continue;
		TRY(rename_notes(d, r, between(r, i), t->columns[i].name, e));
		TRY(alter(d, r, &r->have->columns[at], t->columns[i].name, e));
	}
	return OK;
}
