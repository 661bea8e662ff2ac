/* Schema changes in the order in which the stream brings them. */
#include "apply.h"

#include "align.h"
#include "apply_answers.h"
#include "apply_record.h"
#include "backfill.h"
#include "marks.h"
#include "mem.h"
#include "refill.h"
#include "replay.h"
#include "shape.h"
#include "source.h"

static void set_live(struct relation *rel, const struct table *t)
{
	struct arena mem = {0};
	struct table *live = table_copy(t, &mem);

	if (rel->batch == NULL)
		rel->batch = batch_new(live);
	else
		batch_retable(rel->batch, live);
	arena_free(&rel->live_mem);
	rel->live_mem = mem;
	rel->live = live;
	rel->front = live->ncolumns;
}

/* What the rows that stand there have in the added columns. Where it cannot be had, that is said:
 * it is no reason to hold up the stream. */
static enum err fill(
	struct apply *a, const struct relation *rel, struct backfill *fill, struct error *e)
{
	struct error why = {.kind = OK};
	struct refill again = {.table = rel->said,
		.columns = fill->again,
		.added = fill->added,
		.n = fill->nagain};
	enum err rc = backfill_rows(a, fill, &why);

	if (rc == OK && fill->nagain > 0)
		rc = refill_run(a, &again, &why);

	if (rc == ERR_UNAVAILABLE || rc == ERR_INTERRUPTED) {
		*e = why;
		return rc;
	}
	if (rc == OK && fill->unknown.n == 0)
		return OK;
	struct str text = rc != OK
		? arena_fmt(&fill->mem, "values of earlier rows not filled in: %s", why.text)
		: arena_fmt(&fill->mem, "values of earlier rows not known in %.*s",
			  STR_ARG(fill->unknown));
	struct str name = table_full_name(rel->said, &fill->mem);
	log_warn(a->r->env.log, "apply",
		"rows that stood in the table before it was changed may lack their values; "
		"run sluice reconcile, and sluice table resync where it finds a difference",
		F_STR("table", name), F_STR("change", text));
	return apply_record_change(a, rel->said, text, e);
}

/* The shape is noted last: until then a crash begins all of it anew. */
static enum err ensure(struct apply *a, const struct relation *rel, const struct table *t,
	struct backfill *filling, struct error *e)
{
	struct arena mem = {0};
	enum err rc = apply_ensure_table(a, t, e);

	if (rc == OK && filling != NULL)
		rc = fill(a, rel, filling, e);
	if (rc == OK) {
		struct mark mark = {.name = mark_name(&mem, "shape", t->schema, t->name),
			.value = mark_shape(&mem, t)};
		rc = apply_mark(a, &mark, e);
	}
	arena_free(&mem);
	return rc;
}

static void forget_names(struct table *t)
{
	for (size_t i = 0; i < t->ncolumns; i++) {
		t->columns[i].was = STR_NONE;
		t->columns[i].anew = false;
	}
}

/* The rows that are collected are those of the renamed columns. */
static void rename_live(struct relation *rel)
{
	for (size_t i = 0; i < rel->live->ncolumns; i++)
		rel->live->columns[i].was = rel->live->columns[i].name;
	for (size_t k = 0; k < rel->said->ncolumns; k++) {
		const struct column *now = &rel->said->columns[k];
		for (size_t i = 0; now->was.n > 0 && i < rel->front; i++)
			if (str_eq(rel->live->columns[i].was, now->was))
				rel->live->columns[i].name = arena_str(&rel->live_mem, now->name);
		/* What a new column of the name replaces is only kept for these rows. */
		for (size_t i = 0; now->anew && i < rel->front; i++)
			if (str_eq(rel->live->columns[i].was, now->name))
				rel->live->columns[i].name = arena_fmt(
					&rel->live_mem, "%.*s__was", STR_ARG(now->name));
	}
	forget_names(rel->live);
}

/*
 * The shape has changed between two rows of one transaction, so what is collected cannot be
 * written yet. All rows move to a shape that holds both; the columns that are gone go with the
 * next flush.
 */
static enum err widen(
	struct apply *a, struct relation *rel, struct backfill *filling, struct error *e)
{
	struct arena mem = {0};
	rename_live(rel);
	struct table *both = shape_union(rel->live, rel->said, &mem);
	struct batch *new = batch_new(both);
	enum err rc = ensure(a, rel, both, filling, e);

	forget_names(both);
	forget_names(rel->said);
	if (rc == OK)
		rc = shape_move_rows(rel->batch, new, e);
	if (rc == OK)
		rc = backfill_batch(filling, new, e);
	if (rc != OK) {
		batch_free(new);
		arena_free(&mem);
		return rc;
	}
	batch_free(rel->batch);
	arena_free(&rel->live_mem);
	rel->batch = new;
	rel->live = both;
	rel->live_mem = mem;
	rel->front = rel->said->ncolumns;
	rel->wide = both->ncolumns != rel->said->ncolumns;
	return OK;
}

