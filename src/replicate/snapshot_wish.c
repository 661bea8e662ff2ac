/* What somebody wishes for a table while replication runs. */
#include "snapshot_copy.h"

#define MOMENT_US INT64_C(10000)

/* *early: the publication has not been looked at yet; what the marks say is read then. */
static struct table_copy *find(struct snapshots *s, struct str schema, struct str name, bool *early)
{
	pthread_mutex_lock(&s->lock);
	struct table_copy *c = copies_find(s, schema, name);
	*early = c == NULL && s->n == 0 && !s->scanned;
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* Takes the table out of the workers' hands. */
static enum err stand_still(struct table_copy *c, struct error *e)
{
	struct snapshots *s = c->s;
	bool busy = true;

	atomic_store(&c->paused, true);
	atomic_store(&c->stale, true);
	while (busy) {
		TRY(env_check(&s->r->env, e));
		pthread_mutex_lock(&s->lock);
		busy = c->busy || c->readers > 0;
		pthread_mutex_unlock(&s->lock);
		if (busy)
			env_sleep(&s->r->env, MOMENT_US);
	}
	return OK;
}

static void begin_anew(struct table_copy *c)
{
	pthread_mutex_lock(&c->lock);
	c->begun = c->whole = false;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->apart, false);
	atomic_store(&c->catching, false);
	pthread_mutex_lock(&c->s->lock);
	c->step = STEP_BEGIN;
	c->resume = false;
	c->quiet = true; /* replication counts as complete without it */
	c->tries = 0;
	c->not_before_us = 0;
	error_clear(&c->error);
	pthread_cond_broadcast(&c->s->changed);
	pthread_mutex_unlock(&c->s->lock);
}

enum err snapshot_obey_wish(struct replicate *r, struct str schema, struct str name,
	enum snapshot_wish wish, struct error *e)
{
	struct snapshots *s = r->snapshots;
	bool early;
	struct table_copy *c = find(s, schema, name, &early);

	if (early)
		return OK;
	if (c == NULL)
		return FAIL(e, ERR_NOT_FOUND,
			"there is no table %.*s.%.*s among those that are replicated; sluice table add "
			"takes it up",
			STR_ARG(schema), STR_ARG(name));
	if (wish == WISH_RESUME && !atomic_load(&c->paused))
		return OK;
	TRY(stand_still(c, e));
	begin_anew(c);
	atomic_store(&c->paused, wish == WISH_PAUSE);
	/* From here on its changes are left out, until the copy has begun. */
	TRY(copies_hush(s, e));
	pthread_mutex_lock(&s->lock);
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return OK;
}

/* ---- held back, and catching up ---- */

/* What the main stream is to do with the table has changed. */
static void tell(struct snapshots *s)
{
	copies_bump(s);
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
}

static struct table_copy *find_whole(struct snapshots *s, struct str schema, struct str name)
{
	struct table_copy *c = copies_find(s, schema, name);

	return c != NULL && c->step == STEP_DONE ? c : NULL;
}

bool snapshot_hold_back(struct replicate *r, struct str schema, struct str name)
{
	struct snapshots *s = r->snapshots;

	pthread_mutex_lock(&s->lock);
	struct table_copy *c = find_whole(s, schema, name);
	if (c != NULL) {
		atomic_store(&c->paused, true);
		atomic_store(&c->apart, true);
		atomic_store(&c->catching, false);
		tell(s);
	}
	/* Whoever puts it down reads its mark. */
	bool can = c != NULL || copies_find(s, schema, name) == NULL;
	pthread_mutex_unlock(&s->lock);
	return can;
}

bool snapshot_begin_catching(struct replicate *r, struct str schema, struct str name)
{
	struct snapshots *s = r->snapshots;

	pthread_mutex_lock(&s->lock);
	struct table_copy *c = find_whole(s, schema, name);
	bool can = c != NULL && atomic_load(&c->apart);
	if (can) {
		atomic_store(&c->catching, true);
		c->quiet = true; /* replication counts as complete without it */
		tell(s);
	} else
		can = copies_find(s, schema, name) == NULL;
	pthread_mutex_unlock(&s->lock);
	return can;
}

static struct table_copy *find_catching(struct snapshots *s, uint32_t relid)
{
	for (size_t i = 0; i < s->n; i++) {
		struct table_copy *c = s->items[i];
		if (c->step == STEP_DONE && atomic_load(&c->catching) &&
			(relid == 0 || c->relid == relid))
			return c;
	}
	return NULL;
}

bool snapshot_catching(struct replicate *r, struct arena *mem, struct snapshot_catching *out)
{
	struct snapshots *s = r->snapshots;

	pthread_mutex_lock(&s->lock);
	struct table_copy *c = find_catching(s, 0);
	if (c != NULL)
		*out = (struct snapshot_catching){.relid = c->relid,
			.schema = arena_str(mem, c->schema),
			.name = arena_str(mem, c->name)};
	pthread_mutex_unlock(&s->lock);
	return c != NULL;
}

void snapshot_let_go(struct replicate *r, uint32_t relid, bool anew)
{
	struct snapshots *s = r->snapshots;

	pthread_mutex_lock(&s->lock);
	struct table_copy *c = find_catching(s, relid);
	pthread_mutex_unlock(&s->lock);
	if (c == NULL)
		return;
	if (anew)
		begin_anew(c);
	pthread_mutex_lock(&s->lock);
	atomic_store(&c->catching, false);
	atomic_store(&c->apart, false);
	atomic_store(&c->paused, false);
	if (!anew)
		c->quiet = false;
	tell(s);
	pthread_mutex_unlock(&s->lock);
}

void snapshot_look(
	struct replicate *r, struct str schema, struct str name, struct snapshot_sight *out)
{
	struct snapshots *s = r->snapshots;

	*out = (struct snapshot_sight){.known = false};
	pthread_mutex_lock(&s->lock);
	struct table_copy *c = copies_find(s, schema, name);
	if (c != NULL) {
		out->known = true;
		out->whole = c->step == STEP_DONE;
		out->paused = atomic_load(&c->paused);
		out->catching = atomic_load(&c->catching);
		out->error = c->error;
	}
	pthread_mutex_unlock(&s->lock);
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	out->rows = c->next_seq;
	pthread_mutex_unlock(&c->lock);
}
