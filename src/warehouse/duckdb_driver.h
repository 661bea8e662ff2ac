/*
 * duckdb_driver: what the files of the DuckDB driver share. Not for use outside them.
 *
 * One connection is kept for writing and used under a mutex: apply and ensure_table, which must
 * not run into each other. Every query, script and insert opens a connection of its own; DuckDB
 * gives each a consistent snapshot. Sessions run in UTC; the extensions icu and json are built
 * into the library that we ship, so time zone casts and JSON functions need no network.
 *
 * System columns: _op VARCHAR, _lsn BIGINT (the LSN as a number), _seq UINTEGER, _xid BIGINT,
 * _committed_at TIMESTAMPTZ, _exact JSON object or NULL, _unchanged JSON array or NULL. No table
 * has an index: the fold measured faster without one.
 */
#ifndef SLUICE_DUCKDB_DRIVER_H
#define SLUICE_DUCKDB_DRIVER_H

#include <duckdb.h>
#include <pthread.h>

#include "map.h"
#include "warehouse.h"

struct duck_lender;

struct duck {
	struct warehouse base;
	const struct env *env;
	struct duck_lender *lender;
	char *path;
	int lock_fd;          /* of PATH.lock; -1 when none is held */
	int64_t memory_limit; /* bytes; 0: the engine's own */
	duckdb_database db;
	duckdb_connection writer; /* under lock */
	pthread_mutex_t lock;
};

static inline struct duck *duck_of(struct warehouse *w)
{
	return (struct duck *)w;
}

/* Errors. `doing` opens the sentence: "applying changes to public.bookings". */
enum err duck_fail(struct error *e, duckdb_error_type type, const char *doing, const char *message);
enum err duck_fail_appender(struct error *e, duckdb_appender a, const char *doing);

/* Two processes, or one process twice, must not open the same file: the second is told who has
 * it with ERR_CONFLICT. */
enum err duck_lock(const char *path, bool shared, int *fd, struct error *e) MUST_CHECK;
void duck_unlock(int fd);

/* Statements and questions on a given connection. */
enum err duck_connect(struct duck *d, duckdb_connection *out, struct error *e) MUST_CHECK;
enum err duck_exec(
	duckdb_connection c, struct buf *sql, const char *doing, struct error *e) MUST_CHECK;
enum err duck_execs(
	duckdb_connection c, const char *sql, const char *doing, struct error *e) MUST_CHECK;
/* The same for one statement that takes long; see duckdb_work.c. */
enum err duck_work(
	duckdb_connection c, struct buf *sql, const char *doing, struct error *e) MUST_CHECK;
/* Commits. A worker of the engine may be the one that does it, and write a checkpoint with it. */
enum err duck_commit(duckdb_connection c, const char *doing, struct error *e) MUST_CHECK;
/* Lets most of the cache of stored rows go, if it has become large; see duckdb_shed.c. */
enum err duck_shed(struct duck *d, duckdb_connection c, struct error *e) MUST_CHECK;
/* Ends the open transaction, if there is one still: a COMMIT that failed has ended it already. */
void duck_rollback(duckdb_connection c);
enum err duck_run(duckdb_connection c, struct str sql, const struct env *env, const char *doing,
	warehouse_chunk_fn *fn, void *arg, struct error *e) MUST_CHECK;
bool duck_may_stream(duckdb_connection c, struct str sql); /* see duckdb_plan.c */
/* One integer, 0 when the answer is empty. */
enum err duck_number(duckdb_connection c, struct buf *sql, const char *doing, int64_t *out,
	struct error *e) MUST_CHECK;

/* Types. */
#define DUCK_TYPE_TEXT 32
const char *duck_type(struct type t, char out[DUCK_TYPE_TEXT]); /* "DECIMAL(10,2)" */
bool duck_type_ok(struct type t);
bool duck_type_takes(duckdb_logical_type column, struct type t);
/* What a column of an answer lands as; false when it must be cast first, *cast_to says to what. */
bool duck_landing(duckdb_logical_type column, struct type *out, const char **cast_to);
/* True when DuckDB's column of this type holds the value. */
bool duck_holds(const struct vec *v, size_t row);
/* The first row from `from` on whose value it does not hold; `rows` when there is none. */
size_t duck_next_unheld(const struct vec *v, size_t from, size_t rows);

