/* Copying a table again because of what the catalog says, and what a copy waits for from there. */
#include "snapshot_copy.h"

#include "failpoint.h"
#include "marks.h"
#include "mem.h"

/* A copy whose C0 was taken after the catalog was looked at has it all already. */
static bool has_it(const struct table_copy *c, lsn seen)
{
	return c->mark.state != SNAPSHOT_NONE && c->mark.floor.v >= seen.v;
}

/* Under snapshots.lock. A copy under way sees that it is stale, and begins anew by itself. */
static void begin_again(struct table_copy *c)
{
	c->tries = 0;
	c->not_before_us = 0;
	if (c->step != STEP_DONE)
		return;
	c->step = STEP_BEGIN;
	c->resume = false;
	c->quiet = c->s->r->forever; /* the rows that stand there serve meanwhile */
}

/* Under both locks: what a table that is held back, or catches up, has must not be built upon. */
static void give_up_rows(struct table_copy *c)
{
	c->begun = c->whole = false;
	atomic_store(&c->apart, false);
	if (atomic_exchange(&c->catching, false))
		atomic_store(&c->paused, false);
}

/* Under both locks: the mark first, then what lives in this process. */
static enum err wish_for(struct table_copy *c, lsn seen, bool *begins, struct error *e)
{
	struct snapshots *s = c->s;

	*begins = c->step != STEP_OFF && !has_it(c, seen);
	if (!*begins)
		return OK;
	TRY(copy_put_anew(c, atomic_load(&c->catching), e));
	TRY(failpoint_hit(&s->r->env, "catalog.resync", e));
	atomic_store(&c->stale, true);
	if (atomic_load(&c->apart))
		give_up_rows(c);
	begin_again(c);
	copies_report(s);
	copies_bump(s);
	pthread_cond_broadcast(&s->changed);
	return OK;
}

enum err snapshot_resync(
	struct snapshots *s, const struct table *t, lsn seen, bool *begins, struct error *e)
{
	enum err rc = OK;

	*begins = false;
	if (s == NULL)
		return OK;
	pthread_mutex_lock(&s->lock);
	struct table_copy *c = copies_find(s, t->schema, t->name);
	pthread_mutex_unlock(&s->lock);
	/* One that is not known yet is copied first of all. */
	if (c == NULL || c->relid != t->relid)
		return OK;
	pthread_mutex_lock(&c->lock);
	pthread_mutex_lock(&s->lock);
	rc = wish_for(c, seen, begins, e);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&c->lock);
	if (rc != OK)
		return error_wrap(e, "having the table %.*s copied again", STR_ARG(c->full));
	if (*begins)
		log_info(s->r->env.log, "snapshot", "a table is to be copied again",
			F_STR("table", c->full));
	return OK;
}

/* ---- what the catalog's watch knows ---- */

void snapshot_watched(struct snapshots *s, const struct pg_tables *all)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->watched = mem_realloc_array(s->watched, all->n + 1, sizeof(*s->watched));
	s->nwatched = all->n;
	for (size_t i = 0; i < all->n; i++)
		s->watched[i] = all->tables[i]->relid;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Under snapshots.lock. */
static bool is_watched(const struct table_copy *c)
{
	for (size_t i = 0; i < c->s->nwatched; i++)
		if (c->s->watched[i] == c->relid)
			return true;
	return false;
}

static bool is_partitioned(const struct table_copy *c)
{
	return c->parts.n != 1 || c->parts.items[0].relid != c->relid;
}

enum err copy_wait_watched(struct table_copy *c, struct error *e)
{
	struct snapshots *s = c->s;
	enum err rc = OK;

	if (!is_partitioned(c))
		return OK;
	pthread_mutex_lock(&s->lock);
	while (rc == OK && !is_watched(c) && !atomic_load(&c->stale)) {
		copies_wait(s);
		rc = copies_ending(s)
			? FAIL(e, ERR_INTERRUPTED, "waiting for apply: a stop was asked for")
			: OK;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
