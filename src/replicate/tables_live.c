#include "tables_live.h"

#include <stdio.h>

#include "engine.h"
#include "failpoint.h"
#include "init_checks.h"
#include "marks.h"
#include "snapshot.h"
#include "source.h"
#include "table_hold.h"

#define PATIENCE_US INT64_C(60000000) /* until replication comes to it */

/* ---- marks ---- */

/* The table is to be copied again: its copy counts as begun, and as having nothing yet. */
static enum err mark_anew(const struct tables_live *t, struct str schema, struct str name,
	const struct replicate_snapshot *before, const bool *paused, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot anew = {.state = SNAPSHOT_RUNNING,
		.relid = before->relid,
		.cut = {.xmin = 1, .xmax = 1}}; /* nothing */
	const struct table_hold hold = {.paused = paused != NULL && *paused};
	struct mark marks[] = {{.name = mark_name(&mem, "snapshot", schema, name),
				       .value = mark_snapshot(&mem, &anew)},
		table_hold_mark(&mem, schema, name, &hold)};
	enum err rc = marks_put(t->w, marks, paused != NULL ? 2 : 1, e);

	arena_free(&mem);
	return rc;
}

static enum err known(const struct tables_live *t, struct str schema, struct str name,
	struct arena *mem, struct replicate_snapshot *out, struct error *e)
{
	TRY(replicate_snapshot(t->w, schema, name, mem, out, e));
	if (out->state != SNAPSHOT_NONE)
		return OK;
	return FAIL(e, ERR_NOT_FOUND,
		"looking for the table %.*s.%.*s: it has never been replicated; sluice table add "
		"takes it up, sluice status names those that are",
		STR_ARG(schema), STR_ARG(name));
}

/* ---- the publication ---- */

static enum err is_published(const struct tables_live *t, struct pg *pg, const struct table *table,
	bool *yes, struct error *e)
{
	struct arena mem = {0};
	struct pg_tables all;
	enum err rc = pg_publication_tables(pg, t->o->publication, &mem, &all, e);

	*yes = false;
	for (size_t i = 0; rc == OK && i < all.n; i++)
		*yes |= all.tables[i]->relid == table->relid;
	arena_free(&mem);
	return rc;
}

static enum err alter(const struct tables_live *t, struct pg *pg, const char *verb,
	const struct table *table, struct error *e)
{
	struct arena mem = {0};
	struct str publication = pg_ident(&mem, str_of(t->o->publication));
	struct str schema = pg_ident(&mem, table->schema), name = pg_ident(&mem, table->name);
	struct str sql = arena_fmt(&mem, "ALTER PUBLICATION %.*s %s TABLE %.*s.%.*s",
		STR_ARG(publication), verb, STR_ARG(schema), STR_ARG(name));
	enum err rc = pg_exec(pg, sql.p, "changing the publication", e);

	arena_free(&mem);
	return rc;
}

static void poke(const struct tables_live *t)
{
	if (t->running != NULL)
		snapshots_poke(t->running);
}

static enum err add(const struct tables_live *t, struct pg *pg, struct str schema, struct str name,
	bool *changed, struct error *e)
{
	struct arena mem = {0};
	struct table *table = NULL;
	bool there = false;
	enum err rc = pg_table(pg, schema, name, &mem, &table, e);
	struct pg_tables one = {.n = 1, .tables = &table};

	if (rc == OK)
		rc = is_published(t, pg, table, &there, e);
	if (rc == OK && !there)
		rc = init_check_tables(t->o, &one, e);
	if (rc == OK && !there)
		rc = alter(t, pg, "ADD", table, e);
	if (rc == OK)
		rc = failpoint_hit(t->env, "table.added", e);
	*changed = rc == OK && !there;
	arena_free(&mem);
	return rc;
}

enum err tables_add(const struct tables_live *t, struct str schema, struct str name, bool *changed,
	struct error *e)
{
	struct pg *pg = NULL;
	enum err rc = source_open(&pg, t->o, t->env, false, e);

	if (rc == OK)
		rc = add(t, pg, schema, name, changed, e);
	pg_close(pg);
	if (rc == OK)
		poke(t);
	return rc;
}

