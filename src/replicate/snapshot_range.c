/* One range of blocks: read in a transaction of its own, and written when apply has got there. */
#include "snapshot_copy.h"

#include "dead_letters.h"
#include "failpoint.h"
#include "marks.h"
#include "mem.h"
#include "pg_copy.h"

#define RANGE_TEXT ((size_t)128 << 20) /* bytes of values; a range that has more is halved */

/* ---- writing ---- */

struct writing {
	struct copier *w;
	struct table_copy *c;
	struct batch *rows;
	const struct copy_work *work;
	bool hashed;  /* the keys of the rows are known */
	bool dropped; /* the copy begins anew, or a TRUNCATE took the rows */
};

void copier_free_rows(struct copier *w)
{
	batch_free(w->rows);
	mem_free(w->keys);
	mem_free(w->all);
	mem_free(w->keep);
	w->rows = NULL;
	w->keys = NULL;
	w->all = w->keep = NULL;
	w->room = w->nall = 0;
}

static void make_room(struct copier *w)
{
	size_t n = w->rows->rows;

	if (n > w->room) {
		w->room = w->rows->cap;
		w->keys = mem_realloc_array(w->keys, w->room, sizeof(*w->keys));
		w->all = mem_realloc_array(w->all, w->room, sizeof(*w->all));
		w->keep = mem_realloc_array(w->keep, w->room, sizeof(*w->keep));
	}
	for (; w->nall < n; w->nall++)
		w->all[w->nall] = (uint32_t)w->nall;
}

/* Under the lock. Nobody asks for the keys while the stream is silent about the table. */
static void hash(struct writing *y)
{
	for (size_t row = 0; row < y->rows->rows && !y->hashed; row++)
		y->w->keys[row] = touched_key(&y->c->touched, y->rows, row);
	y->hashed = true;
}

/* Under the lock: keeps the rows that no change has touched. True when some went. */
static bool sift(struct writing *y)
{
	struct batch *b = y->rows;
	struct copier *w = y->w;
	size_t n = 0, before = b->rows;

	if (!y->c->emptied && !touched_any(&y->c->touched))
		return false;
	hash(y);
	for (size_t row = 0; row < b->rows; row++)
		if (!y->c->emptied && !touched_has(&y->c->touched, w->keys[row])) {
			w->keys[n] = w->keys[row];
			w->keep[n++] = (uint32_t)row;
		}
	batch_keep(b, w->keep, n);
	return n < before;
}

/* Under the lock. */
static void number(struct writing *y)
{
	struct table_copy *c = y->c;
	struct batch *b = y->rows;

	for (size_t row = 0; row < b->rows; row++) {
		b->op[row] = OP_SNAPSHOT;
		b->commit[row] = c->mark.floor;
		b->seq[row] = (uint32_t)(c->next_seq + row);
		b->committed_at[row] = c->mark.at_us;
	}
	c->next_seq += b->rows;
}

/* *tx is another one when rows were refused; NULL after a failure. */
static enum err put_rows(struct writing *y, struct warehouse_tx **tx, struct error *e)
{
	struct table_changes t = {.table = y->rows->table,
		.rows = y->rows,
		.newest = y->w->all,
		.nnewest = y->rows->rows,
		.fresh = !y->c->mark.over};
	const struct replicate *r = y->c->s->r;

	TRY(failpoint_hit(&r->env, "snapshot.batch", e));
	return y->rows->rows > 0 ? dead_letters_put(r->w, &r->env, tx, &t, e) : OK;
}

/* Under the lock: the range is in when this is committed. */
static enum err put_range_in(struct writing *y, struct warehouse_tx *tx, struct error *e)
{
	struct table_copy *c = y->c;
	struct arena mem = {0};
	struct mark mark = copy_range_mark(c, y->work, &mem);
	struct change_set set = {.marks = &mark, .nmarks = 1};
	enum err rc = warehouse_tx_put(tx, &set, e);

	if (rc == OK)
		rc = warehouse_tx_commit(tx, e);
	else
		warehouse_tx_abandon(tx);
	if (rc == OK) {
		/* Those who look for the next range read the parts under the lock of all copies. */
		pthread_mutex_lock(&c->s->lock);
		part_add(&c->parts.items[y->work->part], y->work->blocks);
		pthread_mutex_unlock(&c->s->lock);
	}
	arena_free(&mem);
	return rc;
}

/* Under the lock, so that no change of the table is written meanwhile. */
static enum err write_locked(struct writing *y, struct error *e)
{
	struct warehouse_tx *tx = NULL;

	(void)sift(y);
	TRY(warehouse_begin(y->c->s->r->w, &tx, e));
	enum err rc = put_rows(y, &tx, e);
	if (rc != OK) {
		warehouse_tx_abandon(tx);
		return rc;
	}
	return put_range_in(y, tx, e);
}

/*
 * Rows that are nowhere in the table yet are written without the lock. Where a change has touched
 * one of them before they are committed, they are written once more, under it.
 */
static enum err write_fresh(struct writing *y, struct error *e)
{
	struct table_copy *c = y->c;
	struct warehouse_tx *tx = NULL;

