#include "apply_answers.h"

#include <inttypes.h>

#include "catalog_watch.h"
#include "journal_files.h"
#include "marks.h"

/* ---- keeping ---- */

/* Nobody can ask for what the journal does not hold any more. Where it cannot be listed, because a
 * segment goes at this moment, the next answer forgets. */
static void put_forget(struct apply *a, struct buf *sql)
{
	struct error why = {.kind = OK};
	struct segment_list l;

	if (segment_list_read(a->r->o->journal, &l, &why) != OK)
		return;
	if (l.n > 0)
		buf_putf(sql, "DELETE FROM ops.schema_answers WHERE lsn_number < %" PRIu64 "; ",
			l.items[0].first.v);
	segment_list_free(&l);
}

enum err apply_keep_answer(struct apply *a, const struct table *t, const char *kind,
	struct str before, struct str body, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	if (a->r->replay != NULL)
		return OK;
	const struct answer x = {.relid = t->relid,
		.at = a->tx.commit,
		.at_rest = !a->tx.open,
		.kind = str_of(kind),
		.schema = t->schema,
		.name = t->name,
		.before = before,
		.said = mark_shape(&mem, t),
		.body = body};
	buf_init(&sql, BUF_MAX_DEFAULT);
	put_forget(a, &sql);
	answer_sql(&x, &sql);
	enum err rc = apply_script(a, buf_str(&sql), e);
	if (rc != OK)
		error_wrap(e, "keeping what the source said of %.*s.%.*s", STR_ARG(t->schema),
			STR_ARG(t->name));
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

/* ---- using ---- */

static bool is_shape(const struct answer *x)
{
	return str_eqc(x->kind, ANSWER_SHAPE) || str_eqc(x->kind, ANSWER_NAME);
}

const struct answer *apply_recorded_shape(
	struct apply *a, const struct relation *rel, struct arena *mem)
{
	const struct answers *all = a->r->answers;

	if (all == NULL)
		return NULL;
	for (size_t i = all->n; i-- > 0;) {
		const struct answer *x = &all->items[i];
		if (x->relid == rel->relid && is_shape(x) && x->at.v <= a->tx.commit.v &&
			answer_fits(x, rel->said, mem))
			return x;
	}
	return NULL;
}

/* Live, a second try is at the very position of the first and begins at the same shape. */
static enum err first_answer(struct apply *a, const struct relation *rel,
	const struct table *before, struct arena *mem, struct answer *out, bool *found,
	struct error *e)
{
	struct answers all;
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_putf(&sql,
		"kind = '" ANSWER_SHAPE "' AND relid = %" PRIu32 " AND lsn_number = %" PRIu64
		" AND shape_before = ",
		rel->relid, a->tx.commit.v);
	sql_text(&sql, mark_shape(mem, before));
	enum err rc = answers_read(a->r->w, buf_str(&sql), mem, &all, e);
	buf_free(&sql);
	for (size_t i = 0; rc == OK && !*found && i < all.n; i++) {
		*found = answer_fits(&all.items[i], rel->said, mem);
		*out = all.items[i];
	}
	return rc;
}

enum err apply_known_answer(struct apply *a, const struct relation *rel, const struct table *before,
	struct arena *mem, struct answer *out, bool *found, struct error *e)
{
	*found = false;
	if (a->r->replay == NULL)
		return first_answer(a, rel, before, mem, out, found, e);
	const struct answer *x = apply_recorded_shape(a, rel, mem);
	*found = x != NULL;
	if (x != NULL)
		*out = *x;
	return OK;
}

/* ---- replaying ---- */

enum err apply_answers_open(
	struct apply *a, struct arena *mem, struct answers *out, struct error *e)
{
	return answers_read(a->r->w,
		STR("kind IN ('" ANSWER_SHAPE "', '" ANSWER_NAME "', '" ANSWER_LABEL "')"), mem,
		out, e);
}

static enum err replay_label(
	struct apply *a, const struct answer *x, const struct table *t, struct error *e)
{
	struct label_change l = {.type = 0};
	struct str column;
	json_t *doc;

	TRY(json_read(x->body, "a renamed label", &doc, e));
	enum err rc = json_want_str(doc, "column", &column, e);
	if (rc == OK)
		rc = json_want_str(doc, "was", &l.was, e);
	if (rc == OK)
		rc = json_want_str(doc, "now", &l.now, e);
	int at = rc == OK ? table_column(t, column) : -1;
	if (at >= 0)
		rc = catalog_follow_label(a, t, &t->columns[at], &l, e);
	json_decref(doc);
	return rc;
}

/* As catalog_watch() did it, at its position. */
static enum err replay_one(struct apply *a, const struct answer *x, struct error *e)
{
	struct arena mem = {0};
	struct table *t;
	enum err rc = mark_read_shape(x->said, x->schema, x->name, &mem, &t, e);

	a->tx.commit = x->at;
	a->tx.seq = 0;
	if (rc == OK) {
		t->relid = x->relid;
		rc = str_eqc(x->kind, ANSWER_LABEL) ? replay_label(a, x, t, e)
						    : catalog_follow_table(a, t, e);
	}
	arena_free(&mem);
	return rc;
}

enum err apply_answers_until(
	struct apply *a, const struct answers *all, lsn commit, size_t *next, struct error *e)
{
	for (; *next < all->n && all->items[*next].at.v <= commit.v; (*next)++) {
		const struct answer *x = &all->items[*next];
		if (!x->at_rest || x->at.v < a->done.at.v)
			continue;
		TRY(apply_flush(a, e));
		TRY(replay_one(a, x, e));
	}
	return OK;
}

enum err apply_answers_rest(
	struct apply *a, const struct answers *all, size_t next, struct error *e)
{
	const lsn end = a->whole.at;

	TRY(apply_flush(a, e));
	for (; next < all->n; next++) {
		const struct answer *x = &all->items[next];
		bool later = x->at.v >= end.v;
		if (later ? str_eqc(x->kind, ANSWER_LABEL) : !x->at_rest)
			continue;
		TRY(replay_one(a, x, e));
	}
	return OK;
}
