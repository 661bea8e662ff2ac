/* Recording a window. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "failpoint.h"
#include "file.h"
#include "journal.h"
#include "journal_files.h"
#include "marks.h"
#include "replicate.h"
#include "window_answers.h"
#include "window_file.h"
#include "window_frames.h"
#include "window_manifest.h"
#include "window_state.h"
#include "table_hold.h"

struct recording {
	const struct window_record_options *o;
	struct warehouse *warehouse;
	const struct env *env;
	struct window_info *w;
	char dir[WINDOW_PATH], final[WINDOW_PATH]; /* while recorded, and afterwards */
};

/* ---- which stretch ---- */

static bool good_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= 128 && name[0] != '.' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		n;
}

static enum err check_name(struct recording *r, struct error *e)
{
	const char *name = r->o->name;

	if (!good_name(name))
		return FAIL(e, ERR_USAGE,
			"recording a window: \"%.64s\" is no name for one: use letters, digits, "
			"'.', '_' and '-', at most 128, and no '.' in front",
			name);
	snprintf(r->final, sizeof r->final, "%s/%s", r->o->windows, name);
	snprintf(r->dir, sizeof r->dir, "%s/.%s.recording", r->o->windows, name);
	if (file_exists(r->final))
		return FAIL(e, ERR_CONFLICT,
			"recording the window %s: %s exists already; give another --name, or remove "
			"that directory",
			name, r->final);
	r->w->name = arena_str(&r->w->mem, str_of(name));
	return OK;
}

static enum err oldest_position(struct recording *r, lsn *out, struct error *e)
{
	struct segment_list l;

	TRY(segment_list_read(r->o->journal, &l, e));
	enum err rc = l.n > 0
		? OK
		: FAIL(e, ERR_USAGE,
			  "recording a window: there is no journal in %s yet; run: sluice replicate",
			  r->o->journal);
	if (rc == OK)
		*out = l.items[0].first;
	segment_list_free(&l);
	return rc;
}

static enum err choose_stretch(struct recording *r, struct error *e)
{
	struct replicate_position stands;
	char asked[LSN_TEXT], have[LSN_TEXT];
	lsn oldest = LSN_NONE;

	TRY(replicate_position(r->warehouse, &stands, e));
	if (!stands.found)
		return FAIL(e, ERR_USAGE,
			"recording a window: nothing has been replicated into the warehouse yet; "
			"run: sluice replicate");
	TRY(oldest_position(r, &oldest, e));
	r->w->xid = stands.xid;
	r->w->from = r->o->from.v > 0 ? r->o->from : oldest;
	r->w->to = r->o->to.v > 0 ? r->o->to : stands.at;
	if (lsn_cmp(r->w->from, oldest) < 0)
		return FAIL(e, ERR_USAGE,
			"recording a window from %s: the journal %s begins at %s; changes before "
			"that are no longer there",
			lsn_format(r->w->from, asked), r->o->journal, lsn_format(oldest, have));
	if (lsn_cmp(r->w->to, stands.at) > 0)
		return FAIL(e, ERR_USAGE,
			"recording a window up to %s: the warehouse stands at %s; wait until it is "
			"there: sluice replicate --until %s",
			lsn_format(r->w->to, asked), lsn_format(stands.at, have), asked);
	if (lsn_cmp(r->w->from, r->w->to) > 0)
		return FAIL(e, ERR_USAGE,
			"recording a window from %s to %s: it ends before it begins",
			lsn_format(r->w->from, asked), lsn_format(r->w->to, have));
	return OK;
}

/* ---- which tables ---- */

struct names {
	struct arena *mem;
	struct window_table *tables;
	size_t n, cap;
};

static enum err take_names(void *arg, const struct chunk *c, struct error *e)
{
	struct names *l = arg;

	(void)e;
	for (size_t row = 0; row < c->rows; row++) {
		if (l->n == l->cap) {
			size_t cap = l->cap > 0 ? l->cap * 2 : 32;
			struct window_table *more = arena_array(l->mem, cap, sizeof *more);
			if (l->n > 0)
				memcpy(more, l->tables, l->n * sizeof *more);
			l->tables = more;
			l->cap = cap;
		}
		struct str schema = vec_text(&c->cols[0], row);
		schema.n -= strlen("_history");
		l->tables[l->n++] = (struct window_table){.schema = arena_str(l->mem, schema),
			.name = arena_str(l->mem, vec_text(&c->cols[1], row))};
	}
	return OK;
}