	pthread_mutex_unlock(&c->lock);
	enum err rc = warehouse_begin(c->s->r->w, &tx, e);
	if (rc == OK)
		rc = put_rows(y, &tx, e);
	pthread_mutex_lock(&c->lock);
	if (rc != OK || copy_stale(c)) {
		warehouse_tx_abandon(tx);
		y->dropped = rc == OK;
		return rc;
	}
	if (!sift(y))
		return put_range_in(y, tx, e);
	warehouse_tx_abandon(tx);
	return write_locked(y, e);
}

static enum err write_rows(struct writing *y, struct error *e)
{
	struct table_copy *c = y->c;
	enum err rc = OK;

	pthread_mutex_lock(&c->lock);
	if (copy_stale(c)) {
		y->dropped = true;
	} else {
		(void)sift(y);
		number(y);
		rc = c->mark.over ? write_locked(y, e) : write_fresh(y, e);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

enum err copy_write(
	struct copier *w, struct table_copy *c, const struct copy_work *work, struct error *e)
{
	struct writing y = {.w = w, .c = c, .rows = w->rows, .work = work};

	make_room(w);
	enum err rc = write_rows(&y, e);
	if (rc == OK && !y.dropped) {
		copy_note_rows(c, w->rows->rows);
		rc = failpoint_hit(&c->s->r->env, "snapshot.range", e);
	}
	return rc;
}

/* ---- reading ---- */

/* The leaf under the table's own description: its columns may stand in another order. */
static struct table leaf_of(const struct table_copy *c, const struct copy_part *p)
{
	struct table leaf = *c->table;

	leaf.schema = p->schema;
	leaf.name = p->name;
	leaf.relid = p->relid;
	return leaf;
}

struct reading {
	struct table_copy *c;
	const struct copy_work *work;
	struct batch *rows;
	struct cut cut;
	struct arena mem;
	bool whole;
};

static enum err read_rows(struct reading *y, struct pg *pg, struct error *e)
{
	const struct copy_part *p = &y->c->parts.items[y->work->part];
	struct table leaf = leaf_of(y->c, p);
	struct buf where;

	buf_init(&where, 4096);
	part_where(pg->server_version, y->work->blocks, &where);
	enum err rc = pg_copy_into(pg, &leaf, buf_str(&where),
		y->work->whole ? SIZE_MAX : RANGE_TEXT, y->rows, &y->whole, e);
	buf_free(&where);
	return rc;
}

static enum err read_range(struct reading *y, struct pg *pg, struct error *e)
{
	const struct copy_part *p = &y->c->parts.items[y->work->part];
	struct str print;

	TRY(copy_open_cut(pg, p->schema, p->name, &y->mem, &y->cut, e));
	TRY(parts_ask_print(pg, y->c->relid, p->relid, &y->mem, &print, e));
	if (!str_eq(print, p->print))
		copy_set_stale(y->c);
	else
		TRY(read_rows(y, pg, e));
	return pg_exec(pg, y->whole ? "COMMIT" : "ROLLBACK", "ending the reading of a range", e);
}

/* Under snapshots.lock. Blocks beyond those that the table had at first are one range. */
static void halve(struct table_copy *c, const struct copy_work *w)
{
	const struct copy_part *p = &c->parts.items[w->part];
	struct copy_work first = *w, second = *w;
	uint32_t from = w->blocks.from, n = p->step;

	if (w->blocks.to != BLOCK_END)
		n = w->blocks.to - from;
	else if (from < p->blocks)
		n = p->blocks - from;
	if (n < 2 && w->blocks.to != BLOCK_END) {
		first.whole = true;
		copy_again(c, &first);
		return;
	}
	first.blocks.to = second.blocks.from = from + (n < 2 ? 1 : n / 2);
	copy_again(c, &second);
	copy_again(c, &first);
}

enum err copy_range(
	struct copier *w, struct table_copy *c, const struct copy_work *work, struct error *e)
{
	struct replicate *r = c->s->r;
	struct reading y = {.c = c, .work = work};
	enum err rc = failpoint_hit(&r->env, "snapshot.read", e);

	if (w->rows == NULL)
		w->rows = batch_new(c->table);
	else
		batch_retable(w->rows, c->table);
	y.rows = w->rows;
	if (rc == OK)
		rc = read_range(&y, w->pg, e);
	/* Dropped meanwhile, or its schema: the new beginning finds out. */
	if (rc == ERR_NOT_FOUND) {
		copy_set_stale(c);
		error_clear(e);
		rc = pg_exec(w->pg, "ROLLBACK", "ending the reading of a range", e);
	}
	bool usable = rc == OK && !copy_stale(c);
	if (usable && !y.whole) {
		pthread_mutex_lock(&c->s->lock);
		halve(c, work);
		pthread_mutex_unlock(&c->s->lock);
	} else if (usable) {
		rc = engine_wait_applied(r, y.cut.at, e);
		if (rc == OK)
			rc = copy_write(w, c, work, e);
	}
	batch_reset(w->rows);
	arena_free(&y.mem);
	return rc;
}
