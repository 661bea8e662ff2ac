/* The beginning of a copy: the cut C0, and taking up what an earlier process began. */
#include "snapshot_copy.h"

#include <stdio.h>

#include "failpoint.h"
#include "marks.h"
#include "mem.h"
#include "pg_copy.h"
#include "shape.h"
#include "source.h"

#define AGAIN_US  INT64_C(5000)
#define SETTLE_US INT64_C(20000)

bool copy_stale(struct table_copy *c)
{
	return atomic_load(&c->stale);
}

void copy_set_stale(struct table_copy *c)
{
	if (!atomic_exchange(&c->stale, true))
		log_info(c->s->r->env.log, "snapshot",
			"the table has another shape, other files or other partitions than when its "
			"copy began; it begins anew",
			F_STR("table", c->full));
}

void copy_note_rows(struct table_copy *c, size_t n)
{
	struct replicate *r = c->s->r;

	metric_add(r->m.snapshot_rows, n);
	pthread_mutex_lock(&r->lock);
	r->p.rows += n;
	pthread_mutex_unlock(&r->lock);
}

/* ---- asking the source ---- */

/* The lock comes before the snapshot, so that the table has the same shape from there on. */
enum err copy_open_cut(struct pg *pg, struct str schema, struct str name, struct arena *mem,
	struct cut *out, struct error *e)
{
	struct str s = pg_ident(mem, schema), n = pg_ident(mem, name);
	const char *sql = arena_fmt(mem,
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE %.*s.%.*s IN ACCESS "
		"SHARE MODE",
		STR_ARG(s), STR_ARG(n))
				  .p;

	TRY(pg_exec(pg, sql, "beginning to read a table", e));
	return pg_cut(pg, mem, out, e);
}

/* The published form of the table: it may leave columns out. */
static enum err published_form(
	struct table_copy *c, struct pg *pg, struct arena *mem, struct table **out, struct error *e)
{
	const struct replicate_options *o = c->s->r->o;
	struct pg_tables all;

	TRY(pg_publication_tables(pg, o->publication, mem, &all, e));
	for (size_t i = 0; i < all.n; i++)
		if (all.tables[i]->relid == c->relid) {
			all.tables[i]->valid_time = shape_valid_time(o, all.tables[i]);
			*out = all.tables[i];
			return OK;
		}
	return FAIL(e, ERR_NOT_FOUND, "the publication %s has not the table %.*s", o->publication,
		STR_ARG(c->full));
}

static enum err ask_parts(struct table_copy *c, struct pg *pg, const struct table *t,
	struct arena *mem, struct copy_parts *out, struct error *e)
{
	size_t rows = table_has_key(t) ? (size_t)c->s->r->o->batch_rows : 0;

	return parts_ask(pg, c->relid, rows, mem, out, e);
}

/* ---- before C0 ---- */

#define WRITERS                                                                                    \
	"FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND granted AND database = "         \
	"(SELECT oid FROM pg_catalog.pg_database WHERE datname = "                                 \
	"pg_catalog.current_database()) AND (relation = $1::pg_catalog.oid OR relation IN "        \
	"(SELECT relid FROM "                                                                      \
	"pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass))) AND mode IN "     \
	"('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"

static enum err wait_for_writers(
	struct table_copy *c, struct pg *pg, const char *writers, struct error *e)
{
	const char *params[] = {writers};
	struct arena mem = {0};
	bool said = false, ended = false;
	int64_t began = clock_mono(c->s->r->env.clock);
	enum err rc = OK;

	while (rc == OK && !ended) {
		PGresult *r;
		arena_reset(&mem);
		rc = pg_query(pg,
			"SELECT NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE "
			"virtualtransaction = ANY ($1::text[]))",
			1, params, "looking at running transactions", &mem, &r, e);
		ended = rc == OK && pg_cell_bool(r, 0, 0);
		if (rc == OK && !ended)
			rc = env_check(&c->s->r->env, e);
		if (rc != OK || ended)
			break;
		if (!said && clock_mono(c->s->r->env.clock) - began > 5000000) {
			said = true;
			log_warn(c->s->r->env.log, "snapshot",
				"waiting for transactions that have changed the table to end before "
				"it is copied",
				F_STR("table", c->full));
		}
		env_sleep(&c->s->r->env, SETTLE_US);
	}
	arena_free(&mem);
	return rc;
}

