/*
 * oracle: PostgreSQL as the judge of values. A table's rows come as text in an ordinary session, as
 * binary through COPY and as text through the replication stream; the three must make equal cells
 * with equal canonical bytes, and what a cell prints, or its exact note, must be PostgreSQL's text.
 *
 * Tables have an integer column "id" first, which orders the rows; every other column is judged.
 */
#ifndef SLUICE_ORACLE_H
#define SLUICE_ORACLE_H

#include "batch.h"
#include "pg_fixture.h"
#include "table.h"

struct tried {
	struct table *table;
	struct batch *text, *copied, *streamed;
};

/* The table must exist; its description is read now. */
void oracle_open(struct fixture *f, const char *table, struct tried *t);
void oracle_close(struct tried *t);

/* The three ways. */
void oracle_read_text(struct fixture *f, struct tried *t);
void oracle_read_copy(struct fixture *f, struct tried *t);
/* A slot and the session that will read it; inserts from here on are in the stream. */
struct pg *oracle_open_slot(struct fixture *f, const char *slot);
/* Reads until what is written now has passed, and sorts the inserts to their tables. */
void oracle_read_stream(
	struct fixture *f, struct pg *c, const char *slot, struct tried *tried, size_t n);
void oracle_close_slot(struct fixture *f, struct pg *c, const char *slot);

/* Everything that the head of this file says of the rows read. */
void oracle_judge(struct fixture *f, const struct tried *t);

/* One cell of the text way: what it prints, or its note; into out. False when it is NULL. */
bool oracle_shown(const struct tried *t, size_t row, size_t col, struct buf *out);
/* The note of a cell; .p NULL when there is none. */
struct str oracle_exact(const struct batch *b, size_t row, size_t col);

#endif
