/* Replaying a window into a scratch warehouse. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failpoint.h"
#include "file.h"
#include "marks.h"
#include "mem.h"
#include "replay.h"
#include "window_answers.h"
#include "window_manifest.h"
#include "window_state.h"

#define MARK_WINDOW   STR("window")          /* whose scratch it is: the manifest's SHA-256 */
#define MARK_FINISHED STR("window:finished") /* nothing is left to be done */

struct replaying {
	const struct window_replay_options *o;
	const struct env *env;
	struct window_replayed *out;
	struct window_info *w;
	char dir[WINDOW_PATH];     /* the window, absolute */
	char scratch[WINDOW_PATH]; /* the directory of the scratch warehouse */
	struct warehouse *warehouse;
};

/* ---- the scratch warehouse ---- */

static enum err find_paths(struct replaying *r, struct error *e)
{
	char full[PATH_MAX];

	if (realpath(r->o->dir, full) == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "finding %s", r->o->dir);
	snprintf(r->dir, sizeof r->dir, "%s", full);
	char *slash = strrchr(full, '/');
	snprintf(r->scratch, sizeof r->scratch, "%.*s/.%s.replay", (int)(slash - full), full,
		slash + 1);
	return OK;
}

static enum err open_scratch(struct replaying *r, struct error *e)
{
	char url[WINDOW_PATH + 64];
	struct warehouse_options o = {
		.url = url, .threads = r->o->threads, .memory_limit = r->o->memory_limit};

	snprintf(url, sizeof url, "duckdb://%s/scratch.duckdb", r->scratch);
	snprintf(r->out->scratch, sizeof r->out->scratch, "%.*s/scratch.duckdb",
		(int)(sizeof r->out->scratch - 16), r->scratch);
	TRY(file_mkdirs(r->scratch, e));
	TRY(warehouse_open(&r->warehouse, &o, r->env, e));
	return warehouse_ensure_ops(r->warehouse, e);
}

static enum err put_mark(struct replaying *r, struct str name, struct str value, struct error *e)
{
	const struct mark mark = {name, value};

	return marks_put(r->warehouse, &mark, 1, e);
}

static enum err read_mark(struct replaying *r, struct str name, struct str *out, struct error *e)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	enum err rc = warehouse_mark(r->warehouse, name, &text, e);
	if (rc == OK)
		*out = arena_str(&r->w->mem, buf_str(&text));
	buf_free(&text);
	return rc;
}

/* An earlier replay of this very window was cut short after its state was loaded. */
static enum err can_resume(struct replaying *r, bool *out, struct error *e)
{
	struct str whose, finished;
	struct replicate_position stands;

	TRY(read_mark(r, MARK_WINDOW, &whose, e));
	TRY(read_mark(r, MARK_FINISHED, &finished, e));
	TRY(replicate_position(r->warehouse, &stands, e));
	*out = str_eqc(whose, r->w->sha256) && finished.n == 0 && stands.found;
	return OK;
}

/* Opens it anew, or where an earlier replay stood. */
static enum err prepare_scratch(struct replaying *r, struct error *e)
{
	enum err rc = open_scratch(r, e);

	if (rc == OK)
		rc = can_resume(r, &r->out->resumed, e);
	/* Somebody else's is not ours to remove. */
	if (rc == ERR_CONFLICT || rc == ERR_INTERRUPTED || (rc == OK && r->out->resumed))
		return rc;
	warehouse_close(r->warehouse);
	r->warehouse = NULL;
	error_clear(e);
	TRY(file_remove_tree(r->scratch, e));
	TRY(open_scratch(r, e));
	return put_mark(r, MARK_WINDOW, str_of(r->w->sha256), e);
}

static enum err remove_scratch(struct replaying *r, struct error *e)
{
	warehouse_close(r->warehouse);
	r->warehouse = NULL;
	return file_remove_tree(r->scratch, e);
}

/* ---- the state that it starts from ---- */

struct loading {
	struct replaying *r;
	const struct table *table;
	uint64_t rows;
	uint32_t *all; /* 0, 1, 2...: no key comes twice */
	size_t nall;
};

static void count_all(struct loading *l, size_t n)
{
	if (n <= l->nall)
		return;
	l->all = mem_realloc_array(l->all, n, sizeof *l->all);
	for (; l->nall < n; l->nall++)
		l->all[l->nall] = (uint32_t)l->nall;
}

/* As the rows of a first copy: before every change that follows. */
static enum err load_batch(void *arg, struct batch *b, struct error *e)
{
	struct loading *l = arg;

	for (size_t i = 0; i < b->rows; i++) {
		b->op[i] = OP_SNAPSHOT;
		b->commit[i] = (lsn){l->r->w->from.v > 0 ? l->r->w->from.v - 1 : 0};
		b->seq[i] = (uint32_t)(l->rows + i);
		b->committed_at[i] = l->r->w->recorded_us;
	}
	count_all(l, b->rows);
	const struct table_changes changes = {
		.table = l->table, .rows = b, .newest = l->all, .nnewest = b->rows, .fresh = true};
	const struct change_set set = {.tables = &changes, .ntables = 1};
	TRY(warehouse_apply(l->r->warehouse, &set, e));
	l->rows += b->rows;
	return failpoint_hit(l->r->env, "window.load", e);
}

static enum err load_table(struct replaying *r, const struct window_table *t, struct error *e)
{
	struct loading l = {.r = r, .table = t->table};
	char path[2 * WINDOW_PATH];
	struct window_sum sum;

