/*
 * batch: rows of one table in columns, with what replication knows about each. It grows as rows
 * are added and keeps its memory when reset. Text values point into `mem` or into memory that
 * the caller keeps for as long as the batch. One thread at a time.
 */
#ifndef SLUICE_BATCH_H
#define SLUICE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "lsn.h"
#include "table.h"
#include "vec.h"

/* A value that its column cannot hold: NULL there, its exact PostgreSQL text here. */
struct exact_note {
	uint32_t row;
	uint16_t column;
	struct str text;
};

/* A TOASTed value that PostgreSQL did not send because it has not changed. */
struct unchanged_note {
	uint32_t row;
	uint16_t column;
};

enum change_op {
	OP_SNAPSHOT = 'r',
	OP_INSERT = 'I',
	OP_UPDATE = 'U',
	OP_DELETE = 'D',
	OP_TRUNCATE = 'T',
};

struct batch {
	const struct table *table;
	size_t rows, cap;
	struct vec *cols; /* table->ncolumns of them */
	size_t ncols;     /* of cols: known without the table */
	/* Parallel to the rows. */
	uint8_t *op;           /* enum change_op */
	lsn *commit;           /* commit LSN of the transaction */
	uint32_t *seq;         /* order within the transaction */
	uint64_t *xid;         /* 64-bit transaction id; 0 for snapshot rows */
	int64_t *committed_at; /* microseconds since 1970 */
	/* 1: an UPDATE has changed the key; the row directly before deletes the key it had. */
	uint8_t *moved;
	struct exact_note *exact; /* in row order */
	size_t nexact, capexact;
	struct unchanged_note *unchanged; /* in row order */
	size_t nunchanged, capunchanged;
	struct arena mem;         /* texts that decoding made */
	struct batch_text *texts; /* what batch_room() gave; the newest first */
	struct batch_text *spare; /* kept for reuse by batch_reset() */
	size_t texts_used;        /* bytes given since then */
};

struct batch *batch_new(const struct table *t);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);
/* Moves to another description of a table; the batch must be empty, and the table that it had may
 * be gone. The columns keep their memory when they are of the same kinds. */
void batch_retable(struct batch *b, const struct table *t);

/* Adds a row whose values are all NULL and whose system columns are zero; returns its index. */
size_t batch_add(struct batch *b);
/* Room for n bytes of text, which live until the batch is reset: not set, not aligned. Unlike `mem`
 * it is kept when the batch is reset, for batches that are filled again and again. */
char *batch_room(struct batch *b, size_t n);
/* Takes back the row added last, with its notes. */
void batch_unadd(struct batch *b);
/* Keeps only the rows listed, in their order, which is ascending. */
void batch_keep(struct batch *b, const uint32_t *rows, size_t n);
/* Marks a value as present; write it to VEC_AT(&b->cols[c], ...). */
static inline void batch_set_valid(struct batch *b, size_t row, size_t col)
{
	b->cols[col].valid[row >> 6] |= (uint64_t)1 << (row & 63);
}
void batch_set_null(struct batch *b, size_t row, size_t col);
void batch_note_exact(struct batch *b, size_t row, size_t col, struct str text); /* copies text */
void batch_note_unchanged(struct batch *b, size_t row, size_t col);

/* `_exact` of a row as JSON {"column":"text"}; false when it has none. *at is a cursor into the
 * notes, 0 before the first row; rows must be asked for in ascending order. */
bool batch_exact_json(const struct batch *b, size_t row, size_t *at, struct buf *out);
/* `_unchanged` of a row as a JSON array of column names; likewise. */
bool batch_unchanged_json(const struct batch *b, size_t row, size_t *at, struct buf *out);

#endif
