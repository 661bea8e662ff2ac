#include <stdatomic.h>

#include "canon.h"
#include "mem.h"
#include "warehouse.h"

struct faulty {
	struct warehouse base;
	struct warehouse *inner;
	char *op;
	unsigned nth;
	atomic_uint seen;
	atomic_uint one_in; /* rows refused; 0: none */
};

static struct faulty *of(struct warehouse *w)
{
	return (struct faulty *)w;
}

/* OK unless this is the call that is to fail. */
static enum err pass(struct warehouse *w, const char *op, struct error *e)
{
	struct faulty *f = of(w);

	if (!str_eqc(str_of(f->op), "*") && !str_eqc(str_of(f->op), op))
		return OK;
	if (atomic_fetch_add(&f->seen, 1) + 1 != f->nth)
		return OK;
	return FAIL(e, ERR_UNAVAILABLE, "calling the warehouse: call %u of %s fails on purpose",
		f->nth, op);
}

static enum err faulty_ensure_table(struct warehouse *w, const struct table *t, struct error *e)
{
	TRY(pass(w, "ensure_table", e));
	return warehouse_ensure_table(of(w)->inner, t, e);
}

bool warehouse_refuses(const struct batch *rows, size_t row, unsigned one_in)
{
	const struct table *t = rows->table;
	struct buf key;

	if (one_in == 0 || rows->op[row] == OP_TRUNCATE)
		return false;
	buf_init(&key, BUF_MAX_DEFAULT);
	for (size_t c = 0; c < t->ncolumns; c++)
		if (t->nkeys == 0 || t->columns[c].is_key)
			canon_value(&key, &rows->cols[c], row, STR_NONE);
	bool refused = str_hash(buf_str(&key)) % one_in == 0;
	buf_free(&key);
	return refused;
}

void warehouse_faulty_refuse(struct warehouse *w, unsigned one_in)
{
	atomic_store(&of(w)->one_in, one_in);
}

static enum err refuse(struct warehouse *w, const struct change_set *c, struct error *e)
{
	unsigned one_in = atomic_load(&of(w)->one_in);

	for (size_t i = 0; one_in > 0 && i < c->ntables; i++)
		for (size_t row = 0; row < c->tables[i].rows->rows; row++)
			if (warehouse_refuses(c->tables[i].rows, row, one_in))
				return FAIL(e, ERR_INPUT, "row %zu is refused on purpose", row);
	return OK;
}

static enum err faulty_apply(struct warehouse *w, const struct change_set *c, struct error *e)
{
	TRY(pass(w, "apply", e));
	TRY(refuse(w, c, e));
	return warehouse_apply(of(w)->inner, c, e);
}

/* ---- transactions: begin, put, commit and the rest count as calls of their own ---- */

struct faulty_tx {
	struct warehouse_tx base;
	struct warehouse *w;
	struct warehouse_tx *inner;
};

static struct faulty_tx *tx_of(struct warehouse_tx *x)
{
	return (struct faulty_tx *)x;
}

static enum err tx_ensure_table(struct warehouse_tx *x, const struct table *t, struct error *e)
{
	TRY(pass(tx_of(x)->w, "ensure_table", e));
	return warehouse_tx_ensure_table(tx_of(x)->inner, t, e);
}

static enum err tx_put(struct warehouse_tx *x, const struct change_set *c, struct error *e)
{
	TRY(pass(tx_of(x)->w, "put", e));
	TRY(refuse(tx_of(x)->w, c, e));
	return warehouse_tx_put(tx_of(x)->inner, c, e);
}

static enum err tx_script(struct warehouse_tx *x, struct str sql, struct error *e)
{
	TRY(pass(tx_of(x)->w, "script", e));
	return warehouse_tx_script(tx_of(x)->inner, sql, e);
}

static enum err tx_discard(
	struct warehouse_tx *x, const struct batch *keys, lsn floor, struct error *e)
{
	TRY(pass(tx_of(x)->w, "discard", e));
	return warehouse_tx_discard(tx_of(x)->inner, keys, floor, e);
}

static void tx_abandon(struct warehouse_tx *x)
{
	warehouse_tx_abandon(tx_of(x)->inner);
	mem_free(x);
}

static enum err tx_commit(struct warehouse_tx *x, struct error *e)
{
	enum err rc = pass(tx_of(x)->w, "commit", e);

	if (rc == OK)
		rc = warehouse_tx_commit(tx_of(x)->inner, e);
	else
		warehouse_tx_abandon(tx_of(x)->inner);
	mem_free(x);
	return rc;
}

static const struct warehouse_tx_ops tx_ops = {
	.ensure_table = tx_ensure_table,
	.put = tx_put,
	.script = tx_script,
	.discard = tx_discard,
	.commit = tx_commit,
	.abandon = tx_abandon,
};

static enum err faulty_begin(struct warehouse *w, struct warehouse_tx **out, struct error *e)
{
	struct warehouse_tx *inner;

	TRY(pass(w, "begin", e));
	TRY(warehouse_begin(of(w)->inner, &inner, e));
	struct faulty_tx *x = mem_zalloc(sizeof *x);
	*x = (struct faulty_tx){.base = {.ops = &tx_ops}, .w = w, .inner = inner};
	*out = &x->base;
	return OK;
}

static enum err faulty_mark(struct warehouse *w, struct str name, struct buf *out, struct error *e)
{
	TRY(pass(w, "mark", e));
	return warehouse_mark(of(w)->inner, name, out, e);
}

static enum err faulty_query(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	TRY(pass(w, "query", e));
	return warehouse_query(of(w)->inner, sql, fn, arg, e);
}

static enum err faulty_ask(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	TRY(pass(w, "ask", e));
	return warehouse_ask(of(w)->inner, sql, fn, arg, e);
}

static enum err faulty_script(struct warehouse *w, struct str sql, struct error *e)
{
	TRY(pass(w, "script", e));
	return warehouse_script(of(w)->inner, sql, e);
}

static enum err faulty_insert(struct warehouse *w, struct str dataset, struct str table,
	const struct chunk *rows, struct error *e)
{
	TRY(pass(w, "insert", e));
	return warehouse_insert(of(w)->inner, dataset, table, rows, e);
}

static enum err faulty_select_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e)
{
	TRY(pass(w, "select_at", e));
	return warehouse_select_at(of(w)->inner, t, c, where, out, e);
}

static void faulty_close(struct warehouse *w)
{
	struct faulty *f = of(w);

	warehouse_close(f->inner);
	mem_free(f->op);
	mem_free(f);
}

static const struct warehouse_ops faulty_ops = {
	.name = "faulty",
	.ensure_table = faulty_ensure_table,
	.apply = faulty_apply,
	.begin = faulty_begin,
	.mark = faulty_mark,
	.query = faulty_query,
	.ask = faulty_ask,
	.script = faulty_script,
	.insert = faulty_insert,
	.select_at = faulty_select_at,
	.close = faulty_close,
};

struct warehouse *warehouse_faulty(struct warehouse *inner, const char *op, unsigned nth)
{
	struct faulty *f = mem_zalloc(sizeof *f);

	f->base.ops = &faulty_ops;
	f->inner = inner;
	f->op = mem_strdup(op);
	f->nth = nth;
	atomic_init(&f->seen, 0);
	return &f->base;
}
