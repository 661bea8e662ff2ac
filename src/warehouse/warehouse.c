#include "warehouse.h"

#include <assert.h>

#include "drivers.h"
#include "embedded.h"

static const struct {
	struct str scheme;
	warehouse_open_fn *open;
} drivers[] = {
	{{"duckdb://", 9}, warehouse_open_duckdb},
	{{"bigquery://", 11}, warehouse_open_bigquery},
};

enum err warehouse_open_bigquery(struct warehouse **out, struct str rest,
	const struct warehouse_options *o, const struct env *env, struct error *e)
{
	(void)out;
	(void)o;
	(void)env;
	return FAIL(e, ERR_USAGE,
		"opening the warehouse bigquery://%.*s: the BigQuery driver is not in this "
		"version; set [warehouse] url to duckdb:///PATH",
		STR_ARG(rest));
}

enum err warehouse_open(struct warehouse **out, const struct warehouse_options *o,
	const struct env *env, struct error *e)
{
	struct str url = str_of(o->url);

	assert(env != NULL);
	*out = NULL;
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
		if (str_starts(url, drivers[i].scheme))
			return drivers[i].open(out, str_from(url, drivers[i].scheme.n), o, env, e);
	return FAIL(e, ERR_USAGE,
		"opening the warehouse \"%.*s\": no driver has this URL; use duckdb:///PATH or "
		"bigquery://PROJECT",
		STR_ARG(url));
}

void warehouse_close(struct warehouse *w)
{
	if (w != NULL)
		w->ops->close(w);
}

static void assert_table(const struct table *t)
{
	assert(t->schema.n > 0 && t->name.n > 0);
	assert(t->ncolumns <= TABLE_MAX_COLUMNS && t->nkeys <= t->ncolumns);
}

enum err warehouse_ensure_table(struct warehouse *w, const struct table *t, struct error *e)
{
	assert_table(t);
	return w->ops->ensure_table(w, t, e);
}

/* A caller that breaks these would lose rows quietly, so they are looked at in every build. */
static enum err check_changes(const struct table_changes *c, struct error *e)
{
	assert(c->table != NULL && c->rows != NULL);
	if (c->rows->table != c->table && !table_same_shape(c->rows->table, c->table))
		return FAIL(e, ERR_BUG, "applying changes to %.*s.%.*s: the rows are of %.*s.%.*s",
			STR_ARG(c->table->schema), STR_ARG(c->table->name),
			STR_ARG(c->rows->table->schema), STR_ARG(c->rows->table->name));
	for (size_t i = 0; i < c->nnewest; i++) {
		uint32_t row = c->newest[i];

		if (row >= c->rows->rows || (i > 0 && c->newest[i - 1] >= row) ||
			c->rows->op[row] == OP_TRUNCATE)
			return FAIL(e, ERR_BUG,
				"applying changes to %.*s.%.*s: entry %zu of the fold (row %u) is "
				"not the next change of a row",
				STR_ARG(c->table->schema), STR_ARG(c->table->name), i, row);
	}
	return OK;
}

static enum err check_set(const struct change_set *c, struct error *e)
{
	for (size_t i = 0; i < c->ntables; i++)
		TRY(check_changes(&c->tables[i], e));
	return OK;
}

enum err warehouse_apply(struct warehouse *w, const struct change_set *c, struct error *e)
{
	TRY(check_set(c, e));
	return w->ops->apply(w, c, e);
}

enum err warehouse_begin(struct warehouse *w, struct warehouse_tx **out, struct error *e)
{
	*out = NULL;
	return w->ops->begin(w, out, e);
}

enum err warehouse_tx_ensure_table(struct warehouse_tx *x, const struct table *t, struct error *e)
{
	assert_table(t);
	return x->ops->ensure_table(x, t, e);
}

enum err warehouse_tx_put(struct warehouse_tx *x, const struct change_set *c, struct error *e)
{
	TRY(check_set(c, e));
	return x->ops->put(x, c, e);
}

