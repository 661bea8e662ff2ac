/*
 * shape: what a table looks like according to the stream, how that differs from what was known,
 * and moving rows from one shape to another.
 */
#ifndef SLUICE_SHAPE_H
#define SLUICE_SHAPE_H

#include "batch.h"
#include "pgoutput.h"
#include "replicate.h"
#include "table.h"

/* The business-time column that the options name for a table; empty when none. */
struct str shape_valid_time(const struct replicate_options *o, const struct table *t);

/* The table of a Relation message, in mem. */
struct table *shape_of_relation(
	const struct pgoutput_relation *r, const struct replicate_options *o, struct arena *mem);

/* What has changed, in words: "added note text; renamed a to b; dropped old". Empty when nothing.
 * from[i] is the index in `before` of column i of `after`, or -1. */
struct str shape_describe(
	const struct table *before, const struct table *after, const int *from, struct arena *mem);

/* `after` with those columns of `before` at the end that it no longer has. */
struct table *shape_union(const struct table *before, const struct table *after, struct arena *mem);

/* Adds all rows of `from` to `to`, column by column of the same name. A value whose type differs
 * goes through its PostgreSQL text. Texts go on pointing where they did; those of from->mem are
 * copied. */
enum err shape_move_rows(const struct batch *from, struct batch *to, struct error *e) MUST_CHECK;

/* The exact text noted for a value; .p NULL when there is none. */
struct str shape_exact(const struct batch *b, size_t row, size_t column);
/* Where the notes of the row begin in b->exact, or would stand. */
size_t shape_first_exact(const struct batch *b, size_t row);

#endif
