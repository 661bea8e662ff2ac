#include "duckdb_driver.h"

#include <string.h>
#include <strings.h>

#include "mem.h"

/*
 * One transaction makes current, history and the versions view fit a table. Columns that only
 * come or go are altered in place; where a type changes the table is made anew from itself.
 */

struct extra {
	const char *name, *type;
};

static const struct extra current_extra[] = {
	{"_lsn", "BIGINT"}, {"_committed_at", "TIMESTAMP WITH TIME ZONE"}, {"_exact", "JSON"}};
static const struct extra history_extra[] = {{"_op", "VARCHAR"}, {"_lsn", "BIGINT"},
	{"_seq", "UINTEGER"}, {"_xid", "BIGINT"}, {"_committed_at", "TIMESTAMP WITH TIME ZONE"},
	{"_exact", "JSON"}, {"_unchanged", "JSON"}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const our_columns[] = {"_op", "_lsn", "_seq", "_xid", "_committed_at", "_exact",
	"_unchanged", "_valid_from", "_valid_to"};
static const char *const our_schemas[] = {
	"ops", "features", "scores", "reports", "temp", "system", "information_schema"};

static bool is_one_of(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(name, str_of(list[i])))
			return true;
	return false;
}

/* DuckDB's names do not tell upper case from lower. */
static enum err check_columns(const struct table *t, struct error *e)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (is_one_of(c->name, our_columns, COUNT(our_columns)))
			return FAIL(e, ERR_USAGE,
				"preparing the table %.*s.%.*s: the column name %.*s is used by "
				"sluice itself; leave the column out of the publication",
				STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(c->name));
		if (!duck_type_ok(c->type))
			return FAIL(e, ERR_USAGE,
				"preparing the table %.*s.%.*s: the column %.*s has no type that "
				"the warehouse holds",
				STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(c->name));
		for (size_t k = 0; k < i; k++)
			if (str_ieq(t->columns[k].name, c->name))
				return FAIL(e, ERR_USAGE,
					"preparing the table %.*s.%.*s: the columns %.*s and %.*s "
					"differ in case only, which DuckDB cannot tell apart; "
					"leave one out of the publication",
					STR_ARG(t->schema), STR_ARG(t->name),
					STR_ARG(t->columns[k].name), STR_ARG(c->name));
	}
	return OK;
}

static enum err check_table(const struct table *t, struct error *e)
{
	int at = t->valid_time.n > 0 ? table_column(t, t->valid_time) : 0;

	if (is_one_of(t->schema, our_schemas, COUNT(our_schemas)) ||
		(t->schema.n > 8 && strncasecmp(t->schema.p + t->schema.n - 8, "_history", 8) == 0))
		return FAIL(e, ERR_USAGE,
			"preparing the table %.*s.%.*s: the warehouse keeps its own tables in a "
			"dataset of the name %.*s; rename the schema or leave the table out",
			STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(t->schema));
	if (at < 0 ||
		(t->valid_time.n > 0 && t->columns[at].type.kind != T_TIMESTAMPTZ &&
			t->columns[at].type.kind != T_TIMESTAMP &&
			t->columns[at].type.kind != T_DATE))
		return FAIL(e, ERR_USAGE,
			"preparing the table %.*s.%.*s: valid_time = %.*s names no column of a "
			"date or timestamp type; correct the section [table %.*s.%.*s]",
			STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(t->valid_time),
			STR_ARG(t->schema), STR_ARG(t->name));
	return check_columns(t, e);
}

struct reading {
	struct duck_shape *shape;
	struct arena *mem;
	struct str name; /* as it was asked for */
	struct str stored;
};

static enum err take_columns(void *arg, const struct chunk *c, struct error *e)
{
	struct reading *r = arg;
	struct duck_shape *s = r->shape;
	struct duck_column *more = arena_array(r->mem, s->n + c->rows, sizeof *more);

	(void)e;
	if (s->n > 0)
		memcpy(more, s->columns, s->n * sizeof *more);
	s->columns = more;
	for (size_t i = 0; i < c->rows; i++) {
		s->columns[s->n].name = arena_str(r->mem, vec_text(&c->cols[0], i));
		s->columns[s->n++].type = arena_str(r->mem, vec_text(&c->cols[1], i));
		r->stored = arena_str(r->mem, vec_text(&c->cols[2], i));
	}
	s->exists = s->n > 0;
	return OK;
}