/*
 * Waits for the transactions that have changed the table by now: what those did before the table
 * was published is not in the stream. Each holds a lock on the table until it has become visible.
 * *floor is a position after which all changes of the table lie that a later snapshot does not
 * see, and before which all lie that were applied.
 */
static enum err settle(struct table_copy *c, struct pg *pg, lsn *floor, struct error *e)
{
	struct arena mem = {0};
	char relid[16];
	const char *params[] = {relid};
	PGresult *r;
	/* The position first: who has no lock by the next statement commits after it. */
	enum err rc = pg_query(pg, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text", 0, NULL,
		"reading the source's position", &mem, &r, e);

	snprintf(relid, sizeof(relid), "%u", c->relid);
	if (rc == OK && !lsn_parse(pg_cell_str(r, 0, 0), floor))
		rc = FAIL(e, ERR_INPUT, "reading the source's position: it is no LSN");
	if (rc == OK)
		rc = pg_query(pg,
			"SELECT pg_catalog.array_agg(DISTINCT virtualtransaction)::text " WRITERS,
			1, params, "looking at running transactions", &mem, &r, e);
	if (rc == OK && pg_cell(r, 0, 0) != NULL)
		rc = wait_for_writers(c, pg, arena_cstr(&mem, pg_cell_str(r, 0, 0)), e);
	arena_free(&mem);
	return rc;
}

/* ---- C0 ---- */

static bool sees_skipped(const struct table_copy *c)
{
	for (size_t i = 0; i < c->skipped.n; i++)
		if (!cut_sees_xid(&c->mark.cut, c->skipped.items[i]))
			return false;
	return true;
}

/* The rows that stand there are of another table, or cannot be told apart. */
static enum err put_afresh(struct table_copy *c, const struct mark *marks, struct error *e)
{
	struct batch *b = batch_new(c->table);
	size_t row = batch_add(b);

	b->op[row] = OP_TRUNCATE;
	b->commit[row] = c->mark.floor;
	b->committed_at[row] = c->mark.at_us;
	struct table_changes t = {.table = c->table, .rows = b, .truncated = true};
	struct change_set set = {.tables = &t, .ntables = 1, .marks = marks, .nmarks = 2};
	enum err rc = warehouse_apply(c->s->r->w, &set, e);
	batch_free(b);
	return rc;
}

/* `before`: the mark that stands there. */
static enum err put_beginning(
	struct table_copy *c, const struct replicate_snapshot *before, struct error *e)
{
	struct arena mem = {0};
	bool stands = before->state != SNAPSHOT_NONE;
	bool ours = before->relid == c->relid && table_has_key(c->table);

	c->mark.over = stands && ours;
	c->next_seq = stands && !ours ? 1 : 0; /* the first place in the order is the T's */
	struct mark marks[] = {copy_mark(c, &mem),
		{.name = mark_name(&mem, "shape", c->schema, c->name),
			.value = mark_shape(&mem, c->table)}};
	enum err rc = stands && !ours ? put_afresh(c, marks, e)
				      : marks_put(c->s->r->w, marks, 2, e);
	arena_free(&mem);
	return rc;
}

/* Under the lock. From here on the stream is applied, from C0. */
static enum err set_out(struct table_copy *c, struct error *e)
{
	struct replicate_snapshot before;
	struct arena mem = {0};
	enum err rc = replicate_snapshot(c->s->r->w, c->schema, c->name, &mem, &before, e);

	if (rc == OK)
		rc = warehouse_ensure_table(c->s->r->w, c->table, e);
	if (rc == OK)
		rc = put_beginning(c, &before, e);
	arena_free(&mem);
	return rc;
}

static enum err read_beginning(struct table_copy *c, struct pg *pg, struct error *e)
{
	TRY(copy_open_cut(pg, c->schema, c->name, &c->mem, &c->mark.cut, e));
	c->mark.at_us = clock_wall(c->s->r->env.clock);
	TRY(published_form(c, pg, &c->mem, &c->table, e));
	return ask_parts(c, pg, c->table, &c->mem, &c->parts, e);
}

