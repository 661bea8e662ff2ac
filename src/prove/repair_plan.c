#include "repair_plan.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "suspects.h"
#include "touched.h"

static int by_key(const void *a, const void *b)
{
	const struct repair_entry *x = a, *y = b;

	if (x->key.hi != y->key.hi)
		return x->key.hi < y->key.hi ? -1 : 1;
	return (x->key.lo > y->key.lo) - (x->key.lo < y->key.lo);
}

struct repair_entry *repair_plan_find(const struct repair_plan *p, struct rowhash key)
{
	const struct repair_entry wanted = {.key = key};

	return bsearch(&wanted, p->entries, p->n, sizeof wanted, by_key);
}

uint64_t repair_entry_differences(const struct repair_entry *x)
{
	uint64_t n = 0;

	for (int kind = 0; kind < DIFFERENCES; kind++)
		n += x->count[kind];
	return n;
}

enum difference repair_entry_kind(const struct repair_entry *x)
{
	if (x->count[ROW_DIFFERENT] > 0)
		return ROW_DIFFERENT;
	return x->count[ROW_MISSING] > 0 ? ROW_MISSING : ROW_EXTRA;
}

/* Beyond the limit nothing is collected: the table's turn tells. */
static struct repair_entry *take_key(struct repair_plans *p, struct rowhash key, uint64_t n)
{
	p->differences += n;
	if (p->differences > p->max)
		return NULL;
	if (p->nfound == p->capfound) {
		p->capfound = p->capfound > 0 ? p->capfound * 2 : 64;
		p->found = mem_realloc_array(p->found, p->capfound, sizeof *p->found);
	}
	p->found[p->nfound] = (struct repair_entry){.key = key};
	return &p->found[p->nfound++];
}

static void take_difference(void *arg, struct rowhash key, enum difference kind, uint64_t n)
{
	struct repair_entry *x = take_key(arg, key, n);

	if (x != NULL)
		x->count[kind] = (uint32_t)n;
}

static void take_history_difference(void *arg, struct rowhash key, enum difference kind, uint64_t n)
{
	struct repair_entry *x = take_key(arg, key, n);

	if (x == NULL)
		return;
	x->in_history = true;
	x->history_kind = (uint8_t)kind;
}

static void merge(struct repair_entry *into, const struct repair_entry *x)
{
	for (int kind = 0; kind < DIFFERENCES; kind++)
		into->count[kind] += x->count[kind];
	if (x->in_history) {
		into->in_history = true;
		into->history_kind = x->history_kind;
	}
}

/* Sorts what was found and makes one entry of each key. What history alone has wrong counts once;
 * of a current row that is wrong too, it is the same difference. */
static void make_entries(struct repair_plans *all, struct repair_plan *p)
{
	struct repair_entry *list = all->found;

	qsort(list, all->nfound, sizeof *list, by_key);
	for (size_t i = 0; i < all->nfound; i++) {
		if (p->n == 0 || by_key(&list[p->n - 1], &list[i]) != 0) {
			list[p->n++] = list[i];
			continue;
		}
		merge(&list[p->n - 1], &list[i]);
	}
	for (size_t i = 0; i < p->n; i++)
		if (repair_entry_differences(&list[i]) == 0)
			list[i].count[list[i].history_kind] = 1;
	p->entries = list;
	all->found = NULL;
	all->nfound = all->capfound = 0;
}

/* ---- the rows ---- */

struct taking {
	struct repair_plan *plan;
	enum side side;
	struct buf scratch, text;
};

static enum err copy_value(
	struct repair_plan *p, size_t row, size_t c, const struct row *r, struct error *e)
{
	const struct vec *from = &r->cols[c];
	struct vec *to = &p->rows->cols[c];
	size_t size = type_size(to->type.kind);

	if (from->type.kind != to->type.kind || from->type.scale != to->type.scale)
		return FAIL(e, ERR_UNAVAILABLE,
			"the column %s is of the type %s there; wait until replication has made "
			"the table fit",
			p->subject->names[c], type_name(from->type.kind));
	if (vec_is_null(from, r->at))
		return OK;
	memcpy((char *)to->data + row * size, (const char *)from->data + r->at * size, size);
	if (to->type.kind == T_TEXT || to->type.kind == T_JSON || to->type.kind == T_BYTES)
		VEC_AT(to, struct str, row) = arena_str(&p->mem, VEC_AT(to, struct str, row));
	batch_set_valid(p->rows, row, c);
	return OK;
}

