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

/* Rows of one batch as SQL that keeps them as letters. What is in `sql` may be run, and the buffer
 * reset, after any of them. */
struct letters_out {
	struct buf sql;
	const struct batch *rows;
	int64_t now_us;
	size_t in_statement;
};
void letters_begin(struct letters_out *out, const struct batch *rows, int64_t now_us);
void letters_add(struct letters_out *out, size_t row, struct str reason);
void letters_end(struct letters_out *out);

struct letter {
	struct str lsn_text, op, row_json, unchanged, reason;
	int64_t lsn, seq, xid, committed_us;
};

/* Adds the row to the batch, in the shape that the batch's table has now: a column that the letter
 * does not know is NULL, one that the table no longer has is left out. ERR_INPUT when the letter
 * is not one that letter_put() wrote. */
enum err letter_read(struct batch *to, const struct letter *l, struct error *e) MUST_CHECK;

#endif