/* By name in the publication's own list. */
static enum err is_listed(const struct tables_live *t, struct pg *pg, const struct table *table,
	bool *yes, struct error *e)
{
	struct arena mem = {0};
	struct str relid = arena_fmt(&mem, "%u", table->relid);
	const char *params[] = {t->o->publication, relid.p};
	PGresult *r;
	enum err rc = pg_query(pg,
		"SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel pr JOIN "
		"pg_catalog.pg_publication p ON p.oid = pr.prpubid WHERE p.pubname = $1 AND "
		"pr.prrelid = $2::pg_catalog.oid)",
		2, params, "looking at the publication", &mem, &r, e);

	*yes = rc == OK && pg_cell_bool(r, 0, 0);
	arena_free(&mem);
	return rc;
}

static enum err unpublish(const struct tables_live *t, struct pg *pg, const struct table *table,
	bool *changed, struct error *e)
{
	bool published = false, listed = false;

	*changed = false;
	TRY(is_published(t, pg, table, &published, e));
	TRY(is_listed(t, pg, table, &listed, e));
	if (!published)
		return OK;
	if (!listed)
		return FAIL(e, ERR_USAGE,
			"taking %.*s.%.*s out of the publication %s: it is there because the publication "
			"is of all tables, or of its whole schema; make the publication of single tables",
			STR_ARG(table->schema), STR_ARG(table->name), t->o->publication);
	TRY(alter(t, pg, "DROP", table, e));
	*changed = true;
	return OK;
}

static enum err forget(
	const struct tables_live *t, struct str schema, struct str name, struct error *e)
{
	struct arena mem = {0};
	struct str history = arena_fmt(&mem, "%.*s_history", STR_ARG(schema));
	struct str view = arena_fmt(&mem, "%.*s_versions", STR_ARG(name));
	static const char *const marks[] = {"snapshot", "shape", "table"};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "DROP VIEW IF EXISTS ");
	sql_name(&sql, history);
	buf_putc(&sql, '.');
	sql_name(&sql, view);
	buf_puts(&sql, "; DROP TABLE IF EXISTS ");
	sql_name(&sql, history);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	buf_puts(&sql, "; DROP TABLE IF EXISTS ");
	sql_name(&sql, schema);
	buf_putc(&sql, '.');
	sql_name(&sql, name);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		buf_puts(&sql, "; DELETE FROM ops.marks WHERE name = ");
		sql_text(&sql, mark_name(&mem, marks[i], schema, name));
	}
	enum err rc = warehouse_script(t->w, buf_str(&sql), e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

/* Before its rows go, replication must have let it go. */
static enum err wait_unknown(
	const struct tables_live *t, struct str schema, struct str name, struct error *e)
{
	struct snapshot_sight sight = {.known = t->running != NULL};

	while (sight.known) {
		snapshot_look(t->running, schema, name, &sight);
		TRY(env_check(t->env, e));
		if (sight.known)
			env_sleep(t->env, 20000);
	}
	return OK;
}

static enum err nothing(struct replicate *r, void *arg, struct error *e)
{
	(void)r;
	(void)arg;
	(void)e;
	return OK;
}

static enum err drop(const struct tables_live *t, struct pg *pg, struct str schema, struct str name,
	bool *changed, struct error *e)
{
	struct arena mem = {0};
	struct table *table = NULL;
	enum err rc = pg_table(pg, schema, name, &mem, &table, e);

	*changed = false;
	/* The source may have dropped it already. */
	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		rc = OK;
	} else if (rc == OK)
		rc = unpublish(t, pg, table, changed, e);
	if (rc == OK)
		rc = failpoint_hit(t->env, "table.dropped", e);
	arena_free(&mem);
	return rc;
}

