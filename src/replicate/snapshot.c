#include "snapshot.h"

#include <inttypes.h>

#include "failpoint.h"
#include "marks.h"
#include "mem.h"
#include "pg_copy.h"
#include "shape.h"
#include "source.h"

struct copying {
	struct replicate *r;
	const struct table *table;
	struct replicate_snapshot mark;
	struct arena mem; /* of the table's snapshot */
	int64_t at_us;    /* when the cut was taken */
	uint64_t rows;
	uint32_t *all; /* 0, 1, 2...: no key comes twice */
	size_t nall;
};

static struct mark state_mark(struct copying *y)
{
	return (struct mark){
		.name = mark_name(&y->mem, "snapshot", y->table->schema, y->table->name),
		.value = mark_snapshot(&y->mem, &y->mark)};
}

static struct mark shape_mark(struct copying *y)
{
	return (struct mark){.name = mark_name(&y->mem, "shape", y->table->schema, y->table->name),
		.value = mark_shape(&y->mem, y->table)};
}

static void count_all(struct copying *y, size_t n)
{
	if (n <= y->nall)
		return;
	y->all = mem_realloc_array(y->all, n, sizeof(*y->all));
	for (; y->nall < n; y->nall++)
		y->all[y->nall] = (uint32_t)y->nall;
}

static void note_rows(struct replicate *r, size_t n)
{
	metric_add(r->m.snapshot_rows, n);
	pthread_mutex_lock(&r->lock);
	r->p.rows += n;
	pthread_mutex_unlock(&r->lock);
}

static enum err write_batch(void *arg, struct batch *b, struct error *e)
{
	struct copying *y = arg;

	for (size_t i = 0; i < b->rows; i++) {
		b->op[i] = OP_SNAPSHOT;
		b->commit[i] = y->mark.floor;
		b->seq[i] = (uint32_t)(y->rows + i);
		b->committed_at[i] = y->at_us;
	}
	count_all(y, b->rows);
	struct table_changes t = {
		.table = y->table, .rows = b, .newest = y->all, .nnewest = b->rows, .fresh = true};
	struct change_set set = {.tables = &t, .ntables = 1};
	TRY(failpoint_hit(&y->r->env, "snapshot.batch", e));
	TRY(warehouse_apply(y->r->w, &set, e));
	y->rows += b->rows;
	note_rows(y->r, b->rows);
	return OK;
}

/* ---- making room: an earlier try, or a table that was dropped and made anew ---- */

