/* The end of a copy: what it has not met goes, and the cut at which the table was whole. */
#include "snapshot_copy.h"

#include <inttypes.h>

#include "failpoint.h"
#include "marks.h"

#define AGAIN_US INT64_C(20000)

static void put_name(struct buf *sql, const struct table_copy *c, const char *suffix)
{
	struct arena mem = {0};

	sql_name(sql, arena_fmt(&mem, "%.*s%s", STR_ARG(c->schema), suffix));
	buf_putc(sql, '.');
	sql_name(sql, c->name);
	arena_free(&mem);
}

static void put_columns(struct buf *sql, const struct table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, ", ");
	}
}

/*
 * A copy that goes over the rows of an earlier one leaves those that the source has not any more:
 * every other row was written by it, at the floor, or by the stream, after it.
 */
static enum err sweep(struct table_copy *c, struct error *e)
{
	struct buf sql;
	char at[CLOCK_TEXT];

	if (!c->mark.over)
		return OK;
	buf_init(&sql, BUF_MAX_DEFAULT);
	clock_format(c->mark.at_us, at, sizeof(at));
	buf_puts(&sql, "INSERT INTO ");
	put_name(&sql, c, "_history");
	buf_puts(&sql, " (");
	put_columns(&sql, c->table);
	buf_puts(&sql, "_op, _lsn, _seq, _xid, _committed_at, _exact) SELECT ");
	put_columns(&sql, c->table);
	buf_putf(&sql,
		"'D', %" PRIu64 ", %" PRIu64 " + row_number() OVER (), 0, CAST('%s' AS "
		"TIMESTAMPTZ), _exact FROM ",
		c->mark.floor.v, c->next_seq, at);
	put_name(&sql, c, "");
	buf_putf(&sql, " WHERE _lsn < %" PRIu64 "; DELETE FROM ", c->mark.floor.v);
	put_name(&sql, c, "");
	buf_putf(&sql, " WHERE _lsn < %" PRIu64, c->mark.floor.v);
	enum err rc = script_again(c->s->r->w, &c->s->r->env, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err mark_done(struct table_copy *c, const struct cut *cut, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot running = c->mark;

	c->mark.state = SNAPSHOT_DONE;
	c->mark.cut = *cut;
	struct mark mark = copy_mark(c, &mem);
	enum err rc = marks_put(c->s->r->w, &mark, 1, e);
	/* The cut that apply goes by stays: what it includes has passed. */
	c->mark.cut = running.cut;
	c->mark.state = rc == OK ? SNAPSHOT_DONE : SNAPSHOT_RUNNING;
	if (rc == OK) {
		c->whole = true;
		touched_free(&c->touched);
		parts_free(&c->parts);
	}
	arena_free(&mem);
	return rc;
}

static lsn applied_now(struct replicate *r)
{
	pthread_mutex_lock(&r->lock);
	lsn applied = r->p.applied;
	pthread_mutex_unlock(&r->lock);
	return applied;
}

/*
 * Whether the cut sees all changes of the table that had been applied. A commit is in the log a
 * moment before it is visible, and where it waits for a standby, for long; and rows that such a
 * change touched were dropped, or values put into its version alone.
 */
static enum err sees_applied(
	struct table_copy *c, const struct cut *cut, lsn applied, bool *sees, struct error *e)
{
	struct buf sql;
	int64_t unseen = 0;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT count(*) FROM ");
	put_name(&sql, c, "_history");
	touched_where_outside(&sql, cut);
	buf_putf(&sql, " AND _lsn <= %" PRIu64, applied.v);
	enum err rc = warehouse_i64(c->s->r->w, buf_str(&sql), &unseen, e);
	buf_free(&sql);
	*sees = unseen == 0;
	return rc;
}

/*
 * The table is whole as of a cut up to which all is applied: whoever asks for it at an earlier
 * one cannot be answered, as history does not have what the touched keys were before.
 */
static enum err take_last_cut(
	struct copier *w, struct table_copy *c, struct arena *mem, struct error *e)
{
	struct replicate *r = c->s->r;
	struct cut cut;
	bool sees = false;

	while (!sees) {
		lsn applied = applied_now(r);
		TRY(copy_open_cut(w->pg, c->schema, c->name, mem, &cut, e));
		TRY(pg_exec(w->pg, "COMMIT", "taking the last cut of a table", e));
		TRY(sees_applied(c, &cut, applied, &sees, e));
		TRY(env_check(&r->env, e));
		if (!sees)
			env_sleep(&r->env, AGAIN_US);
	}
	TRY(engine_wait_applied(r, cut.at, e));
	TRY(failpoint_hit(&r->env, "snapshot.done", e));
	pthread_mutex_lock(&c->lock);
	enum err rc = copy_stale(c) ? OK : mark_done(c, &cut, e);
	pthread_mutex_unlock(&c->lock);
	return rc == OK ? copy_forget_ranges(c, e) : rc;
}

enum err copy_end(struct copier *w, struct table_copy *c, struct error *e)
{
	struct replicate *r = c->s->r;
	struct copy_parts now = {.n = 0};
	struct arena mem = {0};
	/* A partition that came or went has brought rows, or taken some, without a change. Those
	 * that do so after this are seen by the watch. */
	enum err rc = copy_wait_watched(c, e);

	if (rc == OK)
		rc = parts_ask(w->pg, c->relid, 1, &mem, &now, e);
	if (rc == OK && !parts_same(&now, &c->parts))
		copy_set_stale(c);
	if (rc == OK && !copy_stale(c))
		rc = copy_fill(w, c, e);
	if (rc == OK && !copy_stale(c))
		rc = sweep(c, e);
	if (rc == OK && !copy_stale(c))
		rc = take_last_cut(w, c, &mem, e);
	/* Dropped meanwhile. */
	if (rc == ERR_NOT_FOUND) {
		copy_set_stale(c);
		error_clear(e);
		rc = pg_exec(w->pg, "ROLLBACK", "taking the last cut of a table", e);
	}
	if (rc == OK && !copy_stale(c))
		log_info(r->env.log, "snapshot", "table copied", F_STR("table", c->full),
			F_I64("rows", (int64_t)c->next_seq),
			F_F64("seconds", (double)(clock_wall(r->env.clock) - c->mark.at_us) / 1e6));
	parts_free(&now);
	arena_free(&mem);
	return rc;
}