enum err tables_drop(const struct tables_live *t, struct str schema, struct str name, bool purge,
	bool *changed, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot before = {.state = SNAPSHOT_NONE};
	struct pg *pg = NULL;
	const bool live = false;
	struct table_hold hold = {.paused = false};
	enum err rc = known(t, schema, name, &mem, &before, e);

	if (rc == OK)
		rc = table_hold_read(t->w, schema, name, &hold, e);
	if (rc == OK)
		rc = source_open(&pg, t->o, t->env, false, e);
	/* Whoever meets a change of it from here on is not to find it held back. */
	if (rc == OK && table_hold_is(&hold))
		rc = mark_anew(t, schema, name, &before, &live, e);
	if (rc == OK)
		rc = drop(t, pg, schema, name, changed, e);
	pg_close(pg);
	if (rc == OK && t->running != NULL) {
		poke(t);
		rc = wait_unknown(t, schema, name, e);
		/* A step of its catching up may be in work. */
		if (rc == OK)
			rc = engine_request(t->running, nothing, NULL, PATIENCE_US, e);
	}
	/* Should it come back, it has missed changes. */
	if (rc == OK)
		rc = purge ? forget(t, schema, name, e)
			   : mark_anew(t, schema, name, &before, &live, e);
	arena_free(&mem);
	return rc;
}

/* ---- held back ---- */

static enum err wish(const struct tables_live *t, struct str schema, struct str name,
	enum snapshot_wish what, const bool *paused, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot before;
	enum err rc = known(t, schema, name, &mem, &before, e);

	if (rc == OK)
		rc = mark_anew(t, schema, name, &before, paused, e);
	if (rc == OK)
		rc = failpoint_hit(t->env, "table.marked", e);
	if (rc == OK && t->running != NULL)
		rc = snapshot_obey_wish(t->running, schema, name, what, e);
	arena_free(&mem);
	return rc;
}

/* What is asked of the thread that applies, or done here where none runs. */
struct ask {
	const struct tables_live *t;
	struct str schema, name;
	bool changed;
	bool elsewhere; /* what is to be done now is that of a copy */
	char *why;      /* TABLES_WHY bytes: why it is copied; may be NULL */
};

static enum err ask(const struct tables_live *t,
	enum err (*fn)(struct replicate *, void *, struct error *), struct ask *q, struct error *e)
{
	return t->running != NULL ? engine_request(t->running, fn, q, PATIENCE_US, e)
				  : fn(NULL, q, e);
}

static enum err put_hold(
	const struct ask *q, const struct table_hold *h, const char *failpoint, struct error *e)
{
	struct arena mem = {0};
	struct mark mark = table_hold_mark(&mem, q->schema, q->name, h);
	enum err rc = marks_put(q->t->w, &mark, 1, e);

	arena_free(&mem);
	return rc == OK ? failpoint_hit(q->t->env, failpoint, e) : rc;
}

/* Replication that runs may know of it already that its copy does not count. */
static bool is_whole(struct replicate *r, const struct ask *q)
{
	struct snapshot_sight sight = {.whole = true};

	if (r != NULL)
		snapshot_look(r, q->schema, q->name, &sight);
	return sight.whole || !sight.known;
}

/* From where its changes will be missing; one that catches up stays where it is. */
static enum err hold_from(struct replicate *r, struct ask *q, const struct table_hold *now,
	struct table_hold *out, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot s;
	enum err rc = known(q->t, q->schema, q->name, &mem, &s, e);

	*out = (struct table_hold){.paused = true, .relid = s.relid, .from = now->from};
	if (rc == OK && !now->has_from)
		rc = replicate_position(q->t->w, &out->from, e);
	out->has_from = rc == OK && s.state == SNAPSHOT_DONE && out->from.found && is_whole(r, q) &&
		(!now->has_from || now->relid == s.relid);
	arena_free(&mem);
	return rc;
}

static enum err pause_now(struct replicate *r, void *arg, struct error *e)
{
	struct ask *q = arg;
	struct table_hold now, then;

	TRY(table_hold_read(q->t->w, q->schema, q->name, &now, e));
	if (now.paused)
		return OK;
	q->changed = true;
	TRY(hold_from(r, q, &now, &then, e));
	q->elsewhere = !then.has_from;
	if (q->elsewhere)
		return OK;
	TRY(put_hold(q, &then, "table.paused", e));
	if (r != NULL)
		q->elsewhere = !snapshot_hold_back(r, q->schema, q->name);
	return OK;
}

enum err tables_pause(const struct tables_live *t, struct str schema, struct str name,
	bool *changed, struct error *e)
{
	const bool on = true;
	struct ask q = {.t = t, .schema = schema, .name = name};

	TRY(ask(t, pause_now, &q, e));
	*changed = q.changed;
	/* A copy under way is given up: letting the table go on begins it anew. */
	return q.elsewhere ? wish(t, schema, name, WISH_PAUSE, &on, e) : OK;
}

