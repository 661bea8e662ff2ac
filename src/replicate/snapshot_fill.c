/*
 * What the stream leaves out. An UPDATE does not send a TOASTed value that it left alone; where
 * the copy had not written the row yet, the value is nowhere: the copy's own row is dropped, as
 * its key is touched. So when all ranges are in, such rows are fetched by key at a cut, and the
 * missing values are put into the newest version of each key, in history and in current.
 *
 * This is exact: the value at the cut is the one that is missing, unless the key was given up
 * outside the cut (a deletion; with it another row may have got the key), and then the row is
 * fetched again. A change that sets the value would have sent it, and it would not be missing.
 * Older versions of the key from the time of the copy keep NULL, and their `_unchanged` says why:
 * the table is whole, for whoever asks, from the copy's last cut on.
 *
 * A copy that goes over the rows of an earlier one finds values where they were not sent: those
 * of the row that stood there, which may be older than the cut. So all that was not sent is
 * fetched, once for each key; what comes later takes it from there.
 */
#include "snapshot_copy.h"

#include <inttypes.h>

#include "failpoint.h"
#include "json.h"
#include "marks.h"
#include "mem.h"
#include "pg_copy.h"

#define KEYS_AT_A_TIME 500
#define ROWS_AT_A_TIME 2000
#define AGAIN_US       INT64_C(50000)
#define SCRATCH_FORM   "sluice_fill_%u" /* by relation */

/* The newest version of one key, which lacks values. */
struct lacking {
	struct rowhash key;
	lsn at;
	uint32_t seq;
	struct str columns; /* JSON: those that were not sent */
	uint8_t *null;      /* by column */
};

struct filling {
	struct copier *w;
	struct table_copy *c;
	struct arena mem; /* of one search */
	struct lacking *items;
	size_t n, cap;
	struct touched scratch, filled; /* filled: keys, by a copy that goes over rows */
	struct buf where;               /* of their keys */
	size_t keys;
	bool everything; /* some key cannot be asked for by its text: all rows are read */
	struct cut cut;
};

/* ---- which rows ---- */

/* A key that is hashed on its way, or one that its column cannot hold, is not to be found. */
static bool findable(const struct table *t, const struct chunk *c, size_t row)
{
	for (size_t i = 0; i < t->nkeys; i++)
		if (t->columns[t->keys[i]].guard != NULL || vec_is_null(&c->cols[1 + i], row))
			return false;
	return true;
}

static void put_key(struct filling *f, const struct chunk *c, size_t row)
{
	const struct table *t = f->c->table;
	struct arena mem = {0};
	struct buf value;

	buf_init(&value, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < t->nkeys; i++) {
		buf_reset(&value);
		type_print(&c->cols[1 + i], row, &value);
		struct str name = pg_ident(&mem, t->columns[t->keys[i]].name);
		struct str text = pg_literal(&mem, buf_str(&value));
		buf_puts(&f->where, i > 0 ? " AND " : f->keys > 0 ? " OR (" : "(");
		buf_putf(&f->where, "%.*s = %.*s", STR_ARG(name), STR_ARG(text));
	}
	buf_putc(&f->where, ')');
	f->keys++;
	buf_free(&value);
	arena_free(&mem);
}

/* Columns of the answer: _exact, the key, _unchanged, _lsn, _seq, and of each column of the table
 * whether it is NULL. */
static enum err take_lacking(struct filling *f, const struct chunk *c, size_t row, struct error *e)
{
	const struct table *t = f->c->table;
	size_t at = 1 + t->nkeys;
	int64_t place = 0, seq = 0;
	struct rowhash key;

	TRY(touched_key_of(&f->scratch, t, c, row, 0, 1, &key, e));
	if (f->n == KEYS_AT_A_TIME || touched_has(&f->filled, key))
		return OK;

	if (f->n == f->cap) {
		f->cap = f->cap == 0 ? 64 : f->cap * 2;
		f->items = mem_realloc_array(f->items, f->cap, sizeof(*f->items));
	}
	struct lacking *l = &f->items[f->n++];
	l->key = key;
	l->columns = arena_str(&f->mem, vec_text(&c->cols[at], row));
	if (!vec_integer(&c->cols[at + 1], row, &place) ||
		!vec_integer(&c->cols[at + 2], row, &seq))
		return FAIL(e, ERR_BUG, "a place in history is no number");
	l->at.v = (uint64_t)place;
	l->seq = (uint32_t)seq;
	l->null = arena_alloc(&f->mem, t->ncolumns + 1);
	for (size_t i = 0; i < t->ncolumns; i++)
		l->null[i] = f->c->mark.over || VEC_AT(&c->cols[at + 3 + i], uint8_t, row) != 0;
	if (!findable(t, c, row))
		f->everything = true;
	else
		put_key(f, c, row);
	return OK;
}

