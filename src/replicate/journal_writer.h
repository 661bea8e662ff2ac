/*
 * journal_writer: the writer's state, shared by the files that make it up: writing
 * (journal_writer), opening (journal_open), segments and their footers (journal_segments), and what
 * other threads may do (journal_shared). Not for use outside them, but for journal_durable_end()
 * and journal_wait(), which the reader uses.
 */
#ifndef SLUICE_JOURNAL_WRITER_H
#define SLUICE_JOURNAL_WRITER_H

#include <pthread.h>

#include "buf.h"
#include "journal.h"
#include "journal_files.h"
#include "queue.h"
#include "relset.h"
#include "segment.h"
#include "thread.h"

#define JOURNAL_BUFFER ((size_t)256 << 10) /* bytes collected before a write */

/* How far readers may go. */
struct journal_durable_end {
	uint64_t number; /* segment */
	uint64_t offset; /* byte in it after the last whole, fsynced transaction */
	lsn end;
};

struct journal_durable_end journal_durable_end(struct journal *j);

/* Waits until the durable end is not `seen` any more, journal_wake() is called, or the time is up.
 */
void journal_wait(struct journal *j, const struct journal_durable_end *seen, int64_t timeout_us);

/* A place between two transactions. */
struct boundary {
	uint64_t offset, chain, transactions, records;
	lsn end;
};

struct journal {
	const struct env *env;
	char *dir;
	struct journal_options o;
	int lock_fd, fd;
	char path[SEGMENT_PATH];
	struct segment_head head;
	struct relset relations;
	char *out; /* bytes not yet written */
	size_t nout;
	uint64_t written;          /* bytes of the segment in the file */
	uint64_t pushed;           /* of those, what the kernel has been told to write */
	uint64_t known;            /* when it is opened: bytes of it that were synced before */
	struct boundary at, whole; /* where we are; the last place between transactions */
	bool in_transaction;
	bool tail; /* the file may hold bytes after `whole`: cut before writing */
	bool broken;
	struct error why;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t moved;
	struct journal_durable_end durable;
	uint64_t wakes;
	struct segment_list segments; /* the last one is being written */
	uint64_t compressing;         /* segments in the queue or in work */
	uint64_t in_work;             /* the one being compressed; 0: none */
	unsigned settling;            /* who waits for them all */
	bool closing;

	struct queue *queue;
	struct thread compressor;
};

/* The failure for every call after the first that failed. */
enum err journal_is_broken(struct journal *j, struct error *e);
/* After a failed write or fsync the kernel may have dropped the bytes: never try again. */
enum err journal_break(struct journal *j, const char *doing, struct error *e);

/* Makes the next segment, whole under a temporary name, so that a header is never torn. */
enum err journal_segment_begin(struct journal *j, struct error *e) MUST_CHECK;
void journal_footer(const struct journal *j, struct buf *out);

/* The place after what was just put, or read, lies between transactions. */
void journal_make_whole(struct journal *j, lsn end);
enum err journal_sync_file(struct journal *j, struct error *e) MUST_CHECK;
enum err journal_commit_end(struct str payload, lsn *end, struct error *e) MUST_CHECK;

void journal_publish(struct journal *j); /* shows what is whole and synced to readers */
enum err journal_start_compressor(struct journal *j, struct error *e) MUST_CHECK;
void journal_compress_later(struct journal *j, uint64_t number);

#endif
