/*
 * warehouse: where the rows go and where questions are asked. One interface, one driver per
 * engine: duckdb:///path (embedded) and bigquery://project.
 *
 * Layout (the same in every driver): dataset SCHEMA holds the current tables under their own
 * names (their columns plus _lsn, _committed_at, _exact); dataset SCHEMA_history holds
 * the append-only history of each (plus _op, _lsn, _seq, _xid, _committed_at, _exact,
 * _unchanged) and beside it a view NAME_versions, one row per version of each key with its
 * validity [_valid_from, _valid_to); datasets features, reports, scores and ops hold our own.
 *
 * Every call may be made from any thread. Errors: ERR_UNAVAILABLE may be tried again, ERR_INPUT
 * is SQL or rows that the engine refuses, ERR_USAGE a wrong URL.
 */
#ifndef SLUICE_WAREHOUSE_H
#define SLUICE_WAREHOUSE_H

#include <stddef.h>

#include "arena.h"
#include "batch.h"
#include "buf.h"
#include "cut.h"
#include "env.h"
#include "err.h"
#include "str.h"
#include "table.h"
#include "vec.h"

/* One table's part of a change set. */
struct table_changes {
	const struct table *table;
	const struct batch *rows; /* every change, in commit order: becomes history */
	/* The fold, found before the SQL: indexes of the newest change of each key. Upserts and
	 * deletes, ascending. Rows of op T, and rows that a later T has taken, are never among
	 * them. A table without a key takes inserts only, and every one of them is listed. Of a bag
	 * (table_is_bag) it is what is left when insertions and deletions of equal rows have
	 * cancelled each other: each deletion takes one such row of current. */
	const uint32_t *newest;
	size_t nnewest;
	bool truncated; /* empty the current table before the fold */
	bool fresh;     /* no key of `newest` is in the current table yet: append, do not merge */
	/* Rows of current whose _lsn lies before it may be out of date: values that were not sent
	 * are not taken from them, and stay NULL. LSN_NONE: all rows are right. */
	lsn floor;
};

/* Text kept by name in the same transaction as the rows: positions, progress. */
struct mark {
	struct str name, value;
};

struct change_set {
	const struct table_changes *tables;
	size_t ntables;
	const struct mark *marks;
	size_t nmarks;
};

/*
 * A transaction of several parts: nothing of it is seen by others before commit, and after any
 * crash, failure or abandon nothing is there. One thread at a time; several may be open at once.
 * Two that touch the same row of a table: the second fails with ERR_CONFLICT or ERR_UNAVAILABLE.
 * After a failed call only abandon may follow.
 */
struct warehouse_tx;

struct warehouse_tx_ops {
	/* As in warehouse_ops, within the transaction. */
	enum err (*ensure_table)(struct warehouse_tx *, const struct table *, struct error *);
	enum err (*put)(struct warehouse_tx *, const struct change_set *, struct error *);
	enum err (*script)(struct warehouse_tx *, struct str sql, struct error *);
	/* Takes back rows of op OP_SNAPSHOT that stand at `floor`: those whose key is one of
	 * `keys` (a batch whose key columns count), from current and from history. */
	enum err (*discard)(
		struct warehouse_tx *, const struct batch *keys, lsn floor, struct error *);
	/* Both free the transaction; after a failed commit nothing of it is there. */
	enum err (*commit)(struct warehouse_tx *, struct error *);
	void (*abandon)(struct warehouse_tx *);
};

struct warehouse_tx {
	const struct warehouse_tx_ops *ops;
};

/* A piece of a query's answer. Anything but OK ends the query with that error. */
typedef enum err warehouse_chunk_fn(void *arg, const struct chunk *c, struct error *e);

struct warehouse {
	const struct warehouse_ops *ops;
};

struct warehouse_ops {
	const char *name; /* "duckdb", "bigquery" */

	/* Makes datasets, current and history tables and the versions view fit the table:
	 * created when absent, columns renamed (column.was), added, dropped or retyped when they
	 * differ. History keeps the columns that the source has dropped; when one of the same name
	 * comes, the old one stays as NAME__was_TYPE. Idempotent. */
	enum err (*ensure_table)(struct warehouse *, const struct table *, struct error *);

	/* History rows, the fold into current, and marks: all of it, or after any crash nothing. */
	enum err (*apply)(struct warehouse *, const struct change_set *, struct error *);

	/* Begins a transaction of several parts. */
	enum err (*begin)(struct warehouse *, struct warehouse_tx **, struct error *);

	/* The mark's value into out (left empty when there is none). */
	enum err (*mark)(struct warehouse *, struct str name, struct buf *out, struct error *);

	/* Runs one SQL statement and hands over its answer. fn may be NULL. */
	enum err (*query)(struct warehouse *, struct str sql, warehouse_chunk_fn *fn, void *arg,
		struct error *);

