/*
 * Capture: the stream into the journal, and back to the source only what is fsynced there. It
 * never waits for the warehouse.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "capture_session.h"
#include "failpoint.h"
#include "source.h"

#define LINGER_US    INT64_C(2000)     /* nothing more came for so long: sync what there is */
#define TICK_US      INT64_C(200000)   /* how soon a stop is seen */
#define ASK_US       INT64_C(50000)    /* between two questions for the source's position */
#define POSITION_US  INT64_C(1000000)  /* between two positions of an idle source */
#define FEEDBACK_US  INT64_C(5000000)  /* well below wal_sender_timeout */
#define SYNC_BYTES   UINT64_C(8388608) /* a group's fsync does not wait beyond this */
#define SILENCE_US   INT64_C(60000000) /* as PostgreSQL's wal_sender_timeout */
#define SPILL_MEMORY ((size_t)16 << 20)
#define PATIENCE_US  INT64_C(30000000) /* how long a slot may still be held by our last session */

static void report(struct session *s)
{
	struct replicate *r = s->r;
	uint64_t bytes = journal_bytes(r->journal);
	lsn durable = journal_durable(r->journal);

	pthread_mutex_lock(&r->lock);
	if (r->pending_since_us == 0 && durable.v > r->p.applied.v)
		r->pending_since_us = clock_mono(r->env.clock);
	r->p.durable = durable;
	r->p.received = lsn_max(r->p.received, journal_end(r->journal));
	r->p.acked = s->acked;
	r->p.server = lsn_max(lsn_max(r->p.server, s->offered), r->p.received);
	r->p.journal_bytes = bytes;
	metric_set(r->m.lag_bytes, (double)(r->p.server.v - r->p.applied.v));
	pthread_mutex_unlock(&r->lock);
	metric_set(r->m.journal_bytes, (double)bytes);
	if (s->spill != NULL)
		metric_set(r->m.spill_bytes, (double)spill_bytes(s->spill));
}

static enum err sync_journal(struct session *s, struct error *e)
{
	TRY(journal_sync(s->r->journal, e));
	metric_add(s->r->m.fsyncs, 1);
	s->pending_us = 0;
	report(s);
	return OK;
}

static enum err acknowledge(struct session *s, int64_t now, bool ask, struct error *e)
{
	TRY(failpoint_hit(&s->r->env, "capture.ack", e));
	s->acked = journal_durable(s->r->journal);
	TRY(pg_stream_feedback(
		s->stream, lsn_max(journal_end(s->r->journal), s->acked), s->acked, ask, e));
	s->feedback_us = now;
	s->reply = false;
	report(s);
	return OK;
}

enum err capture_still_here(struct session *s, struct error *e)
{
	int64_t now = clock_mono(s->r->env.clock);

	engine_sign(&s->r->capture_turns);
	engine_sign(&s->r->heard); /* nobody listens meanwhile: the source is not to blame */
	if (now - s->feedback_us < FEEDBACK_US)
		return OK;
	s->feedback_us = now;
	return pg_stream_feedback(
		s->stream, lsn_max(s->acked, journal_end(s->r->journal)), s->acked, false, e);
}

/* The source's own position, when nothing before it is missing here. */
static enum err take_position(struct session *s, int64_t now, struct error *e)
{
	struct journal *j = s->r->journal;
	bool wanted = s->reply || atomic_load(&s->r->waiters) > 0;

	if (s->offered.v <= journal_end(j).v || journal_in_transaction(j))
		return OK;
	if (!wanted && now - s->position_us < POSITION_US)
		return OK;
	s->position_us = now;
	TRY(journal_position(j, s->offered, e));
	return sync_journal(s, e);
}

static enum err take_message(struct session *s, const struct pg_message *m, struct error *e)
{
	if (m->kind != PG_NOTHING)
		atomic_store_explicit(&s->r->source_us, m->sent_us, memory_order_relaxed);
	switch (m->kind) {
	case PG_DATA:
		TRY(failpoint_hit(&s->r->env, "capture.received", e));
		metric_add(s->r->m.received_bytes, m->payload.n);
		return capture_data(s, m->start, m->payload, e);
	case PG_KEEPALIVE:
		s->offered = lsn_max(s->offered, m->end);
		s->reply |= m->reply_requested;
		return OK;
	case PG_NOTHING:
		break;
	}
	return OK;
}

