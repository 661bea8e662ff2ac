/*
 * window_state: the rows of one table, in a file that needs nothing but the table's shape.
 *
 *   "SLUICEW1", u32 columns, then each row: u32 bytes that follow, and each column's value as
 *   u32 length and its text as PostgreSQL prints it; the length of NULL is 0xFFFFFFFF
 *
 * Integers are big-endian. A value that the warehouse keeps in `_exact` is written as that text,
 * and read as PostgreSQL's stream would bring it.
 */
#ifndef SLUICE_WINDOW_STATE_H
#define SLUICE_WINDOW_STATE_H

#include "batch.h"
#include "window.h"

/* What the table's rows sum to at position `at` of the warehouse. */
enum err window_sum_rows(struct warehouse *w, const struct table *t, lsn at, const struct env *env,
	struct window_sum *out, struct error *e) MUST_CHECK;

/* The same, and writes them to `path`, durably. */
enum err window_state_write(struct warehouse *w, const struct table *t, lsn at, const char *path,
	const struct env *env, struct window_sum *out, struct error *e) MUST_CHECK;

/* Hands the rows over in batches, which last for the callback, and sums them. fn may be NULL.
 * ERR_CHECK naming the byte when the file is not what window_state_write() writes. */
typedef enum err window_batch_fn(void *arg, struct batch *b, struct error *e);
enum err window_state_read(const char *path, const struct table *t, const struct env *env,
	window_batch_fn *fn, void *arg, struct window_sum *out, struct error *e) MUST_CHECK;

#endif