enum err warehouse_tx_script(struct warehouse_tx *x, struct str sql, struct error *e)
{
	return x->ops->script(x, sql, e);
}

enum err warehouse_tx_discard(
	struct warehouse_tx *x, const struct batch *keys, lsn floor, struct error *e)
{
	assert(keys->table->nkeys > 0);
	return x->ops->discard(x, keys, floor, e);
}

enum err warehouse_tx_commit(struct warehouse_tx *x, struct error *e)
{
	return x->ops->commit(x, e);
}

void warehouse_tx_abandon(struct warehouse_tx *x)
{
	if (x != NULL)
		x->ops->abandon(x);
}

enum err warehouse_mark(struct warehouse *w, struct str name, struct buf *out, struct error *e)
{
	assert(name.n > 0);
	return w->ops->mark(w, name, out, e);
}

enum err warehouse_query(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	return w->ops->query(w, sql, fn, arg, e);
}

enum err warehouse_ask(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	return w->ops->ask(w, sql, fn, arg, e);
}

enum err warehouse_script(struct warehouse *w, struct str sql, struct error *e)
{
	return w->ops->script(w, sql, e);
}

enum err warehouse_insert(struct warehouse *w, struct str dataset, struct str table,
	const struct chunk *rows, struct error *e)
{
	assert(dataset.n > 0 && table.n > 0);
	assert(rows->ncols > 0);
	return w->ops->insert(w, dataset, table, rows, e);
}

enum err warehouse_select_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e)
{
	assert(c->xmin <= c->xmax);
	return w->ops->select_at(w, t, c, where, out, e);
}

enum err warehouse_ensure_ops(struct warehouse *w, struct error *e)
{
	const struct embedded_file *f = embedded_find("sql/warehouse/ops.sql");

	if (f == NULL)
		return FAIL(e, ERR_BUG,
			"preparing the warehouse: sql/warehouse/ops.sql is missing "
			"from the program; build it again");
	enum err rc = warehouse_script(w, embedded_text(f), e);
	return rc == OK ? OK : error_wrap(e, "preparing the warehouse's own tables");
}

struct first_value {
	struct buf *text;
	int64_t *number;
	bool seen, is_number;
};

static enum err take_first(void *arg, const struct chunk *c, struct error *e)
{
	struct first_value *first = arg;

	(void)e;
	if (first->seen || c->rows == 0 || c->ncols == 0)
		return OK;
	first->seen = true;
	if (first->text != NULL)
		type_print(&c->cols[0], 0, first->text);
	else
		first->is_number = vec_integer(&c->cols[0], 0, first->number);
	return OK;
}

enum err warehouse_text(struct warehouse *w, struct str sql, struct buf *out, struct error *e)
{
	struct first_value first = {.text = out};

	TRY(warehouse_query(w, sql, take_first, &first, e));
	if (!buf_ok(out))
		return FAIL(e, ERR_INPUT,
			"reading one value from the warehouse: it is larger than %zu bytes",
			out->max);
	return OK;
}

enum err warehouse_i64(struct warehouse *w, struct str sql, int64_t *out, struct error *e)
{
	struct first_value first = {.number = out};

	*out = 0;
	TRY(warehouse_query(w, sql, take_first, &first, e));
	if (!first.is_number)
		return FAIL(e, ERR_INPUT,
			"reading one number from the warehouse: the answer of \"%.*s\" is no "
			"64-bit integer",
			STR_ARG(sql));
	return OK;
}

static void put_quoted(struct buf *out, struct str s, char quote)
{
	buf_putc(out, quote);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == quote)
			buf_putc(out, quote);
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, quote);
}

void sql_name(struct buf *out, struct str name)
{
	put_quoted(out, name, '"');
}

void sql_text(struct buf *out, struct str text)
{
	put_quoted(out, text, '\'');
}
