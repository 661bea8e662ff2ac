#include "rows.h"

#include <string.h>

#include "json.h"
#include "mem.h"
#include "pg_copy.h"

static const char *const side_names[SIDES] = {"source", "replica"};

/* Kinds that hold every value PostgreSQL can have in the types that land as them. */
static bool is_always_exact(enum type_kind kind)
{
	return kind == T_BOOL || kind == T_INT2 || kind == T_INT4 || kind == T_INT8 ||
		kind == T_UINT4 || kind == T_TEXT || kind == T_UUID;
}

void subject_of(const struct table *t, struct arena *mem, struct subject *out)
{
	size_t nkeys = t->nkeys > 0 ? t->nkeys : t->ncolumns;
	const char **names = arena_array(mem, t->ncolumns + 1, sizeof *names);
	const char **key_names = arena_array(mem, nkeys + 1, sizeof *key_names);
	uint16_t *keys = arena_array(mem, nkeys + 1, sizeof *keys);

	for (size_t c = 0; c < t->ncolumns; c++)
		names[c] = arena_cstr(mem, t->columns[c].name);
	bool key_in_exact = false;
	for (size_t k = 0; k < nkeys; k++) {
		keys[k] = t->nkeys > 0 ? t->keys[k] : (uint16_t)k;
		key_names[k] = names[keys[k]];
		key_in_exact |= !is_always_exact(t->columns[keys[k]].type.kind);
	}
	*out = (struct subject){.table = t,
		.name = table_full_name(t, mem),
		.names = names,
		.nkeys = nkeys,
		.keys = keys,
		.key_names = key_names,
		.key_in_exact = key_in_exact};
}

