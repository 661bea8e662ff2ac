/*
 * copy_rows: the binary COPY format (PostgreSQL documentation, "COPY", "Binary Format"), taken in
 * pieces of any size and turned into rows of a batch. The pieces need not end where rows do.
 */
#ifndef SLUICE_COPY_ROWS_H
#define SLUICE_COPY_ROWS_H

#include "batch.h"
#include "buf.h"
#include "err.h"

struct copy_rows {
	struct batch *batch; /* where rows go; values are copied into its memory */
	struct buf carry;    /* the beginning of a row whose end has not come yet */
	bool points;         /* values of some column point into their row's bytes */
	bool started;        /* the header has been read */
	bool ended;          /* the trailer has been read */
};

void copy_rows_init(struct copy_rows *c, struct batch *b);
void copy_rows_free(struct copy_rows *c);

/*
 * Adds rows from *piece until `most` are in the batch, and moves *piece over what was read. When
 * the batch is full, empty it and call again with the same *piece, also when nothing is left of
 * it. ERR_INPUT on damage.
 */
enum err copy_rows_feed(
	struct copy_rows *c, struct str *piece, size_t most, struct error *e) MUST_CHECK;

/* ERR_INPUT when the trailer has not come: the answer was cut short. */
enum err copy_rows_finish(const struct copy_rows *c, struct error *e) MUST_CHECK;

#endif