/* A table's columns as they stand; none when it does not exist. */
static enum err read_shape(struct duck *d, struct str schema, struct str name, struct arena *mem,
	struct duck_shape *out, struct error *e)
{
	struct reading r = {.shape = out, .mem = mem, .name = name};
	struct buf sql;

	*out = (struct duck_shape){.n = 0};
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql,
		"SELECT column_name, data_type, table_name FROM duckdb_columns() WHERE "
		"database_name = current_database() AND lower(schema_name) = lower(");
	sql_text(&sql, schema);
	buf_puts(&sql, ") AND lower(table_name) = lower(");
	sql_text(&sql, name);
	buf_puts(&sql, ") ORDER BY column_index");
	enum err rc = duck_run(d->writer, buf_str(&sql), NULL, "reading the warehouse's columns",
		take_columns, &r, e);
	buf_free(&sql);
	if (rc == OK && out->exists && !str_eq(r.stored, name))
		return FAIL(e, ERR_USAGE,
			"preparing the table %.*s.%.*s: the warehouse holds %.*s already, and "
			"DuckDB does not tell upper case from lower; leave one of them out",
			STR_ARG(schema), STR_ARG(name), STR_ARG(r.stored));
	return rc;
}

static struct duck_shape wanted(
	const struct table *t, const struct extra *extra, size_t nextra, struct arena *mem)
{
	struct duck_shape s = {.exists = true};
	char type[DUCK_TYPE_TEXT];

	s.columns = arena_array(mem, t->ncolumns + nextra, sizeof *s.columns);
	for (size_t i = 0; i < t->ncolumns; i++) {
		s.columns[s.n].name = t->columns[i].name;
		s.columns[s.n++].type = arena_str(mem, str_of(duck_type(t->columns[i].type, type)));
	}
	for (size_t i = 0; i < nextra; i++)
		s.columns[s.n++] = (struct duck_column){
			.name = str_of(extra[i].name), .type = str_of(extra[i].type)};
	return s;
}

int duck_shape_find(const struct duck_shape *s, struct str name)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_ieq(s->columns[i].name, name))
			return (int)i;
	return -1;
}

/* Held as whole numbers. */
static bool is_whole(struct str type)
{
	static const char *const whole[] = {"SMALLINT", "INTEGER", "BIGINT", "UINTEGER", "DATE",
		"TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"};

	return is_one_of(type, whole, COUNT(whole)) || str_starts(type, str_of("DECIMAL("));
}

/*
 * DuckDB tries every way of compressing a column on each group of its rows. For long texts that
 * all differ that takes more time than all the rest of writing them, to save half their size. The
 * texts of our own are as a rule one letter or NULL, which a dictionary takes longest to find out;
 * and numbers end up packed in nearly every case, whatever else was tried.
 */
static const char *compression(const struct table *t, const struct duck_column *c)
{
	static const char *const ours[] = {"_op", "_exact", "_unchanged"};
	int at = table_column(t, c->name);
	bool text = str_eqc(c->type, "VARCHAR") || str_eqc(c->type, "BLOB");

	if (is_whole(c->type))
		return " USING COMPRESSION bitpacking";
	if (at >= 0 ? t->columns[at].varied && text : is_one_of(c->name, ours, COUNT(ours)))
		return " USING COMPRESSION uncompressed";
	return "";
}

static enum err create(struct duck *d, const struct table *t, duck_name_fn *name,
	const struct duck_shape *want, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "CREATE TABLE ");
	name(&sql, t);
	for (size_t i = 0; i < want->n; i++) {
		buf_puts(&sql, i > 0 ? ", " : " (");
		sql_name(&sql, want->columns[i].name);
		buf_putf(&sql, " %.*s", STR_ARG(want->columns[i].type));
		buf_puts(&sql, compression(t, &want->columns[i]));
	}
	buf_putc(&sql, ')');
	enum err rc = duck_exec(d->writer, &sql, "making a table in the warehouse", e);
	buf_free(&sql);
	return rc;
}

static enum err alter(struct duck *d, const struct table *t, duck_name_fn *name, const char *what,
	const struct duck_column *c, bool with_type, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "ALTER TABLE ");
	name(&sql, t);
	buf_putf(&sql, " %s ", what);
	sql_name(&sql, c->name);
	if (with_type)
		buf_putf(&sql, " %.*s", STR_ARG(c->type));
	enum err rc = duck_exec(d->writer, &sql, "changing a table in the warehouse", e);
	buf_free(&sql);
	return rc;
}