enum err apply_narrow(struct apply *a, struct relation *rel, struct error *e)
{
	rel->wide = false;
	TRY(ensure(a, rel, rel->said, NULL, e));
	set_live(rel, rel->said);
	return OK;
}

/* What the warehouse has, where this run has not seen the table yet. */
static enum err known_shape(struct apply *a, struct relation *rel, struct arena *mem,
	const struct table **out, struct error *e)
{
	struct table *t;

	*out = rel->live;
	if (rel->live != NULL)
		return OK;
	TRY(marks_shape(a->r->w, rel->said->schema, rel->said->name, mem, &t, e));
	*out = t;
	return OK;
}

/* Rows of earlier transactions are written in the shape they had. */
static enum err reshape(
	struct apply *a, struct relation *rel, struct backfill *filling, struct error *e)
{
	if (a->tx.seq == 0)
		TRY(apply_flush(a, e));
	TRY(ensure(a, rel, rel->said, filling, e));
	forget_names(rel->said);
	set_live(rel, rel->said);
	return OK;
}

#define ASK_AGAIN_US INT64_C(30000000) /* a source that is away is left alone for so long */

/* What the catalog says of the columns by now; nothing when there is no source to ask. */
static enum err ask_columns(struct apply *a, const struct relation *rel, struct arena *mem,
	struct attributes *out, struct error *e)
{
	enum err rc = OK;

	*out = (struct attributes){.n = 0};
	if (a->r->replay != NULL)
		return OK;
	if (a->asks == NULL)
		rc = source_open(&a->asks, a->r->o, &a->r->env, false, e);
	if (rc == OK)
		rc = attributes_ask(a->asks, rel->relid, mem, out, e);
	if (rc != OK) {
		pg_close(a->asks);
		a->asks = NULL;
	}
	return rc;
}

/* Of columns whose numbers are known. */
static bool same_numbers(const struct table *said, const struct table *known)
{
	for (size_t i = 0; i < said->ncolumns; i++)
		if (said->columns[i].attnum != 0 && known->columns[i].attnum != 0 &&
			said->columns[i].attnum != known->columns[i].attnum)
			return false;
	return true;
}

/* A column that was dropped and added again, with its name and type, is another one. What the
 * journal has is applied also while the source is away: then this cannot be known. */
static enum err looks_alike(struct apply *a, const struct relation *rel, const struct table *known,
	bool *alike, struct error *e)
{
	struct error why = {.kind = OK};
	struct arena mem = {0};
	struct attributes now;

	*alike = true;
	if (a->r->replay != NULL) {
		*alike = same_numbers(rel->said, known);
		return OK;
	}
	if (clock_mono(a->r->env.clock) < a->asks_again_us)
		return OK;
	enum err rc = ask_columns(a, rel, &mem, &now, &why);
	if (rc == OK)
		*alike = attributes_agree(&now, known);
	arena_free(&mem);
	if (rc == OK || rc == ERR_INTERRUPTED) {
		*e = why;
		return rc;
	}
	a->asks_again_us = clock_mono(a->r->env.clock) + ASK_AGAIN_US;
	log_debug(a->r->env.log, "apply", "the catalog could not be asked",
		F_CSTR("reason", why.text));
	return OK;
}

static bool is_gone(const struct table *said, const int *from, int column)
{
	for (size_t i = 0; i < said->ncolumns; i++)
		if (from[i] == column)
			return false;
	return column >= 0;
}

/* What the warehouse is to do about names. */
static void name_columns(
	struct table *said, const struct table *before, const int *from, struct arena *mem)
{
	for (size_t i = 0; i < said->ncolumns; i++) {
		struct column *c = &said->columns[i];
		const struct column *was = from[i] >= 0 ? &before->columns[from[i]] : NULL;
		if (was != NULL && !str_eq(was->name, c->name))
			c->was = arena_str(mem, was->name);
		c->anew = was == NULL && is_gone(said, from, table_column(before, c->name));
	}
}

/* Which column is which, and what earlier rows get, asked of the source; kept for the next time. */
static enum err ask_what_is_what(struct apply *a, struct relation *rel, const struct table *before,
	int *from, struct backfill *filling, struct arena *mem, struct error *e)
{
	struct table *said = rel->said;
	struct attributes asked;
	struct buf body;

	TRY(ask_columns(a, rel, mem, &asked, e));
	align_columns(before, said, &asked, from);
	TRY(backfill_plan(a, said, before, from, &asked, filling, e));
	buf_init(&body, BUF_MAX_DEFAULT);
	backfill_write(filling, said, &body);
	said->relid = rel->relid;
	enum err rc = apply_keep_answer(
		a, said, ANSWER_SHAPE, mark_shape(mem, before), buf_str(&body), e);
	buf_free(&body);
	if (rc != OK)
		backfill_free(filling);
	return rc;
}