static enum err take_mark(struct recording *r, const char *what, const struct window_table *t,
	struct str *out, struct error *e)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = warehouse_mark(
		r->warehouse, mark_name(&r->w->mem, what, t->schema, t->name), &text, e);
	if (rc == OK)
		*out = arena_str(&r->w->mem, buf_str(&text));
	buf_free(&text);
	return rc;
}

/* *ours is false for a table that replication did not make. */
static enum err describe(struct recording *r, struct window_table *t, bool *ours, struct error *e)
{
	struct replicate_snapshot s;
	struct table_hold hold;

	TRY(replicate_snapshot(r->warehouse, t->schema, t->name, &r->w->mem, &s, e));
	TRY(take_mark(r, "shape", t, &t->shape, e));
	TRY(take_mark(r, "snapshot", t, &t->snapshot, e));
	*ours = s.state != SNAPSHOT_NONE && t->shape.n > 0;
	if (!*ours)
		return OK;
	if (s.state == SNAPSHOT_RUNNING)
		return FAIL(e, ERR_UNAVAILABLE,
			"recording a window: the first copy of %.*s.%.*s is still under way; record "
			"when `sluice status` says that it is done",
			STR_ARG(t->schema), STR_ARG(t->name));
	TRY(table_hold_read(r->warehouse, t->schema, t->name, &hold, e));
	if (table_hold_is(&hold))
		return FAIL(e, ERR_UNAVAILABLE,
			"recording a window: %.*s.%.*s is paused or catching up, so its changes are "
			"missing; record when `sluice status` does not show it as held any more",
			STR_ARG(t->schema), STR_ARG(t->name));
	t->relid = s.relid;
	t->copied = s.cut.at;
	t->floor = s.floor;
	return mark_read_shape(t->shape, t->schema, t->name, &r->w->mem, &t->table, e);
}

static enum err find_tables(struct recording *r, struct error *e)
{
	struct names l = {.mem = &r->w->mem};

	TRY(warehouse_query(r->warehouse,
		STR("SELECT table_schema, table_name FROM information_schema.tables WHERE "
		    "table_schema LIKE '%\\_history' ESCAPE '\\' AND table_type = 'BASE TABLE' "
		    "ORDER BY table_schema, table_name"),
		take_names, &l, e));
	r->w->tables = l.tables;
	for (size_t i = 0; i < l.n; i++) {
		struct window_table *t = &r->w->tables[r->w->ntables];
		bool ours;
		*t = l.tables[i];
		TRY(describe(r, t, &ours, e));
		if (!ours)
			continue;
		t->file = arena_fmt(&r->w->mem, "state/%06zu.rows", r->w->ntables + 1);
		r->w->ntables++;
	}
	if (r->w->ntables == 0)
		return FAIL(e, ERR_USAGE,
			"recording a window: the warehouse has no replicated table; run: sluice "
			"replicate");
	return OK;
}

/* A change of shape between the reading of the marks and of the rows makes the two disagree. */
static enum err check_unchanged(struct recording *r, struct error *e)
{
	for (size_t i = 0; i < r->w->ntables; i++) {
		const struct window_table *t = &r->w->tables[i];
		struct str shape, snapshot;
		TRY(take_mark(r, "shape", t, &shape, e));
		TRY(take_mark(r, "snapshot", t, &snapshot, e));
		if (!str_eq(shape, t->shape) || !str_eq(snapshot, t->snapshot))
			return FAIL(e, ERR_CONFLICT,
				"recording a window: the table %.*s.%.*s changed its shape or was "
				"copied anew meanwhile; record again",
				STR_ARG(t->schema), STR_ARG(t->name));
	}
	return OK;
}

/* ---- what is kept ---- */

/*
 * Rows of a copy stand in history at its floor and count at every position: those of the first copy
 * belong to the state, whatever the position. A later copy went over what stood there, which can no
 * longer be told from before it; and what it brought or took away is in no message.
 */
static enum err check_copied(struct recording *r, const struct window_table *t, struct error *e)
{
	char from[LSN_TEXT];
	struct buf sql;
	int64_t before = 0;

