#include "duckdb_driver.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "map.h"
#include "mem.h"

/*
 * PostgreSQL does not send a TOASTed value that an UPDATE left alone. It is what the row had
 * before: earlier in this batch, else in the current table as it stands before this batch. When
 * the UPDATE changed the key, the row before had the key that the row directly before it deletes.
 * Any other deletion has nothing to say, even where the row is not to be found: while a table is
 * copied that is no rarity, and the value stays missing until the copy fetches it.
 */

#define NO_ROW SIZE_MAX

/* Where a row's missing values come from: neither is set when nothing is left of it. */
struct origin {
	uint32_t row;
	size_t key_of;  /* the current table has it, under this row's key; or NO_ROW */
	size_t earlier; /* a row of this batch; or NO_ROW */
};

/* What is known of a key while walking through the batch. */
enum { UNKNOWN, GONE, LIVE };
struct known {
	int state;
	size_t row; /* when LIVE */
};

struct walk {
	struct load *l;
	struct map keys;      /* key -> state packed into a pointer */
	bool emptied;         /* a TRUNCATE has passed: current has nothing to say */
	struct known deleted; /* how the key of the row before stood ahead of it */
	struct buf key;
	struct origin *origins;
	size_t n;
};

static struct known look_up(struct walk *w)
{
	uintptr_t packed = (uintptr_t)map_get(&w->keys, buf_str(&w->key));

	if (packed == 0)
		return (struct known){.state = w->emptied ? GONE : UNKNOWN};
	return (struct known){.state = (packed & 1) != 0 ? LIVE : GONE, .row = packed >> 2};
}

static void remember(struct walk *w, int state, size_t row)
{
	uintptr_t packed = (uintptr_t)row << 2 | 2 | (state == LIVE);

	map_put(&w->keys, buf_str(&w->key), (void *)packed);
}

static void add_origin(struct walk *w, size_t row, struct known before)
{
	struct origin o = {.row = (uint32_t)row, .key_of = NO_ROW, .earlier = NO_ROW};
	bool moved = w->l->b->moved[row] != 0;
	struct known had = moved ? w->deleted : before;

	if (had.state == LIVE)
		o.earlier = had.row;
	else if (had.state == UNKNOWN)
		o.key_of = moved ? row - 1 : row;
	w->origins[w->n++] = o;
}

static void walk_rows(struct walk *w)
{
	const struct batch *b = w->l->b;
	size_t note = 0;

	for (size_t row = 0; row < b->rows; row++) {
		if (b->op[row] == OP_TRUNCATE) {
			map_free(&w->keys);
			w->emptied = true;
			continue;
		}
		buf_reset(&w->key);
		load_key(w->l, row, &w->key);
		struct known before = look_up(w);
		bool noted = note < b->nunchanged && b->unchanged[note].row == row;
		if (noted && b->op[row] != OP_DELETE)
			add_origin(w, row, before);
		while (note < b->nunchanged && b->unchanged[note].row == row)
			note++;
		w->deleted = before;
		remember(w, b->op[row] == OP_DELETE ? GONE : LIVE, row);
	}
}

/* The columns that any row misses, as a list of column numbers. */
static size_t noted_columns(const struct batch *b, uint16_t *cols)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nunchanged; i++) {
		size_t at = 0;

		while (at < n && cols[at] != b->unchanged[i].column)
			at++;
		if (at == n)
			cols[n++] = b->unchanged[i].column;
	}
	return n;
}

static bool is_noted(const struct batch *b, size_t row, size_t col)
{
	size_t low = 0, high = b->nunchanged;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->unchanged[mid].row < row)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < b->nunchanged && b->unchanged[low].row == row; low++)
		if (b->unchanged[low].column == col)
			return true;
	return false;
}

struct fetch {
	struct walk *w;
	const uint16_t *cols;
	size_t ncols;
	lsn floor; /* what stands in current below it is not what the row had */
};

/* One value of an answer into the batch's column; text moves into the load's memory. */
static void take_value(struct load *l, size_t row, size_t col, const struct vec *from, size_t at)
{
	size_t size = type_size(from->type.kind);
	enum type_kind kind = from->type.kind;

	load_set_valid(l, row, col, !vec_is_null(from, at));
	if (vec_is_null(from, at))
		return;
	char *to = (char *)l->cols[col].data + row * size;
	if (kind == T_TEXT || kind == T_JSON || kind == T_BYTES) {
		struct str copy = arena_str(&l->mem, VEC_AT(from, struct str, at));

		memcpy(to, &copy, sizeof copy);
	} else {
		memcpy(to, (const char *)from->data + at * size, size);
	}
}

static enum err take_exact(
	struct load *l, size_t row, const struct fetch *f, struct str text, struct error *e)
{
	json_t *exact = NULL;

