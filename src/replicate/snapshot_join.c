/* The apply thread's side of the snapshot. */
#include "snapshot_copy.h"

#include <string.h>

#include "marks.h"
#include "mem.h"
#include "source.h"

enum err snapshot_position(struct replicate *r, struct error *e)
{
	struct replicate_position position;
	struct arena mem = {0};
	struct pg *pg = NULL;
	struct cut now;

	TRY(replicate_position(r->w, &position, e));
	if (position.found)
		return OK;
	enum err rc = source_open(&pg, r->o, &r->env, false, e);
	if (rc == OK)
		rc = source_snapshot(pg, &mem, &now, e);
	if (rc == OK) {
		position = (struct replicate_position){.at = r->id.start, .xid = now.xmax};
		struct mark mark = {
			.name = STR("position"), .value = mark_position(&mem, &position)};
		rc = marks_put(r->w, &mark, 1, e);
	}
	pg_close(pg);
	arena_free(&mem);
	return rc;
}

unsigned snapshot_generation(struct snapshots *s)
{
	return s == NULL ? 0 : atomic_load(&s->generation);
}

void snapshot_obeyed(struct snapshots *s, unsigned generation)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->obeyed = generation;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

enum err snapshot_join(struct snapshots *s, const struct table *t, bool known, struct arena *mem,
	struct table_copy **copy, struct cut *cut, struct error *e)
{
	struct replicate_snapshot mark;
	enum err rc = OK;

	*copy = NULL;
	pthread_mutex_lock(&s->lock);
	struct table_copy *c = copies_find(s, t->schema, t->name);
	if (c == NULL || c->relid != t->relid)
		rc = copies_add(s, t->schema, t->name, t->relid, &c, e);
	bool whole = rc == OK && c->step == STEP_DONE && !atomic_load(&c->paused);
	pthread_mutex_unlock(&s->lock);
	if (rc != OK)
		return rc;
	if (!whole) {
		*copy = c;
		return OK;
	}
	if (known)
		return OK;
	arena_reset(mem);
	TRY(replicate_snapshot(s->r->w, t->schema, t->name, mem, &mark, e));
	*cut = mark.cut;
	return OK;
}

static void note_skipped(struct xids *x, uint64_t xid)
{
	if (x->n > 0 && x->items[x->n - 1] == xid)
		return;
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 64 : x->cap * 2;
		x->items = mem_realloc_array(x->items, x->cap, sizeof(*x->items));
	}
	x->items[x->n++] = xid;
}

bool snapshot_skips(struct table_copy *c, uint64_t xid, lsn commit, unsigned *epoch)
{
	bool skip = true;

	pthread_mutex_lock(&c->lock);
	if (atomic_load(&c->apart))
		skip = true;
	else if (c->begun)
		skip = cut_includes(&c->mark.cut, xid, commit);
	else if (!atomic_load(&c->paused))
		note_skipped(&c->skipped, xid);
	*epoch = c->epoch;
	pthread_mutex_unlock(&c->lock);
	return skip;
}

/* ---- writing ---- */

static void hold(struct table_copy *c)
{
	if (c->held)
		return;
	pthread_mutex_lock(&c->lock);
	c->held = true;
}

static void touch(struct table_copy *c, const struct batch *b)
{
	for (size_t row = 0; row < b->rows; row++) {
		if (cut_includes(&c->mark.cut, b->xid[row], b->commit[row]))
			continue;
		if (b->op[row] == OP_TRUNCATE)
			c->emptied = true;
		else if (table_has_key(b->table))
			touched_add(&c->touched, touched_key(&c->touched, b, row));
	}
}

lsn snapshot_hold(struct snapshots *s, struct table_copy *c, const struct batch *rows)
{
	(void)s;
	hold(c);
	if (!c->begun || c->whole)
		return LSN_NONE;
	touch(c, rows);
	return c->mark.floor;
}

void snapshot_hold_all(struct snapshots *s)
{
	if (s == NULL)
		return;
	/* Only this thread and the scan add copies; what is added now has not begun. */
	for (size_t i = 0;; i++) {
		pthread_mutex_lock(&s->lock);
		struct table_copy *c = i < s->n ? s->items[i] : NULL;
		bool active = c != NULL && c->step < STEP_DONE;
		pthread_mutex_unlock(&s->lock);
		if (c == NULL)
			return;
		if (active)
			hold(c);
	}
}

void snapshot_release(struct snapshots *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i]->held) {
			s->items[i]->held = false;
			pthread_mutex_unlock(&s->items[i]->lock);
		}
	pthread_mutex_unlock(&s->lock);
}

/* ---- shape ---- */

void snapshot_lock(struct table_copy *c)
{
	pthread_mutex_lock(&c->lock);
}

void snapshot_unlock(struct table_copy *c, const struct table *now)
{
	if (now != NULL && c->begun && !c->whole && !table_same_shape(now, c->table))
		atomic_store(&c->stale, true);
	pthread_mutex_unlock(&c->lock);
}