/* See align.h for what is what; an answer that was given before is taken again. */
static enum err what_is_what(struct apply *a, struct relation *rel, const struct table *before,
	int *from, struct backfill *filling, struct arena *mem, struct error *e)
{
	struct answer known;
	bool found;

	TRY(apply_known_answer(a, rel, before, mem, &known, &found, e));
	if (!found)
		return ask_what_is_what(a, rel, before, from, filling, mem, e);
	TRY(answer_take(&known, rel->said, &rel->said_mem, e));
	answer_pair(before, rel->said, from);
	return backfill_parse(known.body, rel->said, filling, e);
}

/* Makes the warehouse follow from `before`. */
static enum err follow(struct apply *a, struct relation *rel, const struct table *before,
	struct arena *mem, struct error *e)
{
	struct table *said = rel->said;
	struct backfill filling;
	int *from = arena_array(mem, said->ncolumns + 1, sizeof(*from));

	TRY(what_is_what(a, rel, before, from, &filling, mem, e));
	name_columns(said, before, from, mem);
	enum err told = apply_record_change(a, said, shape_describe(before, said, from, mem), e);
	if (told != OK) {
		backfill_free(&filling);
		return told;
	}
	bool collected = a->rows > 0 && a->tx.seq > 0 && rel->batch != NULL && rel->batch->rows > 0;
	enum err rc = collected ? widen(a, rel, &filling, e) : reshape(a, rel, &filling, e);
	backfill_free(&filling);
	return rc;
}

static enum err change_shape(
	struct apply *a, struct relation *rel, const struct table *before, struct error *e)
{
	struct arena mem = {0};
	struct table front;

	TRY(apply_reshape_in_parts(a, rel, e));
	if (before == NULL)
		return reshape(a, rel, NULL, e);
	/* What is only kept for rows of before has gone already. */
	front = *before;
	if (before == rel->live)
		front.ncolumns = rel->front;
	enum err rc = follow(a, rel, &front, &mem, e);
	forget_names(rel->said);
	arena_free(&mem);
	return rc;
}

/* The widened shape begins with the columns of the new one. */
static bool still_wide(const struct relation *rel)
{
	struct table front;

	if (!rel->wide || rel->live->ncolumns < rel->said->ncolumns)
		return false;
	front = *rel->live;
	front.ncolumns = rel->said->ncolumns;
	return table_same_shape(&front, rel->said);
}

/* ---- what the stream leaves out ---- */

#define FIRST_USER_TYPE 10000 /* below it PostgreSQL's own types, which are the same everywhere */

/* The stream sends the type of a domain by its own id, and not what it is made of. */
static bool take_known_type(struct column *c, const struct table *t)
{
	int at = t == NULL ? -1 : table_column(t, c->name);

	if (at < 0 || t->columns[at].pg_type != c->pg_type ||
		t->columns[at].pg_modifier != c->pg_modifier)
		return false;
	c->type = t->columns[at].type;
	return true;
}

/* A replay asks what was recorded in place of the source. */
static struct table *recorded_shape(
	const struct replicate_replay *o, const struct table *said, struct arena *mem)
{
	for (size_t i = 0; i < o->nshapes; i++)
		if (str_eq(o->shapes[i]->schema, said->schema) &&
			str_eq(o->shapes[i]->name, said->name))
			return table_copy(o->shapes[i], mem);
	return NULL;
}

static enum err ask_source(struct apply *a, struct relation *rel, struct arena *mem,
	struct table **out, struct error *e)
{
	struct pg *c = NULL;

	if (a->r->replay != NULL) {
		*out = recorded_shape(a->r->replay, rel->said, mem);
		return OK;
	}
	enum err rc = source_open(&c, a->r->o, &a->r->env, false, e);
	if (rc == OK)
		rc = pg_table(c, rel->said->schema, rel->said->name, mem, out, e);
	/* It may be gone by now: then its values land as text, which loses nothing. */
	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		rc = OK;
		*out = NULL;
	}
	pg_close(c);
	return rc;
}