/* What was left out of the stream meanwhile must be in C0; a commit is in the log a moment before
 * it is visible. *done is false when that moment has to be waited for. */
static enum err try_c0(struct table_copy *c, struct pg *pg, lsn floor, bool *done, struct error *e)
{
	pthread_mutex_lock(&c->lock);
	parts_free(&c->parts);
	arena_reset(&c->mem);
	c->mark = (struct replicate_snapshot){
		.state = SNAPSHOT_RUNNING, .relid = c->relid, .floor = floor};
	pthread_mutex_unlock(&c->lock);
	/* Nobody else looks at what is read here before `begun`. */
	TRY(read_beginning(c, pg, e));
	pthread_mutex_lock(&c->lock);
	enum err rc = OK;
	*done = sees_skipped(c);
	if (*done)
		rc = set_out(c, e);
	if (*done && rc == OK) {
		c->skipped.n = 0;
		c->epoch++;
		c->begun = true;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static enum err take_c0(struct table_copy *c, struct pg *pg, lsn floor, struct error *e)
{
	bool done = false;

	while (!done) {
		TRY(try_c0(c, pg, floor, &done, e));
		if (done)
			break;
		TRY(pg_exec(pg, "ROLLBACK", "taking the cut again", e));
		TRY(env_check(&c->s->r->env, e));
		env_sleep(&c->s->r->env, AGAIN_US);
	}
	return OK;
}

/* ---- a table without a key ---- */

struct whole_copy {
	struct table_copy *c;
	struct warehouse_tx *tx;
	uint32_t *all; /* 0, 1, 2...: every row stands for itself */
	size_t nall;
	uint64_t rows;
};

static enum err put_batch(void *arg, struct batch *b, struct error *e)
{
	struct whole_copy *y = arg;
	struct table_copy *c = y->c;

	if (b->rows > y->nall) {
		y->all = mem_realloc_array(y->all, b->rows, sizeof(*y->all));
		for (; y->nall < b->rows; y->nall++)
			y->all[y->nall] = (uint32_t)y->nall;
	}
	for (size_t i = 0; i < b->rows; i++) {
		b->op[i] = OP_SNAPSHOT;
		b->commit[i] = c->mark.floor;
		b->seq[i] = (uint32_t)(c->next_seq + y->rows + i);
		b->committed_at[i] = c->mark.at_us;
	}
	struct table_changes t = {
		.table = c->table, .rows = b, .newest = y->all, .nnewest = b->rows, .fresh = true};
	struct change_set set = {.tables = &t, .ntables = 1};
	TRY(failpoint_hit(&c->s->r->env, "snapshot.batch", e));
	TRY(warehouse_tx_put(y->tx, &set, e));
	y->rows += b->rows;
	copy_note_rows(c, b->rows);
	return OK;
}

/* Under the lock. Rows that a TRUNCATE of the stream has taken meanwhile are not written. */
static enum err commit_whole(struct whole_copy *y, struct error *e)
{
	struct table_copy *c = y->c;
	struct arena mem = {0};
	enum err rc = OK;

	if (c->emptied) {
		warehouse_tx_abandon(y->tx);
		y->tx = NULL;
		rc = warehouse_begin(c->s->r->w, &y->tx, e);
	} else
		c->next_seq += y->rows;
	for (size_t i = 0; i < c->parts.n; i++)
		part_add(&c->parts.items[i], (struct block_range){0, BLOCK_END});
	struct mark mark = copy_mark(c, &mem);
	struct change_set set = {.marks = &mark, .nmarks = 1};
	if (rc == OK)
		rc = warehouse_tx_put(y->tx, &set, e);
	if (rc == OK) {
		struct warehouse_tx *tx = y->tx;
		y->tx = NULL;
		rc = warehouse_tx_commit(tx, e);
	}
	arena_free(&mem);
	return rc;
}

static enum err copy_whole(struct table_copy *c, struct pg *pg, struct error *e)
{
	struct whole_copy y = {.c = c};

	TRY(warehouse_begin(c->s->r->w, &y.tx, e));
	enum err rc = pg_copy_out(
		pg, c->table, STR_NONE, (size_t)c->s->r->o->batch_rows, put_batch, &y, e);
	if (rc == OK && !copy_stale(c)) {
		pthread_mutex_lock(&c->lock);
		rc = commit_whole(&y, e);
		pthread_mutex_unlock(&c->lock);
	}
	warehouse_tx_abandon(y.tx);
	mem_free(y.all);
	return rc;
}

/* ---- all of it ---- */

enum err copy_begin(struct copier *w, struct table_copy *c, struct error *e)
{
	struct replicate *r = c->s->r;
	lsn floor;

	log_info(r->env.log, "snapshot", "copying a table", F_STR("table", c->full));
	pthread_mutex_lock(&c->lock);
	c->begun = c->emptied = c->whole = false;
	atomic_store(&c->stale, false);
	touched_free(&c->touched);
	parts_free(&c->parts);
	pthread_mutex_unlock(&c->lock);
	/* From here on its changes are left out, and noted. */
	TRY(copies_hush(c->s, e));
	TRY(settle(c, w->pg, &floor, e));
	TRY(copy_forget_ranges(c, e));
	TRY(copy_drop_scratch(c, e));
	TRY(failpoint_hit(&r->env, "snapshot.begin", e));
	TRY(take_c0(c, w->pg, floor, e));
	copies_bump(c->s);
	if (!table_has_key(c->table))
		TRY(copy_whole(c, w->pg, e));
	return pg_exec(w->pg, "COMMIT", "ending the reading of a table", e);
}

/* ---- taking up ---- */

static bool in_ranges(const struct copy_parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].step == 0)
			return false;
	return p->n > 0;
}