static enum err take_all(void *arg, const struct chunk *c, struct error *e)
{
	for (size_t row = 0; row < c->rows; row++)
		TRY(take_lacking(arg, c, row, e));
	return OK;
}

static void put_name(struct buf *sql, const struct table_copy *c, const char *suffix)
{
	struct arena mem = {0};

	sql_name(sql, arena_fmt(&mem, "%.*s%s", STR_ARG(c->schema), suffix));
	buf_putc(sql, '.');
	sql_name(sql, c->name);
	arena_free(&mem);
}

static void put_exact_key(struct buf *sql, const char *alias, struct str column)
{
	struct arena mem = {0};
	struct buf pointer;

	buf_init(&pointer, 4096);
	buf_putc(&pointer, '/');
	for (size_t i = 0; i < column.n; i++)
		buf_puts(&pointer,
			column.p[i] == '~' ? "~0"
				: column.p[i] == '/'
				? "~1"
				: arena_str(&mem, (struct str){column.p + i, 1}).p);
	buf_putf(sql, "json_extract_string(%s_exact, ", alias);
	sql_text(sql, buf_str(&pointer));
	buf_putc(sql, ')');
	buf_free(&pointer);
	arena_free(&mem);
}

static void put_newest(struct buf *sql, const struct table_copy *c)
{
	const struct table *t = c->table;

	buf_puts(sql, "(SELECT *, row_number() OVER (PARTITION BY ");
	for (size_t i = 0; i < t->nkeys; i++) {
		struct str name = t->columns[t->keys[i]].name;
		buf_puts(sql, i > 0 ? ", " : "");
		sql_name(sql, name);
		buf_puts(sql, ", ");
		put_exact_key(sql, "", name);
	}
	buf_puts(sql, " ORDER BY _lsn DESC, _seq DESC) AS sluice_newest FROM ");
	put_name(sql, c, "_history");
	touched_where_outside(sql, &c->mark.cut);
	buf_puts(sql, ")");
}

/* Versions that lack a value; not those whose key is touched no more. */
static enum err find_lacking(struct filling *f, struct error *e)
{
	struct table_copy *c = f->c;
	const struct table *t = c->table;
	struct buf sql;

	arena_reset(&f->mem);
	f->n = f->keys = 0;
	f->everything = false;
	buf_reset(&f->where);
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT _exact");
	for (size_t i = 0; i < t->nkeys; i++) {
		buf_puts(&sql, ", ");
		sql_name(&sql, t->columns[t->keys[i]].name);
	}
	buf_puts(&sql, ", _unchanged, _lsn, _seq");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_puts(&sql, ", ");
		sql_name(&sql, t->columns[i].name);
		buf_puts(&sql, " IS NULL");
	}
	buf_puts(&sql, " FROM ");
	put_newest(&sql, c);
	buf_puts(&sql, " WHERE sluice_newest = 1 AND _op <> 'D' AND _op <> 'T' AND (FALSE");
	for (size_t i = 0; i < t->ncolumns; i++) {
		struct arena mem = {0};
		buf_puts(&sql, " OR (");
		if (!c->mark.over) {
			sql_name(&sql, t->columns[i].name);
			buf_puts(&sql, " IS NULL AND ");
			put_exact_key(&sql, "", t->columns[i].name);
			buf_puts(&sql, " IS NULL AND ");
		}
		buf_puts(&sql, "list_contains(CAST(_unchanged AS VARCHAR[]), ");
		sql_text(&sql, t->columns[i].name);
		buf_puts(&sql, "))");
		arena_free(&mem);
	}
	buf_putc(&sql, ')');
	/* Those that are filled already stand among them, where it goes over rows. */
	if (!c->mark.over)
		buf_putf(&sql, " LIMIT %d", KEYS_AT_A_TIME);
	enum err rc = warehouse_query(c->s->r->w, buf_str(&sql), take_all, f, e);
	buf_free(&sql);
	return rc;
}

/* ---- fetching them ---- */

static const struct lacking *find(const struct filling *f, struct rowhash key)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].key.lo == key.lo && f->items[i].key.hi == key.hi)
			return &f->items[i];
	return NULL;
}

