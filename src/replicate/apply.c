#include "apply.h"

#include "snapshot.h"

#define WAIT_US     INT64_C(100000)  /* how soon a stop is seen */
#define POSITION_US INT64_C(1000000) /* between two positions without rows */

enum err apply_open(struct apply *a, struct replicate *r, struct error *e)
{
	*a = (struct apply){.r = r};
	TRY(replicate_position(r->w, &a->done, e));
	if (!a->done.found)
		return FAIL(e, ERR_BUG, "applying: the warehouse has no position");
	a->whole = a->done;
	a->decoder = pgoutput_new();
	return journal_reader_open(&a->reader, r->o->journal, r->journal, a->done.at, e);
}

void apply_close(struct apply *a)
{
	journal_reader_close(a->reader);
	pgoutput_free(a->decoder);
	relations_free(&a->relations);
	arena_free(&a->mem);
	*a = (struct apply){0};
}

/* A position alone is worth a write once a second, or when somebody waits for it. */
static bool worth_writing(struct apply *a)
{
	int64_t now = clock_mono(a->r->env.clock);

	if (a->rows > 0)
		return true;
	if (a->whole.at.v <= a->done.at.v)
		return false;
	if (atomic_load(&a->r->waiters) == 0 && now - a->position_us < POSITION_US)
		return false;
	a->position_us = now;
	return true;
}

enum err apply_step(struct apply *a, struct error *e)
{
	struct journal_record rec;
	bool got = true;

	while (got && !atomic_load(&a->r->stop)) {
		TRY(journal_reader_next(a->reader, &rec, &got, e));
		if (got)
			TRY(apply_record(a, &rec, e));
	}
	if (!a->tx.open && worth_writing(a))
		return apply_flush(a, e);
	if (!atomic_load(&a->r->stop))
		(void)journal_reader_wait(a->reader, WAIT_US);
	return OK;
}

/* Tables that have come to the publication are copied without waiting for a change of theirs. */
static enum err refresh(struct apply *a, struct error *e)
{
	if (a->tx.open || !atomic_exchange(&a->r->refresh, false))
		return OK;
	TRY(apply_flush(a, e));
	return snapshot_all(a->r, e);
}

static enum err run(struct replicate *r, bool *went_well, struct error *e)
{
	struct apply a = {0};
	enum err rc = snapshot_all(r, e);

	if (rc == OK)
		rc = apply_open(&a, r, e);
	if (rc == OK) {
		pthread_mutex_lock(&r->lock);
		r->p.applied = a.done.at;
		pthread_cond_broadcast(&r->moved);
		pthread_mutex_unlock(&r->lock);
	}
	while (rc == OK && !atomic_load(&r->stop)) {
		lsn before = a.done.at;
		rc = apply_step(&a, e);
		if (rc == OK)
			rc = refresh(&a, e);
		*went_well |= a.done.at.v > before.v;
	}
	apply_close(&a);
	return rc;
}

enum err apply_thread(void *arg, struct error *e)
{
	struct replicate *r = arg;
	unsigned tries = 0;
	enum err rc = OK;

	while (!atomic_load(&r->stop)) {
		bool went_well = false;
		rc = run(r, &went_well, e);
		if (went_well)
			tries = 0;
		/* Whatever it is, capture goes on: what is in the journal lets the source go. */
		if (rc == OK || !r->forever)
			break;
		tries++;
		log_warn(r->env.log, "apply", "changes could not be applied; trying again",
			F_I64("try", tries), F_CSTR("reason", e->text));
		pthread_mutex_lock(&r->lock);
		r->p.apply_error = *e;
		pthread_mutex_unlock(&r->lock);
		env_sleep(&r->env, engine_backoff_us(tries, &r->apply_rnd));
		rc = OK;
	}
	if (rc != OK && !atomic_load(&r->stop)) {
		pthread_mutex_lock(&r->lock);
		r->p.apply_error = *e;
		pthread_mutex_unlock(&r->lock);
		engine_failed(r);
		return rc;
	}
	error_clear(e);
	return OK;
}
