/*
 * pg_copy: rows out of PostgreSQL by COPY (SELECT ...) TO STDOUT (FORMAT binary), into batches.
 */
#ifndef SLUICE_PG_COPY_H
#define SLUICE_PG_COPY_H

#include "batch.h"
#include "pg_conn.h"
#include "table.h"

/* Appends "SELECT cols FROM schema.name WHERE its-own-rows [AND (where)]": as text, the columns
 * whose binary form we do not read; the rows of a partitioned table with its partitions', of any
 * other table only its own; only those of its row filter. Column order is the table's. */
void pg_copy_select(const struct table *t, struct str where, struct buf *out);

/* Full batch of at most batch_rows rows; the batch is reset after the callback. Called on another
 * thread than pg_copy_out's, one batch at a time and in order: the connection is not to be used. */
typedef enum err pg_copy_fn(void *arg, struct batch *b, struct error *e);

/* Runs it on a connection that is not in COPY already, in whatever transaction is open. A failing
 * callback ends the copy with its error; the connection can then be used again, but the
 * transaction, if there was one, has failed. ERR_INTERRUPTED between batches when a stop was asked
 * for. */
enum err pg_copy_out(struct pg *c, const struct table *t, struct str where, size_t batch_rows,
	pg_copy_fn *fn, void *arg, struct error *e) MUST_CHECK;

/*
 * The rows of one ordinary table, and of none that inherits from it, added to `into`, on the
 * calling thread. Reading ends early, with *whole false, when the batch has grown beyond max_bytes
 * of text or UINT32_MAX / 2 rows: what was read then is some rows of those asked for, and an open
 * transaction has failed. Other errors as pg_copy_out().
 */
enum err pg_copy_into(struct pg *c, const struct table *t, struct str where, size_t max_bytes,
	struct batch *into, bool *whole, struct error *e) MUST_CHECK;

/*
 * For a connection that copies much: has libpq take what the socket holds in one piece from now
 * on, rather than 8 or 16 kB at a time (its buffer grows only when a message does not fit, so one
 * that is large is asked for). Outside of a COPY.
 */
enum err pg_copy_widen(struct pg *c, struct error *e) MUST_CHECK;

#endif
