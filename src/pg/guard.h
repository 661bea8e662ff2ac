/*
 * guard: personal data that must not leave the source as it is. For columns that the
 * configuration names it leaves the value out, puts a keyed hash in its place, or masks it, and it
 * does so before anything is written to disk: in the replication stream (guard_message), in COPY
 * (pg_copy) and in the description of tables (pg_catalog), so that all of them tell the same.
 *
 * hash: HMAC-SHA-256 of PostgreSQL's text of the value, in hexadecimal: equal values stay equal,
 * in whatever table, so joins work. mask: a fixed text, or the value's shape with its letters and
 * digits replaced. Both land as text; NULL stays NULL. A key column may be hashed only.
 *
 * A guard is made once and then only read, by any thread.
 */
#ifndef SLUICE_GUARD_H
#define SLUICE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "str.h"
#include "table.h"

enum guard_kind { GUARD_EXCLUDE, GUARD_HASH, GUARD_MASK, GUARD_SHAPE };

struct guard_column {
	const struct guard *guard;
	struct str name;
	enum guard_kind kind;
	struct str text;    /* GUARD_MASK: what stands in the value's place */
	bool may_be_absent; /* the table need not have it */
};

struct guard_table {
	struct str name; /* "schema.name" */
	size_t n, cap;
	struct guard_column *columns;
};

struct guard {
	size_t n, cap;
	struct guard_table *tables;
	struct str key;      /* of the hashes; the caller's memory */
	struct error broken; /* kind OK, or why the rules cannot be used: pg_open() then refuses */
};

/*
 * The rules of one table, as lists of columns joined by commas; NULL and "" are none. A name with
 * other characters than letters, digits and _ stands in double quotes. A ? after it says that
 * the table need not have the column. In `mask` a column may be followed by :shape or by :"text".
 * All of it is copied into mem. What cannot be read is kept in g->broken.
 */
void guard_add(struct guard *g, struct arena *mem, const char *table, const char *exclude,
	const char *hash, const char *mask);

const struct guard_table *guard_find(const struct guard *g, struct str schema, struct str name);
const struct guard_column *guard_find_column(const struct guard_table *t, struct str column);

/* Appends what stands in the place of a value that PostgreSQL prints as `text`. Not for
 * GUARD_EXCLUDE. */
void guard_value(const struct guard_column *c, struct str text, struct buf *out);

/*
 * Turns a table's description into the guarded one: columns left out, others of type text with
 * column.guard set. ERR_USAGE when a rule names a column that the table has not: it may have been
 * renamed, and would cross as it is; or when a key column is left out or masked.
 */
enum err guard_describe(
	const struct guard *g, struct table *t, struct arena *mem, struct error *e) MUST_CHECK;

/* ---- the stream ---- */

struct guard_stream; /* what one session's Relation messages have said; one thread */

struct guard_stream *guard_stream_new(const struct guard *g); /* g may be NULL: nothing to do */
void guard_stream_free(struct guard_stream *s);               /* NULL is fine */

/*
 * Every pgoutput message of the session, in the order in which it came, streamed blocks included.
 * *out is the message that may be kept: `payload` itself, or a message in s that is valid until
 * the next call. Errors as of guard_describe(), and ERR_INPUT on damage.
 */
enum err guard_message(
	struct guard_stream *s, struct str payload, struct str *out, struct error *e) MUST_CHECK;

#endif
