#include "replay.h"

#include "apply.h"
#include "apply_answers.h"
#include "reader.h"

/* Puts time between transactions as there was between their commits. */
struct pace {
	const struct env *env;
	bool on, begun;
	struct answers answers; /* of the source, when this was live */
	size_t next;            /* of those that were found in the catalog */
	int64_t first_us,
		began_us; /* of the first transaction: commit time, when it was replayed */
};

static lsn commit_of(const struct journal_record *rec)
{
	struct reader r = reader_of(str_from(rec->payload, 1));

	return (lsn){read_be64(&r)};
}

/* How long until the transaction that a Begin message opens is due. */
static int64_t pace_wait(struct pace *p, const struct journal_record *rec)
{
	struct reader r = reader_of(rec->payload);
	int64_t now = clock_mono(p->env->clock);

	(void)read_bytes(&r, 1 + 8);
	int64_t committed = (int64_t)read_be64(&r);
	if (r.bad)
		return 0;
	if (!p->begun) {
		p->begun = true;
		p->first_us = committed;
		p->began_us = now;
	}
	int64_t due = p->began_us + (committed - p->first_us);
	return due > now ? due - now : 0;
}

static bool begins_transaction(const struct journal_record *rec)
{
	return rec->kind == JOURNAL_MESSAGE && rec->payload.n > 0 && rec->payload.p[0] == 'B';
}

static enum err replay_record(
	struct apply *a, struct pace *pace, const struct journal_record *rec, struct error *e)
{
	int64_t wait = pace->on && begins_transaction(rec) ? pace_wait(pace, rec) : 0;

	/* What came before is not held back while the next one is waited for. */
	if (wait > 0)
		TRY(apply_flush(a, e));
	if (wait > 0)
		env_sleep(pace->env, wait);
	TRY(env_check(pace->env, e));
	enum err rc = begins_transaction(rec)
		? apply_answers_until(a, &pace->answers, commit_of(rec), &pace->next, e)
		: OK;
	if (rc == OK)
		rc = apply_record(a, rec, e);
	return rc != OK && a->again ? apply_anew(a, e) : rc;
}

static enum err replay_all(struct apply *a, struct pace *pace, struct error *e)
{
	struct journal_record rec;
	bool got = true;

	while (got) {
		TRY(journal_reader_next(a->reader, &rec, &got, e));
		if (got)
			TRY(replay_record(a, pace, &rec, e));
	}
	if (a->tx.open)
		return FAIL(e, ERR_CHECK,
			"replaying the journal %s: it ends inside a transaction; restore it from a "
			"copy",
			a->r->o->journal);
	TRY(apply_flush(a, e));
	return apply_answers_rest(a, &pace->answers, pace->next, e);
}

enum err replicate_replay(const struct replicate_replay *o, struct warehouse *w,
	const struct env *env, struct replicate_result *out, struct error *e)
{
	const struct replicate_options options = {.journal = o->journal,
		.batch_rows = o->batch_rows,
		.flush_interval_us = o->flush_interval_us};
	struct replicate r = {.o = &options, .w = w, .env = *env, .wake_fd = -1, .replay = o};
	struct pace pace = {.env = env, .on = o->at_speed};
	struct apply a = {0};
	struct arena mem = {0};
	int64_t began = clock_mono(env->clock);

	/* The counters speak of live replication. */
	r.env.metrics = NULL;
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.moved, NULL);
	enum err rc = apply_open(&a, &r, e);
	if (rc == OK)
		rc = apply_answers_open(&a, &mem, &pace.answers, e);
	r.answers = &pace.answers;
	if (rc == OK)
		rc = replay_all(&a, &pace, e);
	*out = (struct replicate_result){.at = a.done.at,
		.rows = r.p.rows,
		.seconds = (double)(clock_mono(env->clock) - began) / 1e6};
	apply_close(&a);
	arena_free(&mem);
	pthread_cond_destroy(&r.moved);
	pthread_mutex_destroy(&r.lock);
	return rc;
}