static bool lacks(const struct lacking *l, const json_t *names, const struct table *t, size_t col)
{
	bool not_sent = false;

	for (size_t i = 0; i < json_array_size(names); i++) {
		const json_t *name = json_array_get(names, i);
		not_sent |= str_eq(str_make(json_string_value(name), json_string_length(name)),
			t->columns[col].name);
	}
	return not_sent && l->null[col] != 0;
}

static void drop_exact(struct batch *b, size_t row, size_t col)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nexact; i++)
		if (b->exact[i].row != row || b->exact[i].column != col)
			b->exact[n++] = b->exact[i];
	b->nexact = n;
}

/* Leaves of the row its key and what is lacking, at the place of the version that lacks it. */
static enum err blank_rest(struct batch *b, size_t row, const struct lacking *l, struct error *e)
{
	json_t *names;

	TRY(json_read(l->columns, "_unchanged", &names, e));
	for (size_t col = 0; col < b->table->ncolumns; col++) {
		if (b->table->columns[col].is_key || lacks(l, names, b->table, col))
			continue;
		batch_set_null(b, row, col);
		drop_exact(b, row, col);
	}
	json_decref(names);
	b->op[row] = OP_SNAPSHOT;
	b->commit[row] = l->at;
	b->seq[row] = l->seq;
	return OK;
}

/* Under the lock: rows that lack something now, and whose key no change outside the cut gave up. */
static enum err sift(struct filling *f, struct batch *b, struct error *e)
{
	struct table_copy *c = f->c;
	struct touched given_up = {.n = 0};
	enum err rc = touched_given_up(&given_up, c->s->r->w, c->table, &f->cut, e);

	if (rc == OK)
		rc = find_lacking(f, e);
	uint32_t *keep = mem_array(b->rows + 1, sizeof(*keep));
	size_t n = 0;
	for (size_t row = 0; rc == OK && row < b->rows && !c->emptied; row++) {
		struct rowhash key = touched_key(&f->scratch, b, row);
		const struct lacking *l = find(f, key);
		if (l == NULL || touched_has(&given_up, key))
			continue;
		keep[n++] = (uint32_t)row;
		if (c->mark.over)
			touched_add(&f->filled, key);
		rc = blank_rest(b, row, l, e);
	}
	if (rc == OK)
		batch_keep(b, keep, n);
	mem_free(keep);
	touched_free(&given_up);
	return rc;
}

static void put_update(struct buf *sql, const struct table_copy *c, const char *suffix)
{
	const struct table *t = c->table;

	buf_puts(sql, "UPDATE ");
	put_name(sql, c, suffix);
	buf_puts(sql,
		" AS t SET _exact = CASE WHEN f._exact IS NULL THEN t._exact ELSE "
		"json_merge_patch(coalesce(t._exact, '{}'), f._exact) END");
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (t->columns[i].is_key)
			continue;
		buf_puts(sql, ", ");
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, " = coalesce(f.");
		sql_name(sql, t->columns[i].name);
		buf_puts(sql, ", t.");
		sql_name(sql, t->columns[i].name);
		buf_putc(sql, ')');
	}
	buf_putf(sql, " FROM " SCRATCH_FORM "_history.fill AS f WHERE t._lsn = f._lsn", c->relid);
}

static void put_script(struct buf *sql, const struct table_copy *c)
{
	const struct table *t = c->table;

	put_update(sql, c, "_history");
	buf_puts(sql, " AND t._seq = f._seq; ");
	put_update(sql, c, "");
	for (size_t i = 0; i < t->nkeys; i++) {
		struct str name = t->columns[t->keys[i]].name;
		buf_puts(sql, " AND t.");
		sql_name(sql, name);
		buf_puts(sql, " IS NOT DISTINCT FROM f.");
		sql_name(sql, name);
		buf_puts(sql, " AND ");
		put_exact_key(sql, "t.", name);
		buf_puts(sql, " IS NOT DISTINCT FROM ");
		put_exact_key(sql, "f.", name);
	}
}

enum err copy_drop_scratch(struct table_copy *c, struct error *e)
{
	struct arena mem = {0};
	struct str sql = arena_fmt(&mem,
		"DROP SCHEMA IF EXISTS " SCRATCH_FORM
		" CASCADE; DROP SCHEMA IF EXISTS " SCRATCH_FORM "_history CASCADE",
		c->relid, c->relid);
	enum err rc = script_again(c->s->r->w, &c->s->r->env, sql, e);

	arena_free(&mem);
	return rc;
}

static enum err put_values(
	struct table_copy *c, const struct table *scratch, struct batch *b, struct error *e)
{
	struct table_changes t = {.table = scratch, .rows = b, .fresh = true};
	struct change_set set = {.tables = &t, .ntables = 1};
	struct warehouse_tx *tx = NULL;
	struct buf sql;

