#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "reconcile_run.h"
#include "replicate.h"
#include "table_hold.h"

#define BATCH_ROWS  16384
#define PATIENCE_US INT64_C(60000000)

static bool in_group(
	const struct comparing *c, struct part *const *parts, size_t n, const struct table *t)
{
	for (size_t i = 0; i < n; i++)
		if (c->tables.tables[parts[i]->table]->relid == t->relid)
			return true;
	return false;
}

/*
 * TRUNCATE and some forms of ALTER TABLE are not bound by snapshots: one that came between the
 * cut and the COPY would empty the table under our eyes. The lock that COPY takes anyway is
 * taken before the cut, so that they come before it or wait.
 */
static enum err lock_tables(
	struct comparing *c, struct part *const *parts, size_t n, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	bool any = false;

	buf_init(&sql, 16 << 20);
	buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ");
	for (size_t i = 0; i < c->tables.n; i++) {
		const struct table *t = c->tables.tables[i];

		if (!in_group(c, parts, n, t))
			continue;
		buf_putf(&sql, "%s%.*s.%.*s", any ? ", " : "", STR_ARG(pg_ident(&mem, t->schema)),
			STR_ARG(pg_ident(&mem, t->name)));
		any = true;
	}
	buf_puts(&sql, " IN ACCESS SHARE MODE");
	enum err rc = pg_exec(c->source, buf_cstr(&sql),
		"beginning the transaction that is compared, with the tables' shapes held", e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

/* The tables as this transaction has them; none may have another shape than when it was planned. */
static enum err describe_tables(
	struct group *g, struct part *const *parts, size_t n, struct error *e)
{
	struct comparing *c = g->c;
	struct pg_tables all = {.n = 0};

	g->subjects = arena_array(g->mem, c->tables.n + 1, sizeof *g->subjects);
	TRY(pg_publication_tables(c->source, c->o->publication, g->mem, &all, e));
	for (size_t i = 0; i < n; i++) {
		size_t at = parts[i]->table;
		const struct table *found = NULL;

		for (size_t k = 0; k < all.n; k++)
			if (all.tables[k]->relid == c->tables.tables[at]->relid)
				found = all.tables[k];
		if (found == NULL || !str_eq(parts_shape(found, g->mem), parts[i]->shape))
			return FAIL(e, ERR_UNAVAILABLE,
				"comparing %.*s: its columns have changed since this comparison "
				"was begun; reconcile again with --afresh",
				STR_ARG(c->report->tables[at].name));
		if (g->subjects[at] != NULL)
			continue;
		g->subjects[at] = arena_alloc(g->mem, sizeof **g->subjects);
		subject_of(found, g->mem, g->subjects[at]);
	}
	return OK;
}

/*
 * The insert LSN may lie beyond what has been flushed, and the stream carries only that: on an
 * idle server it would be reached with the next checkpoint. A small commit flushes past it. Its
 * failure costs time, not exactness, so the comparison goes on.
 */
static void flush_past_cut(struct comparing *c)
{
	struct pg *side = NULL;
	struct error e = {.kind = OK};
	enum err rc = comparing_connect(c, &side, &e);

	if (rc == OK)
		rc = pg_exec(side,
			"SET synchronous_commit = local; "
			"DO $$BEGIN PERFORM pg_logical_emit_message(true, 'sluice', ''); END$$",
			"flushing the log past the cut", &e);
	if (rc != OK)
		log_warn(c->env->log, "reconcile", "the cut is reached later than it could be",
			F_CSTR("reason", e.text));
	pg_close(side);
}

static enum err reach_cut(struct comparing *c, lsn at, struct error *e)
{
	struct reach_polling poll = {
		.warehouse = c->warehouse, .env = c->env, .patience_us = PATIENCE_US};
	bool given = c->o->reach != NULL;

	flush_past_cut(c);
	enum err rc = given ? c->o->reach(c->o->reach_arg, at, e) : reach_polling(&poll, at, e);
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	error_wrap(e, "bringing the warehouse to the cut that is compared");
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

/* Everything that `inner` has seen, `outer` has seen too. */
static bool cut_contains(const struct cut *outer, const struct cut *inner)
{
	if (lsn_cmp(outer->at, inner->at) < 0 || outer->xmax < inner->xmax)
		return false;
	for (size_t i = 0; i < outer->nrunning; i++)
		if (cut_sees_xid(inner, outer->running[i]))
			return false;
	return true;
}

/* What is left out of the warehouse for now says nothing about what is in it. */
static enum err check_held(const struct group *g, const struct subject *s, struct error *e)
{
	struct table_hold hold;

	TRY(table_hold_read(g->c->warehouse, s->table->schema, s->table->name, &hold, e));
	if (!table_hold_is(&hold))
		return OK;
	return FAIL(e, ERR_UNAVAILABLE,
		hold.paused
			? "comparing %.*s: it is paused, so its changes are left out; let it go on "
			  "with `sluice table resume`, and reconcile again"
			: "comparing %.*s: it was paused and is catching up; reconcile again when "
			  "`sluice status` does not show it as held any more",
		STR_ARG(s->name));
}

/*
 * A table that is being copied, or was copied at a later cut than the one compared, cannot be
 * asked for its rows at that cut: this is no difference but something not yet known.
 */
static enum err check_copied(const struct group *g, const struct subject *s, struct error *e)
{
	struct replicate_snapshot copied = {.state = SNAPSHOT_NONE};
	struct arena mem = {0};
	enum err rc = replicate_snapshot(
		g->c->warehouse, s->table->schema, s->table->name, &mem, &copied, e);

	if (rc == OK && copied.state == SNAPSHOT_NONE)
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: it has not been copied into the warehouse yet; let `sluice "
			"replicate` or `sluice up` run, and reconcile again when `sluice status` "
			"says that it is done",
			STR_ARG(s->name));
	else if (rc == OK && copied.state == SNAPSHOT_RUNNING)
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: its first copy into the warehouse is still under way; "
			"reconcile again when `sluice status` says that it is done",
			STR_ARG(s->name));
	else if (rc == OK && copied.state == SNAPSHOT_DONE && !cut_contains(&g->cut, &copied.cut))
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: it was copied into the warehouse after the cut that is "
			"compared; reconcile again",
			STR_ARG(s->name));
	arena_free(&mem);
	return rc;
}