static void grow_rows(struct repair_plan *p)
{
	if (p->rows->rows < p->caprows)
		return;
	p->caprows = p->caprows > 0 ? p->caprows * 2 : 64;
	p->entry = mem_realloc_array(p->entry, p->caprows, sizeof *p->entry);
	p->copy = mem_realloc_array(p->copy, p->caprows, sizeof *p->copy);
	p->from_source = mem_realloc(p->from_source, p->caprows);
	p->exact = mem_realloc_array(p->exact, p->caprows, sizeof *p->exact);
}

static enum err keep_row(struct taking *t, const struct row *r, size_t entry, struct error *e)
{
	struct repair_plan *p = t->plan;

	grow_rows(p);
	size_t row = batch_add(p->rows);
	p->entry[row] = (uint32_t)entry;
	p->from_source[row] = t->side == SIDE_SOURCE;
	p->copy[row] = t->side == SIDE_SOURCE ? p->entries[entry].nsource : 0;
	p->exact[row] = r->exact.n > 0 ? arena_str(&p->mem, r->exact) : STR_NONE;
	for (size_t c = 0; c < p->subject->table->ncolumns; c++)
		TRY(copy_value(p, row, c, r, e));
	return OK;
}

static enum err take_row(void *arg, const struct row *r, struct error *e)
{
	struct taking *t = arg;
	struct repair_entry *x = repair_plan_find(t->plan, r->key);

	if (x == NULL)
		return OK;
	if (x->text.n == 0) {
		row_key_json(t->plan->subject, r, &t->scratch, &t->text);
		x->text = arena_str(&t->plan->mem, buf_str(&t->text));
	}
	size_t entry = (size_t)(x - t->plan->entries);
	if (t->side == SIDE_SOURCE) {
		TRY(keep_row(t, r, entry, e));
		x->nsource++;
		return OK;
	}
	digest_add(&x->replica, r->hash);
	if (x->nreplica++ == 0 && x->nsource == 0)
		return keep_row(t, r, entry, e);
	return OK;
}

/* A row that history has and neither side: any entry of the key has its text. */
static enum err take_history_row(void *arg, const struct row *r, struct error *e)
{
	struct taking *t = arg;
	struct repair_entry *x = repair_plan_find(t->plan, r->key);

	if (x == NULL || x->text.n > 0 || !x->in_history)
		return OK;
	row_key_json(t->plan->subject, r, &t->scratch, &t->text);
	x->text = arena_str(&t->plan->mem, buf_str(&t->text));
	return keep_row(t, r, (size_t)(x - t->plan->entries), e);
}

static enum err take_from_history(struct taking *t, const struct sides *sides, struct error *e)
{
	const struct subject *s = t->plan->subject;
	struct buf sql;

	buf_init(&sql, 8 << 20);
	buf_puts(&sql, "SELECT ");
	for (size_t c = 0; c < s->table->ncolumns; c++) {
		sql_name(&sql, s->table->columns[c].name);
		buf_puts(&sql, ", ");
	}
	buf_puts(&sql, "_exact FROM ");
	touched_put_history(&sql, s->table);
	buf_puts(&sql, " WHERE _op <> 'T'");
	touched_put_part(&sql, s);
	t->side = SIDE_REPLICA;
	enum err rc = rows_read_sql(sides, s, buf_str(&sql), 0, take_history_row, t, e);
	buf_free(&sql);
	return rc;
}

static bool some_in_history_alone(const struct repair_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->entries[i].text.n == 0 && p->entries[i].in_history)
			return true;
	return false;
}

/* The source first: only where it has no row is one of the warehouse's kept. */
static enum err take_rows(struct repair_plan *p, const struct sides *sides, struct error *e)
{
	struct taking t = {.plan = p};
	enum err rc = OK;

