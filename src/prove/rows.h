/*
 * rows: every row of one table as one side has it at the cut, hashed alike on both sides. The
 * source is read by COPY inside the transaction of the cut, so it can be read again and gives
 * the same rows; the replica is asked for the table as of the cut.
 */
#ifndef SLUICE_PROVE_ROWS_H
#define SLUICE_PROVE_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "canon.h"
#include "cut.h"
#include "env.h"
#include "pg_conn.h"
#include "table.h"
#include "warehouse.h"

enum side { SIDE_SOURCE, SIDE_REPLICA };
#define SIDES 2

struct sides {
	struct pg *source; /* in the transaction of the cut */
	struct warehouse *replica;
	const struct cut *cut;
	const struct env *env;
	size_t batch_rows; /* rows of a COPY batch */
};

/* A table as the readers need it. */
struct subject {
	const struct table *table;
	struct str name;          /* "schema.name" */
	const char *const *names; /* NUL-terminated, ncolumns of them */
	size_t nkeys;             /* all columns where the table has no key */
	const uint16_t *keys;
	const char *const *key_names;
	bool key_in_exact;       /* a key's value may stand in _exact, by its type */
	bool in_replica;         /* false: the replica has no such table, and so no rows */
	struct str where[SIDES]; /* conditions that pick the same rows on both sides; empty: all */
};

/* Fills *out but for in_replica; everything lives in mem, the table is borrowed. */
void subject_of(const struct table *t, struct arena *mem, struct subject *out);

/* Sets in_replica. */
enum err subject_look_up(struct subject *subject, struct warehouse *w, struct error *e) MUST_CHECK;

/* One row; valid during the callback. */
struct row {
	struct rowhash key, hash; /* of the key's columns, and of all */
	const struct vec *cols;
	size_t at;        /* index into cols */
	struct str exact; /* its `_exact`, or empty */
	bool damaged; /* which cannot be right: the hash says so, the values are as they stand */
	const struct vec *more; /* of rows_read_sql(): what the question asked besides */
};

typedef enum err row_fn(void *arg, const struct row *r, struct error *e);

/* The hashes of `n` rows, in the order in which they were read. */
typedef enum err hashes_fn(void *arg, const struct rowhash *keys, const struct rowhash *rows,
	size_t n, struct error *e);

/* Hands over every row of the side. A side that cannot be read is ERR_UNAVAILABLE, whatever the
 * reason: nothing is known of its rows then. ERR_INTERRUPTED and ERR_BUG stay what they are. */
enum err rows_read(const struct sides *s, const struct subject *subject, enum side side, row_fn *fn,
	void *arg, struct error *e) MUST_CHECK;

/*
 * The replica's answer to a question of one's own: the table's columns, `_exact`, then `nmore`
 * others. Errors as of rows_read().
 */
enum err rows_read_sql(const struct sides *s, const struct subject *subject, struct str sql,
	size_t nmore, row_fn *fn, void *arg, struct error *e) MUST_CHECK;

/* The same with nothing but the hashes handed over, many at a time; sql NULL: as rows_read(). The
 * source takes no sql. */
enum err rows_hash(const struct sides *s, const struct subject *subject, enum side side,
	const struct buf *sql, hashes_fn *fn, void *arg, struct error *e) MUST_CHECK;

/* The hash of the key of values that stand in the table's columns. `exact` may be empty. */
enum err row_key_hash(const struct subject *subject, const struct vec *cols, size_t at,
	struct str exact, struct buf *scratch, struct rowhash *out, struct error *e) MUST_CHECK;

/* The hash of one column's value alone. */
enum err row_column_hash(const struct subject *subject, const struct row *r, size_t column,
	struct buf *scratch, struct rowhash *out, struct error *e) MUST_CHECK;

#endif
