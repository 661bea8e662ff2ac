#include "catalog_watch.h"

#include <stdio.h>
#include <string.h>

#include "apply_answers.h"
#include "apply_record.h"
#include "catalog_facts.h"
#include "marks.h"
#include "mem.h"
#include "shape.h"
#include "snapshot.h"
#include "source.h"
#include "table_hold.h"
#include "version_place.h"

#define LOOK_US INT64_C(2000000)

/* ---- tables that were changed ---- */

/* As if the stream had described it. */
static struct relation *describe(struct apply *a, const struct table *t)
{
	struct relation *rel = relations_add(&a->relations, t->relid);
	struct arena mem = {0};
	struct table *said = table_copy(t, &mem);

	said->valid_time = shape_valid_time(a->r->o, said);
	bool renamed = rel->said == NULL || !str_eq(rel->said->schema, said->schema) ||
		!str_eq(rel->said->name, said->name);
	arena_free(&rel->said_mem);
	rel->said_mem = mem;
	rel->said = said;
	rel->news = true;
	if (renamed)
		rel->joined = false;
	return rel;
}

enum err catalog_follow_table(struct apply *a, const struct table *t, struct error *e)
{
	struct arena mem = {0};
	struct replicate_snapshot s;
	struct table_hold hold;
	enum err rc = OK;

	struct relation *rel = describe(a, t);
	if (!rel->joined)
		rc = apply_rename(a, rel, e);
	if (rc == OK)
		rc = replicate_snapshot(a->r->w, t->schema, t->name, &mem, &s, e);
	if (rc == OK)
		rc = table_hold_read(a->r->w, t->schema, t->name, &hold, e);
	/* One that is being copied is described by its copy, one that is held back by what the
	 * journal has of it. */
	if (rc == OK && s.state == SNAPSHOT_DONE && s.relid == t->relid && !table_hold_is(&hold))
		rc = apply_adapt(a, rel, e);
	arena_free(&mem);
	return rc;
}

/* ---- enums ---- */

static void put_column_update(struct buf *sql, const struct table *t, const struct column *c,
	const struct label_change *l, lsn at, struct arena *mem)
{
	struct str history = arena_fmt(mem, "%.*s_history", STR_ARG(t->schema));

	buf_puts(sql, "INSERT INTO ");
	sql_name(sql, history);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
	buf_puts(sql, " BY NAME SELECT * REPLACE (");
	sql_text(sql, l->now);
	buf_puts(sql, " AS ");
	sql_name(sql, c->name);
	buf_puts(sql, ", ");
	version_put_lsn(sql, t, at, mem);
	buf_puts(sql, " AS _lsn, now() AS _committed_at), 'U' AS _op, ");
	version_put_seq(sql, t, at, "c", mem);
	buf_puts(sql, " AS _seq, 0 AS _xid FROM ");
	sql_name(sql, t->schema);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
	buf_puts(sql, " c WHERE ");
	sql_name(sql, c->name);
	buf_puts(sql, " = ");
	sql_text(sql, l->was);
	buf_puts(sql, "; UPDATE ");
	sql_name(sql, t->schema);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
	buf_puts(sql, " SET ");
	sql_name(sql, c->name);
	buf_puts(sql, " = ");
	sql_text(sql, l->now);
	buf_puts(sql, " WHERE ");
	sql_name(sql, c->name);
	buf_puts(sql, " = ");
	sql_text(sql, l->was);
	buf_puts(sql, "; ");
}

static enum err keep_label(struct apply *a, const struct table *t, const struct column *c,
	const struct label_change *l, struct error *e)
{
	struct buf body;
	struct json_out j;

	buf_init(&body, 1 << 20);
	jo_init(&j, &body);
	jo_object(&j, NULL);
	jo_str(&j, "column", c->name);
	jo_str(&j, "was", l->was);
	jo_str(&j, "now", l->now);
	jo_end_object(&j);
	enum err rc = apply_keep_answer(a, t, ANSWER_LABEL, STR_NONE, buf_str(&body), e);
	buf_free(&body);
	return rc;
}

