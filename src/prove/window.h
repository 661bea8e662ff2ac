/*
 * window: a stretch of the journal between two positions, kept with the state that it starts
 * from, so that it can be checked and replayed without the source, the warehouse or the journal.
 *
 * A window is a directory of plain files:
 *   journal/    the messages of every transaction that commits at or after `from` and before
 *               `to`, in the journal's own form, begun by the descriptions of their tables
 *   state/      the rows of each table at `from`, one file a table (see window_state.h)
 *   window.json the manifest: what was recorded, counts, digests, and the checksums of every
 *               other file; a line of JSON each, each with its own checksum
 *
 * State is a position's: what the transactions that commit before it leave, in the order of
 * their commits. Rows are hashed as for reconciliation. One call uses one thread.
 */
#ifndef SLUICE_WINDOW_H
#define SLUICE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "canon.h"
#include "enc.h"
#include "env.h"
#include "err.h"
#include "lsn.h"
#include "table.h"
#include "warehouse.h"

#define WINDOW_FORMAT   1
#define WINDOW_MANIFEST "window.json"
#define WINDOW_PATH     4096

/* The rows of one table at one position. */
struct window_sum {
	uint64_t rows;
	char digest[DIGEST_TEXT];
};

struct window_table {
	struct str schema, name;
	struct str file; /* of its rows at `from`, within the window */
	uint32_t relid;
	struct str shape, snapshot; /* the warehouse's marks when it was recorded */
	struct table *table;        /* what `shape` says */
	lsn copied, floor;          /* of its last copy: cut, `_lsn` of its rows; while recording */
	struct window_sum start, end;
	uint64_t inserts, updates, deletes, truncates; /* messages */
};

struct window_file {
	struct str path; /* within the window */
	uint64_t bytes;
	char sha256[ENC_SHA256_TEXT];
	struct str blocks; /* CRC32C of each WINDOW_BLOCK bytes, 8 hex digits each */
};

/* What a manifest says. */
struct window_info {
	struct str name;
	int64_t recorded_us; /* wall time */
	uint64_t system_id;
	uint32_t timeline;
	struct str slot, publication;
	lsn from, to;
	uint64_t xid; /* a 64-bit transaction id of that time, for widening */
	uint64_t transactions, messages, changes;
	uint64_t chain; /* hash over all messages in order */
	struct window_table *tables;
	size_t ntables;
	struct window_file *files;
	size_t nfiles;
	uint64_t bytes;                     /* of all files but the manifest */
	char start_digest[ENC_SHA256_TEXT]; /* over the tables' digests at `from` */
	char end_digest[ENC_SHA256_TEXT];   /* and at `to` */
	char sha256[ENC_SHA256_TEXT];       /* of the manifest's lines */
	struct arena mem;
};
void window_info_free(struct window_info *w); /* zeroed is fine */

struct window_record_options {
	const char *windows;  /* the directory of all windows; made when absent */
	const char *journal;  /* of the replication that feeds the warehouse */
	const char *name;     /* letters, digits, '.', '_' and '-' */
	lsn from, to;         /* LSN_NONE: where the journal begins; what the warehouse has */
	int64_t segment_size; /* bytes, of the window's own journal */
};

/*
 * Records while replication goes on. ERR_CONFLICT when the name is taken, or a table changed its
 * shape meanwhile; ERR_USAGE when the journal no longer holds, or the warehouse does not have
 * yet, what was asked for, and when a table was made anew, copied again or got another key within
 * (a new name of a key column is none); the message names the position from which it can be
 * recorded. On failure nothing is left under the name.
 */
enum err window_record(const struct window_record_options *o, struct warehouse *w,
	const struct env *env, struct window_info *out, struct error *e) MUST_CHECK;

/* Reads a window's manifest alone: ERR_CHECK when it is damaged, ERR_NOT_FOUND. */
enum err window_read(const char *dir, struct window_info *out, struct error *e) MUST_CHECK;

/*
 * Checks everything: the manifest, each file's length and checksums, that there is no other
 * file, the chain of the messages, their counts, and the digests of the state. ERR_CHECK names
 * the file and the byte. *out is filled on OK.
 */
enum err window_verify(const char *dir, const struct env *env, struct window_info *out,
	struct error *e) MUST_CHECK;

struct window_replay_options {
	const char *dir;           /* of the window */
	int64_t threads;           /* of the scratch warehouse; 0: the engine's own */
	int64_t memory_limit;      /* likewise, bytes */
	int64_t batch_rows;        /* of one write; at least 1 */
	int64_t flush_interval_us; /* the longest that rows are collected */
	bool at_speed;             /* transactions come as far apart as they did */
	bool keep;                 /* leave the scratch warehouse */
};

struct window_replayed {
	bool ok; /* every table has the digest that was recorded */
	struct window_info window;
	struct window_sum *tables; /* parallel to window.tables; in window.mem */
	char digest[ENC_SHA256_TEXT];
	bool resumed;              /* went on where an earlier replay was cut short */
	double seconds;            /* of applying alone */
	char scratch[WINDOW_PATH]; /* the scratch warehouse; gone unless kept */
};
void window_replayed_free(struct window_replayed *r);

/*
 * Verifies, loads the starting state into a scratch warehouse beside the window and applies the
 * messages by the code of live apply. OK means that it was replayed: out->ok says whether it came
 * out as recorded. ERR_CONFLICT while another replay of the window runs.
 */
enum err window_replay(const struct window_replay_options *o, const struct env *env,
	struct window_replayed *out, struct error *e) MUST_CHECK;

/* Calls fn for each window of the directory, by name; e's text is why one cannot be read, and
 * `info` is then NULL. An absent directory has none. */
typedef enum err window_list_fn(void *arg, const char *name, const struct window_info *info,
	const struct error *why, struct error *e);
enum err window_list(
	const char *windows, window_list_fn *fn, void *arg, struct error *e) MUST_CHECK;

#endif