	/* As query, for SQL that somebody typed: nothing in the warehouse is changed by it, and a
	 * statement that is no question (SELECT, EXPLAIN) is ERR_INPUT. */
	enum err (*ask)(struct warehouse *, struct str sql, warehouse_chunk_fn *fn, void *arg,
		struct error *);

	/* Runs statements in one transaction: all or nothing. */
	enum err (*script)(struct warehouse *, struct str sql, struct error *);

	/* Appends rows to an existing table whose columns have the names and kinds given. */
	enum err (*insert)(struct warehouse *, struct str dataset, struct str table,
		const struct chunk *rows, struct error *);

	/* Appends to `out` a SELECT that gives the table's source columns plus _exact as they
	 * were at the cut, in the table's column order. `where`, when not empty, is a condition
	 * on key columns. Only right once the stream is applied up to the cut's LSN. */
	enum err (*select_at)(struct warehouse *, const struct table *, const struct cut *,
		struct str where, struct buf *out, struct error *);

	void (*close)(struct warehouse *);
};

struct warehouse_options {
	const char *url;
	int64_t memory_limit; /* bytes; 0: the engine's own */
	int64_t threads;      /* 0: the engine's own */
	bool read_only;
};

/* Opens the driver that the URL names. An embedded warehouse held by another process gives
 * ERR_CONFLICT, whose text names that process. */
enum err warehouse_open(struct warehouse **out, const struct warehouse_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
void warehouse_close(struct warehouse *w); /* NULL is fine */

/* The calls, checked; prefer these to ops. */
enum err warehouse_ensure_table(
	struct warehouse *w, const struct table *t, struct error *e) MUST_CHECK;
enum err warehouse_apply(
	struct warehouse *w, const struct change_set *c, struct error *e) MUST_CHECK;
enum err warehouse_begin(
	struct warehouse *w, struct warehouse_tx **out, struct error *e) MUST_CHECK;
enum err warehouse_tx_ensure_table(
	struct warehouse_tx *x, const struct table *t, struct error *e) MUST_CHECK;
enum err warehouse_tx_put(
	struct warehouse_tx *x, const struct change_set *c, struct error *e) MUST_CHECK;
enum err warehouse_tx_script(struct warehouse_tx *x, struct str sql, struct error *e) MUST_CHECK;
enum err warehouse_tx_discard(
	struct warehouse_tx *x, const struct batch *keys, lsn floor, struct error *e) MUST_CHECK;
enum err warehouse_tx_commit(struct warehouse_tx *x, struct error *e) MUST_CHECK;
void warehouse_tx_abandon(struct warehouse_tx *x); /* NULL is fine */
enum err warehouse_mark(
	struct warehouse *w, struct str name, struct buf *out, struct error *e) MUST_CHECK;
enum err warehouse_query(struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg,
	struct error *e) MUST_CHECK;
enum err warehouse_ask(struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg,
	struct error *e) MUST_CHECK;
enum err warehouse_script(struct warehouse *w, struct str sql, struct error *e) MUST_CHECK;
enum err warehouse_insert(struct warehouse *w, struct str dataset, struct str table,
	const struct chunk *rows, struct error *e) MUST_CHECK;
enum err warehouse_select_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e) MUST_CHECK;

/* Makes the datasets and tables of ops, features, scores and reports (sql/warehouse/ops.sql).
 * Idempotent. */
enum err warehouse_ensure_ops(struct warehouse *w, struct error *e) MUST_CHECK;

/* One value as text; "" when the answer has no row or it is NULL. */
enum err warehouse_text(
	struct warehouse *w, struct str sql, struct buf *out, struct error *e) MUST_CHECK;
enum err warehouse_i64(
	struct warehouse *w, struct str sql, int64_t *out, struct error *e) MUST_CHECK;

/* Quoting for SQL that we write: "name" and 'text'. */
void sql_name(struct buf *out, struct str name);
void sql_text(struct buf *out, struct str text);

/* A driver that passes everything on to `inner` and fails the n-th call (1 is the first) of the
 * named operation ("apply", "query", ...; "*" for any) with ERR_UNAVAILABLE. For tests: "fail
 * each call once" is a loop over n. Closing it closes inner. */
struct warehouse *warehouse_faulty(struct warehouse *inner, const char *op, unsigned nth);

/* Such a driver refuses (ERR_INPUT) every set of changes with a row whose key's hash is a multiple
 * of one_in, as an engine with a constraint would; 0 ends that. A table without a key counts by
 * its whole row. Any thread. warehouse_refuses() tells which rows. */
void warehouse_faulty_refuse(struct warehouse *faulty, unsigned one_in);
bool warehouse_refuses(const struct batch *rows, size_t row, unsigned one_in);

#endif
