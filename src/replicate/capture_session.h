/*
 * capture_session: one streaming session, shared by the files of capture: the session itself
 * (capture) and what its messages mean (capture_messages). Not for use outside them.
 */
#ifndef SLUICE_CAPTURE_SESSION_H
#define SLUICE_CAPTURE_SESSION_H

#include "buf.h"
#include "engine.h"
#include "guard.h"
#include "spill.h"

struct session {
	struct replicate *r;
	struct pg *stream;
	struct spill *spill;        /* of transactions in progress */
	struct guard_stream *guard; /* sees every message before it is kept */
	struct buf plain;           /* a streamed message without its transaction's id */
	int64_t pending_us; /* mono: since when a whole transaction waits for fsync; 0: none does */
	int64_t feedback_us, position_us, asked_us;
	lsn offered; /* the source's last word on its position */
	lsn acked;
	bool reply;        /* the source asked for an answer */
	uint64_t heard;    /* signs of life counted when last looked */
	int64_t silent_us; /* mono: since when there was none */
};

/* Handles one pgoutput message: into the journal, or into the spill until its transaction ends.
 * When a stop is asked for while a large transaction is copied, the journal is left inside it. */
enum err capture_data(struct session *s, lsn start, struct str payload, struct error *e) MUST_CHECK;

/* Tells the source that we are still there, acknowledging nothing new, when it is due: during
 * work that may take longer than wal_sender_timeout. */
enum err capture_still_here(struct session *s, struct error *e) MUST_CHECK;

#endif