	TRY(warehouse_begin(c->s->r->w, &tx, e));
	buf_init(&sql, BUF_MAX_DEFAULT);
	put_script(&sql, c);
	enum err rc = warehouse_tx_put(tx, &set, e);
	if (rc == OK)
		rc = warehouse_tx_script(tx, buf_str(&sql), e);
	if (rc == OK)
		rc = warehouse_tx_commit(tx, e);
	else
		warehouse_tx_abandon(tx);
	buf_free(&sql);
	return rc;
}

/* Under the lock. The values go through a table of their own, as rows do, and from there to their
 * places. What a crash leaves of it is dropped by the next one. */
static enum err put_rows(struct filling *f, struct batch *b, struct error *e)
{
	struct table_copy *c = f->c;
	struct table scratch = *c->table;
	const struct table *was = b->table;
	struct arena mem = {0};

	scratch.schema = arena_fmt(&mem, SCRATCH_FORM, c->relid);
	scratch.name = STR("fill");
	b->table = &scratch;
	enum err rc = failpoint_hit(&c->s->r->env, "snapshot.fill", e);
	if (rc == OK)
		rc = copy_drop_scratch(c, e);
	if (rc == OK)
		rc = warehouse_ensure_table(c->s->r->w, &scratch, e);
	if (rc == OK)
		rc = put_values(c, &scratch, b, e);
	if (rc == OK)
		rc = copy_drop_scratch(c, e);
	b->table = was;
	arena_free(&mem);
	return rc;
}

static enum err take_rows(void *arg, struct batch *b, struct error *e)
{
	struct filling *f = arg;
	struct table_copy *c = f->c;
	enum err rc = OK;

	TRY(engine_wait_applied(c->s->r, f->cut.at, e));
	TRY(failpoint_hit(&c->s->r->env, "snapshot.fetched", e));
	pthread_mutex_lock(&c->lock);
	if (!copy_stale(c))
		rc = sift(f, b, e);
	if (rc == OK && !copy_stale(c) && b->rows > 0)
		rc = put_rows(f, b, e);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static enum err fetch(struct filling *f, struct error *e)
{
	struct table_copy *c = f->c;
	struct pg *pg = f->w->pg;
	struct arena mem = {0};
	struct str print = STR_NONE;
	struct str where = f->everything ? STR_NONE : arena_str(&mem, buf_str(&f->where));

	enum err rc = copy_open_cut(pg, c->schema, c->name, &mem, &f->cut, e);
	/* The parts are looked at afterwards; here it is the shape that counts. */
	if (rc == OK && c->parts.n > 0)
		rc = parts_ask_print(pg, c->relid, c->parts.items[0].relid, &mem, &print, e);
	if (rc == OK && c->parts.n > 0 && !str_eq(print, c->parts.items[0].print))
		copy_set_stale(c);
	if (rc == OK && !copy_stale(c))
		rc = pg_copy_out(pg, c->table, where, ROWS_AT_A_TIME, take_rows, f, e);
	if (rc == OK)
		rc = pg_exec(pg, "COMMIT", "ending the reading of rows", e);
	if (rc == OK)
		rc = engine_wait_applied(c->s->r, f->cut.at, e);
	arena_free(&mem);
	return rc;
}

static bool is_emptied(struct table_copy *c)
{
	pthread_mutex_lock(&c->lock);
	bool emptied = c->emptied;
	pthread_mutex_unlock(&c->lock);
	return emptied;
}

enum err copy_fill(struct copier *w, struct table_copy *c, struct error *e)
{
	struct filling f = {.w = w, .c = c};
	struct env *env = &c->s->r->env;
	size_t before = SIZE_MAX;
	enum err rc = OK;

	if (!table_has_key(c->table))
		return OK;
	buf_init(&f.where, BUF_MAX_DEFAULT);
	/* After a TRUNCATE all rows came whole. */
	while (rc == OK && !copy_stale(c) && !is_emptied(c)) {
		rc = find_lacking(&f, e);
		if (rc != OK || f.n == 0)
			break;
		if (f.n >= before)
			env_sleep(env, AGAIN_US);
		before = f.n < KEYS_AT_A_TIME ? f.n : SIZE_MAX;
		rc = env_check(env, e);
		if (rc == OK)
			rc = fetch(&f, e);
	}
	mem_free(f.items);
	touched_free(&f.scratch);
	touched_free(&f.filled);
	buf_free(&f.where);
	arena_free(&f.mem);
	return rc;
}