static enum err look_up(struct group *g, struct error *e)
{
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < g->c->tables.n; i++) {
		if (g->subjects[i] == NULL)
			continue;
		rc = check_held(g, g->subjects[i], e);
		if (rc == OK)
			rc = check_copied(g, g->subjects[i], e);
		if (rc == OK)
			rc = subject_look_up(g->subjects[i], g->c->warehouse, e);
	}
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

enum err group_begin(struct comparing *c, struct part *const *parts, size_t n, struct arena *mem,
	struct group *out, struct error *e)
{
	*out = (struct group){.c = c, .mem = mem};
	TRY(lock_tables(c, parts, n, e));
	TRY(pg_cut(c->source, &c->report->mem, &out->cut, e));
	out->sides = (struct sides){.source = c->source,
		.replica = c->warehouse,
		.cut = &out->cut,
		.env = c->env,
		.batch_rows = c->o->batch_rows > 0 ? c->o->batch_rows : BATCH_ROWS};
	TRY(describe_tables(out, parts, n, e));
	TRY(reach_cut(c, out->cut.at, e));
	return look_up(out, e);
}

enum err group_end(struct group *g, struct error *e)
{
	return pg_exec(g->c->source, "COMMIT", "ending the transaction that was compared", e);
}

static enum err compare_all(
	struct group *g, struct part *const *parts, size_t n, bool history, struct error *e)
{
	for (size_t i = 0; i < n; i++)
		TRY(part_compare(g, parts[i], history, e));
	return OK;
}

enum err group_compare(
	struct comparing *c, struct part *const *parts, size_t n, bool history, struct error *e)
{
	struct arena own = {0};
	struct group g;
	enum err rc = group_begin(c, parts, n, &own, &g, e);

	g.whole = true;
	if (rc == OK)
		rc = compare_all(&g, parts, n, history, e);
	if (rc == OK)
		rc = group_end(&g, e);
	arena_free(&own);
	if (rc == OK && c->progress.keep)
		rc = progress_keep(&c->progress, c->report, parts, n, e);
	return rc == OK ? failpoint_hit(c->env, "reconcile.kept", e) : rc;
}