/* ---- let go on ---- */

static enum err reaches_back(const struct ask *q, const struct table_hold *h, struct error *e)
{
	uint64_t bytes;
	bool reaches;
	char at[LSN_TEXT];

	TRY(table_hold_journal(q->t->o->journal, h->from.at, &reaches, &bytes, e));
	if (reaches)
		return OK;
	return FAIL(e, ERR_NOT_FOUND, "the journal does not reach back to LSN %s any more",
		lsn_format(h->from.at, at));
}

/* Whether its changes can be had from the journal; *why says why not. */
static enum err can_catch_up(
	struct replicate *r, struct ask *q, const struct table_hold *h, bool *can, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot s;
	struct error why = {.kind = OK};
	enum err rc = known(q->t, q->schema, q->name, &mem, &s, e);

	arena_free(&mem);
	TRY(rc);
	if (!h->has_from || !is_whole(r, q) || s.state != SNAPSHOT_DONE)
		(void)FAIL(&why, ERR_NOT_FOUND, "it was not whole when it was held back");
	else if (s.relid != h->relid)
		(void)FAIL(&why, ERR_NOT_FOUND, "another table has its name by now");
	else
		IGNORE(reaches_back(q, h, &why));
	*can = why.kind == OK;
	if (q->why != NULL)
		snprintf(q->why, TABLES_WHY, "%s", why.text);
	return OK;
}

static enum err resume_now(struct replicate *r, void *arg, struct error *e)
{
	struct ask *q = arg;
	struct table_hold hold;
	bool can;

	TRY(table_hold_read(q->t->w, q->schema, q->name, &hold, e));
	if (!hold.paused)
		return OK;
	q->changed = true;
	TRY(can_catch_up(r, q, &hold, &can, e));
	q->elsewhere = !can;
	if (!can)
		return OK;
	hold.paused = false;
	/* From here on nothing of it is dropped. */
	if (r != NULL)
		r->kept = hold.from.at;
	TRY(put_hold(q, &hold, "table.marked", e));
	if (r != NULL)
		q->elsewhere = !snapshot_begin_catching(r, q->schema, q->name);
	return OK;
}

enum err tables_resume(const struct tables_live *t, struct str schema, struct str name,
	struct tables_resumed *out, struct error *e)
{
	const bool off = false;
	struct ask q = {.t = t, .schema = schema, .name = name, .why = out->why};

	*out = (struct tables_resumed){.changed = false};
	TRY(ask(t, resume_now, &q, e));
	out->changed = q.changed;
	out->copies = q.elsewhere;
	return q.elsewhere ? wish(t, schema, name, WISH_RESUME, &off, e) : OK;
}

/* ---- copied again ---- */

/* What it has from the journal by now does not count any more. */
static enum err resync_now(struct replicate *r, void *arg, struct error *e)
{
	const bool off = false;
	struct ask *q = arg;
	struct arena mem = {0};
	struct replicate_snapshot before;
	struct table_hold hold;

	(void)r;
	TRY(table_hold_read(q->t->w, q->schema, q->name, &hold, e));
	if (hold.paused)
		return FAIL(e, ERR_USAGE,
			"copying %.*s.%.*s again: it is held back; let it go on first: sluice table "
			"resume",
			STR_ARG(q->schema), STR_ARG(q->name));
	if (!hold.has_from)
		return OK;
	enum err rc = known(q->t, q->schema, q->name, &mem, &before, e);
	if (rc == OK)
		rc = mark_anew(q->t, q->schema, q->name, &before, &off, e);
	arena_free(&mem);
	return rc;
}

enum err tables_resync(
	const struct tables_live *t, struct str schema, struct str name, struct error *e)
{
	struct ask q = {.t = t, .schema = schema, .name = name};
	struct table_hold hold;

	TRY(table_hold_read(t->w, schema, name, &hold, e));
	if (table_hold_is(&hold))
		TRY(ask(t, resync_now, &q, e));
	return wish(t, schema, name, WISH_RESYNC, NULL, e);
}
