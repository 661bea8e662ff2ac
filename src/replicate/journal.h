/*
 * journal: the durable local log of raw replication messages, between capture (one writer) and
 * whoever reads them: live apply, catch-up after a crash, replay of a window. All three read
 * through the same reader.
 *
 * A directory holds identity.json, a lock, and segments: NNNNNNNNNNNNNNNN.seg, sealed and
 * compressed ones NNNNNNNNNNNNNNNN.seg.zst (see segment.h). Readers see whole transactions
 * only, and only what has been fsynced. A segment ends between transactions, never inside one.
 */
#ifndef SLUICE_JOURNAL_H
#define SLUICE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "err.h"
#include "lsn.h"
#include "str.h"

/* ---- identity: which server and slot the journal belongs to ---- */

struct journal_identity {
	uint64_t system_id;
	uint32_t timeline;
	char slot[64], publication[64];
	lsn start; /* the slot's consistent point: what committed before it is not in the journal */
	bool settled; /* a snapshot taken now sees everything that committed before `start` */
};

/* ERR_NOT_FOUND when the directory has none. */
enum err journal_identity_read(
	const char *dir, struct journal_identity *out, struct error *e) MUST_CHECK;
enum err journal_identity_write(
	const char *dir, const struct journal_identity *id, struct error *e) MUST_CHECK;

/* ---- the writer: one process, one thread; the calls marked (any) from any thread ---- */

struct journal;

struct journal_options {
	const char *dir;
	struct journal_identity identity;
	int64_t segment_size; /* bytes after which a segment is sealed */
	int64_t retention_us; /* how long applied segments are kept */
	lsn confirmed;        /* what the slot has been told is durable; LSN_NONE: not known */
};

/*
 * Opens for writing, making the first segment when there is none. A torn tail is left out: what
 * follows the last whole transaction is overwritten by the first append. ERR_CONFLICT when
 * another process writes; ERR_CHECK when the journal ends before `confirmed` (it is damaged or
 * was replaced) or belongs to another server or slot.
 */
enum err journal_open(struct journal **out, const struct journal_options *o, const struct env *env,
	struct error *e) MUST_CHECK;
void journal_close(struct journal *j); /* what was not synced is left to be streamed again */

/* Where streaming goes on: the end of the last whole transaction, synced or not. */
lsn journal_end(const struct journal *j);
/* Forgets what follows the last whole transaction; for a new streaming session. */
enum err journal_rewind(struct journal *j, struct error *e) MUST_CHECK;

/* Adds one message; buffered. A failed write or fsync breaks the journal: every later call fails,
 * and nothing unsynced may be acknowledged. */
enum err journal_append(
	struct journal *j, lsn start, struct str payload, struct error *e) MUST_CHECK;
/* Says that nothing before `at` is missing. Ignored inside a transaction and when not ahead. */
enum err journal_position(struct journal *j, lsn at, struct error *e) MUST_CHECK;
/* Makes all whole transactions durable and shows them to readers. */
enum err journal_sync(struct journal *j, struct error *e) MUST_CHECK;

bool journal_in_transaction(const struct journal *j);
uint64_t journal_unsynced(const struct journal *j); /* bytes of whole transactions not yet synced */
lsn journal_durable(struct journal *j);             /* (any) what may be acknowledged */
uint64_t journal_bytes(struct journal *j);          /* (any) bytes on disk */

/* (any) Drops sealed segments that end at or before `applied` and are past retention. */
enum err journal_trim(struct journal *j, lsn applied, struct error *e) MUST_CHECK;

/* (any) Waits until sealed segments are compressed. */
void journal_settle(struct journal *j);

/* ---- the reader: one thread each, any number of them, in any process ---- */

struct journal_reader;

enum journal_kind {
	JOURNAL_MESSAGE,  /* a pgoutput message */
	JOURNAL_POSITION, /* nothing before `start` is missing */
};

struct journal_record {
	enum journal_kind kind;
	lsn start;
	struct str payload; /* until journal_reader_release() */
};

/*
 * Reads from position `from`: first the Relation messages that were known there, then every
 * message of the transactions that end after it. `live` is the journal being written by this
 * process, or NULL: then reading ends where the files end, perhaps inside a transaction.
 * ERR_CHECK when the journal begins after `from`.
 */
enum err journal_reader_open(struct journal_reader **out, const char *dir, struct journal *live,
	lsn from, struct error *e) MUST_CHECK;
void journal_reader_close(struct journal_reader *r);

/* *got is false when there is nothing more for now. ERR_CHECK names segment and byte when the
 * journal is damaged. */
enum err journal_reader_next(struct journal_reader *r, struct journal_record *out, bool *got,
	struct error *e) MUST_CHECK;

/* Live: waits at most timeout_us for more; true when there is. Woken by journal_wake() too. */
bool journal_reader_wait(struct journal_reader *r, int64_t timeout_us);
void journal_wake(struct journal *j); /* (any) */

/* The payloads handed out so far are used no more, except those after the last call to next. */
void journal_reader_release(struct journal_reader *r);
uint64_t journal_reader_held(const struct journal_reader *r); /* bytes kept for payloads */

#endif