	if (lsn_cmp(t->copied, r->w->from) <= 0)
		return OK;
	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT count(*) FROM ");
	sql_name(&sql, arena_fmt(&r->w->mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(&sql, '.');
	sql_name(&sql, t->name);
	buf_putf(&sql, " WHERE _lsn < %" PRIu64, t->floor.v);
	enum err rc = warehouse_i64(r->warehouse, buf_str(&sql), &before, e);
	buf_free(&sql);
	if (rc == OK && before > 0)
		rc = FAIL(e, ERR_USAGE,
			"recording a window: %.*s.%.*s was copied again up to %s: no message brings "
			"what that changed, and what stood there before can no longer be told; "
			"record with --from %s, or later",
			STR_ARG(t->schema), STR_ARG(t->name), lsn_format(t->copied, from), from);
	return rc;
}

static enum err record_state(struct recording *r, struct error *e)
{
	char path[WINDOW_PATH + 64];

	snprintf(path, sizeof path, "%s/state", r->dir);
	TRY(file_mkdirs(path, e));
	for (size_t i = 0; i < r->w->ntables; i++) {
		struct window_table *t = &r->w->tables[i];
		TRY(check_copied(r, t, e));
		snprintf(path, sizeof path, "%s/%.*s", r->dir, STR_ARG(t->file));
		TRY(window_state_write(
			r->warehouse, t->table, r->w->from, path, r->env, &t->start, e));
		TRY(failpoint_hit(r->env, "window.state", e));
		TRY(window_sum_rows(r->warehouse, t->table, r->w->to, r->env, &t->end, e));
	}
	return file_fsync_dir(r->dir, e);
}

static enum err record_messages(struct recording *r, struct error *e)
{
	char path[WINDOW_PATH + 64];
	struct arena mem = {0};
	struct answers answers;

	snprintf(path, sizeof path, "%s/journal", r->dir);
	enum err rc = window_answers_read(r->dir, &mem, &answers, e);
	if (rc == OK)
		rc = window_frames_copy(
			r->o->journal, path, r->o->segment_size, r->env, &answers, r->w, e);
	/* By now it is known where the window ends. */
	if (rc == OK)
		rc = window_answers_check(&answers, r->w, e);
	arena_free(&mem);
	return rc;
}

static void total(struct recording *r)
{
	struct window_info *w = r->w;
	struct window_sum *sums = arena_array(&w->mem, w->ntables + 1, sizeof *sums);

	for (size_t i = 0; i < w->ntables; i++)
		sums[i] = w->tables[i].start;
	window_digest_all(w, sums, w->start_digest);
	for (size_t i = 0; i < w->ntables; i++)
		sums[i] = w->tables[i].end;
	window_digest_all(w, sums, w->end_digest);
}

static enum err record_manifest(struct recording *r, struct error *e)
{
	struct window_info *w = r->w;

	TRY(window_files(r->dir, &w->mem, &w->files, &w->nfiles, e));
	for (size_t i = 0; i < w->nfiles; i++) {
		TRY(window_file_sum(r->dir, &w->mem, &w->files[i], e));
		w->bytes += w->files[i].bytes;
	}
	total(r);
	w->recorded_us = clock_wall(r->env->clock);
	return window_manifest_write(r->dir, w, e);
}

/* Whose stream it is, as the journal says. */
static enum err record_identity(struct recording *r, struct error *e)
{
	struct journal_identity id;

	TRY(journal_identity_read(r->o->journal, &id, e));
	r->w->system_id = id.system_id;
	r->w->timeline = id.timeline;
	r->w->slot = arena_str(&r->w->mem, str_of(id.slot));
	r->w->publication = arena_str(&r->w->mem, str_of(id.publication));
	return OK;
}

static enum err record_all(struct recording *r, struct error *e)
{
	TRY(file_remove_tree(r->dir, e));
	TRY(file_mkdirs(r->dir, e));
	TRY(window_answers_write(r->dir, r->warehouse, r->w, e));
	TRY(record_messages(r, e));
	TRY(failpoint_hit(r->env, "window.messages", e));
	TRY(record_state(r, e));
	TRY(check_unchanged(r, e));
	TRY(record_manifest(r, e));
	TRY(failpoint_hit(r->env, "window.manifest", e));
	if (rename(r->dir, r->final) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "renaming %s to %s", r->dir, r->final);
	return file_fsync_dir(r->o->windows, e);
}

enum err window_record(const struct window_record_options *o, struct warehouse *w,
	const struct env *env, struct window_info *out, struct error *e)
{
	struct recording r = {.o = o, .warehouse = w, .env = env, .w = out};
	struct error ignored = {.kind = OK};

	*out = (struct window_info){.name = STR_NONE};
	enum err rc = check_name(&r, e);
	if (rc == OK)
		rc = record_identity(&r, e);
	if (rc == OK)
		rc = choose_stretch(&r, e);
	if (rc == OK)
		rc = find_tables(&r, e);
	if (rc == OK) {
		rc = record_all(&r, e);
		/* What is left over is removed by the next recording of the name, too. */
		if (rc != OK)
			IGNORE(file_remove_tree(r.dir, &ignored));
	}
	if (rc != OK)
		window_info_free(out);
	return rc;
}
