#include "duckdb_driver.h"

#include <stdlib.h>
#include <string.h>

#include "canon.h"
#include "json.h"
#include "mem.h"

/* The key of `added`: row and column in six bytes. */
static struct str cell_key(size_t row, size_t col, unsigned char key[6])
{
	for (size_t i = 0; i < 4; i++)
		key[i] = (unsigned char)(row >> 8 * i);
	key[4] = (unsigned char)col;
	key[5] = (unsigned char)(col >> 8);
	return str_make(key, 6);
}

void load_add_exact(struct load *l, size_t row, size_t col, struct str text)
{
	unsigned char key[6];
	struct exact_note *note = arena_alloc(&l->mem, sizeof *note);

	*note = (struct exact_note){
		.row = (uint32_t)row, .column = (uint16_t)col, .text = arena_str(&l->mem, text)};
	map_put(&l->added, cell_key(row, col, key), note);
}

/* The first note of the batch at or after a row. */
static size_t first_note(const struct batch *b, size_t row)
{
	size_t low = 0, high = b->nexact;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->exact[mid].row < row)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct str load_exact_text(const struct load *l, size_t row, size_t col)
{
	unsigned char key[6];
	const struct exact_note *note = l->added.n > 0 ? map_get(&l->added, cell_key(row, col, key))
						       : NULL;

	if (note != NULL)
		return note->text;
	for (size_t i = first_note(l->b, row); i < l->b->nexact && l->b->exact[i].row == row; i++)
		if (l->b->exact[i].column == col)
			return l->b->exact[i].text;
	return STR_NONE;
}

static size_t words(size_t rows)
{
	return rows / 64 + 1;
}

static void own_valid(struct load *l, size_t col)
{
	struct vec *v = &l->cols[col];
	size_t n = (l->b->rows + 63) / 64;

	if (l->own_valid[col])
		return;
	uint64_t *valid = mem_array(words(l->b->rows), sizeof *valid);
	if (v->valid != NULL)
		memcpy(valid, v->valid, n * sizeof *valid);
	else
		memset(valid, 0xff, n * sizeof *valid);
	v->valid = valid;
	l->own_valid[col] = true;
}

void load_own(struct load *l, size_t col)
{
	struct vec *v = &l->cols[col];
	size_t size = type_size(v->type.kind);

	own_valid(l, col);
	if (l->own_data[col])
		return;
	void *data = mem_array(l->b->rows + 1, size);
	memcpy(data, v->data, l->b->rows * size);
	v->data = data;
	l->own_data[col] = true;
}

void load_set_valid(struct load *l, size_t row, size_t col, bool valid)
{
	uint64_t bit = (uint64_t)1 << (row & 63);

	own_valid(l, col);
	if (valid)
		l->cols[col].valid[row >> 6] |= bit;
	else
		l->cols[col].valid[row >> 6] &= ~bit;
}

/* A value that DuckDB's column cannot hold: NULL there, its text kept. Text that is not UTF-8
 * cannot stand in JSON either, so its bytes are kept in hexadecimal. */
static void set_aside(struct load *l, size_t row, size_t col)
{
	struct vec as = l->cols[col];
	struct buf text;

	if (as.type.kind == T_TEXT || as.type.kind == T_JSON)
		as.type.kind = T_BYTES;
	buf_init(&text, BUF_MAX_DEFAULT);
	type_print(&as, row, &text);
	load_add_exact(l, row, col, buf_str(&text));
	buf_free(&text);
	load_set_valid(l, row, col, false);
}

static bool may_not_hold(enum type_kind kind)
{
	return kind == T_DECIMAL || kind == T_TEXT || kind == T_JSON || kind == T_DATE ||
		kind == T_TIME || kind == T_TIMESTAMP || kind == T_TIMESTAMPTZ;
}

static void set_aside_all(struct load *l)
{
	for (size_t c = 0; c < l->b->table->ncolumns; c++) {
		if (!may_not_hold(l->cols[c].type.kind))
			continue;
		size_t row = 0, rows = l->b->rows;

		for (; (row = duck_next_unheld(&l->cols[c], row, rows)) < rows; row++)
			set_aside(l, row, c);
	}
}

static struct vec column_of(enum type_kind kind, void *data)
{
	return (struct vec){.type = {.kind = kind}, .data = data};
}

static void system_columns(struct load *l)
{
	const struct batch *b = l->b;
	struct str *ops = arena_array(&l->mem, b->rows + 1, sizeof *ops);

	for (size_t i = 0; i < b->rows; i++)
		ops[i] = str_make(&b->op[i], 1);
	l->op = column_of(T_TEXT, ops);
	l->lsn = column_of(T_INT8, b->commit);
	l->seq = column_of(T_UINT4, b->seq);
	l->xid = column_of(T_INT8, b->xid);
	l->committed_at = column_of(T_TIMESTAMPTZ, b->committed_at);
}