/* Rows of a vec: those listed, or n from `from` on. */
struct rows {
	const uint32_t *list;
	size_t from, n;
};
static inline size_t rows_at(const struct rows *r, size_t i)
{
	return r->list != NULL ? r->list[i] : r->from + i;
}
/* Writes values into a vector of the vec's own DuckDB type. Strings are lent, not copied: the
 * vec must live until the chunk is appended. */
void duck_write(duckdb_vector to, const struct vec *v, const struct rows *rows);
/* Reads n values; *out borrows from the vector or from scratch (16 bytes a row). */
void duck_read(duckdb_vector from, duckdb_logical_type column, struct type t, size_t n,
	void *scratch, struct vec *out);
/* Whoever read is done with what was read; only the thread sanitizer wants to know. */
void duck_read_done(duckdb_vector from, const struct vec *v, size_t n);

/* Appends rows to named columns within the connection's transaction. catalog NULL: the file. */
struct duck_target {
	const char *catalog, *schema, *table;
	const char *const *names;
	size_t ncols;
};
enum err duck_append(struct duck *d, duckdb_connection c, const struct duck_target *to,
	const struct vec *cols, const struct rows *rows, const char *doing,
	struct error *e) MUST_CHECK;

/* Rows that SQL reads where they lie; see duckdb_lend.c. */
struct duck_lending {
	const char *const *names;
	const duckdb_logical_type *types; /* the vecs are written as these */
	const struct vec *cols;
	size_t ncols;
	const struct rows *rows;
};
struct duck_lender *duck_lender_new(void);
void duck_lender_free(struct duck_lender *l);
enum err duck_lender_register(
	struct duck_lender *l, duckdb_connection c, struct error *e) MUST_CHECK;
enum err duck_insert_lent(struct duck_lender *l, duckdb_connection c, const struct duck_target *to,
	const struct duck_lending *what, const char *doing, struct error *e) MUST_CHECK;

/* Keys. Two rows are one when their key columns are; a key value that its type cannot hold is
 * NULL with its text in _exact, so for kinds where that happens the text is compared too. */
bool duck_key_may_be_inexact(const struct table *t, size_t key);
/* "a.k1, a.k2, json_extract_string(a._exact, '/k2')": alias may be NULL. */
void duck_key_list(struct buf *out, const struct table *t, const char *alias);
/* json_extract_string(a._exact, '/name') */
void duck_exact_text(struct buf *out, const char *alias, struct str name);
/* The staged form of keys, in a temporary table temp.main.NAME or a CTE: k0, x0, k1, .. with the
 * exact text in x where the kind may need one. */
void duck_staged_names(struct buf *out, const struct table *t);
struct load;
enum err duck_stage_keys(struct duck *d, const struct load *l, const char *name,
	const struct rows *rows, uint32_t *tags /* NULL: none */, struct error *e) MUST_CHECK;
void duck_staged_match(
	struct buf *out, const struct table *t, const char *staged, const char *current);

/* Names in SQL. */
void duck_current(struct buf *out, const struct table *t); /* "schema"."name" */
void duck_history(struct buf *out, const struct table *t); /* "schema_history"."name" */
void duck_columns(struct buf *out, const struct table *t, const char *alias); /* a."c1", a."c2" */

/*
 * load: a batch made ready for DuckDB. Columns are the batch's own, or copies where values had
 * to be changed: those DuckDB cannot hold become NULL, unchanged TOASTed values are filled in.
 */
struct load {
	const struct batch *b;
	const char *doing;
	struct vec *cols; /* b->table->ncolumns */
	bool *own_data, *own_valid;
	struct map added; /* (row, column) -> struct str *: exact texts found while loading */
	struct vec op, lsn, seq, xid, committed_at, exact, unchanged;
	struct arena mem;
};
enum err load_make(
	struct load *l, const struct batch *b, const char *doing, struct error *e) MUST_CHECK;