/* Adds first, so that a table is never left without any column. */
static enum err add_and_drop(struct duck *d, const struct table *t, duck_name_fn *name,
	const struct duck_shape *have, const struct duck_shape *want, bool drop, struct error *e)
{
	for (size_t i = 0; i < want->n; i++)
		if (duck_shape_find(have, want->columns[i].name) < 0)
			TRY(alter(d, t, name, "ADD COLUMN", &want->columns[i], true, e));
	for (size_t i = 0; i < have->n && drop; i++)
		if (duck_shape_find(want, have->columns[i].name) < 0)
			TRY(alter(d, t, name, "DROP COLUMN", &have->columns[i], false, e));
	return OK;
}

static bool retyped(const struct duck_shape *have, const struct duck_shape *want)
{
	for (size_t i = 0; i < want->n; i++) {
		int at = duck_shape_find(have, want->columns[i].name);

		if (at >= 0 && !str_eq(have->columns[at].type, want->columns[i].type))
			return true;
	}
	return false;
}

static enum err fit_current(
	struct duck *d, const struct table *t, struct arena *mem, struct error *e)
{
	struct duck_shape have, want = wanted(t, current_extra, COUNT(current_extra), mem);

	TRY(read_shape(d, t->schema, t->name, mem, &have, e));
	if (!have.exists)
		return create(d, t, duck_current, &want, e);
	struct duck_renaming r = {.table = t, .name = duck_current, .have = &have, .mem = mem};
	TRY(duck_rename_columns(d, &r, e));
	if (retyped(&have, &want))
		return duck_rebuild_current(d, t, &have, &want, e);
	return add_and_drop(d, t, duck_current, &have, &want, true, e);
}

static enum err fit_history(struct duck *d, const struct table *t, const struct duck_shape *before,
	struct arena *mem, struct error *e)
{
	struct duck_shape have, want = wanted(t, history_extra, COUNT(history_extra), mem);
	struct str schema = arena_fmt(mem, "%.*s_history", STR_ARG(t->schema));

	TRY(read_shape(d, schema, t->name, mem, &have, e));
	if (!have.exists)
		return create(d, t, duck_history, &want, e);
	struct duck_renaming r = {
		.table = t, .name = duck_history, .have = &have, .keeps = true, .mem = mem};
	TRY(duck_make_way(d, &r, before, e));
	TRY(duck_rename_columns(d, &r, e));
	if (retyped(&have, &want))
		return duck_rebuild_history(d, t, &have, &want, e);
	return add_and_drop(d, t, duck_history, &have, &want, false, e);
}

static enum err make_schemas(struct duck *d, const struct table *t, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "CREATE SCHEMA IF NOT EXISTS ");
	sql_name(&sql, t->schema);
	buf_puts(&sql, "; CREATE SCHEMA IF NOT EXISTS ");
	sql_name(&sql, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)));
	enum err rc = duck_exec(d->writer, &sql, "making a dataset in the warehouse", e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

static enum err fit_all(struct duck *d, const struct table *t, struct error *e)
{
	struct arena mem = {0};
	struct duck_shape before;
	enum err rc = make_schemas(d, t, e);

	if (rc == OK)
		rc = read_shape(d, t->schema, t->name, &mem, &before, e);
	if (rc == OK)
		rc = fit_current(d, t, &mem, e);
	if (rc == OK)
		rc = fit_history(d, t, &before, &mem, e);
	if (rc == OK)
		rc = duck_versions_view(d, t, e);
	arena_free(&mem);
	return rc;
}

static enum err explain(enum err rc, const struct table *t, struct error *e)
{
	if (rc == OK)
		return OK;
	return error_wrap(e, "preparing the table %.*s.%.*s in the warehouse", STR_ARG(t->schema),
		STR_ARG(t->name));
}

enum err duck_ensure_within(struct duck *d, const struct table *t, struct error *e)
{
	TRY(check_table(t, e));
	return explain(fit_all(d, t, e), t, e);
}

enum err duck_ensure_table(struct warehouse *w, const struct table *t, struct error *e)
{
	struct duck *d = duck_of(w);

	TRY(check_table(t, e));
	pthread_mutex_lock(&d->lock);
	enum err rc = duck_execs(d->writer, "BEGIN", "preparing a table", e);
	if (rc == OK) {
		rc = fit_all(d, t, e);
		if (rc == OK)
			rc = duck_execs(d->writer, "COMMIT", "committing the shape of a table", e);
		if (rc != OK)
			duck_rollback(d->writer);
	}
	pthread_mutex_unlock(&d->lock);
	return explain(rc, t, e);
}