	if (text.n == 0)
		return OK;
	TRY(json_read(text, "_exact", &exact, e));
	for (size_t i = 0; i < f->ncols; i++) {
		char *name = mem_cstr(l->b->table->columns[f->cols[i]].name);
		const json_t *value = json_object_get(exact, name);

		if (json_is_string(value) && is_noted(l->b, row, f->cols[i]))
			load_add_exact(l, row, f->cols[i],
				str_make(json_string_value(value), json_string_length(value)));
		mem_free(name);
	}
	json_decref(exact);
	return OK;
}

static bool same_type(struct type a, struct type b)
{
	return a.kind == b.kind &&
		(a.kind != T_DECIMAL || (a.precision == b.precision && a.scale == b.scale));
}

static enum err take_rows(void *arg, const struct chunk *c, struct error *e)
{
	struct fetch *f = arg;
	struct load *l = f->w->l;

	for (size_t i = 0; i < f->ncols; i++)
		if (!same_type(c->cols[2 + i].type, l->cols[f->cols[i]].type))
			return FAIL(e, ERR_INPUT,
				"%s: the column %s of the current table has another type than "
				"the rows; make the table fit first",
				l->doing, c->names[2 + i]);
	for (size_t at = 0; at < c->rows; at++) {
		const struct origin *o = &f->w->origins[VEC_AT(&c->cols[0], uint32_t, at)];

		for (size_t i = 0; i < f->ncols; i++)
			if (is_noted(l->b, o->row, f->cols[i]))
				take_value(l, o->row, f->cols[i], &c->cols[2 + i], at);
		TRY(take_exact(l, o->row, f, vec_text(&c->cols[1], at), e));
	}
	return OK;
}

#define STAGE "sluice_unchanged"

static enum err ask_current(struct duck *d, struct fetch *f, struct error *e)
{
	const struct load *l = f->w->l;
	const struct table *t = l->b->table;
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT s.tag, c._exact");
	for (size_t i = 0; i < f->ncols; i++) {
		buf_puts(&sql, ", c.");
		sql_name(&sql, t->columns[f->cols[i]].name);
	}
	buf_puts(&sql, " FROM temp.main." STAGE " s JOIN ");
	duck_current(&sql, t);
	buf_puts(&sql, " c ON ");
	duck_staged_match(&sql, t, "s", "c");
	if (f->floor.v > 0)
		buf_putf(&sql, " WHERE c._lsn >= %" PRIu64, f->floor.v);
	enum err rc = duck_run(d->writer, buf_str(&sql), NULL, l->doing, take_rows, f, e);
	buf_free(&sql);
	return rc;
}

/* What the current table is to be asked for: the tag is the origin's number. */
static enum err fetch_current(struct duck *d, struct fetch *f, struct error *e)
{
	struct walk *w = f->w;
	uint32_t *list = mem_array(w->n + 1, sizeof *list);
	uint32_t *tags = mem_array(w->n + 1, sizeof *tags);
	size_t n = 0;
	enum err rc = OK;

	for (size_t i = 0; i < w->n; i++)
		if (w->origins[i].key_of != NO_ROW) {
			list[n] = (uint32_t)w->origins[i].key_of;
			tags[n++] = (uint32_t)i;
		}
	if (n > 0) {
		struct rows rows = {.list = list, .n = n};

		rc = duck_stage_keys(d, w->l, STAGE, &rows, tags, e);
		if (rc == OK)
			rc = ask_current(d, f, e);
	}
	mem_free(list);
	mem_free(tags);
	return rc;
}

/* In row order, so that a row copied from has been completed itself. */
static void copy_earlier(const struct fetch *f)
{
	struct load *l = f->w->l;

	for (size_t i = 0; i < f->w->n; i++) {
		const struct origin *o = &f->w->origins[i];

		if (o->earlier == NO_ROW)
			continue;
		for (size_t k = 0; k < f->ncols; k++) {
			size_t col = f->cols[k];

			if (!is_noted(l->b, o->row, col))
				continue;
			struct str text = load_exact_text(l, o->earlier, col);
			take_value(l, o->row, col, &l->cols[col], o->earlier);
			if (text.p != NULL)
				load_add_exact(l, o->row, col, text);
		}
	}
}

enum err load_fill_unchanged(struct duck *d, struct load *l, lsn floor, struct error *e)
{
	const struct batch *b = l->b;
	struct walk w = {.l = l};

	if (b->nunchanged == 0 || b->table->nkeys == 0)
		return OK;
	uint16_t *cols = mem_array(b->table->ncolumns, sizeof *cols);
	struct fetch f = {.w = &w, .cols = cols, .ncols = noted_columns(b, cols), .floor = floor};
	for (size_t i = 0; i < f.ncols; i++)
		load_own(l, cols[i]);
	w.origins = mem_array(b->nunchanged, sizeof *w.origins);
	buf_init(&w.key, BUF_MAX_DEFAULT);
	walk_rows(&w);
	enum err rc = fetch_current(d, &f, e);
	if (rc == OK)
		copy_earlier(&f);
	buf_free(&w.key);
	map_free(&w.keys);
	mem_free(w.origins);
	mem_free(cols);
	return rc;
}