void load_free(struct load *l);
/* After every change of values: makes the vecs exact and unchanged. */
enum err load_notes(struct load *l, struct error *e) MUST_CHECK;
/* The exact text of a value, .p NULL when it has none. */
struct str load_exact_text(const struct load *l, size_t row, size_t col);
void load_add_exact(struct load *l, size_t row, size_t col, struct str text);
void load_own(struct load *l, size_t col); /* makes a column writable */
void load_set_valid(struct load *l, size_t row, size_t col, bool valid);
/* Canonical bytes of a row's key. */
void load_key(const struct load *l, size_t row, struct buf *out);

/* Tables without a key, whose rows are counted; see duckdb_bag.c. Takes one row of current for each
 * of the deletions. */
enum err duck_bag_take(struct duck *d, const struct load *l, const struct rows *deleted,
	struct error *e) MUST_CHECK;
/* SELECT columns and _exact of the rows that history, `from` ("FROM ... h ..."), leaves. */
void duck_bag_rows(struct buf *out, const struct table *t, struct str from);
/* The versions view's SELECT. valid_from: the expression of a version's beginning. */
void duck_bag_versions(struct buf *out, const struct table *t, struct str valid_from);

/* Fills in values that PostgreSQL did not send, from earlier in the batch or from current.
 * Rows of current below the floor have nothing to say. */
enum err load_fill_unchanged(struct duck *d, struct load *l, lsn floor, struct error *e) MUST_CHECK;

/* Schema. */
struct duck_column {
	struct str name;
	struct str type; /* as duckdb_columns() prints it */
};
struct duck_shape {
	struct duck_column *columns;
	size_t n;
	bool exists;
};
int duck_shape_find(const struct duck_shape *s, struct str name); /* index or -1 */
typedef void duck_name_fn(struct buf *out, const struct table *t);
/* Columns that get other names, in current or in history; `have` is kept up to date. */
struct duck_renaming {
	const struct table *table;
	duck_name_fn *name;
	struct duck_shape *have;
	bool keeps; /* columns that the source has dropped stay under another name */
	struct arena *mem;
};
enum err duck_rename_columns(
	struct duck *d, const struct duck_renaming *r, struct error *e) MUST_CHECK;
/* Puts aside columns of history that the source had dropped when it has new ones of their names,
 * that is, which current does not have yet. */
enum err duck_make_way(struct duck *d, const struct duck_renaming *r,
	const struct duck_shape *current, struct error *e) MUST_CHECK;
/* NAME__was_TYPE, with a number when that name is taken. */
struct str duck_old_name(
	const struct duck_column *c, const struct duck_shape *have, struct arena *mem);
/* Makes the table `name` anew from itself with the columns wanted; see the file. */
enum err duck_rebuild_current(struct duck *d, const struct table *t, const struct duck_shape *have,
	const struct duck_shape *want, struct error *e) MUST_CHECK;
enum err duck_rebuild_history(struct duck *d, const struct table *t, const struct duck_shape *have,
	const struct duck_shape *want, struct error *e) MUST_CHECK;
enum err duck_versions_view(struct duck *d, const struct table *t, struct error *e) MUST_CHECK;

/* The same as ensure_table and apply, within the open transaction of d->writer. */
enum err duck_ensure_within(struct duck *d, const struct table *t, struct error *e) MUST_CHECK;
enum err duck_apply_within(struct duck *d, const struct change_set *c, struct error *e) MUST_CHECK;

/* The driver's operations, one file each. */
enum err duck_ensure_table(struct warehouse *, const struct table *, struct error *);
enum err duck_apply(struct warehouse *, const struct change_set *, struct error *);
enum err duck_begin(struct warehouse *, struct warehouse_tx **, struct error *);
enum err duck_mark(struct warehouse *, struct str name, struct buf *out, struct error *);
enum err duck_query(
	struct warehouse *, struct str sql, warehouse_chunk_fn *, void *, struct error *);
enum err duck_ask(struct warehouse *, struct str sql, warehouse_chunk_fn *, void *, struct error *);
enum err duck_script(struct warehouse *, struct str sql, struct error *);
/* The statements alone, in the connection's open transaction. */
enum err duck_script_within(duckdb_connection c, struct str sql, struct error *e) MUST_CHECK;
enum err duck_insert(
	struct warehouse *, struct str, struct str, const struct chunk *, struct error *);
enum err duck_select_at(struct warehouse *, const struct table *, const struct cut *,
	struct str where, struct buf *out, struct error *);

#endif
