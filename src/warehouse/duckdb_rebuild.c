#include "duckdb_driver.h"

#include <ctype.h>

/*
 * A type has changed: the table is made anew as SELECT from itself and takes its place, within
 * the transaction that is open. Values go through their text, which every type can be read from.
 * In current, what the new type cannot hold is kept in _exact; in history, where a value would
 * be lost or altered, the old column stays as NAME__was_TYPE beside the new one.
 */

#define NEW_SUFFIX "__sluice_new"

/* TRY_CAST(CAST("c" AS VARCHAR) AS type) */
static void put_cast(struct buf *out, struct str name, struct str type)
{
	buf_puts(out, "TRY_CAST(CAST(");
	sql_name(out, name);
	buf_putf(out, " AS VARCHAR) AS %.*s)", STR_ARG(type));
}

static bool changed(const struct duck_shape *have, const struct duck_column *want, int *at)
{
	*at = duck_shape_find(have, want->name);
	return *at >= 0 && !str_eq(have->columns[*at].type, want->type);
}

/* What stood in `have` and the new type cannot hold, merged into _exact. */
static void put_exact(struct buf *out, const struct duck_shape *have, const struct duck_shape *want)
{
	int at;

	buf_puts(out, "CAST(nullif(CAST(json_merge_patch(coalesce(_exact, '{}')");
	for (size_t i = 0; i < want->n; i++) {
		const struct duck_column *c = &want->columns[i];

		if (!changed(have, c, &at))
			continue;
		buf_puts(out, ", CASE WHEN ");
		sql_name(out, c->name);
		buf_puts(out, " IS NOT NULL AND ");
		put_cast(out, c->name, c->type);
		buf_puts(out, " IS NULL THEN json_object(");
		sql_text(out, c->name);
		buf_puts(out, ", CAST(");
		sql_name(out, c->name);
		buf_puts(out, " AS VARCHAR)) ELSE '{}' END");
	}
	buf_puts(out, ") AS VARCHAR), '{}') AS JSON) AS _exact");
}

static void put_wanted(struct buf *out, const struct duck_shape *have, const struct duck_column *c)
{
	int at;

	if (changed(have, c, &at))
		put_cast(out, c->name, c->type);
	else if (at >= 0)
		sql_name(out, c->name);
	else
		buf_putf(out, "CAST(NULL AS %.*s)", STR_ARG(c->type));
	buf_puts(out, " AS ");
	sql_name(out, c->name);
}

/* Runs CREATE TABLE new AS list FROM old; drops old; new takes its name. */
static enum err replace(
	struct duck *d, struct str schema, struct str name, struct buf *list, struct error *e)
{
	struct arena mem = {0};
	struct str fresh = arena_fmt(&mem, "%.*s" NEW_SUFFIX, STR_ARG(name));
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "CREATE TABLE ");
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, fresh);
	buf_putf(&sql, " AS SELECT %s FROM ", buf_cstr(list));
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	buf_puts(&sql, "; DROP TABLE ");
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	buf_puts(&sql, "; ALTER TABLE ");
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, fresh);
	buf_puts(&sql, " RENAME TO ");
	sql_name(&sql, name);
	enum err rc = duck_exec(d->writer, &sql, "changing the type of a column", e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

enum err duck_rebuild_current(struct duck *d, const struct table *t, const struct duck_shape *have,
	const struct duck_shape *want, struct error *e)
{
	struct buf list;

	buf_init(&list, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < want->n; i++) {
		if (i > 0)
			buf_puts(&list, ", ");
		if (str_eqc(want->columns[i].name, "_exact"))
			put_exact(&list, have, want);
		else
			put_wanted(&list, have, &want->columns[i]);
	}
	enum err rc = replace(d, t->schema, t->name, &list, e);
	buf_free(&list);
	return rc;
}

/* Values of a history column that would not come back from the new type as they were. */
static enum err count_lossy(struct duck *d, const struct table *t, const struct duck_column *have,
	const struct duck_column *want, int64_t *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT count(*) FROM ");
	duck_history(&sql, t);
	buf_puts(&sql, " WHERE ");
	sql_name(&sql, have->name);
	buf_puts(&sql, " IS NOT NULL AND TRY_CAST(CAST(");
	put_cast(&sql, have->name, want->type);
	buf_putf(&sql, " AS VARCHAR) AS %.*s) IS DISTINCT FROM ", STR_ARG(have->type));
	sql_name(&sql, have->name);
	enum err rc = duck_number(d->writer, &sql, "looking through the history", out, e);
	buf_free(&sql);
	return rc;
}

/* NAME__was_TYPE, with a number when that name is taken. */
struct str duck_old_name(
	const struct duck_column *c, const struct duck_shape *have, struct arena *mem)
{
	char *type = arena_cstr(mem, c->type);

	for (char *p = type; *p != '\0'; p++)
		*p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
	struct str name = arena_fmt(mem, "%.*s__was_%s", STR_ARG(c->name), type);
	for (unsigned n = 2; duck_shape_find(have, name) >= 0; n++)
		name = arena_fmt(mem, "%.*s__was_%s_%u", STR_ARG(c->name), type, n);
	return name;
}

static enum err put_history(struct duck *d, const struct table *t, const struct duck_shape *have,
	const struct duck_column *c, const struct duck_column *want, struct buf *list,
	struct arena *mem, struct error *e)
{
	int64_t lossy = 0;

	if (want == NULL || str_eq(want->type, c->type)) {
		sql_name(list, c->name);
		return OK;
	}
	TRY(count_lossy(d, t, c, want, &lossy, e));
	if (lossy > 0) {
		sql_name(list, c->name);
		buf_puts(list, " AS ");
		sql_name(list, duck_old_name(c, have, mem));
		buf_puts(list, ", ");
	}
	put_cast(list, c->name, want->type);
	buf_puts(list, " AS ");
	sql_name(list, c->name);
	return OK;
}

enum err duck_rebuild_history(struct duck *d, const struct table *t, const struct duck_shape *have,
	const struct duck_shape *want, struct error *e)
{
	struct arena mem = {0};
	struct buf list;
	enum err rc = OK;

	buf_init(&list, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < have->n && rc == OK; i++) {
		int at = duck_shape_find(want, have->columns[i].name);

		if (i > 0)
			buf_puts(&list, ", ");
		rc = put_history(d, t, have, &have->columns[i], at >= 0 ? &want->columns[at] : NULL,
			&list, &mem, e);
	}
	for (size_t i = 0; i < want->n; i++) {
		if (duck_shape_find(have, want->columns[i].name) >= 0)
			continue;
		buf_puts(&list, ", ");
		put_wanted(&list, have, &want->columns[i]);
	}
	if (rc == OK)
		rc = replace(
			d, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)), t->name, &list, e);
	buf_free(&list);
	arena_free(&mem);
	return rc;
}
