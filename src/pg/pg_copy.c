#include "pg_copy.h"

#include <assert.h>

#include "copy_rows.h"
#include "pg_error.h"
#include "pg_value.h"
#include "queue.h"
#include "thread.h"

static void put_ident(struct buf *out, struct str name)
{
	struct arena mem = {0};

	buf_put(out, pg_ident(&mem, name));
	arena_free(&mem);
}

/*
 * A column whose binary form we do not read is asked for as PostgreSQL prints it. Not by a cast:
 * for some types (bpchar, bool, inet) that prints differently from the output function, which is
 * what the replication stream sends. concat() calls the output function; it makes '' of NULL,
 * and of a row of NULLs IS NULL is true, hence the comparison.
 */
static void put_column(struct buf *out, const struct column *c)
{
	if (c->guard == NULL && pg_has_binary(c->pg_type)) {
		put_ident(out, c->name);
		return;
	}
	buf_puts(out, "CASE WHEN ");
	put_ident(out, c->name);
	buf_puts(out, " IS DISTINCT FROM NULL THEN pg_catalog.concat(");
	put_ident(out, c->name);
	buf_puts(out, ") END");
}

/*
 * The rows of the table itself: a table that others inherit from does not speak for their rows,
 * but a partitioned table, which has none of its own, does. (The planner asks the second
 * question once, not for each row.)
 */
static void put_own_rows(struct buf *out, uint32_t relid)
{
	buf_putf(out,
		" WHERE (tableoid = %u::pg_catalog.oid OR (SELECT relkind = 'p' FROM "
		"pg_catalog.pg_class WHERE oid = %u::pg_catalog.oid))",
		relid, relid);
}

static void put_columns(const struct table *t, struct buf *out)
{
	buf_puts(out, "SELECT ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		put_column(out, &t->columns[i]);
	}
}

void pg_copy_select(const struct table *t, struct str where, struct buf *out)
{
	put_columns(t, out);
	buf_puts(out, " FROM ");
	put_ident(out, t->schema);
	buf_putc(out, '.');
	put_ident(out, t->name);
	put_own_rows(out, t->relid);
	if (t->filter.n > 0)
		buf_putf(out, " AND (%.*s)", STR_ARG(t->filter));
	if (where.n > 0)
		buf_putf(out, " AND (%.*s)", STR_ARG(where));
}

/* An ordinary table alone: without the question whose rows they are the server is a little
 * faster, and it scans the blocks of this table only. */
static void put_select_only(const struct table *t, struct str where, struct buf *out)
{
	put_columns(t, out);
	buf_puts(out, " FROM ONLY ");
	put_ident(out, t->schema);
	buf_putc(out, '.');
	put_ident(out, t->name);
	buf_puts(out, " WHERE TRUE");
	if (t->filter.n > 0)
		buf_putf(out, " AND (%.*s)", STR_ARG(t->filter));
	if (where.n > 0)
		buf_putf(out, " AND (%.*s)", STR_ARG(where));
}

#define BATCHES 2

/*
 * Two batches go round: while the callback has one, on a thread of its own, the rows that the
 * server goes on sending are decoded into the other.
 */
struct copying {
	struct pg *c;
	struct copy_rows rows; /* its batch is the one being filled */
	size_t batch_rows;
	pg_copy_fn *fn;
	void *arg;
	const char *doing;
	bool running; /* the server is still sending */
	struct batch *batches[BATCHES];
	struct queue *full, *empty;
	struct thread taker;
};

static enum err take_one(struct copying *y, struct batch *b, struct error *e)
{
	TRY(env_check(y->c->env, e));
	enum err rc = y->fn(y->arg, b, e);
	batch_reset(b);
	return rc;
}

static enum err take_batches(void *arg, struct error *e)
{
	struct copying *y = arg;
	struct batch *b;
	enum err rc = OK;

	while (rc == OK && (b = queue_pop(y->full)) != NULL) {
		rc = take_one(y, b, e);
		if (rc == OK)
			(void)queue_push(y->empty, b);
	}
	/* The other thread then finds nothing to fill, and ends. */
	queue_close(y->full);
	queue_close(y->empty);
	return rc;
}

/* False when the taker has failed: its error is found when it is joined. */
static bool hand_over(struct copying *y)
{
	struct batch *b = queue_push(y->full, y->rows.batch) ? queue_pop(y->empty) : NULL;

	if (b != NULL)
		y->rows.batch = b;
	return b != NULL;
}

static enum err take_piece(struct copying *y, struct str piece, bool *stopped, struct error *e)
{
	for (;;) {
		TRY(copy_rows_feed(&y->rows, &piece, y->batch_rows, e));
		if (y->rows.batch->rows < y->batch_rows)
			return OK;
		*stopped = !hand_over(y);
		if (*stopped)
			return OK;
	}
}

static enum err copy_all(struct copying *y, struct error *e)
{
	bool stopped = false;
	char *bytes = NULL;
	int n;

	while ((n = PQgetCopyData(y->c->conn, &bytes, 0)) > 0) {
		enum err rc = take_piece(y, (struct str){bytes, (size_t)n}, &stopped, e);
		PQfreemem(bytes);
		if (rc != OK || stopped)
			return rc;
	}
	y->running = false;
	if (n == -2)
		return pg_fail_connection(y->c, y->doing, e);
	PGresult *r = PQgetResult(y->c->conn);
	enum err rc = pg_check(y->c, r, y->doing, e);
	PQclear(r);
	if (rc != OK)
		return rc;
	TRY(copy_rows_finish(&y->rows, e));
	if (y->rows.batch->rows > 0)
		(void)queue_push(y->full, y->rows.batch);
	return OK;
}