enum err subject_look_up(struct subject *subject, struct warehouse *w, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	int64_t found = 0;

	buf_init(&sql, 64 << 10);
	buf_puts(&sql, "SELECT count(*) FROM information_schema.tables WHERE table_schema = ");
	sql_text(&sql, arena_fmt(&mem, "%.*s_history", STR_ARG(subject->table->schema)));
	buf_puts(&sql, " AND table_name = ");
	sql_text(&sql, subject->table->name);
	enum err rc = warehouse_i64(w, buf_str(&sql), &found, e);
	subject->in_replica = found > 0;
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

/* What a reader carries from one piece to the next. */
struct reading {
	const struct sides *sides;
	const struct subject *subject;
	enum side side;
	row_fn *fn;
	hashes_fn *hashes; /* or this, and no fn */
	void *arg;
	size_t nmore; /* columns of an answer after `_exact` */
	const struct vec *more;
	struct vec *cols; /* as handed to fn */
	struct vec *key_cols;
	struct buf scratch, exact;
};

static void reading_open(struct reading *r)
{
	r->cols = mem_array(r->subject->table->ncolumns + 1, sizeof *r->cols);
	r->key_cols = mem_array(r->subject->nkeys + 1, sizeof *r->key_cols);
	buf_init(&r->scratch, BUF_MAX_DEFAULT);
	buf_init(&r->exact, BUF_MAX_DEFAULT);
}

static void reading_close(struct reading *r)
{
	mem_free(r->cols);
	mem_free(r->key_cols);
	buf_free(&r->scratch);
	buf_free(&r->exact);
}

/*
 * The next piece's columns. An engine may have one type for text and JSON; the source's
 * description says which it is, so that both sides are tagged alike.
 */
static void reading_take(struct reading *r, const struct vec *cols)
{
	const struct table *t = r->subject->table;

	for (size_t c = 0; c < t->ncolumns; c++) {
		r->cols[c] = cols[c];
		if (cols[c].type.kind == T_TEXT && t->columns[c].type.kind == T_JSON)
			r->cols[c].type.kind = T_JSON;
		else if (cols[c].type.kind == T_JSON && t->columns[c].type.kind == T_TEXT)
			r->cols[c].type.kind = T_TEXT;
	}
	for (size_t k = 0; k < r->subject->nkeys; k++)
		r->key_cols[k] = r->cols[r->subject->keys[k]];
}

/* A note stands for a value that its column could not hold: the column exists and is NULL. */
static bool exact_is_sound(const struct reading *r, const struct row *row)
{
	const struct table *t = r->subject->table;
	json_t *exact = NULL, *text;
	const char *name;
	bool sound = json_read(row->exact, "_exact", &exact, NULL) == OK && json_is_object(exact);

	if (sound)
		json_object_foreach (exact, name, text) {
			int c = table_column(t, str_of(name));
			sound = sound && c >= 0 && json_is_string(text) &&
				vec_is_null(&r->cols[c], row->at);
		}
	json_decref(exact);
	return sound;
}

static enum err hash_with(struct reading *r, struct row *row, struct str exact, struct error *e)
{
	const struct subject *s = r->subject;

	TRY(canon_row(
		r->cols, s->names, s->table->ncolumns, row->at, exact, &r->scratch, &row->hash, e));
	return canon_row(r->key_cols, s->key_names, s->nkeys, row->at,
		s->key_in_exact ? exact : STR_NONE, &r->scratch, &row->key, e);
}

/*
 * An `_exact` that cannot be right is damage to the row, and must be found as such, not end the
 * comparison: its text is made part of the hash, which then equals no sound row's.
 */
static enum err hash_row(struct reading *r, struct row *row, struct error *e)
{
	/* The source's note was made a moment ago from the value itself. */
	if (row->exact.n == 0 || r->side == SIDE_SOURCE || exact_is_sound(r, row))
		return hash_with(r, row, row->exact, e);
	TRY(hash_with(r, row, STR_NONE, e));
	row->hash.lo += str_hash(row->exact) | 1;
	row->damaged = true;
	return OK;
}

static enum err give_row(struct reading *r, size_t at, struct str exact, struct error *e)
{
	struct row row = {.cols = r->cols, .at = at, .exact = exact, .more = r->more};

	TRY(hash_row(r, &row, e));
	return r->fn(r->arg, &row, e);
}

/* Rows of one piece of which only hashes are wanted. */
#define BLOCK 256

struct block {
	struct rowhash key[BLOCK], row[BLOCK];
};

/* Rows without notes, which are nearly all: columns to hashes with nothing in between. */
static enum err hash_plain(
	struct reading *r, struct block *b, size_t from, size_t n, struct error *e)
{
	const struct subject *s = r->subject;

	TRY(canon_rows(r->cols, s->table->ncolumns, s->keys, s->nkeys, from, n, &r->scratch, b->row,
		b->key, e));
	return r->hashes(r->arg, b->key, b->row, n, e);
}

static enum err hash_noted(
	struct reading *r, struct block *b, size_t at, struct str exact, struct error *e)
{
	struct row row = {.cols = r->cols, .at = at, .exact = exact};

	TRY(hash_row(r, &row, e));
	b->key[0] = row.key;
	b->row[0] = row.hash;
	return r->hashes(r->arg, b->key, b->row, 1, e);
}

/* Where the next row with notes stands, at most BLOCK rows ahead. */
static size_t plain_until(const struct vec *exact, size_t from, size_t rows)
{
	size_t end = rows - from > BLOCK ? from + BLOCK : rows;

	while (from < end && vec_is_null(exact, from))
		from++;
	return from;
}

static enum err hash_chunk(struct reading *r, const struct vec *exact, size_t rows, struct error *e)
{
	struct block b;

	for (size_t at = 0; at < rows;) {
		size_t end = plain_until(exact, at, rows);

		if (end > at)
			TRY(hash_plain(r, &b, at, end - at, e));
		else
			TRY(hash_noted(r, &b, end++, vec_text(exact, at), e));
		at = end;
	}
	return OK;
}

static enum err hash_batch(struct reading *r, const struct batch *batch, struct error *e)
{
	struct block b;
	size_t notes = 0;

	for (size_t at = 0; at < batch->rows;) {
		size_t next = notes < batch->nexact ? batch->exact[notes].row : batch->rows;
		size_t n = next - at < BLOCK ? next - at : BLOCK;

		if (n > 0) {
			TRY(hash_plain(r, &b, at, n, e));
			at += n;
			continue;
		}
		buf_reset(&r->exact);
		bool noted = batch_exact_json(batch, at, &notes, &r->exact);
		TRY(hash_noted(r, &b, at++, noted ? buf_str(&r->exact) : STR_NONE, e));
	}
	return OK;
}

static enum err take_batch(void *arg, struct batch *b, struct error *e)
{
	struct reading *r = arg;
	size_t notes = 0;

	TRY(env_check(r->sides->env, e));
	reading_take(r, b->cols);
	if (r->hashes != NULL)
		return hash_batch(r, b, e);
	for (size_t i = 0; i < b->rows; i++) {
		buf_reset(&r->exact);
		bool noted = batch_exact_json(b, i, &notes, &r->exact);
		TRY(give_row(r, i, noted ? buf_str(&r->exact) : STR_NONE, e));
	}
	return OK;
}

static enum err take_chunk(void *arg, const struct chunk *c, struct error *e)
{
	struct reading *r = arg;
	size_t ncols = r->subject->table->ncolumns;

	TRY(env_check(r->sides->env, e));
	if (c->ncols != ncols + 1 + r->nmore)
		return FAIL(e, ERR_BUG,
			"the warehouse gave %zu columns of a table with %zu and _exact", c->ncols,
			ncols);
	reading_take(r, c->cols);
	r->more = c->cols + ncols + 1;
	if (r->hashes != NULL)
		return hash_chunk(r, &c->cols[ncols], c->rows, e);
	for (size_t i = 0; i < c->rows; i++)
		TRY(give_row(r, i, vec_text(&c->cols[ncols], i), e));
	return OK;
}

static enum err read_source(struct reading *r, struct error *e)
{
	return pg_copy_out(r->sides->source, r->subject->table, r->subject->where[SIDE_SOURCE],
		r->sides->batch_rows, take_batch, r, e);
}

static enum err read_replica(struct reading *r, struct error *e)
{
	const struct sides *s = r->sides;
	struct buf sql;

	if (!r->subject->in_replica)
		return OK;
	buf_init(&sql, 4 << 20);
	enum err rc = warehouse_select_at(
		s->replica, r->subject->table, s->cut, r->subject->where[SIDE_REPLICA], &sql, e);
	if (rc == OK)
		rc = warehouse_query(s->replica, buf_str(&sql), take_chunk, r, e);
	buf_free(&sql);
	return rc;
}

/* Law 4: unknown means closed. */
static enum err unreadable(
	enum err rc, const struct subject *subject, enum side side, struct error *e)
{
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	error_wrap(e, "reading the %s's rows of %.*s for the comparison", side_names[side],
		STR_ARG(subject->name));
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

enum err rows_read(const struct sides *s, const struct subject *subject, enum side side, row_fn *fn,
	void *arg, struct error *e)
{
	struct reading r = {.sides = s, .subject = subject, .side = side, .fn = fn, .arg = arg};

	reading_open(&r);
	enum err rc = side == SIDE_SOURCE ? read_source(&r, e) : read_replica(&r, e);
	reading_close(&r);
	return unreadable(rc, subject, side, e);
}

enum err rows_read_sql(const struct sides *s, const struct subject *subject, struct str sql,
	size_t nmore, row_fn *fn, void *arg, struct error *e)
{
	struct reading r = {.sides = s,
		.subject = subject,
		.side = SIDE_REPLICA,
		.fn = fn,
		.arg = arg,
		.nmore = nmore};

	reading_open(&r);
	enum err rc = warehouse_query(s->replica, sql, take_chunk, &r, e);
	reading_close(&r);
	return unreadable(rc, subject, SIDE_REPLICA, e);
}

enum err rows_hash(const struct sides *s, const struct subject *subject, enum side side,
	const struct buf *sql, hashes_fn *fn, void *arg, struct error *e)
{
	struct reading r = {.sides = s, .subject = subject, .side = side, .hashes = fn, .arg = arg};
	enum err rc;

	reading_open(&r);
	if (side == SIDE_SOURCE)
		rc = read_source(&r, e);
	else if (sql == NULL)
		rc = read_replica(&r, e);
	else
		rc = warehouse_query(s->replica, buf_str(sql), take_chunk, &r, e);
	reading_close(&r);
	return unreadable(rc, subject, side, e);
}

enum err row_key_hash(const struct subject *subject, const struct vec *cols, size_t at,
	struct str exact, struct buf *scratch, struct rowhash *out, struct error *e)
{
	struct vec *keys = mem_array(subject->nkeys + 1, sizeof *keys);

	for (size_t k = 0; k < subject->nkeys; k++)
		keys[k] = cols[subject->keys[k]];
	enum err rc = canon_row(keys, subject->key_names, subject->nkeys, at,
		subject->key_in_exact ? exact : STR_NONE, scratch, out, e);
	mem_free(keys);
	return rc;
}

enum err row_column_hash(const struct subject *subject, const struct row *r, size_t column,
	struct buf *scratch, struct rowhash *out, struct error *e)
{
	return canon_row(&r->cols[column], &subject->names[column], 1, r->at,
		r->damaged ? STR_NONE : r->exact, scratch, out, e);
}
