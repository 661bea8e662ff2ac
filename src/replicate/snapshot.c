/* Which tables are to be copied, and the threads that do it. */
#include "snapshot_copy.h"

#include <string.h>
#include <time.h>

#include "marks.h"
#include "mem.h"
#include "pg_copy.h"
#include "rename.h"
#include "source.h"
#include "table_hold.h"

#define SLICE_US INT64_C(100000)  /* how soon a stop is seen */
#define SCAN_US  INT64_C(5000000) /* between two looks at the publication */
#define WORKERS  3
#define RACES    5 /* failures of this kind before it counts as one */

/* ---- the tables ---- */

struct table_copy *copies_find(struct snapshots *s, struct str schema, struct str name)
{
	for (size_t i = 0; i < s->n; i++) {
		struct table_copy *c = s->items[i];
		if (c->step != STEP_OFF && str_eq(c->schema, schema) && str_eq(c->name, name))
			return c;
	}
	return NULL;
}

static struct table_copy *new_copy(
	struct snapshots *s, struct str schema, struct str name, uint32_t relid)
{
	struct table_copy *c = mem_zalloc(sizeof(*c));
	pthread_mutexattr_t attr;

	c->s = s;
	c->schema = arena_str(&c->name_mem, schema);
	c->name = arena_str(&c->name_mem, name);
	c->full = arena_fmt(&c->name_mem, "%.*s.%.*s", STR_ARG(schema), STR_ARG(name));
	c->relid = relid;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&c->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return c;
}

static void free_copy(struct table_copy *c)
{
	parts_free(&c->parts);
	touched_free(&c->touched);
	mem_free(c->skipped.items);
	mem_free(c->again);
	arena_free(&c->mem);
	arena_free(&c->name_mem);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

static void append(struct snapshots *s, struct table_copy *c)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->items = mem_realloc_array(s->items, s->cap, sizeof(struct table_copy *));
	}
	s->items[s->n++] = c;
}

enum err copies_add(struct snapshots *s, struct str schema, struct str name, uint32_t relid,
	struct table_copy **out, struct error *e)
{
	struct table_copy *old = copies_find(s, schema, name);
	struct table_copy *c = new_copy(s, schema, name, relid);
	struct table_hold hold = {.paused = false};
	enum err rc = replicate_snapshot(s->r->w, c->schema, c->name, &c->mem, &c->mark, e);

	if (rc == OK)
		rc = table_hold_read(s->r->w, c->schema, c->name, &hold, e);
	/* What it has is kept, and what is missing is in the journal, unless it is another by now.
	 */
	bool keeps = rc == OK && hold.has_from && hold.relid == relid && c->mark.relid == relid &&
		c->mark.state == SNAPSHOT_DONE;
	atomic_store(&c->paused, hold.paused || keeps);
	atomic_store(&c->apart, keeps);
	atomic_store(&c->catching, keeps && !hold.paused);
	if (keeps)
		c->step = STEP_DONE;
	if (rc == OK && hold.paused)
		c->quiet = true;
	else if (keeps)
		c->quiet = false;
	else if (rc == OK && c->mark.relid == relid && c->mark.state == SNAPSHOT_DONE)
		c->step = STEP_DONE;
	else if (rc == OK && c->mark.relid == relid && c->mark.state == SNAPSHOT_RUNNING)
		rc = copy_take_up(c, &c->resume, e);
	if (rc != OK) {
		free_copy(c);
		return rc;
	}
	if (old != NULL)
		old->step = STEP_OFF;
	for (size_t i = 0; i < s->n; i++) /* under the name that it had */
		if (s->items[i]->relid == relid)
			s->items[i]->step = STEP_OFF;
	append(s, c);
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
	*out = c;
	return OK;
}

void copies_report(struct snapshots *s)
{
	bool on = !s->scanned;

	for (size_t i = 0; i < s->n && !on; i++)
		on = (s->items[i]->step < STEP_DONE || atomic_load(&s->items[i]->catching)) &&
			s->items[i]->step != STEP_OFF && !s->items[i]->quiet;
	pthread_mutex_lock(&s->r->lock);
	s->r->p.snapshotting = on;
	pthread_cond_broadcast(&s->r->moved);
	pthread_mutex_unlock(&s->r->lock);
}

/* ---- waiting ---- */