	buf_init(&t.scratch, BUF_MAX_DEFAULT);
	buf_init(&t.text, BUF_MAX_DEFAULT);
	for (int side = 0; rc == OK && side < SIDES; side++) {
		t.side = (enum side)side;
		rc = rows_read(sides, p->subject, t.side, take_row, &t, e);
	}
	if (rc == OK && some_in_history_alone(p))
		rc = take_from_history(&t, sides, e);
	buf_free(&t.scratch);
	buf_free(&t.text);
	for (size_t i = 0; rc == OK && i < p->n; i++)
		if (p->entries[i].text.n == 0)
			rc = FAIL(e, ERR_UNAVAILABLE,
				"collecting the rows of %.*s that differ: one has gone between two "
				"readings of the same cut; something other than sluice writes to "
				"the warehouse: find it, then repair again",
				STR_ARG(p->subject->name));
	return rc;
}

static enum err read_clock(const struct sides *sides, int64_t *out, struct error *e)
{
	struct arena mem = {0};
	PGresult *r;
	enum err rc = pg_query(sides->source,
		"SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::pg_catalog.int8", 0, NULL,
		"reading the source's clock", &mem, &r, e);

	if (rc == OK)
		*out = pg_cell_i64(r, 0, 0);
	arena_free(&mem);
	return rc;
}

enum err repair_check_fit(
	const struct subject *s, uint64_t differences, size_t max, struct error *e)
{
	if (differences > max)
		return FAIL(e, ERR_USAGE,
			"repairing %.*s: more than %zu rows differ; find out why first, then allow "
			"for more with --max-rows",
			STR_ARG(s->name), max);
	if (s->table->nkeys == 0)
		return FAIL(e, ERR_USAGE,
			"repairing %.*s: the table has no key, so no single row of it can be "
			"written; give it a primary key or REPLICA IDENTITY FULL, or name the "
			"other tables with --table",
			STR_ARG(s->name));
	if (!s->in_replica)
		return FAIL(e, ERR_USAGE,
			"repairing %.*s: the warehouse has lost the whole table, which no repair "
			"makes anew; restore the warehouse from a copy, or let `sluice init` and "
			"`sluice replicate` fill a new one",
			STR_ARG(s->name));
	return OK;
}

/* The other one goes with the transaction. */
static const struct subject *own_subject(const struct subject *s, struct arena *mem)
{
	struct subject *own = arena_alloc(mem, sizeof *own);

	subject_of(table_copy(s->table, mem), mem, own);
	own->in_replica = s->in_replica;
	for (int side = 0; side < SIDES; side++)
		own->where[side] = arena_str(mem, s->where[side]);
	return own;
}

static enum err take_table(void *arg, const struct sides *sides, const struct subject *subject,
	size_t index, struct error *e)
{
	struct repair_plans *all = arg;

	(void)index;
	TRY(repair_check_fit(subject, all->differences, all->max, e));
	if (all->n == all->cap) {
		all->cap = all->cap > 0 ? all->cap * 2 : 8;
		all->list = mem_realloc_array(all->list, all->cap, sizeof *all->list);
	}
	struct repair_plan *p = &all->list[all->n++];
	*p = (struct repair_plan){.range = all->range};
	p->subject = own_subject(subject, &p->mem);
	p->rows = batch_new(p->subject->table);
	make_entries(all, p);
	TRY(read_clock(sides, &p->cut_us, e));
	return take_rows(p, sides, e);
}

struct reconcile_visitor repair_plans_visitor(struct repair_plans *p)
{
	return (struct reconcile_visitor){.arg = p,
		.found = take_difference,
		.in_history = take_history_difference,
		.table = take_table};
}

void repair_plans_free(struct repair_plans *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct repair_plan *x = &p->list[i];
		for (size_t k = 0; k < x->n; k++)
			mem_free(x->entries[k].images);
		mem_free(x->entries);
		batch_free(x->rows);
		mem_free(x->entry);
		mem_free(x->copy);
		mem_free(x->from_source);
		mem_free(x->exact);
		arena_free(&x->mem);
	}
	mem_free(p->list);
	mem_free(p->found);
	*p = (struct repair_plans){.n = 0};
}