enum err catalog_follow_label(struct apply *a, const struct table *t, const struct column *c,
	const struct label_change *l, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	buf_init(&sql, 1 << 20);
	put_column_update(&sql, t, c, l, a->tx.commit, &mem);
	enum err rc = keep_label(a, t, c, l, e);
	if (rc == OK)
		rc = warehouse_script(a->r->w, buf_str(&sql), e);
	if (rc == OK)
		rc = apply_record_change(a, t,
			arena_fmt(&mem, "renamed the value %.*s of %.*s to %.*s", STR_ARG(l->was),
				STR_ARG(c->name), STR_ARG(l->now)),
			e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

static enum err follow_labels(struct apply *a, const struct catalog_facts *now,
	const struct catalog_changes *what, struct error *e)
{
	for (size_t i = 0; i < what->nlabels; i++)
		for (size_t k = 0; k < now->tables.n; k++) {
			const struct table *t = now->tables.tables[k];
			for (size_t c = 0; c < t->ncolumns; c++)
				if (t->columns[c].pg_type == what->labels[i].type)
					TRY(catalog_follow_label(
						a, t, &t->columns[c], &what->labels[i], e));
		}
	return OK;
}

/* ---- what the stream does not bring ---- */

static const struct table *find_table(const struct catalog_facts *now, uint32_t relid)
{
	for (size_t i = 0; i < now->tables.n; i++)
		if (now->tables.tables[i]->relid == relid)
			return now->tables.tables[i];
	return NULL;
}

static enum err copy_again(struct apply *a, const struct table *t, struct str what, struct error *e)
{
	bool begins;

	TRY(apply_record_change(a, t, what, e));
	TRY(apply_keep_answer(a, t, ANSWER_COPY, STR_NONE, what, e));
	return snapshot_resync(a->r->snapshots, t, a->seen.written, &begins, e);
}

static struct str describe_leaf(const struct leaf_change *l, struct arena *mem)
{
	static const char *const news[] = {
		[LEAF_ATTACHED] =
			"attached: the stream does not bring its rows; the table is copied again",
		[LEAF_GONE] =
			"detached or dropped: the table is copied again, its rows go at the end",
		[LEAF_ANEW] =
			"emptied or written anew: the stream does not say so; the table is copied "
			"again"};

	return arena_fmt(mem, "partition %.*s %s", STR_ARG(l->name), news[l->news]);
}

static enum err follow_leaf(struct apply *a, const struct catalog_facts *now,
	const struct leaf_change *l, struct error *e)
{
	const struct table *t = find_table(now, l->root);
	struct arena mem = {0};
	enum err rc = t != NULL ? copy_again(a, t, describe_leaf(l, &mem), e) : OK;

	arena_free(&mem);
	return rc;
}

static enum err follow_publication(struct apply *a, const struct catalog_facts *now,
	const struct table_change *c, struct error *e)
{
	const struct table *t = find_table(now, c->relid);
	struct table kept = {.schema = c->schema, .name = c->name, .relid = c->relid};

	if (c->gone)
		return apply_record_change(a, &kept,
			STR("dropped, or taken out of the publication: its rows stay here"), e);
	if (t == NULL)
		return OK;
	return copy_again(a, t,
		STR("taken out of the publication and put back: changes between are not in the "
		    "stream; the table is copied again"),
		e);
}

static enum err follow(struct apply *a, const struct catalog_facts *now,
	const struct catalog_changes *what, struct error *e)
{
	TRY(follow_labels(a, now, what, e));
	for (size_t i = 0; i < what->ntables; i++)
		TRY(follow_publication(a, now, &what->tables[i], e));
	for (size_t i = 0; i < what->nleaves; i++)
		TRY(follow_leaf(a, now, &what->leaves[i], e));
	return OK;
}

/* ---- looking ---- */

static enum err act(struct apply *a, const struct catalog_facts *now, struct error *e)
{
	struct arena mem = {0};
	struct catalog_changes what;
	enum err rc = apply_flush(a, e);

	/* Its events stand at the position that is reached. */
	a->tx.commit = a->whole.at;
	a->tx.committed_us = clock_wall(a->r->env.clock);
	a->tx.seq = 0;
	for (size_t i = 0; rc == OK && i < now->tables.n; i++)
		rc = catalog_follow_table(a, now->tables.tables[i], e);
	if (rc == OK)
		rc = catalog_compare(a->r->w, now, &mem, &what, e);
	if (rc == OK)
		rc = follow(a, now, &what, e);
	if (rc == OK)
		rc = catalog_keep(a->r->w, now, e);
	arena_free(&mem);
	return rc;
}

static enum err look(struct apply *a, struct catalog_facts *now, struct arena *mem, struct error *e)
{
	enum err rc = OK;

	if (a->asks == NULL)
		rc = source_open(&a->asks, a->r->o, &a->r->env, false, e);
	if (rc == OK)
		rc = catalog_ask(a->asks, a->r->o->publication, mem, now, e);
	if (rc != OK) {
		pg_close(a->asks);
		a->asks = NULL;
	}
	return rc;
}

static enum err see(struct apply *a, const struct catalog_facts *now, struct error *e)
{
	struct catalog_seen *seen = &a->seen;

	/* From here on it is known how each table was. */
	TRY(catalog_keep_new(a->r->w, now, e));
	snapshot_watched(a->r->snapshots, &now->tables);
	if (seen->handled && strcmp(seen->done, now->version) == 0)
		return OK;
	/* Found now: to be acted on when the stream has come to here, if it still holds then. */
	if (!seen->waits || strcmp(seen->found, now->version) != 0) {
		seen->waits = true;
		snprintf(seen->found, sizeof(seen->found), "%s", now->version);
		seen->at = now->at;
		seen->written = now->written;
		return OK;
	}
	if (a->whole.at.v < seen->at.v)
		return OK;
	TRY(act(a, now, e));
	snprintf(seen->done, sizeof(seen->done), "%s", now->version);
	seen->handled = true;
	seen->waits = false;
	return OK;
}

/* What was found before is looked at once more as soon as the stream has come to where that was,
 * and not earlier: nothing can be done about it until then. */
static bool is_time(const struct apply *a, int64_t now)
{
	const struct catalog_seen *seen = &a->seen;
	bool reached = seen->waits && a->whole.at.v >= seen->at.v;

	return now >= (reached ? seen->soon_us : seen->next_us);
}

/* A source that is slow to answer, or busy, does not keep this thread from its work. */
static void look_later(struct apply *a, int64_t began)
{
	int64_t end = clock_mono(a->r->env.clock), took = end - began;

	a->seen.next_us = began + LOOK_US > end + 4 * took ? began + LOOK_US : end + 4 * took;
	a->seen.soon_us = end + LOOK_US / 20 + 2 * took;
}

enum err catalog_watch(struct apply *a, struct error *e)
{
	struct error why = {.kind = OK};
	struct arena mem = {0};
	struct catalog_facts now;
	int64_t at = clock_mono(a->r->env.clock);

	if (a->tx.open || a->r->replay != NULL || !is_time(a, at))
		return OK;
	enum err rc = look(a, &now, &mem, &why);
	if (rc != OK) {
		/* Live apply does not depend on it. */
		log_debug(a->r->env.log, "apply", "the catalog could not be asked",
			F_CSTR("reason", why.text));
		rc = OK;
	} else
		rc = see(a, &now, e);
	look_later(a, at);
	if (rc == OK && !a->seen.waits)
		atomic_store(&a->r->catalog_us, at);
	arena_free(&mem);
	return rc;
}
