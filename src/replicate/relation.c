#include "relation.h"

#include "mem.h"
#include "pg_value.h"

struct relation *relations_find(struct relations *r, uint32_t relid)
{
	if (r->last != NULL && r->last->relid == relid)
		return r->last;
	size_t low = 0, high = r->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (r->items[mid]->relid < relid)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == r->n || r->items[low]->relid != relid)
		return NULL;
	r->last = r->items[low];
	return r->last;
}

struct relation *relations_add(struct relations *r, uint32_t relid)
{
	struct relation *old = relations_find(r, relid);

	if (old != NULL)
		return old;
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 16 : r->cap * 2;
		r->items = mem_realloc_array(r->items, r->cap, sizeof(struct relation *));
	}
	struct relation *new = mem_zalloc(sizeof(*new));
	new->relid = relid;
	size_t at = r->n++;
	for (; at > 0 && r->items[at - 1]->relid > relid; at--)
		r->items[at] = r->items[at - 1];
	r->items[at] = new;
	return new;
}

void relations_free(struct relations *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct relation *one = r->items[i];
		batch_free(one->batch);
		fold_free(&one->fold);
		arena_free(&one->said_mem);
		arena_free(&one->live_mem);
		arena_free(&one->cut_mem);
		mem_free(one);
	}
	mem_free(r->items);
	*r = (struct relations){0};
}

static size_t add_row(struct relation *r, struct tx *tx, enum change_op op)
{
	struct batch *b = r->batch;
	size_t row = batch_add(b);

	b->op[row] = (uint8_t)op;
	b->commit[row] = tx->commit;
	b->seq[row] = tx->seq++;
	b->xid[row] = tx->xid;
	b->committed_at[row] = tx->committed_us;
	return row;
}

static enum err check_width(
	const struct relation *r, const struct pgoutput_tuple *t, struct error *e)
{
	if (t->n == r->said->ncolumns)
		return OK;
	return FAIL(e, ERR_INPUT,
		"decoding a change of %.*s.%.*s: it has %u values, but the table has %zu columns; "
		"the stream is damaged, start again from the journal",
		STR_ARG(r->said->schema), STR_ARG(r->said->name), t->n, r->said->ncolumns);
}

static enum err set_value(
	struct batch *b, size_t row, size_t column, const struct pgoutput_value *v, struct error *e)
{
	switch (v->kind) {
	case PGV_NULL:
		return OK;
	case PGV_TEXT:
		return pg_value_text(b, row, column, v->bytes, e);
	case PGV_BINARY:
		return pg_value_binary(b, row, column, v->bytes, e);
	case PGV_UNCHANGED:
		batch_note_unchanged(b, row, column);
		return OK;
	default:
		return FAIL(e, ERR_INPUT, "decoding a value of kind 0x%02x", v->kind);
	}
}

static enum err set_values(struct relation *r, size_t row, const struct pgoutput_tuple *t,
	const struct pgoutput_tuple *old, struct error *e)
{
	TRY(check_width(r, t, e));
	for (size_t c = 0; c < t->n; c++) {
		const struct pgoutput_value *v = &t->values[c];
		/* With REPLICA IDENTITY FULL the old row has what the new one leaves out. */
		if (v->kind == PGV_UNCHANGED && old != NULL)
			v = &old->values[c];
		if (v->kind != PGV_NULL)
			TRY(set_value(r->batch, row, c, v, e));
	}
	return OK;
}

enum err relation_insert(
	struct relation *r, struct tx *tx, const struct pgoutput_msg *m, struct error *e)
{
	size_t row = add_row(r, tx, OP_INSERT);

	return set_values(r, row, &m->new_row, NULL, e);
}

static bool same_value(const struct pgoutput_value *a, const struct pgoutput_value *b)
{
	/* A key value that was not sent has not changed. */
	if (a->kind == PGV_UNCHANGED || b->kind == PGV_UNCHANGED)
		return true;
	return a->kind == b->kind && str_eq(a->bytes, b->bytes);
}

static bool key_changed(const struct relation *r, const struct pgoutput_msg *m)
{
	if (m->old_kind == 0)
		return false;
	for (size_t i = 0; i < r->said->nkeys; i++) {
		size_t c = r->said->keys[i];
		if (!same_value(&m->old_row.values[c], &m->new_row.values[c]))
			return true;
	}
	return false;
}

/* The old row of a delete or of an update that changes the key; 'K' holds the key alone. */
static enum err add_delete(
	struct relation *r, struct tx *tx, const struct pgoutput_msg *m, struct error *e)
{
	size_t row = add_row(r, tx, OP_DELETE);

	TRY(check_width(r, &m->old_row, e));
	for (size_t c = 0; c < m->old_row.n; c++) {
		const struct pgoutput_value *v = &m->old_row.values[c];
		if (v->kind != PGV_NULL && (m->old_kind == 'O' || r->said->columns[c].is_key))
			TRY(set_value(r->batch, row, c, v, e));
	}
	return OK;
}

enum err relation_update(
	struct relation *r, struct tx *tx, const struct pgoutput_msg *m, struct error *e)
{
	TRY(check_width(r, &m->new_row, e));
	if (m->old_kind != 0)
		TRY(check_width(r, &m->old_row, e));
	/* The deletion stands directly before the new version: the warehouse looks there for
	 * values that were not sent. */
	bool moved = key_changed(r, m);
	if (moved || (m->old_kind != 0 && table_is_bag(r->said)))
		TRY(add_delete(r, tx, m, e));
	size_t row = add_row(r, tx, OP_UPDATE);
	r->batch->moved[row] = moved;
	return set_values(r, row, &m->new_row, m->old_kind == 'O' ? &m->old_row : NULL, e);
}

enum err relation_delete(
	struct relation *r, struct tx *tx, const struct pgoutput_msg *m, struct error *e)
{
	if (m->old_kind == 0)
		return FAIL(e, ERR_INPUT,
			"decoding a delete from %.*s.%.*s: it does not say which row",
			STR_ARG(r->said->schema), STR_ARG(r->said->name));
	return add_delete(r, tx, m, e);
}

void relation_truncate(struct relation *r, struct tx *tx)
{
	(void)add_row(r, tx, OP_TRUNCATE);
}
