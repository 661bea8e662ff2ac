#include "snapshot_touched.h"

#include <inttypes.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "json.h"
#include "mem.h"
#include "shape.h"

void touched_free(struct touched *t)
{
	mem_free(t->slots);
	if (t->ready)
		buf_free(&t->scratch);
	*t = (struct touched){.n = 0};
}

static struct buf *scratch(struct touched *t)
{
	if (!t->ready)
		buf_init(&t->scratch, SIZE_MAX / 2);
	t->ready = true;
	buf_reset(&t->scratch);
	return &t->scratch;
}

static struct rowhash hash(const struct buf *b)
{
	XXH128_hash_t h = XXH3_128bits(b->p, b->n);

	return (struct rowhash){.lo = h.low64, .hi = h.high64};
}

struct rowhash touched_key(struct touched *t, const struct batch *b, size_t row)
{
	struct buf *bytes = scratch(t);

	for (size_t i = 0; i < b->table->nkeys; i++) {
		size_t c = b->table->keys[i];
		struct str exact = b->nexact > 0 ? shape_exact(b, row, c) : STR_NONE;

		canon_value(bytes, &b->cols[c], row, exact);
	}
	return hash(bytes);
}

static bool is_free(struct rowhash h)
{
	return h.lo == 0 && h.hi == 0;
}

/* Where the key stands, or would stand. */
static size_t place(const struct touched *t, struct rowhash key)
{
	size_t at = (size_t)key.lo & (t->cap - 1);

	while (!is_free(t->slots[at]) && (t->slots[at].lo != key.lo || t->slots[at].hi != key.hi))
		at = (at + 1) & (t->cap - 1);
	return at;
}

static void grow(struct touched *t)
{
	struct touched old = *t;

	t->cap = old.cap == 0 ? 1024 : old.cap * 2;
	t->slots = mem_array(t->cap, sizeof *t->slots);
	for (size_t i = 0; i < old.cap; i++)
		if (!is_free(old.slots[i]))
			t->slots[place(t, old.slots[i])] = old.slots[i];
	mem_free(old.slots);
}

void touched_add(struct touched *t, struct rowhash key)
{
	if (is_free(key)) {
		t->zero = true;
		return;
	}
	if ((t->n + 1) * 2 > t->cap)
		grow(t);
	size_t at = place(t, key);
	if (is_free(t->slots[at])) {
		t->slots[at] = key;
		t->n++;
	}
}

bool touched_has(const struct touched *t, struct rowhash key)
{
	if (is_free(key))
		return t->zero;
	return t->n > 0 && !is_free(t->slots[place(t, key)]);
}

/* ---- from history ---- */

void touched_where_outside(struct buf *out, const struct cut *c)
{
	buf_putf(out, " WHERE _xid <> 0 AND (_lsn > %" PRIu64 " OR _xid >= %" PRIu64, c->at.v,
		c->xmax);
	for (size_t i = 0; i < c->nrunning; i++)
		buf_putf(out, "%s%" PRIu64, i == 0 ? " OR _xid IN (" : ", ", c->running[i]);
	buf_puts(out, c->nrunning > 0 ? "))" : ")");
}

static void put_history(struct buf *out, const struct table *t, struct arena *mem)
{
	buf_puts(out, " FROM ");
	sql_name(out, arena_fmt(mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(out, '.');
	sql_name(out, t->name);
}

struct reading {
	struct touched *touched;
	const struct table *table;
	bool emptied;
};

static struct str exact_of(const json_t *exact, struct str column)
{
	char *name = mem_cstr(column);
	const json_t *v = exact != NULL ? json_object_get(exact, name) : NULL;

	mem_free(name);
	return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR_NONE;
}

enum err touched_key_of(struct touched *t, const struct table *table, const struct chunk *c,
	size_t row, size_t exact, size_t first, struct rowhash *out, struct error *e)
{
	struct str text = vec_text(&c->cols[exact], row);
	json_t *notes = NULL;

	if (text.n > 0)
		TRY(json_read(text, "_exact", &notes, e));
	struct buf *bytes = scratch(t);
	for (size_t i = 0; i < table->nkeys; i++)
		canon_value(bytes, &c->cols[first + i], row,
			exact_of(notes, table->columns[table->keys[i]].name));
	json_decref(notes);
	*out = hash(bytes);
	return OK;
}

static enum err add_row(struct reading *r, const struct chunk *c, size_t row, struct error *e)
{
	struct rowhash key;

	if (str_eqc(vec_text(&c->cols[0], row), "T")) {
		r->emptied = true;
		return OK;
	}
	TRY(touched_key_of(r->touched, r->table, c, row, 1, 2, &key, e));
	touched_add(r->touched, key);
	return OK;
}

static enum err add_rows(void *arg, const struct chunk *c, struct error *e)
{
	for (size_t row = 0; row < c->rows; row++)
		TRY(add_row(arg, c, row, e));
	return OK;
}

static enum err read_history(struct reading *r, struct warehouse *w, const struct cut *cut,
	const char *more, struct error *e)
{
	const struct table *table = r->table;
	struct arena mem = {0};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT _op, _exact");
	for (size_t i = 0; i < table->nkeys; i++) {
		buf_puts(&sql, ", ");
		sql_name(&sql, table->columns[table->keys[i]].name);
	}
	put_history(&sql, table, &mem);
	touched_where_outside(&sql, cut);
	buf_puts(&sql, more);
	enum err rc = warehouse_query(w, buf_str(&sql), add_rows, r, e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

enum err touched_of_history(struct touched *t, struct warehouse *w, const struct table *table,
	const struct cut *cut, bool *emptied, struct error *e)
{
	struct reading r = {.touched = t, .table = table};
	enum err rc = read_history(&r, w, cut, "", e);

	*emptied = r.emptied;
	return rc;
}

enum err touched_given_up(struct touched *t, struct warehouse *w, const struct table *table,
	const struct cut *cut, struct error *e)
{
	struct reading r = {.touched = t, .table = table};

	return read_history(&r, w, cut, " AND _op IN ('D', 'I')", e);
}
