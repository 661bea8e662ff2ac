/*
 * letter: one row of a batch as it is kept in ops.dead_letters, and back.
 */
#ifndef SLUICE_LETTER_H
#define SLUICE_LETTER_H

#include "batch.h"
#include "err.h"
#include "json.h"

/* A batch of the rows [from, to) for which skip (parallel to the rows, may be NULL) is 0. Texts go
 * on pointing where they did. The caller frees it, before `rows`. */
struct batch *letter_pick(const struct batch *rows, const uint8_t *skip, size_t from, size_t to);

/* Appends the SQL statement that keeps a row of the batch as a letter. */
void letter_put(
	struct buf *sql, const struct batch *rows, size_t row, struct str reason, int64_t now_us);

struct letter {
	struct str lsn_text, op, row_json, unchanged, reason;
	int64_t lsn, seq, xid, committed_us;
};

/* Adds the row to the batch, in the shape that the batch's table has now: a column that the letter
 * does not know is NULL, one that the table no longer has is left out. ERR_INPUT when the letter
 * is not one that letter_put() wrote. */
enum err letter_read(struct batch *to, const struct letter *l, struct error *e) MUST_CHECK;

#endif
