/*
 * snapshot_copy: what the files of the snapshot share. Not for use outside them.
 *
 * Locks: snapshots.lock guards which copies there are and who works on what; table_copy.lock
 * (recursive) guards what apply and the copy share: held by apply from before it writes rows of
 * the table until they are committed, and by the copy while it looks at the keys touched and
 * commits. Taken in this order: table_copy.lock, then snapshots.lock or replicate.lock.
 */
#ifndef SLUICE_SNAPSHOT_COPY_H
#define SLUICE_SNAPSHOT_COPY_H

#include "snapshot.h"
#include "snapshot_parts.h"
#include "snapshot_touched.h"

#define SNAPSHOT_WORKERS_MOST 16

enum copy_step {
	STEP_BEGIN, /* a cut is to be taken */
	STEP_READ,
	STEP_END, /* all ranges are in */
	STEP_DONE,
	STEP_OFF, /* not published, or another table has its name */
};

struct copy_work { /* one range */
	size_t part;
	struct block_range blocks;
	bool whole; /* must be taken in one, whatever its size */
};

struct xids {
	uint64_t *items;
	size_t n, cap;
};

struct table_copy {
	struct snapshots *s;
	struct arena name_mem;
	struct str schema, name, full;
	uint32_t relid;

	pthread_mutex_t lock;
	bool begun;   /* changes outside mark.cut are applied */
	bool held;    /* by apply: only its thread looks at it */
	bool emptied; /* by a change outside mark.cut: nothing that was read stands any more */
	bool whole;
	unsigned epoch; /* counts the cuts taken: at another one the table may have another shape */
	atomic_bool stale, paused;
	atomic_bool apart;    /* paused, and keeps what it has: see catch_up.h */
	atomic_bool catching; /* apart, and catching up */
	struct arena mem;     /* of what follows: since the copy began */
	struct replicate_snapshot mark;
	struct copy_parts parts;
	struct table *table;
	uint64_t next_seq;
	struct xids skipped; /* left out of the stream since it was waited for C0 */
	struct touched touched;

	/* Under snapshots.lock. */
	enum copy_step step;
	bool busy;      /* somebody begins or ends it */
	size_t readers; /* at its ranges */
	struct copy_work *again;
	size_t nagain, capagain;
	size_t part; /* the next range: of this part, from this block on */
	uint32_t block;
	bool quiet;  /* somebody asked for it: replication counts as complete without it */
	bool resume; /* begun by an earlier process */
	unsigned tries;
	int64_t not_before_us; /* mono */
	struct error error;
};

struct snapshots {
	struct replicate *r;
	atomic_uint generation;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct table_copy **items;
	size_t n, cap;
	unsigned obeyed;
	bool poked, scanned;
	atomic_bool stopping; /* read without the lock, too */
	struct thread scan, workers[SNAPSHOT_WORKERS_MOST];
	size_t nworkers;
	enum err rc;
	struct error error;
	uint32_t *watched; /* relations whose partitions the catalog's watch looks after */
	size_t nwatched;
};

/* One thread's connection, opened when needed, and what it reads ranges into. Fresh memory for each
 * range costs the kernel as much as reading the rows does. */
struct copier {
	struct snapshots *s;
	struct pg *pg;
	struct batch *rows; /* empty between two ranges, and its table may be gone then; or NULL */
	struct rowhash *keys; /* of the rows, where somebody asks for them */
	uint32_t *all;        /* 0, 1, 2... */
	uint32_t *keep;
	size_t room, nall; /* of keys, all and keep; of all that are set */
};

void copier_free_rows(struct copier *w);

/* Waits until apply has obeyed the present generation. */
enum err copies_hush(struct snapshots *s, struct error *e) MUST_CHECK;
void copies_bump(struct snapshots *s);
/* Under snapshots.lock: waits a moment, or for something to change. */
void copies_wait(struct snapshots *s);
bool copies_ending(const struct snapshots *s);
/* Under snapshots.lock: says whether tables are being copied. */
void copies_report(struct snapshots *s);
/* Under snapshots.lock. */
struct table_copy *copies_find(struct snapshots *s, struct str schema, struct str name);
/* Puts a table down as its mark says: copied, begun, or to be begun. Under snapshots.lock. */
enum err copies_add(struct snapshots *s, struct str schema, struct str name, uint32_t relid,
	struct table_copy **out, struct error *e) MUST_CHECK;

/* Reads the mark and the shape of a copy that an earlier process began, so that apply goes on
 * with it. *can is false when it must begin anew. */
enum err copy_take_up(struct table_copy *c, bool *can, struct error *e) MUST_CHECK;
/* Looks whether a copy taken up still fits the source, and what was touched before. */
enum err copy_resume(struct copier *w, struct table_copy *c, struct error *e) MUST_CHECK;
/* Takes C0; a table without a key is copied whole. ERR_NOT_FOUND when it is not published. */
enum err copy_begin(struct copier *w, struct table_copy *c, struct error *e) MUST_CHECK;
enum err copy_range(struct copier *w, struct table_copy *c, const struct copy_work *work,
	struct error *e) MUST_CHECK;
enum err copy_end(struct copier *w, struct table_copy *c, struct error *e) MUST_CHECK;

/* Under snapshots.lock: a range that is to be read once more. */
void copy_again(struct table_copy *c, const struct copy_work *work);
/* Writes w->rows, read at a cut up to which all is applied, and that the range is in. */
enum err copy_write(struct copier *w, struct table_copy *c, const struct copy_work *work,
	struct error *e) MUST_CHECK;
/* Everything read is to be thrown away. */
bool copy_stale(struct table_copy *c);
void copy_set_stale(struct table_copy *c);
/* Under the copy's lock: the mark as it stands. */
struct mark copy_mark(struct table_copy *c, struct arena *mem);
/* The mark of a table that is to be copied from the beginning, over the rows that stand there; with
 * `let_go`, that it does not catch up from the journal any more. */
enum err copy_put_anew(struct table_copy *c, bool let_go, struct error *e) MUST_CHECK;
/* Waits until a partition that comes or goes from now on is seen by the catalog's watch. */
enum err copy_wait_watched(struct table_copy *c, struct error *e) MUST_CHECK;
/* Ranges have marks of their own, "range:RELID:PART:BLOCK": transactions of the warehouse
 * that run side by side cannot change the same one. Those of another floor are of another copy. */
struct mark copy_range_mark(struct table_copy *c, const struct copy_work *work, struct arena *mem);
enum err copy_read_ranges(struct table_copy *c, struct error *e) MUST_CHECK;
enum err copy_forget_ranges(struct table_copy *c, struct error *e) MUST_CHECK;
void copy_note_rows(struct table_copy *c, size_t n);
/* The lock, in the transaction that is begun, and the cut. ERR_NOT_FOUND: dropped. */
enum err copy_open_cut(struct pg *pg, struct str schema, struct str name, struct arena *mem,
	struct cut *out, struct error *e) MUST_CHECK;
/* Fetches what the stream left out of keys that the copy had not written yet. */
enum err copy_fill(struct copier *w, struct table_copy *c, struct error *e) MUST_CHECK;
enum err copy_drop_scratch(struct table_copy *c, struct error *e) MUST_CHECK;

#endif
