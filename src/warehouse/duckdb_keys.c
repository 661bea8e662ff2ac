#include "duckdb_driver.h"

#include <string.h>

void duck_current(struct buf *out, const struct table *t)
{
	sql_name(out, t->schema);
	buf_putc(out, '.');
	sql_name(out, t->name);
}

void duck_history(struct buf *out, const struct table *t)
{
	struct arena mem = {0};

	sql_name(out, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(out, '.');
	sql_name(out, t->name);
	arena_free(&mem);
}

static void put_column(struct buf *out, const char *alias, struct str name)
{
	if (alias != NULL)
		buf_putf(out, "%s.", alias);
	sql_name(out, name);
}

void duck_columns(struct buf *out, const struct table *t, const char *alias)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		put_column(out, alias, t->columns[i].name);
	}
}

bool duck_key_may_be_inexact(const struct table *t, size_t key)
{
	switch (t->columns[t->keys[key]].type.kind) {
	case T_DECIMAL:
	case T_TEXT:
	case T_JSON:
	case T_DATE:
	case T_TIME:
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
	case T_INTERVAL:
		return true;
	case T_BOOL:
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
	case T_FLOAT4:
	case T_FLOAT8:
	case T_BYTES:
	case T_UUID:
	case T_KINDS:
		break;
	}
	return false;
}

/* A JSON pointer takes any name: only ~ and / are special in it. */
void duck_exact_text(struct buf *out, const char *alias, struct str name)
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
	buf_puts(out, "json_extract_string(");
	put_column(out, alias, STR("_exact"));
	buf_puts(out, ", ");
	sql_text(out, buf_str(&pointer));
	buf_putc(out, ')');
	buf_free(&pointer);
}

void duck_key_list(struct buf *out, const struct table *t, const char *alias)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		struct str name = t->columns[t->keys[k]].name;

		if (k > 0)
			buf_puts(out, ", ");
		put_column(out, alias, name);
		if (duck_key_may_be_inexact(t, k)) {
			buf_puts(out, ", ");
			duck_exact_text(out, alias, name);
		}
	}
}

/* A primary key or a chosen unique index has no NULLs, and "=" joins faster. */
static const char *equals(const struct table *t, size_t key)
{
	return t->identity == IDENTITY_FULL || duck_key_may_be_inexact(t, key)
		? " IS NOT DISTINCT FROM "
		: " = ";
}

/* The staged form: k0, k1, .. and beside each NULL its exact text in x0, x1, .. */
void duck_staged_match(
	struct buf *out, const struct table *t, const char *staged, const char *current)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		struct str name = t->columns[t->keys[k]].name;

		buf_putf(out, "%s%s.k%zu%s", k > 0 ? " AND " : "", staged, k, equals(t, k));
		put_column(out, current, name);
		if (!duck_key_may_be_inexact(t, k))
			continue;
		buf_putf(out, " AND %s.x%zu IS NOT DISTINCT FROM ", staged, k);
		duck_exact_text(out, current, name);
	}
}

void duck_staged_names(struct buf *out, const struct table *t)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		buf_putf(out, "%sk%zu", k > 0 ? ", " : "", k);
		if (duck_key_may_be_inexact(t, k))
			buf_putf(out, ", x%zu", k);
	}
}

static enum err make_stage(
	struct duck *d, const struct table *t, const char *name, const char *doing, struct error *e)
{
	struct buf sql;
	char type[DUCK_TYPE_TEXT];

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_putf(&sql, "CREATE OR REPLACE TEMP TABLE %s (tag UINTEGER", name);
	for (size_t k = 0; k < t->nkeys; k++) {
		buf_putf(&sql, ", k%zu %s", k, duck_type(t->columns[t->keys[k]].type, type));
		if (duck_key_may_be_inexact(t, k))
			buf_putf(&sql, ", x%zu VARCHAR", k);
	}
	buf_putc(&sql, ')');
	enum err rc = duck_exec(d->writer, &sql, doing, e);
	buf_free(&sql);
	return rc;
}

/* The values of one column for the rows, close together. */
static struct vec gather(const struct vec *from, const struct rows *rows, struct arena *mem)
{
	size_t size = type_size(from->type.kind);
	struct vec v = {.type = from->type,
		.valid = arena_array(mem, rows->n / 64 + 1, sizeof(uint64_t)),
		.data = arena_array(mem, rows->n + 1, size)};

	for (size_t i = 0; i < rows->n; i++) {
		size_t row = rows_at(rows, i);

		if (vec_is_null(from, row))
			continue;
		v.valid[i >> 6] |= (uint64_t)1 << (i & 63);
		memcpy((char *)v.data + i * size, (const char *)from->data + row * size, size);
	}
	return v;
}

/* The exact texts of one key column, NULL where the value itself stands. */
static struct vec gather_exact(
	const struct load *l, size_t col, const struct rows *rows, struct arena *mem)
{
	struct vec v = {.type = {.kind = T_TEXT},
		.valid = arena_array(mem, rows->n / 64 + 1, sizeof(uint64_t)),
		.data = arena_array(mem, rows->n + 1, sizeof(struct str))};

	for (size_t i = 0; i < rows->n; i++) {
		size_t row = rows_at(rows, i);

		if (!vec_is_null(&l->cols[col], row))
			continue;
		VEC_AT(&v, struct str, i) = load_exact_text(l, row, col);
		if (VEC_AT(&v, struct str, i).p != NULL)
			v.valid[i >> 6] |= (uint64_t)1 << (i & 63);
	}
	return v;
}

enum err duck_stage_keys(struct duck *d, const struct load *l, const char *name,
	const struct rows *rows, uint32_t *tags, struct error *e)
{
	const struct table *t = l->b->table;
	struct arena mem = {0};
	size_t most = 2 * t->nkeys + 1, n = 0;
	const char **names = arena_array(&mem, most, sizeof *names);
	struct vec *cols = arena_array(&mem, most, sizeof *cols);
	enum err rc = make_stage(d, t, name, l->doing, e);

	if (tags != NULL) {
		names[n] = "tag";
		cols[n++] = (struct vec){.type = {.kind = T_UINT4}, .data = tags};
	}
	for (size_t k = 0; k < t->nkeys && rc == OK; k++) {
		names[n] = arena_fmt(&mem, "k%zu", k).p;
		cols[n++] = gather(&l->cols[t->keys[k]], rows, &mem);
		if (!duck_key_may_be_inexact(t, k))
			continue;
		names[n] = arena_fmt(&mem, "x%zu", k).p;
		cols[n++] = gather_exact(l, t->keys[k], rows, &mem);
	}
	struct duck_target to = {
		.catalog = "temp", .schema = "main", .table = name, .names = names, .ncols = n};
	struct rows all = {.n = rows->n};
	if (rc == OK)
		rc = duck_append(d, d->writer, &to, cols, &all, l->doing, e);
	arena_free(&mem);
	return rc;
}
