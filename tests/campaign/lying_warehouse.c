#include "lying.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { COL_ID, COL_N, COL_NAME, COL_AT };

static struct lying *of(struct warehouse *w)
{
	return (struct lying *)w;
}

/* ---- the lies ---- */

static bool has_key(const struct vec *v, size_t row, const char *key)
{
	if (v->type.kind == T_TEXT)
		return str_eqc(vec_text(v, row), key);
	return VEC_AT(v, int64_t, row) == strtoll(key, NULL, 10);
}

static void put_key(const struct vec *v, size_t row, const char *key)
{
	if (v->type.kind == T_TEXT)
		VEC_AT(v, struct str, row) = str_of(key);
	else
		VEC_AT(v, int64_t, row) = strtoll(key, NULL, 10);
}

/* Texts must last as long as the batch: where it ends is not known here, so they live with the
 * alteration, which outlives it. */
static void alter(const struct batch *b, size_t row, struct alteration *a)
{
	const struct vec *name = &b->cols[COL_NAME];
	struct str was = vec_text(name, row);

	switch (a->lie) {
	case LIE_BIT:
		VEC_AT(&b->cols[COL_N], int64_t, row) ^= INT64_C(1) << a->bit;
		break;
	case LIE_MICROSECOND:
		VEC_AT(&b->cols[COL_AT], int64_t, row) += 1;
		break;
	case LIE_SPACE:
		snprintf(a->text, sizeof a->text, "%.*s ", STR_ARG(was));
		VEC_AT(name, struct str, row) = str_of(a->text);
		break;
	case LIE_NAME:
		VEC_AT(name, struct str, row) = str_of(a->text);
		break;
	case LIE_KEY:
		put_key(&b->cols[COL_ID], row, a->text);
		break;
	case LIE_DROP:
		return;
	}
	a->done = true;
}

static void lie(const struct lying *l, const struct change_set *c)
{
	for (size_t t = 0; t < c->ntables; t++) {
		const struct batch *b = c->tables[t].rows;
		for (size_t row = 0; b != NULL && row < b->rows; row++)
			for (size_t i = 0; i < l->lies->n; i++) {
				struct alteration *a = &l->lies->list[i];
				if (!a->done && b->op[row] == (uint8_t)a->op &&
					str_eqc(b->table->name, a->table) &&
					has_key(&b->cols[COL_ID], row, a->key))
					alter(b, row, a);
			}
	}
}

static enum err be_there(const struct lying *l, struct error *e)
{
	return l->away ? FAIL(e, ERR_UNAVAILABLE, "the warehouse is away, for the test") : OK;
}

/* ---- passed on ---- */

static enum err lying_apply(struct warehouse *w, const struct change_set *c, struct error *e)
{
	TRY(be_there(of(w), e));
	lie(of(w), c);
	return warehouse_apply(of(w)->inner, c, e);
}

struct lying_tx {
	struct warehouse_tx base;
	struct lying *l;
	struct warehouse_tx *inner;
};

static struct lying_tx *tx_of(struct warehouse_tx *x)
{
	return (struct lying_tx *)x;
}

static enum err tx_ensure_table(struct warehouse_tx *x, const struct table *t, struct error *e)
{
	return warehouse_tx_ensure_table(tx_of(x)->inner, t, e);
}

static enum err tx_put(struct warehouse_tx *x, const struct change_set *c, struct error *e)
{
	lie(tx_of(x)->l, c);
	return warehouse_tx_put(tx_of(x)->inner, c, e);
}

static enum err tx_script(struct warehouse_tx *x, struct str sql, struct error *e)
{
	return warehouse_tx_script(tx_of(x)->inner, sql, e);
}

static enum err tx_discard(
	struct warehouse_tx *x, const struct batch *keys, lsn floor, struct error *e)
{
	return warehouse_tx_discard(tx_of(x)->inner, keys, floor, e);
}

static enum err tx_commit(struct warehouse_tx *x, struct error *e)
{
	enum err rc = warehouse_tx_commit(tx_of(x)->inner, e);

	mem_free(x);
	return rc;
}

static void tx_abandon(struct warehouse_tx *x)
{
	warehouse_tx_abandon(tx_of(x)->inner);
	mem_free(x);
}

static const struct warehouse_tx_ops tx_ops = {.ensure_table = tx_ensure_table,
	.put = tx_put,
	.script = tx_script,
	.discard = tx_discard,
	.commit = tx_commit,
	.abandon = tx_abandon};

static enum err lying_begin(struct warehouse *w, struct warehouse_tx **out, struct error *e)
{
	struct warehouse_tx *inner;

	TRY(be_there(of(w), e));
	TRY(warehouse_begin(of(w)->inner, &inner, e));
	struct lying_tx *x = mem_zalloc(sizeof *x);
	*x = (struct lying_tx){.base = {.ops = &tx_ops}, .l = of(w), .inner = inner};
	*out = &x->base;
	return OK;
}

static enum err lying_ensure(struct warehouse *w, const struct table *t, struct error *e)
{
	return warehouse_ensure_table(of(w)->inner, t, e);
}

static enum err lying_mark(struct warehouse *w, struct str name, struct buf *out, struct error *e)
{
	return warehouse_mark(of(w)->inner, name, out, e);
}

static enum err lying_query(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	return warehouse_query(of(w)->inner, sql, fn, arg, e);
}

static enum err lying_ask(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	return warehouse_ask(of(w)->inner, sql, fn, arg, e);
}

static enum err lying_script(struct warehouse *w, struct str sql, struct error *e)
{
	return warehouse_script(of(w)->inner, sql, e);
}

static enum err lying_insert(
	struct warehouse *w, struct str d, struct str t, const struct chunk *rows, struct error *e)
{
	return warehouse_insert(of(w)->inner, d, t, rows, e);
}

static enum err lying_select_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e)
{
	return warehouse_select_at(of(w)->inner, t, c, where, out, e);
}

static const struct warehouse_ops lying_ops = {.name = "lying",
	.ensure_table = lying_ensure,
	.apply = lying_apply,
	.begin = lying_begin,
	.mark = lying_mark,
	.query = lying_query,
	.ask = lying_ask,
	.script = lying_script,
	.insert = lying_insert,
	.select_at = lying_select_at};

struct warehouse *lying_open(struct lying *l, struct warehouse *inner, struct alterations *lies)
{
	*l = (struct lying){.base = {.ops = &lying_ops}, .inner = inner, .lies = lies};
	return &l->base;
}