/* A column of JSON texts that has none yet. */
static struct vec empty_notes(struct load *l, bool any)
{
	size_t rows = l->b->rows;
	struct vec v = column_of(
		T_JSON, any ? arena_array(&l->mem, rows + 1, sizeof(struct str)) : NULL);

	v.valid = arena_array(&l->mem, words(rows), sizeof *v.valid);
	return v;
}

static enum err set_note(
	struct load *l, struct vec *v, size_t row, struct buf *json, struct error *e)
{
	if (!buf_ok(json))
		return FAIL(e, ERR_INPUT, "%s: the notes of one row are larger than %zu bytes",
			l->doing, json->max);
	VEC_AT(v, struct str, row) = arena_str(&l->mem, buf_str(json));
	v->valid[row >> 6] |= (uint64_t)1 << (row & 63);
	buf_reset(json);
	return OK;
}

static int by_cell(const void *a, const void *b)
{
	const struct exact_note *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return (x->column > y->column) - (x->column < y->column);
}

static enum err exact_notes(struct load *l, struct buf *json, struct error *e)
{
	const struct batch *b = l->b;
	size_t n = 0, most = b->nexact + l->added.n;
	struct exact_note *all = mem_array(most + 1, sizeof *all);
	enum err rc = OK;

	for (size_t i = 0; i < b->nexact; i++)
		all[n++] = b->exact[i];
	for (size_t i = 0; i < l->added.n; i++)
		all[n++] = *(const struct exact_note *)l->added.entries[i].value;
	qsort(all, n, sizeof *all, by_cell);
	l->exact = empty_notes(l, n > 0);
	for (size_t i = 0; i < n && rc == OK;) {
		uint32_t row = all[i].row;
		struct json_out j;

		jo_init(&j, json);
		jo_object(&j, NULL);
		for (; i < n && all[i].row == row; i++) {
			char *name = mem_cstr(b->table->columns[all[i].column].name);

			jo_str(&j, name, all[i].text);
			mem_free(name);
		}
		jo_end_object(&j);
		rc = set_note(l, &l->exact, row, json, e);
	}
	mem_free(all);
	return rc;
}

static enum err unchanged_notes(struct load *l, struct buf *json, struct error *e)
{
	const struct batch *b = l->b;
	size_t at = 0;

	l->unchanged = empty_notes(l, b->nunchanged > 0);
	while (at < b->nunchanged) {
		uint32_t row = b->unchanged[at].row;

		(void)batch_unchanged_json(b, row, &at, json);
		TRY(set_note(l, &l->unchanged, row, json, e));
	}
	return OK;
}

enum err load_notes(struct load *l, struct error *e)
{
	struct buf json;

	buf_init(&json, BUF_MAX_DEFAULT);
	enum err rc = exact_notes(l, &json, e);
	if (rc == OK)
		rc = unchanged_notes(l, &json, e);
	buf_free(&json);
	return rc;
}

void load_key(const struct load *l, size_t row, struct buf *out)
{
	const struct table *t = l->b->table;

	for (size_t k = 0; k < t->nkeys; k++)
		canon_value(out, &l->cols[t->keys[k]], row,
			vec_is_null(&l->cols[t->keys[k]], row) ? load_exact_text(l, row, t->keys[k])
							       : STR_NONE);
}

enum err load_make(struct load *l, const struct batch *b, const char *doing, struct error *e)
{
	size_t n = b->table->ncolumns;

	*l = (struct load){.b = b, .doing = doing};
	l->cols = mem_array(n + 1, sizeof *l->cols);
	l->own_data = mem_array(n + 1, sizeof *l->own_data);
	l->own_valid = mem_array(n + 1, sizeof *l->own_valid);
	for (size_t c = 0; c < n; c++)
		l->cols[c] = b->cols[c];
	for (size_t c = 0; c < n; c++)
		if (!duck_type_ok(l->cols[c].type))
			return FAIL(e, ERR_INPUT, "%s: the column %.*s has no valid type", doing,
				STR_ARG(b->table->columns[c].name));
	system_columns(l);
	set_aside_all(l);
	return OK;
}

void load_free(struct load *l)
{
	for (size_t c = 0; c < l->b->table->ncolumns; c++) {
		if (l->own_data[c])
			mem_free(l->cols[c].data);
		if (l->own_valid[c])
			mem_free(l->cols[c].valid);
	}
	mem_free(l->cols);
	mem_free(l->own_data);
	mem_free(l->own_valid);
	map_free(&l->added);
	arena_free(&l->mem);
}
