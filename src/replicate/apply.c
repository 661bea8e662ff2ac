#include "apply.h"

#include "catalog_watch.h"
#include "catch_up.h"
#include "snapshot.h"

#define WAIT_US     INT64_C(100000)  /* how soon a stop is seen */
#define QUIET_US    INT64_C(100000)  /* a source with a backlog is not silent for so long */
#define POSITION_US INT64_C(1000000) /* between two positions without rows */
#define TURN        65536            /* records handled before others have their turn */

enum err apply_open(struct apply *a, struct replicate *r, struct error *e)
{
	*a = (struct apply){.r = r};
	TRY(replicate_position(r->w, &a->done, e));
	if (!a->done.found)
		return FAIL(e, ERR_BUG, "applying: the warehouse has no position");
	a->whole = a->done;
	a->decoder = pgoutput_new();
	/* Nothing is collected yet. */
	a->obeyed = snapshot_generation(r->snapshots);
	snapshot_obeyed(r->snapshots, a->obeyed);
	return journal_reader_open(&a->reader, r->o->journal, r->journal, a->done.at, e);
}

enum err apply_open_apart(struct apply *a, struct replicate *r, const struct apply_apart *apart,
	const struct replicate_position *from, struct error *e)
{
	*a = (struct apply){.r = r, .apart = apart, .done = *from, .whole = *from};
	a->decoder = pgoutput_new();
	a->position_us = clock_mono(r->env.clock);
	return journal_reader_open(&a->reader, r->o->journal, r->journal, from->at, e);
}

void apply_close(struct apply *a)
{
	warehouse_tx_abandon(a->part);
	if (a->r != NULL && a->apart == NULL)
		snapshot_release(a->r->snapshots);
	journal_reader_close(a->reader);
	pgoutput_free(a->decoder);
	relations_free(&a->relations);
	pg_close(a->asks);
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

/* A batch that more is about to join: more stands there, or comes within a moment although the
 * journal has been read to its end. Only of a backlog is that waited for. */
static bool fills_up(const struct apply *a, bool more)
{
	if (a->rows == 0 || a->hurry || atomic_load(&a->r->stop) || apply_is_due(a))
		return false;
	if (more)
		return true;
	return apply_is_late(a) && journal_reader_wait(a->reader, QUIET_US);
}

enum err apply_step(struct apply *a, struct error *e)
{
	struct journal_record rec;
	bool got = true;
	lsn before = a->done.at;

	/* Inside a transaction there is no turn for others. */
	for (size_t n = 1; got && !atomic_load(&a->r->stop); n++) {
		TRY(journal_reader_next(a->reader, &rec, &got, e));
		enum err rc = got ? apply_record(a, &rec, e) : OK;
		if (rc != OK && a->again)
			rc = apply_anew(a, e);
		if (rc != OK)
			return rc;
		if (!a->tx.open && (a->done.at.v != before.v || n >= TURN))
			break;
	}
	if (!a->tx.open && !fills_up(a, got) && worth_writing(a))
		return apply_flush(a, e);
	if (!got && !a->hurry && !atomic_load(&a->r->stop))
		(void)journal_reader_wait(a->reader, WAIT_US);
	return OK;
}

/* What the copies ask for holds once nothing that was collected before is left. */
static enum err obey(struct apply *a, struct error *e)
{
	unsigned generation = snapshot_generation(a->r->snapshots);

	if (a->tx.open || generation == a->obeyed)
		return OK;
	TRY(apply_flush(a, e));
	a->obeyed = generation;
	snapshot_obeyed(a->r->snapshots, generation);
	return OK;
}

/* What others want between two transactions: nothing is collected then. */
static enum err serve(struct apply *a, struct error *e)
{
	if (!engine_is_asked(a->r))
		return OK;
	TRY(apply_flush(a, e));
	engine_serve(a->r);
	return OK;
}

static enum err between(struct apply *a, struct catch_up *c, struct error *e)
{
	TRY(obey(a, e));
	if (a->tx.open)
		return OK;
	TRY(catalog_watch(a, e));
	TRY(serve(a, e));
	return catch_up_step(c, a, e);
}

static enum err run(struct replicate *r, bool *went_well, struct error *e)
{
	struct apply a = {0};
	struct catch_up c = {0};
	enum err rc = snapshot_position(r, e);

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
			rc = between(&a, &c, e);
		*went_well |= a.done.at.v > before.v;
	}
	catch_up_close(&c);
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
		lsn whole = r->never_in_parts;
		rc = run(r, &went_well, e);
		if (went_well)
			tries = 0;
		/* Refused in parts, to be written whole now: the failure has taught something. */
		bool learnt = rc == ERR_INPUT && r->never_in_parts.v != whole.v;
		/* Whatever it is, capture goes on: what is in the journal lets the source go. */
		if (rc == OK || (!r->forever && !learnt))
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