/* The copy with its taker; what the taker says comes first, because it came of earlier rows. */
static enum err copy_with_taker(struct copying *y, struct error *e)
{
	struct error of_taker = {.kind = OK};

	TRY(thread_start(&y->taker, "copy", take_batches, y, e));
	enum err rc = copy_all(y, e);
	queue_close(y->full);
	enum err taker_rc = thread_join(&y->taker, &of_taker);
	if (taker_rc == OK)
		return rc;
	if (e != NULL)
		*e = of_taker;
	return taker_rc;
}

/* Ends a COPY that is not wanted any more, so that the connection can be used again. */
static void abandon(struct pg *c)
{
	char refused[256], *bytes = NULL;
	PGcancel *cancel = PQgetCancel(c->conn);

	/* Refused or not, what is under way is read to its end. */
	if (cancel != NULL)
		PQcancel(cancel, refused, sizeof refused);
	PQfreeCancel(cancel);
	while (PQgetCopyData(c->conn, &bytes, 0) > 0)
		PQfreemem(bytes);
}

static void drain(struct pg *c)
{
	PGresult *r;

	while ((r = PQgetResult(c->conn)) != NULL) {
		PQclear(r);
		if (PQstatus(c->conn) == CONNECTION_BAD)
			return;
	}
}

static enum err begin(struct pg *c, struct buf *sql, const char *doing, struct error *e)
{
	buf_puts(sql, ") TO STDOUT (FORMAT binary)");
	PGresult *r = PQexec(c->conn, buf_cstr(sql));
	enum err rc = pg_check(c, r, doing, e);
	if (rc == OK && PQresultStatus(r) != PGRES_COPY_OUT)
		rc = FAIL(e, ERR_FAILED, "%s: the server did not start to copy", doing);
	PQclear(r);
	return rc;
}

static void open_batches(struct copying *y, const struct table *t)
{
	y->full = queue_new(BATCHES);
	y->empty = queue_new(BATCHES);
	for (size_t i = 0; i < BATCHES; i++)
		y->batches[i] = batch_new(t);
	copy_rows_init(&y->rows, y->batches[0]);
	for (size_t i = 1; i < BATCHES; i++)
		(void)queue_push(y->empty, y->batches[i]);
}

static void close_batches(struct copying *y)
{
	copy_rows_free(&y->rows);
	for (size_t i = 0; i < BATCHES; i++)
		batch_free(y->batches[i]);
	queue_free(y->full);
	queue_free(y->empty);
}

enum err pg_copy_out(struct pg *c, const struct table *t, struct str where, size_t batch_rows,
	pg_copy_fn *fn, void *arg, struct error *e)
{
	struct arena mem = {0};
	struct str name = table_full_name(t, &mem);
	struct copying y = {.c = c,
		.batch_rows = batch_rows,
		.fn = fn,
		.arg = arg,
		.doing = arena_fmt(&mem, "copying %.*s", STR_ARG(name)).p};

	assert(batch_rows > 0);
	struct buf sql;
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "COPY (");
	pg_copy_select(t, where, &sql);
	open_batches(&y, t);
	enum err rc = begin(c, &sql, y.doing, e);
	buf_free(&sql);
	if (rc == OK) {
		y.running = true;
		rc = copy_with_taker(&y, e);
	}
	/* A cancel that finds the copy over might hit the next statement instead. */
	if (y.running)
		abandon(c);
	drain(c);
	close_batches(&y);
	arena_free(&mem);
	return rc;
}

enum err pg_copy_widen(struct pg *c, struct error *e)
{
	/* More than a Unix socket holds by default. */
	return pg_exec(c, "SELECT pg_catalog.repeat(' ', 300000)", "preparing to copy tables", e);
}

/* ---- one batch, without a taker ---- */

#define ROWS_MAX ((size_t)UINT32_MAX / 2)

static bool has_room(const struct batch *b, size_t max_bytes)
{
	return b->rows < ROWS_MAX && b->mem.used + b->texts_used <= max_bytes;
}

static enum err end_into(struct copying *y, int n, struct error *e)
{
	y->running = false;
	if (n == -2)
		return pg_fail_connection(y->c, y->doing, e);
	PGresult *r = PQgetResult(y->c->conn);
	enum err rc = pg_check(y->c, r, y->doing, e);
	PQclear(r);
	return rc != OK ? rc : copy_rows_finish(&y->rows, e);
}

static enum err copy_pieces(struct copying *y, size_t max_bytes, bool *whole, struct error *e)
{
	char *bytes = NULL;
	int n;

	*whole = false;
	while ((n = PQgetCopyData(y->c->conn, &bytes, 0)) > 0) {
		struct str piece = {bytes, (size_t)n};
		enum err rc = copy_rows_feed(&y->rows, &piece, ROWS_MAX, e);
		PQfreemem(bytes);
		TRY(rc);
		if (!has_room(y->rows.batch, max_bytes))
			return OK;
		if ((y->rows.batch->rows & 1023) == 0)
			TRY(env_check(y->c->env, e));
	}
	*whole = true;
	return end_into(y, n, e);
}

enum err pg_copy_into(struct pg *c, const struct table *t, struct str where, size_t max_bytes,
	struct batch *into, bool *whole, struct error *e)
{
	struct arena mem = {0};
	struct str name = table_full_name(t, &mem);
	struct copying y = {.c = c, .doing = arena_fmt(&mem, "copying %.*s", STR_ARG(name)).p};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "COPY (");
	put_select_only(t, where, &sql);
	copy_rows_init(&y.rows, into);
	enum err rc = begin(c, &sql, y.doing, e);
	if (rc == OK) {
		y.running = true;
		rc = copy_pieces(&y, max_bytes, whole, e);
	}
	if (y.running)
		abandon(c);
	drain(c);
	copy_rows_free(&y.rows);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}