	snprintf(path, sizeof path, "%s/%.*s", r->dir, STR_ARG(t->file));
	enum err rc = warehouse_ensure_table(r->warehouse, t->table, e);
	if (rc == OK)
		rc = window_state_read(path, t->table, r->env, load_batch, &l, &sum, e);
	mem_free(l.all);
	if (rc == OK)
		rc = window_sum_rows(r->warehouse, t->table, r->w->from, r->env, &sum, e);
	if (rc == OK && (sum.rows != t->start.rows || strcmp(sum.digest, t->start.digest) != 0))
		rc = FAIL(e, ERR_CHECK,
			"loading the rows of %.*s.%.*s out of the window: %" PRIu64
			" rows with digest %s, not %" PRIu64 " with %s; this sluice does not read "
			"them as the one that recorded them did",
			STR_ARG(t->schema), STR_ARG(t->name), sum.rows, sum.digest, t->start.rows,
			t->start.digest);
	return rc;
}

/* The position comes last: as long as it is not there, loading has to begin anew. */
static enum err load_marks(struct replaying *r, struct error *e)
{
	struct window_info *w = r->w;
	const struct replicate_position from = {.found = true, .at = w->from, .xid = w->xid};
	struct mark *marks = arena_array(&w->mem, 2 * w->ntables + 1, sizeof *marks);
	size_t n = 0;

	for (size_t i = 0; i < w->ntables; i++) {
		const struct window_table *t = &w->tables[i];
		marks[n++] = (struct mark){
			mark_name(&w->mem, "shape", t->schema, t->name), t->shape};
		marks[n++] = (struct mark){
			mark_name(&w->mem, "snapshot", t->schema, t->name), t->snapshot};
	}
	marks[n++] = (struct mark){STR("position"), mark_position(&w->mem, &from)};
	return marks_put(r->warehouse, marks, n, e);
}

static enum err load_state(struct replaying *r, struct error *e)
{
	for (size_t i = 0; i < r->w->ntables; i++)
		TRY(load_table(r, &r->w->tables[i], e));
	TRY(window_answers_load(r->dir, r->warehouse, e));
	return load_marks(r, e);
}

/* ---- the messages ---- */

static enum err apply_messages(struct replaying *r, struct error *e)
{
	struct window_info *w = r->w;
	const struct table **shapes = arena_array(&w->mem, w->ntables + 1, sizeof *shapes);
	struct replicate_result result;
	char path[WINDOW_PATH + 16], at[LSN_TEXT], to[LSN_TEXT];

	for (size_t i = 0; i < w->ntables; i++)
		shapes[i] = w->tables[i].table;
	snprintf(path, sizeof path, "%s/journal", r->dir);
	const struct replicate_replay o = {.journal = path,
		.batch_rows = r->o->batch_rows,
		.flush_interval_us = r->o->flush_interval_us,
		.at_speed = r->o->at_speed,
		.shapes = shapes,
		.nshapes = w->ntables};
	TRY(replicate_replay(&o, r->warehouse, r->env, &result, e));
	r->out->seconds = result.seconds;
	if (lsn_cmp(result.at, w->to) != 0)
		return FAIL(e, ERR_CHECK, "replaying %s: it ended at %s, not at %s", path,
			lsn_format(result.at, at), lsn_format(w->to, to));
	return OK;
}

/* ---- the comparison ---- */

/*
 * What was recorded of a table at `to` was read in the shape that it had when it was recorded,
 * which the warehouse took on as the replay does here.
 */
static enum err sum_table(struct replaying *r, size_t i, struct error *e)
{
	const struct window_table *t = &r->w->tables[i];

	TRY(warehouse_ensure_table(r->warehouse, t->table, e));
	return window_sum_rows(r->warehouse, t->table, r->w->to, r->env, &r->out->tables[i], e);
}

static enum err compare(struct replaying *r, struct error *e)
{
	struct window_replayed *out = r->out;

	out->tables = arena_array(&r->w->mem, r->w->ntables + 1, sizeof *out->tables);
	for (size_t i = 0; i < r->w->ntables; i++)
		TRY(sum_table(r, i, e));
	window_digest_all(r->w, out->tables, out->digest);
	out->ok = strcmp(out->digest, r->w->end_digest) == 0;
	return OK;
}

static enum err replay(struct replaying *r, struct error *e)
{
	TRY(find_paths(r, e));
	TRY(prepare_scratch(r, e));
	if (!r->out->resumed)
		TRY(load_state(r, e));
	TRY(apply_messages(r, e));
	TRY(compare(r, e));
	TRY(failpoint_hit(r->env, "window.compared", e));
	if (r->o->keep)
		return put_mark(r, MARK_FINISHED, STR("yes"), e);
	return remove_scratch(r, e);
}

void window_replayed_free(struct window_replayed *r)
{
	window_info_free(&r->window);
	*r = (struct window_replayed){.ok = false};
}

enum err window_replay(const struct window_replay_options *o, const struct env *env,
	struct window_replayed *out, struct error *e)
{
	struct replaying r = {.o = o, .env = env, .out = out, .w = &out->window};

	*out = (struct window_replayed){.ok = false};
	if (o->batch_rows < 1 || o->threads < 0)
		return FAIL(e, ERR_USAGE,
			"replaying a window: a batch has at least one row, and threads are not "
			"negative");
	TRY(window_verify(o->dir, env, &out->window, e));
	enum err rc = replay(&r, e);
	warehouse_close(r.warehouse);
	if (rc != OK)
		window_replayed_free(out);
	return rc;
}
