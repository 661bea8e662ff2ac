/*
 * What comes from the source, put where it belongs. The journal takes whole transactions in the
 * order of their commits, as protocol 1 sends them. From protocol 2 on the source also sends
 * blocks of large transactions that are still in progress: those wait in the spill, and are copied
 * into the journal, between a Begin and a Commit made up for them, when they commit.
 */
#include "capture_session.h"

#include <string.h>

#include "pgoutput.h"
#include "reader.h"

#define LOOK_EVERY 1024 /* messages copied between two looks at the clock and the stop flag */

/* In the form in which it stands in the journal. */
static enum err into_journal(struct session *s, lsn start, struct str payload, struct error *e)
{
	return journal_append(s->r->journal, start, payload, e);
}

static enum err cut_short(struct str payload, struct error *e)
{
	return FAIL(e, ERR_INPUT,
		"reading the replication stream: a message '%c' of %zu bytes is malformed; the "
		"stream is damaged",
		payload.p[0], payload.n);
}

/* ---- inside a block ---- */

static bool carries_xid(char kind)
{
	return strchr("MRYIUDT", kind) != NULL;
}

/* The message without the transaction's id that stands after its kind. */
static enum err make_plain(
	struct session *s, struct str payload, uint32_t *subxid, struct str *plain, struct error *e)
{
	struct reader r = reader_of(str_from(payload, 1));

	*subxid = read_be32(&r);
	if (r.bad || *subxid == 0)
		return cut_short(payload, e);
	buf_reset(&s->plain);
	TRY(buf_add(&s->plain, str_make(payload.p, 1), e));
	TRY(buf_add(&s->plain, str_from(payload, 5), e));
	*plain = buf_str(&s->plain);
	return OK;
}

static enum err take_streamed(struct session *s, lsn start, struct str payload, struct error *e)
{
	struct str plain = payload;
	uint32_t subxid = 0; /* of an origin: it is the top-level transaction's */

	if (payload.p[0] == PGO_STREAM_STOP)
		return spill_end(s->spill, e);
	if (carries_xid(payload.p[0]))
		TRY(make_plain(s, payload, &subxid, &plain, e));
	else if (payload.p[0] != PGO_ORIGIN)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a message '%c' inside a block of a "
			"transaction in progress; the stream is damaged",
			payload.p[0]);
	return spill_add(s->spill, subxid, start, plain, e);
}

/* ---- the end of a streamed transaction ---- */

struct copying {
	struct session *s;
	struct str commit; /* flags, commit LSN, end LSN, time: as a Commit message has them */
	uint32_t xid;
	bool begun;
	uint32_t since; /* messages since the last look */
};

static enum err begin_copy(struct copying *c, lsn start, struct error *e)
{
	struct buf begin;

	if (c->begun)
		return OK;
	c->begun = true;
	buf_init(&begin, 64);
	buf_put_u8(&begin, PGO_BEGIN);
	buf_put(&begin, str_make(c->commit.p + 1, 8));
	buf_put(&begin, str_make(c->commit.p + 17, 8));
	buf_put_be32(&begin, c->xid);
	enum err rc = into_journal(c->s, start, buf_str(&begin), e);
	buf_free(&begin);
	return rc;
}

static enum err copy_one(void *arg, lsn start, struct str payload, struct error *e)
{
	struct copying *c = arg;

	TRY(begin_copy(c, start, e));
	TRY(into_journal(c->s, start, payload, e));
	if (++c->since < LOOK_EVERY)
		return OK;
	c->since = 0;
	TRY(env_check(&c->s->r->env, e));
	return capture_still_here(c->s, e);
}

static enum err end_copy(struct copying *c, lsn start, struct error *e)
{
	struct buf commit;

	TRY(begin_copy(c, start, e));
	buf_init(&commit, 64);
	buf_put_u8(&commit, PGO_COMMIT);
	buf_put(&commit, c->commit);
	enum err rc = into_journal(c->s, start, buf_str(&commit), e);
	buf_free(&commit);
	return rc;
}

static enum err stream_commit(struct session *s, lsn start, struct str payload, struct error *e)
{
	struct copying c = {.s = s};
	struct reader r = reader_of(str_from(payload, 1));

	c.xid = read_be32(&r);
	c.commit = read_bytes(&r, 1 + 8 + 8 + 8);
	if (r.bad || reader_left(&r) > 0 || c.commit.p[0] != 0)
		return cut_short(payload, e);
	enum err rc = spill_replay(s->spill, c.xid, copy_one, &c, e);
	if (rc == OK)
		return end_copy(&c, start, e);
	if (rc != ERR_INTERRUPTED)
		return rc;
	/* What stands in the journal of it is a torn tail: the source sends it again. */
	error_clear(e);
	return OK;
}

static enum err stream_abort(struct session *s, struct str payload, struct error *e)
{
	struct reader r = reader_of(str_from(payload, 1));
	uint32_t xid = read_be32(&r), subxid = read_be32(&r);

	/* From protocol 4 on an LSN and a time may follow. */
	if (r.bad)
		return cut_short(payload, e);
	return spill_abort(s->spill, xid, subxid, e);
}

static enum err stream_start(struct session *s, struct str payload, struct error *e)
{
	struct reader r = reader_of(str_from(payload, 1));
	uint32_t xid = read_be32(&r);

	if (r.bad || journal_in_transaction(s->r->journal))
		return cut_short(payload, e);
	return spill_begin(s->spill, xid, e);
}

enum err capture_data(struct session *s, lsn start, struct str payload, struct error *e)
{
	if (payload.n == 0)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: an empty message; the stream is damaged");
	/* First of all: personal data is on no disk, neither in the journal nor in the spill. */
	TRY(guard_message(s->guard, payload, &payload, e));
	if (spill_in_block(s->spill))
		return take_streamed(s, start, payload, e);
	switch (payload.p[0]) {
	case PGO_STREAM_START:
		return stream_start(s, payload, e);
	case PGO_STREAM_STOP:
		return spill_end(s->spill, e);
	case PGO_STREAM_COMMIT:
		return stream_commit(s, start, payload, e);
	case PGO_STREAM_ABORT:
		return stream_abort(s, payload, e);
	default:
		return into_journal(s, start, payload, e);
	}
}