enum err copy_take_up(struct table_copy *c, bool *can, struct error *e)
{
	*can = false;
	if (c->mark.parts.n == 0)
		return OK;
	TRY(parts_read(c->mark.parts, &c->mem, &c->parts, e));
	if (!in_ranges(&c->parts)) {
		parts_free(&c->parts);
		return OK;
	}
	TRY(marks_shape(c->s->r->w, c->schema, c->name, &c->mem, &c->table, e));
	if (c->table == NULL || !table_has_key(c->table))
		return OK;
	c->next_seq = c->mark.rows;
	TRY(copy_read_ranges(c, e));
	c->begun = *can = true;
	c->epoch = 1;
	return OK;
}

/* The keys that were touched before this process; those touched by it are noted by apply. */
static enum err read_touched(struct table_copy *c, struct error *e)
{
	struct touched before = {.n = 0};
	bool emptied = false;
	enum err rc = touched_of_history(&before, c->s->r->w, c->table, &c->mark.cut, &emptied, e);

	if (rc == OK) {
		pthread_mutex_lock(&c->lock);
		for (size_t i = 0; i < before.cap; i++)
			if (before.slots[i].lo != 0 || before.slots[i].hi != 0)
				touched_add(&c->touched, before.slots[i]);
		c->touched.zero |= before.zero;
		c->emptied |= emptied;
		pthread_mutex_unlock(&c->lock);
	}
	touched_free(&before);
	return rc;
}

enum err copy_resume(struct copier *w, struct table_copy *c, struct error *e)
{
	struct arena mem = {0};
	struct copy_parts now = {.n = 0};
	struct table *t = NULL;
	enum err rc = published_form(c, w->pg, &mem, &t, e);

	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		copy_set_stale(c); /* its new beginning finds out */
		rc = OK;
	} else if (rc == OK)
		rc = ask_parts(c, w->pg, t, &mem, &now, e);
	if (rc == OK && !copy_stale(c) &&
		(!parts_same(&now, &c->parts) || !table_same_shape(t, c->table)))
		copy_set_stale(c);
	if (rc == OK && !copy_stale(c)) {
		pthread_mutex_lock(&c->lock);
		c->table = table_copy(t, &c->mem);
		for (size_t i = 0; i < now.n; i++) {
			c->parts.items[i].schema = arena_str(&c->mem, now.items[i].schema);
			c->parts.items[i].name = arena_str(&c->mem, now.items[i].name);
		}
		pthread_mutex_unlock(&c->lock);
		rc = read_touched(c, e);
	}
	if (rc == OK && !copy_stale(c))
		log_info(c->s->r->env.log, "snapshot", "going on with the copy of a table",
			F_STR("table", c->full), F_I64("rows", (int64_t)c->next_seq));
	parts_free(&now);
	arena_free(&mem);
	return rc;
}
