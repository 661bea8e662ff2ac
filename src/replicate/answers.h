/*
 * answers: what apply has taken from the source beside the stream, kept in the warehouse
 * (ops.schema_answers) by table and position: which column is which, the values that earlier rows
 * got, rows that were read again, labels of enums. Who applies the same stretch of the journal once
 * more, after a crash or in a replay, takes the answer that was given then, and comes to the same.
 *
 * Kept before anything is done with it, in the transaction of the warehouse that is open where
 * there is one. Answers older than the journal are forgotten.
 */
#ifndef SLUICE_ANSWERS_H
#define SLUICE_ANSWERS_H

#include "arena.h"
#include "err.h"
#include "json.h"
#include "lsn.h"
#include "table.h"
#include "warehouse.h"

#define ANSWER_SHAPE    "shape"    /* body: see backfill_write() */
#define ANSWER_NAME     "name"     /* the table got another name, and no more */
#define ANSWER_LABEL    "label"    /* body: {"column","was","now"} */
#define ANSWER_REFILLED "refilled" /* body: the names of the columns that were read again */
#define ANSWER_ROW      "row"      /* body: one row of it: {"k0",...,"v0",...,"x"}, as texts */
#define ANSWER_COPY     "copy"     /* the table is to be copied again: no replay can */

struct answer {
	uint32_t relid;
	lsn at;
	bool at_rest; /* between two transactions: found in the catalog, not told by the stream */
	struct str kind;
	struct str schema, name;
	struct str before, said; /* shapes, as marks have them; before may be empty */
	struct str body;
};

struct answers {
	struct answer *items; /* by position, then in the order in which they were given */
	size_t n, cap;
};

/* One row for each; the same again adds none. */
void answer_sql(const struct answer *x, struct buf *sql);
/* The same of answers that the warehouse does not have, many in one statement: `n` is the number of
 * this one, the first is 1. */
void answer_sql_new(const struct answer *x, uint64_t n, struct buf *sql);
/* Those for which the condition holds (columns of ops.schema_answers); in mem. */
enum err answers_read(struct warehouse *w, struct str where, struct arena *mem, struct answers *out,
	struct error *e) MUST_CHECK;

/* True when both have the same columns: names, types and modifiers in order. */
bool answer_fits(const struct answer *x, const struct table *said, struct arena *mem);
/* Types, keys and numbers of the columns as the answer has them. */
enum err answer_take(
	const struct answer *x, struct table *said, struct arena *mem, struct error *e) MUST_CHECK;
/* from[i] is the index in `before` of column i of `said`, by their numbers, or -1. */
void answer_pair(const struct table *before, const struct table *said, int *from);

/* As one JSON object, and back; what is read is copied into mem. */
void answer_write(const struct answer *x, struct buf *out);
enum err answer_parse(
	struct str text, struct arena *mem, struct answer *out, struct error *e) MUST_CHECK;

#endif