static enum err complete_types(
	struct apply *a, struct relation *rel, const struct table *before, struct error *e)
{
	struct arena mem = {0};
	struct table *asked = NULL;
	bool has_asked = false;
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < rel->said->ncolumns; i++) {
		struct column *c = &rel->said->columns[i];
		if (c->pg_type < FIRST_USER_TYPE || take_known_type(c, before))
			continue;
		if (!has_asked)
			rc = ask_source(a, rel, &mem, &asked, e);
		has_asked = true;
		if (rc == OK)
			(void)take_known_type(c, asked);
	}
	arena_free(&mem);
	return rc;
}

/* Takes over the key of `known`, where the table still has all its columns. */
static void take_keys(struct relation *rel, const struct table *known)
{
	struct table *said = rel->said;

	for (size_t k = 0; k < known->nkeys; k++)
		if (table_column(said, known->columns[known->keys[k]].name) < 0)
			return;
	for (size_t i = 0; i < said->ncolumns; i++) {
		int at = table_column(known, said->columns[i].name);
		said->columns[i].is_key = at >= 0 && known->columns[at].is_key;
	}
	table_index_keys(said, &rel->said_mem);
}

/* With REPLICA IDENTITY FULL the stream calls every column a key. What really tells rows apart
 * only the source knows; where it has no key any more, all columns together must do. */
static enum err complete_keys(
	struct apply *a, struct relation *rel, const struct table *before, struct error *e)
{
	struct arena mem = {0};
	struct table *asked = NULL;
	enum err rc = OK;

	if (rel->said->identity != IDENTITY_FULL)
		return OK;
	/* Rows that are counted can go on being counted whatever key they get. */
	if (before != NULL && table_is_bag(before))
		return OK;
	rc = ask_source(a, rel, &mem, &asked, e);
	if (rc == OK && asked != NULL && asked->nkeys > 0)
		take_keys(rel, asked);
	else if (rc == OK && a->r->replay != NULL && before != NULL)
		take_keys(rel, before);
	arena_free(&mem);
	return rc;
}

static bool has_key_of(const struct table *now, const struct table *before)
{
	if (now->nkeys == 0 || now->nkeys > before->nkeys)
		return false;
	return now->nkeys < now->ncolumns || before->nkeys == before->ncolumns;
}

/* Rows that are alike in everything cannot be told apart: better said than found out. */
static void warn_of_lost_key(
	struct apply *a, const struct relation *rel, const struct table *before)
{
	struct arena mem = {0};
	struct str name = table_full_name(rel->said, &mem);

	if (before->nkeys > 0 && !has_key_of(rel->said, before) &&
		(rel->said->nkeys == 0 || rel->said->identity == IDENTITY_FULL))
		log_warn(a->r->env.log, "apply",
			"a table has lost its key: rows that are alike in every column may no "
			"longer be told apart; add a primary key, or take the table out of [source] "
			"tables",
			F_STR("table", name));
	arena_free(&mem);
}

static bool same_shape(const struct table *a, const struct table *b)
{
	return table_same_shape(a, b) && table_is_bag(a) == table_is_bag(b);
}

/* What the source tells beside the stream; in a replay, what it told then. */
static enum err complete(
	struct apply *a, struct relation *rel, const struct table *before, struct error *e)
{
	struct arena mem = {0};
	const struct answer *x = apply_recorded_shape(a, rel, &mem);
	enum err rc = OK;

	if (x != NULL)
		rc = answer_take(x, rel->said, &rel->said_mem, e);
	arena_free(&mem);
	if (x != NULL || rc != OK)
		return rc;
	TRY(complete_types(a, rel, before, e));
	return complete_keys(a, rel, before, e);
}

static void take_numbers(struct table *said, const struct table *known)
{
	said->highest = known->highest;
	for (size_t i = 0; i < said->ncolumns; i++)
		said->columns[i].attnum = known->columns[i].attnum;
}

enum err apply_adapt(struct apply *a, struct relation *rel, struct error *e)
{
	struct arena mem = {0};
	const struct table *before = NULL;
	bool alike;
	enum err rc = known_shape(a, rel, &mem, &before, e);

	if (rc == OK)
		rc = complete(a, rel, before, e);
	if (rc != OK)
		goto out;
	if (rel->live != NULL && still_wide(rel)) {
		/* Described once more; its columns are what they were. */
		take_numbers(rel->said, rel->live);
		goto out;
	}
	alike = before != NULL && !rel->wide && same_shape(before, rel->said);
	if (alike)
		rc = looks_alike(a, rel, before, &alike, e);
	if (rc != OK)
		goto out;
	if (alike) {
		take_numbers(rel->said, before);
		if (rel->live == NULL)
			set_live(rel, rel->said);
	} else {
		if (before != NULL)
			warn_of_lost_key(a, rel, before);
		rc = change_shape(a, rel, before, e);
	}
out:
	if (rc == OK)
		rel->news = false;
	arena_free(&mem);
	return rc;
}