static enum err remove_rows(struct copying *y, lsn floor, struct error *e)
{
	struct buf sql;
	struct str history = arena_fmt(&y->mem, "%.*s_history", STR_ARG(y->table->schema));

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "DELETE FROM ");
	sql_name(&sql, y->table->schema);
	buf_putc(&sql, '.');
	sql_name(&sql, y->table->name);
	buf_puts(&sql, " WHERE TRUE; DELETE FROM ");
	sql_name(&sql, history);
	buf_putc(&sql, '.');
	sql_name(&sql, y->table->name);
	buf_putf(&sql, " WHERE _op = 'r' AND _lsn = %" PRIu64 ";", floor.v);
	enum err rc = warehouse_script(y->r->w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

/* History says that the rows of the old table ended here. */
static enum err end_old_rows(
	struct copying *y, const struct mark *marks, size_t nmarks, struct error *e)
{
	struct batch *b = batch_new(y->table);
	size_t row = batch_add(b);

	b->op[row] = OP_TRUNCATE;
	b->commit[row] = y->mark.floor;
	b->committed_at[row] = y->at_us;
	struct table_changes t = {.table = y->table, .rows = b, .truncated = true};
	struct change_set set = {.tables = &t, .ntables = 1, .marks = marks, .nmarks = nmarks};
	enum err rc = warehouse_apply(y->r->w, &set, e);
	batch_free(b);
	y->rows = 1; /* the first place in the order is taken */
	return rc;
}

static enum err begin_rows(
	struct copying *y, const struct replicate_snapshot *before, struct error *e)
{
	struct mark marks[] = {state_mark(y), shape_mark(y)};

	if (before->state == SNAPSHOT_DONE)
		return end_old_rows(y, marks, 2, e);
	if (before->state == SNAPSHOT_RUNNING)
		TRY(remove_rows(y, before->floor, e));
	return marks_put(y->r->w, marks, 2, e);
}

/* ---- one table ---- */

/* Opens the transaction in which the table is read. The lock comes before the snapshot, so that
 * the table has the same shape from there on. */
static enum err take_cut(
	struct copying *y, struct pg *c, const struct table *named, struct error *e)
{
	struct str schema = pg_ident(&y->mem, named->schema), name = pg_ident(&y->mem, named->name);
	const char *sql = arena_fmt(&y->mem,
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE %.*s.%.*s IN ACCESS "
		"SHARE MODE",
		STR_ARG(schema), STR_ARG(name))
				  .p;

	TRY(pg_exec(c, sql, "beginning to read a table", e));
	TRY(pg_cut(c, &y->mem, &y->mark.cut, e));
	y->at_us = clock_wall(y->r->env.clock);
	return OK;
}

static enum err copy_rows(
	struct copying *y, struct pg *c, const struct replicate_snapshot *before, struct error *e)
{
	struct replicate *r = y->r;

	y->mark.state = SNAPSHOT_RUNNING;
	y->mark.relid = y->table->relid;
	TRY(warehouse_ensure_table(r->w, y->table, e));
	TRY(begin_rows(y, before, e));
	TRY(pg_copy_out(c, y->table, STR_NONE, (size_t)r->o->batch_rows, write_batch, y, e));
	TRY(pg_exec(c, "COMMIT", "ending the reading of a table", e));
	TRY(failpoint_hit(&r->env, "snapshot.done", e));
	y->mark.state = SNAPSHOT_DONE;
	struct mark done = state_mark(y);
	return marks_put(r->w, &done, 1, e);
}

/* The published form of the table: it may leave columns out. */
static enum err published_form(
	struct copying *y, struct pg *c, const struct table *named, struct error *e)
{
	struct pg_tables all;

	TRY(pg_publication_tables(c, y->r->o->publication, &y->mem, &all, e));
	for (size_t i = 0; i < all.n; i++)
		if (str_eq(all.tables[i]->schema, named->schema) &&
			str_eq(all.tables[i]->name, named->name)) {
			all.tables[i]->valid_time = shape_valid_time(y->r->o, all.tables[i]);
			y->table = all.tables[i];
			return OK;
		}
	return FAIL(e, ERR_NOT_FOUND, "the publication %s has lost the table %.*s.%.*s",
		y->r->o->publication, STR_ARG(named->schema), STR_ARG(named->name));
}

static enum err copy_table(struct replicate *r, struct pg *c, const struct table *named, lsn floor,
	const struct replicate_snapshot *before, struct error *e)
{
	struct copying y = {.r = r, .mark = {.floor = floor}};
	struct str full = table_full_name(named, &y.mem);
	int64_t began = clock_mono(r->env.clock);

	log_info(r->env.log, "snapshot", "copying a table", F_STR("table", full));
	enum err rc = take_cut(&y, c, named, e);
	if (rc == OK)
		rc = published_form(&y, c, named, e);
	if (rc == OK)
		rc = copy_rows(&y, c, before, e);
	if (rc == OK)
		log_info(r->env.log, "snapshot", "table copied", F_STR("table", full),
			F_I64("rows", y.rows),
			F_F64("seconds", (double)(clock_mono(r->env.clock) - began) / 1e6));
	else
		error_wrap(e, "copying the table %.*s", STR_ARG(full));
	mem_free(y.all);
	arena_free(&y.mem);
	return rc;
}

/* ---- which tables ---- */

static void set_snapshotting(struct replicate *r, bool on)
{
	pthread_mutex_lock(&r->lock);
	r->p.snapshotting = on;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

/* Where the rows of new snapshots stand in history. Before the first one of all it is the slot's
 * consistent point: every transaction of the stream commits after it. */
static enum err find_floor(
	struct replicate *r, struct pg *c, bool first, lsn *floor, struct error *e)
{
	*floor = r->id.start;
	if (first && r->id.settled)
		return OK;
	TRY(source_settle(c, &r->env, floor, e));
	if (r->id.settled)
		return OK;
	r->id.settled = true;
	return journal_identity_write(r->o->journal, &r->id, e);
}

static enum err first_position(struct replicate *r, struct pg *c, struct error *e)
{
	struct arena mem = {0};
	struct cut now;
	enum err rc = source_snapshot(c, &mem, &now, e);

	if (rc == OK) {
		struct replicate_position p = {.at = r->id.start, .xid = now.xmax};
		struct mark mark = {.name = STR("position"), .value = mark_position(&mem, &p)};
		rc = marks_put(r->w, &mark, 1, e);
	}
	arena_free(&mem);
	return rc;
}

static enum err copy_if_new(struct replicate *r, struct pg *c, const struct table *t, bool first,
	lsn *floor, struct arena *mem, struct error *e)
{
	struct replicate_snapshot before;

	TRY(replicate_snapshot(r->w, t->schema, t->name, mem, &before, e));
	if (before.state == SNAPSHOT_DONE && before.relid == t->relid)
		return OK;
	set_snapshotting(r, true);
	if (floor->v == 0)
		TRY(find_floor(r, c, first, floor, e));
	return copy_table(r, c, t, *floor, &before, e);
}

enum err snapshot_all(struct replicate *r, struct error *e)
{
	struct replicate_position position;
	struct arena mem = {0};
	struct pg_tables all = {0};
	struct pg *c = NULL;
	lsn floor = LSN_NONE;

	enum err rc = replicate_position(r->w, &position, e);
	if (rc == OK)
		rc = source_open(&c, r->o, &r->env, false, e);
	if (rc == OK)
		rc = pg_publication_tables(c, r->o->publication, &mem, &all, e);
	for (size_t i = 0; rc == OK && i < all.n; i++)
		rc = copy_if_new(r, c, all.tables[i], !position.found, &floor, &mem, e);
	if (rc == OK && !position.found)
		rc = first_position(r, c, e);
	set_snapshotting(r, false);
	pg_close(c);
	arena_free(&mem);
	return rc;
}

enum err snapshot_one(
	struct replicate *r, struct str schema, struct str name, uint32_t relid, struct error *e)
{
	struct table named = {.schema = schema, .name = name, .relid = relid};
	struct arena mem = {0};
	struct pg *c = NULL;
	lsn floor = LSN_NONE;

	enum err rc = source_open(&c, r->o, &r->env, false, e);
	if (rc == OK)
		rc = copy_if_new(r, c, &named, false, &floor, &mem, e);
	set_snapshotting(r, false);
	pg_close(c);
	arena_free(&mem);
	return rc;
}
