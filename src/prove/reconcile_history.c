#include <string.h>

#include "folds.h"
#include "mem.h"
#include "reconcile_run.h"
#include "suspects.h"
#include "touched.h"

#define KEYS_AT_ONCE ((uint64_t)1 << 20)

/* One class of keys: history's fold of it, and what of it the source has otherwise. */
struct holding {
	struct group *g;
	struct part *p;
	struct folds folds;
	size_t left[DIFFERENCES]; /* keys that may still be listed */
	struct buf scratch, text;
};

static bool in_class(const struct folds *f, struct rowhash key)
{
	return (key.hi & f->class_mask) == f->class;
}

static void list_key(
	struct holding *h, const struct subject *s, const struct row *r, enum difference kind)
{
	struct arena *mem = &h->g->c->report->mem;
	struct part *p = h->p;
	const struct reconcile_visitor *v = h->g->c->visitor;

	/* Where the current row is wrong too, it is one fault, and known whose. */
	const struct suspect *known = suspects_find(&h->g->suspects, r->key);
	enum blame who = known != NULL ? known->blame : BLAME_APPLY;

	p->history.count[kind]++;
	if (known == NULL && h->g->c->o->max_keys > 0) {
		p->blamed.keys++;
		p->blamed.by[who]++;
	}
	if (v != NULL && v->in_history != NULL)
		v->in_history(v->arg, r->key, kind, 1);
	if (h->left[kind] == 0)
		return;
	h->left[kind]--;
	row_key_json(s, r, &h->scratch, &h->text);
	struct reconcile_key *more = arena_array(mem, p->nkeys + 1, sizeof *more);
	if (p->nkeys > 0)
		memcpy(more, p->keys, p->nkeys * sizeof *more);
	more[p->nkeys++] = (struct reconcile_key){.key = arena_str(mem, buf_str(&h->text)),
		.kind = kind,
		.blame = who,
		.in_history = true};
	p->keys = more;
}

static enum err hold_source(void *arg, const struct row *r, struct error *e)
{
	struct holding *h = arg;

	(void)e;
	if (!in_class(&h->folds, r->key))
		return OK;
	struct fold *x = folds_find(&h->folds, r->key);
	const struct subject *s = h->g->subjects[h->p->table];
	if (x == NULL || !fold_alive(&h->folds, x, 0)) {
		list_key(h, s, r, ROW_MISSING);
		return OK;
	}
	x->marked = true;
	if (x->at[0].row.lo != r->hash.lo || x->at[0].row.hi != r->hash.hi)
		list_key(h, s, r, ROW_DIFFERENT);
	return OK;
}

/* Any entry of the key has its text. */
static enum err hold_extra(void *arg, const struct row *r, struct error *e)
{
	struct holding *h = arg;

	(void)e;
	if (!in_class(&h->folds, r->key))
		return OK;
	struct fold *x = folds_find(&h->folds, r->key);
	if (x == NULL || x->marked || !fold_alive(&h->folds, x, 0))
		return OK;
	x->marked = true;
	list_key(h, h->g->subjects[h->p->table], r, ROW_EXTRA);
	return OK;
}

static enum err read_extra(struct holding *h, const struct subject *s, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT ");
	for (size_t c = 0; c < s->table->ncolumns; c++) {
		sql_name(&sql, s->table->columns[c].name);
		buf_puts(&sql, ", ");
	}
	buf_puts(&sql, "_exact FROM ");
	touched_put_history(&sql, s->table);
	buf_puts(&sql, " WHERE _op <> 'T'");
	touched_put_part(&sql, s);
	enum err rc = rows_read_sql(&h->g->sides, s, buf_str(&sql), 0, hold_extra, h, e);
	buf_free(&sql);
	return rc;
}

static void sum_fold(const struct folds *f, struct buckets *into)
{
	for (size_t i = 0; i < f->cap; i++)
		if (f->slots[i].used && fold_alive(f, &f->slots[i], 0))
			buckets_add(into, f->slots[i].key, f->slots[i].at[0].row);
}

static enum err fold_class(
	struct holding *h, const struct subject *s, uint64_t mask, uint64_t which, struct error *e)
{
	folds_free(&h->folds);
	folds_init(&h->folds, &h->g->cut, NULL);
	h->folds.class_mask = mask;
	h->folds.class = which;
	return folds_read(&h->folds, &h->g->sides, s, NULL, e);
}

static enum err find_differences(
	struct holding *h, const struct subject *s, uint64_t mask, struct error *e)
{
	for (uint64_t which = 0; which <= mask; which++) {
		if (mask > 0)
			TRY(fold_class(h, s, mask, which, e));
		TRY(rows_read(&h->g->sides, s, SIDE_SOURCE, hold_source, h, e));
		TRY(read_extra(h, s, e));
	}
	return OK;
}

static enum err hold(struct holding *h, const struct subject *s, const struct buckets *source,
	struct buckets *fold, struct error *e)
{
	uint64_t mask = 0;

	while (source->total.rows / (mask + 1) > KEYS_AT_ONCE)
		mask = mask * 2 + 1;
	for (uint64_t which = 0; which <= mask; which++) {
		TRY(fold_class(h, s, mask, which, e));
		sum_fold(&h->folds, fold);
	}
	h->p->history.digest = fold->total;
	h->p->history.compared = true;
	return buckets_eq(source, fold) ? OK : find_differences(h, s, mask, e);
}

enum err history_compare(struct group *g, const struct subject *s, const struct buckets *source,
	struct part *p, struct error *e)
{
	struct holding h = {.g = g, .p = p};
	struct buckets fold;

	/* Without a key of its own history is no fold but every row there is. */
	p->history.keyless = !table_has_key(s->table);
	if (p->history.keyless || !s->in_replica)
		return OK;
	for (int d = 0; d < DIFFERENCES; d++)
		h.left[d] = g->c->o->max_keys;
	buf_init(&h.scratch, BUF_MAX_DEFAULT);
	buf_init(&h.text, BUF_MAX_DEFAULT);
	buckets_init(&fold, source->n);
	enum err rc = hold(&h, s, source, &fold, e);
	buckets_free(&fold);
	folds_free(&h.folds);
	buf_free(&h.scratch);
	buf_free(&h.text);
	return rc;
}