void copies_wait(struct snapshots *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_US * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

bool copies_ending(const struct snapshots *s)
{
	return s->stopping || atomic_load(&s->r->stop);
}

void copies_bump(struct snapshots *s)
{
	atomic_fetch_add(&s->generation, 1);
}

enum err copies_hush(struct snapshots *s, struct error *e)
{
	unsigned want = atomic_fetch_add(&s->generation, 1) + 1;
	enum err rc = OK;

	engine_wake(s->r);
	pthread_mutex_lock(&s->lock);
	while (rc == OK && (int)(s->obeyed - want) < 0) {
		if (copies_ending(s))
			rc = FAIL(e, ERR_INTERRUPTED, "waiting for apply: a stop was asked for");
		else
			copies_wait(s);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* ---- what is next ---- */

enum job_kind { JOB_NONE, JOB_BEGIN, JOB_RESUME, JOB_RANGE, JOB_END };

struct job {
	enum job_kind kind;
	struct table_copy *copy;
	struct copy_work work;
};

static bool next_range(struct table_copy *c, struct copy_work *out)
{
	if (c->nagain > 0) {
		*out = c->again[--c->nagain];
		return true;
	}
	while (c->part < c->parts.n) {
		struct block_range r;
		bool more = c->block != BLOCK_END &&
			part_next(&c->parts.items[c->part], c->block, &r);
		if (more) {
			*out = (struct copy_work){.part = c->part, .blocks = r};
			c->block = r.to;
			return true;
		}
		c->part++;
		c->block = 0;
	}
	return false;
}

void copy_again(struct table_copy *c, const struct copy_work *w)
{
	if (c->nagain == c->capagain) {
		c->capagain = c->capagain == 0 ? 8 : c->capagain * 2;
		c->again = mem_realloc_array(c->again, c->capagain, sizeof(*c->again));
	}
	c->again[c->nagain++] = *w;
}

/* A copy that has become stale begins anew when nobody reads it any more. */
static bool look_for_range(struct table_copy *c, struct job *job)
{
	if (c->step != STEP_READ)
		return false;
	if (copy_stale(c)) {
		if (c->readers == 0 && !c->busy)
			c->step = STEP_BEGIN;
		return false;
	}
	if (next_range(c, &job->work)) {
		c->readers++;
		job->kind = JOB_RANGE;
		return true;
	}
	if (c->readers == 0)
		c->step = STEP_END;
	return false;
}

static bool look_for_end(struct table_copy *c, struct job *job)
{
	if (c->step != STEP_END || c->busy)
		return false;
	c->busy = true;
	job->kind = JOB_END;
	return true;
}

static bool look_for_begin(struct table_copy *c, struct job *job)
{
	if (c->step != STEP_BEGIN || c->busy)
		return false;
	c->busy = true;
	job->kind = c->resume ? JOB_RESUME : JOB_BEGIN;
	return true;
}

typedef bool look_fn(struct table_copy *c, struct job *job);

static bool look_at_all(struct snapshots *s, look_fn *look, size_t readers, struct job *job)
{
	int64_t now = clock_mono(s->r->env.clock);

	for (size_t i = 0; i < s->n; i++) {
		struct table_copy *c = s->items[i];
		if (atomic_load(&c->paused) || now < c->not_before_us || c->readers != readers)
			continue;
		if (look(c, job)) {
			job->copy = c;
			return true;
		}
	}
	return false;
}

/* What has been begun comes first: the fewer copies are open, the shorter each one takes. Of those
 * the one that has the fewest readers: a small table does not wait for the end of a large one. */
static bool find_job(struct snapshots *s, struct job *job)
{
	for (size_t readers = 0; readers < s->nworkers; readers++)
		if (look_at_all(s, look_for_range, readers, job))
			return true;
	return look_at_all(s, look_for_end, 0, job) || look_at_all(s, look_for_begin, 0, job);
}

static enum err do_job(struct copier *w, struct job *job, struct error *e)
{
	struct replicate *r = w->s->r;

	if (w->pg == NULL) {
		TRY(source_open(&w->pg, r->o, &r->env, false, e));
		TRY(pg_copy_widen(w->pg, e));
	}
	switch (job->kind) {
	case JOB_BEGIN:
		return copy_begin(w, job->copy, e);
	case JOB_RESUME:
		return copy_resume(w, job->copy, e);
	case JOB_RANGE:
		return copy_range(w, job->copy, &job->work, e);
	case JOB_END:
		return copy_end(w, job->copy, e);
	case JOB_NONE:
		break;
	}
	return OK;
}

static void went_well(struct table_copy *c, const struct job *job)
{
	c->tries = 0;
	error_clear(&c->error);
	if (job->kind == JOB_BEGIN || job->kind == JOB_RESUME) {
		c->resume = false;
		c->part = 0;
		c->block = 0;
		c->nagain = 0;
		c->step = copy_stale(c) ? STEP_BEGIN : STEP_READ;
	} else if (job->kind == JOB_END) {
		c->step = copy_stale(c) ? STEP_BEGIN : STEP_DONE;
		if (c->step == STEP_DONE)
			c->quiet = false;
	}
}

static void fail_all(struct snapshots *s, enum err rc, const struct error *e)
{
	if (s->rc == OK) {
		s->rc = rc;
		s->error = *e;
	}
	pthread_mutex_lock(&s->r->lock);
	s->r->p.apply_error = *e;
	pthread_mutex_unlock(&s->r->lock);
	engine_failed(s->r);
}

/* A table that is dropped while a statement looks at it makes PostgreSQL fail with an internal
 * error, or with a deadlock; the next try finds it gone. */
static bool raced(const struct pg *pg, unsigned tries)
{
	return pg != NULL && tries < RACES &&
		(strcmp(pg->sqlstate, "XX000") == 0 || strcmp(pg->sqlstate, "40P01") == 0);
}

static void went_wrong(struct snapshots *s, struct table_copy *c, const struct job *job,
	enum err rc, bool race, struct error *e)
{
	struct replicate *r = s->r;

	if (job->kind == JOB_RANGE)
		copy_again(c, &job->work);
	if (rc == ERR_INTERRUPTED && copies_ending(s))
		return;
	if (rc == ERR_NOT_FOUND && job->kind == JOB_BEGIN) {
		log_warn(r->env.log, "snapshot", "a table is not published any more",
			F_STR("table", c->full));
		c->step = STEP_OFF;
		return;
	}
	error_wrap(e, "copying the table %.*s", STR_ARG(c->full));
	c->error = *e;
	c->tries++;
	c->not_before_us = clock_mono(r->env.clock) +
		INT64_C(100000) * (INT64_C(1) << (c->tries < 7 ? c->tries : 7));
	if (!r->forever && !race)
		fail_all(s, rc, e);
	else
		log_warn(r->env.log, "snapshot", "a table could not be copied; trying again",
			F_STR("table", c->full), F_I64("try", c->tries), F_CSTR("reason", e->text));
}

static void finish(struct copier *w, struct job *job, enum err rc, struct error *e)
{
	struct snapshots *s = w->s;
	struct table_copy *c = job->copy;
	bool race = rc != OK && raced(w->pg, c->tries);

	if (rc != OK) {
		pg_close(w->pg);
		w->pg = NULL;
	}
	pthread_mutex_lock(&s->lock);
	if (job->kind == JOB_RANGE)
		c->readers--;
	else
		c->busy = false;
	if (rc == OK)
		went_well(c, job);
	else
		went_wrong(s, c, job, rc, race, e);
	if (job->kind != JOB_RANGE)
		copies_bump(s);
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Under the lock. No connection and no memory is kept while there is nothing to do. */
static void rest(struct copier *w)
{
	struct pg *pg = w->pg;

	if (pg == NULL && w->rows == NULL) {
		copies_wait(w->s);
		return;
	}
	w->pg = NULL;
	pthread_mutex_unlock(&w->s->lock);
	copier_free_rows(w);
	pg_close(pg);
	pthread_mutex_lock(&w->s->lock);
}

static enum err work_on(void *arg, struct error *e)
{
	struct copier w = {.s = arg};
	struct snapshots *s = arg;

	for (;;) {
		struct job job = {.kind = JOB_NONE};
		pthread_mutex_lock(&s->lock);
		while (!copies_ending(s) && !find_job(s, &job))
			rest(&w);
		pthread_mutex_unlock(&s->lock);
		if (job.kind == JOB_NONE)
			break;
		enum err rc = do_job(&w, &job, e);
		finish(&w, &job, rc, e);
		error_clear(e);
	}
	copier_free_rows(&w);
	pg_close(w.pg);
	return OK;
}

/* ---- looking for tables ---- */

static bool is_published(const struct pg_tables *all, const struct table_copy *c)
{
	for (size_t i = 0; i < all->n; i++)
		/* A whole table that has another name by now is still the same: the stream says
		 * when it has got it, see rename.h. */
		if (all->tables[i]->relid == c->relid &&
			(c->step == STEP_DONE ||
				(str_eq(all->tables[i]->name, c->name) &&
					str_eq(all->tables[i]->schema, c->schema))))
			return true;
	return false;
}

/* A table that comes back to the publication has missed changes: its mark says so. */
static enum err leave(struct snapshots *s, struct table_copy *c, struct error *e)
{
	TRY(copy_put_anew(c, false, e));
	c->step = STEP_OFF;
	copies_bump(s);
	log_info(s->r->env.log, "snapshot", "a table has left the publication",
		F_STR("table", c->full));
	return OK;
}

static enum err take_list(struct snapshots *s, const struct pg_tables *all, struct error *e)
{
	enum err rc = OK;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; rc == OK && i < all->n; i++) {
		const struct table *t = all->tables[i];
		struct table_copy *c = copies_find(s, t->schema, t->name);
		bool elsewhere = false;
		if (c == NULL || c->relid != t->relid)
			rc = rename_known(s->r->w, t, &elsewhere, e);
		if (rc == OK && !elsewhere && (c == NULL || c->relid != t->relid))
			rc = copies_add(s, t->schema, t->name, t->relid, &c, e);
	}
	for (size_t i = 0; rc == OK && i < s->n; i++) {
		struct table_copy *c = s->items[i];
		if (c->step != STEP_OFF && !c->busy && c->readers == 0 && !is_published(all, c))
			rc = leave(s, c, e);
	}
	if (rc == OK)
		s->scanned = true;
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static enum err scan_once(struct snapshots *s, unsigned tries, bool *race, struct error *e)
{
	struct replicate *r = s->r;
	struct arena mem = {0};
	struct pg_tables all;
	struct pg *pg = NULL;

	enum err rc = source_open(&pg, r->o, &r->env, false, e);
	if (rc == OK)
		rc = pg_publication_tables(pg, r->o->publication, &mem, &all, e);
	*race = rc != OK && raced(pg, tries);
	if (rc == OK)
		rc = take_list(s, &all, e);
	pg_close(pg);
	arena_free(&mem);
	return rc;
}

/* Whether it is time again; waits a moment when it is not. */
static bool scan_due(struct snapshots *s, int64_t *next_us)
{
	int64_t now = clock_mono(s->r->env.clock);

	pthread_mutex_lock(&s->lock);
	bool due = !copies_ending(s) &&
		(s->poked || (now >= *next_us && (s->r->forever || !s->scanned)));
	if (due) {
		s->poked = false;
		*next_us = now + SCAN_US;
	} else if (!copies_ending(s))
		copies_wait(s);
	pthread_mutex_unlock(&s->lock);
	return due;
}

static void scan_failed(struct snapshots *s, enum err rc, bool race, struct error *e)
{
	if (rc == ERR_INTERRUPTED || copies_ending(s))
		return;
	if (!s->r->forever && !race) {
		pthread_mutex_lock(&s->lock);
		fail_all(s, rc, e);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	log_warn(s->r->env.log, "snapshot", "the publication could not be looked at; trying again",
		F_CSTR("reason", e->text));
	if (race)
		snapshots_poke(s->r);
}

static enum err scan_on(void *arg, struct error *e)
{
	struct snapshots *s = arg;
	int64_t next_us = 0;
	unsigned races = 0;

	while (!copies_ending(s)) {
		bool race;
		if (!scan_due(s, &next_us))
			continue;
		enum err rc = scan_once(s, races, &race, e);
		races = race ? races + 1 : 0;
		if (rc != OK)
			scan_failed(s, rc, race, e);
		error_clear(e);
	}
	return OK;
}

void snapshots_poke(struct replicate *r)
{
	struct snapshots *s = r->snapshots;

	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->poked = true;
	s->scanned = false;
	copies_report(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* ---- beginning and end ---- */

static struct snapshots *make(struct replicate *r)
{
	struct snapshots *s = mem_zalloc(sizeof(*s));
	pthread_condattr_t attr;
	int64_t n = r->o->snapshot_workers > 0 ? r->o->snapshot_workers : WORKERS;

	s->r = r;
	s->nworkers = n > SNAPSHOT_WORKERS_MOST ? SNAPSHOT_WORKERS_MOST : (size_t)n;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

enum err snapshots_start(struct replicate *r, struct error *e)
{
	struct snapshots *s = make(r);

	r->snapshots = s;
	copies_report(s);
	enum err rc = thread_start(&s->scan, "snapshot", scan_on, s, e);
	for (size_t i = 0; rc == OK && i < s->nworkers; i++)
		rc = thread_start(&s->workers[i], "copy", work_on, s, e);
	return rc;
}

enum err snapshots_stop(struct replicate *r, struct error *e)
{
	struct snapshots *s = r->snapshots;
	struct error ignored = {.kind = OK};

	if (s == NULL)
		return OK;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	/* They end without an error of their own: what failed is in s->error. */
	IGNORE(thread_join(&s->scan, &ignored));
	for (size_t i = 0; i < s->nworkers; i++)
		IGNORE(thread_join(&s->workers[i], &ignored));
	enum err rc = s->rc;
	if (rc != OK && e != NULL)
		*e = s->error;
	for (size_t i = 0; i < s->n; i++)
		free_copy(s->items[i]);
	mem_free(s->items);
	mem_free(s->watched);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
	r->snapshots = NULL;
	return rc;
}