static void drain_wake(int fd)
{
	uint64_t count;

	/* It does not block; that nothing stands there is no error. */
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

/* How often an idle source is asked: often enough for the watchdog to tell by its answers. */
static int64_t life_us(const struct replicate_options *o)
{
	int64_t third = o->stall_after_us / 3;

	return third > 0 && third < FEEDBACK_US ? third : FEEDBACK_US;
}

/* What is due after a message, or after a time without one. */
static enum err after(struct session *s, bool idle, struct error *e)
{
	struct replicate *r = s->r;
	int64_t now = clock_mono(r->env.clock);
	uint64_t unsynced = journal_unsynced(r->journal);

	if (unsynced > 0 && s->pending_us == 0)
		s->pending_us = now;
	if (unsynced > 0 &&
		(idle || unsynced >= SYNC_BYTES || now - s->pending_us >= r->o->fsync_interval_us))
		TRY(sync_journal(s, e));
	if (idle || s->reply)
		TRY(take_position(s, now, e));
	/* An idle source is asked for a sign of life, so that its silence means something. */
	bool ask = idle &&
		((atomic_load(&r->waiters) > 0 && now - s->asked_us >= ASK_US) ||
			now - s->asked_us >= life_us(r->o));
	if (ask)
		s->asked_us = now;
	if (s->reply || ask || journal_durable(r->journal).v > s->acked.v ||
		now - s->feedback_us >= FEEDBACK_US)
		TRY(acknowledge(s, now, ask, e));
	return OK;
}

static int64_t patience(const struct session *s)
{
	if (s->pending_us != 0)
		return LINGER_US < s->r->o->fsync_interval_us ? LINGER_US
							      : s->r->o->fsync_interval_us;
	return atomic_load(&s->r->waiters) > 0 ? ASK_US : TICK_US;
}

/* A connection may be dead though TCP does not say so, and a server may hang. */
static enum err check_silence(struct session *s, struct error *e)
{
	struct replicate *r = s->r;
	int64_t now = clock_mono(r->env.clock);
	int64_t most = r->o->silence_us > 0 ? r->o->silence_us : SILENCE_US;
	uint64_t heard = atomic_load(&r->heard);

	if (heard != s->heard || s->silent_us == 0) {
		s->heard = heard;
		s->silent_us = now;
	}
	if (now - s->silent_us < most)
		return OK;
	return FAIL(e, ERR_UNAVAILABLE,
		"reading the replication stream: the source has not said a word for %lld s, nor "
		"answered when asked; the connection is given up and made again",
		(long long)((now - s->silent_us) / 1000000));
}

static enum err stream(struct session *s, struct error *e)
{
	struct pg_message m;

	while (!atomic_load(&s->r->stop)) {
		TRY(pg_stream_receive(s->stream, patience(s), s->r->wake_fd, &m, e));
		engine_sign(&s->r->capture_turns);
		if (m.kind != PG_NOTHING)
			engine_sign(&s->r->heard);
		else
			TRY(check_silence(s, e));
		TRY(take_message(s, &m, e));
		if (m.kind == PG_NOTHING)
			drain_wake(s->r->wake_fd);
		/* Inside a transaction nothing can be due but a source that wants an answer. */
		if (m.kind != PG_DATA || !journal_in_transaction(s->r->journal))
			TRY(after(s, m.kind == PG_NOTHING, e));
	}
	TRY(sync_journal(s, e));
	return acknowledge(s, clock_mono(s->r->env.clock), false, e);
}

static enum err check_no_gap(struct session *s, const struct source_state *source, struct error *e)
{
	const struct pg_slot *slot = &source->slot;
	char told[LSN_TEXT], end[LSN_TEXT];
	lsn have = journal_end(s->r->journal);

	metric_set(s->r->m.retained_bytes, (double)slot->retained_bytes);
	TRY(source_check_end(s->r->o, source, have, e));
	if (slot->confirmed.v <= have.v)
		return OK;
	return FAIL(e, ERR_CHECK,
		"checking the source: slot %s has been told that everything before %s is safe, but "
		"the journal %s ends at %s: another program reads from the slot, or the journal is "
		"not the one it fed; " SOURCE_AFRESH,
		s->r->o->slot, lsn_format(slot->confirmed, told), s->r->o->journal,
		lsn_format(have, end), s->r->o->slot, s->r->o->journal);
}

static void set_connected(struct replicate *r, bool on)
{
	metric_set(r->m.connected, on);
	pthread_mutex_lock(&r->lock);
	r->p.connected = on;
	if (on)
		error_clear(&r->p.capture_error);
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

/* In the journal's directory, so that both are moved away together. */
static enum err open_spill(struct session *s, struct error *e)
{
	char dir[4096];

	buf_init(&s->plain, SIZE_MAX / 2);
	s->guard = guard_stream_new(s->r->o->guard);
	snprintf(dir, sizeof(dir), "%s/spill", s->r->o->journal);
	return spill_open(&s->spill, dir, SPILL_MEMORY, &s->r->env, e);
}

/* Transactions in progress are streamed from protocol 2 on. */
static enum err start_stream(struct session *s, lsn from, struct error *e)
{
	int best = s->stream->server_version >= 140000 ? 2 : 1;
	int version = s->r->o->protocol > 0 ? s->r->o->protocol : best;

	pg_stream_gather(s->stream);
	return pg_stream_start(s->stream, s->r->o->slot, from, version, s->r->o->publication, e);
}

static enum err run_session(struct replicate *r, bool *went_well, struct error *e)
{
	struct session s = {.r = r};
	struct arena mem = {0};
	struct source_state source;
	lsn from;
	enum err rc = source_check(r->o, &r->id, &r->env, &source, &mem, e);

	if (rc == OK)
		rc = check_no_gap(&s, &source, e);
	if (rc == OK)
		rc = journal_rewind(r->journal, e);
	/* What is whole but not yet synced is ours to finish, not to ask for again. */
	if (rc == OK)
		rc = journal_sync(r->journal, e);
	from = journal_end(r->journal);
	if (rc == OK)
		rc = source_open(&s.stream, r->o, &r->env, true, e);
	if (rc == OK)
		rc = open_spill(&s, e);
	if (rc == OK)
		rc = start_stream(&s, from, e);
	if (rc == OK) {
		char at[LSN_TEXT];
		*went_well = true;
		log_info(r->env.log, "capture", "streaming", F_CSTR("from", lsn_format(from, at)));
		set_connected(r, true);
		s.feedback_us = clock_mono(r->env.clock);
		rc = stream(&s, e);
		set_connected(r, false);
	}
	/* A graceful end leaves nothing behind that is whole. */
	struct error ignored = {0};
	if (rc == OK || rc == ERR_UNAVAILABLE) {
		enum err last = journal_sync(r->journal, rc == OK ? e : &ignored);
		rc = rc == OK ? last : rc;
		report(&s);
	}
	pg_close(s.stream);
	spill_close(s.spill);
	guard_stream_free(s.guard);
	buf_free(&s.plain);
	arena_free(&mem);
	return rc;
}

/* True when the failure is one that time may mend. */
static bool worth_another_try(const struct replicate *r, enum err rc, int64_t conflict_since)
{
	if (rc == ERR_CONFLICT)
		return r->forever || clock_mono(r->env.clock) - conflict_since < PATIENCE_US;
	return rc == ERR_UNAVAILABLE && r->forever;
}

static void note_failure(struct replicate *r, const struct error *e, unsigned tries)
{
	log_warn(r->env.log, "capture", "the source does not stream; trying again",
		F_I64("try", tries), F_CSTR("reason", e->text));
	pthread_mutex_lock(&r->lock);
	r->p.capture_error = *e;
	pthread_mutex_unlock(&r->lock);
}

enum err capture_thread(void *arg, struct error *e)
{
	struct replicate *r = arg;
	unsigned tries = 0;
	int64_t conflict_since = clock_mono(r->env.clock);
	enum err rc = OK;

	while (!atomic_load(&r->stop)) {
		bool went_well = false;
		rc = run_session(r, &went_well, e);
		if (rc == OK)
			break;
		if (went_well)
			tries = 0;
		if (rc != ERR_CONFLICT || went_well)
			conflict_since = clock_mono(r->env.clock);
		if (!worth_another_try(r, rc, conflict_since))
			break;
		note_failure(r, e, ++tries);
		env_sleep(&r->env, engine_backoff_us(tries, &r->rnd));
		rc = OK;
	}
	if (rc != OK && !atomic_load(&r->stop)) {
		pthread_mutex_lock(&r->lock);
		r->p.capture_error = *e;
		pthread_mutex_unlock(&r->lock);
		engine_failed(r);
		return rc;
	}
	error_clear(e);
	return OK;
}
