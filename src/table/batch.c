#include "batch.h"

#include <assert.h>
#include <string.h>

#include "json.h"
#include "mem.h"

#define FIRST_ROWS 1024 /* a multiple of 64, so that validity words are whole */

static size_t words(size_t rows)
{
	return (rows + 63) / 64;
}

/* Bits at and beyond `rows` are always 0, so that adding a row costs nothing per column. */
static void grow_column(struct vec *v, size_t old_cap, size_t cap)
{
	v->data = mem_realloc_array(v->data, cap, type_size(v->type.kind));
	v->valid = mem_realloc_array(v->valid, words(cap), sizeof *v->valid);
	memset(v->valid + words(old_cap), 0, (words(cap) - words(old_cap)) * sizeof *v->valid);
}

static void grow(struct batch *b)
{
	size_t cap = b->cap > 0 ? b->cap * 2 : FIRST_ROWS;

	for (size_t c = 0; c < b->table->ncolumns; c++)
		grow_column(&b->cols[c], b->cap, cap);
	b->op = mem_realloc_array(b->op, cap, sizeof *b->op);
	b->commit = mem_realloc_array(b->commit, cap, sizeof *b->commit);
	b->seq = mem_realloc_array(b->seq, cap, sizeof *b->seq);
	b->xid = mem_realloc_array(b->xid, cap, sizeof *b->xid);
	b->committed_at = mem_realloc_array(b->committed_at, cap, sizeof *b->committed_at);
	b->moved = mem_realloc_array(b->moved, cap, sizeof *b->moved);
	b->cap = cap;
}

static void make_columns(struct batch *b, const struct table *t)
{
	b->table = t;
	b->ncols = t->ncolumns;
	b->cols = mem_array(t->ncolumns > 0 ? t->ncolumns : 1, sizeof *b->cols);
	for (size_t c = 0; c < t->ncolumns; c++) {
		b->cols[c].type = t->columns[c].type;
		if (b->cap > 0)
			grow_column(&b->cols[c], 0, b->cap);
	}
}

static void free_columns(struct batch *b)
{
	for (size_t c = 0; c < b->ncols; c++) {
		mem_free(b->cols[c].data);
		mem_free(b->cols[c].valid);
	}
	mem_free(b->cols);
}

struct batch *batch_new(const struct table *t)
{
	struct batch *b = mem_zalloc(sizeof *b);

	assert(t->ncolumns <= TABLE_MAX_COLUMNS);
	make_columns(b, t);
	return b;
}

#define TEXT_CHUNK ((size_t)1 << 20)

struct batch_text {
	struct batch_text *next;
	size_t n, cap;
	char bytes[];
};

static void free_texts(struct batch_text *t)
{
	while (t != NULL) {
		struct batch_text *next = t->next;
		mem_free(t);
		t = next;
	}
}

/* Chunks of the usual size are kept, one that a long text had made is not. */
static void spare_texts(struct batch *b)
{
	while (b->texts != NULL) {
		struct batch_text *t = b->texts;
		b->texts = t->next;
		if (t->cap > TEXT_CHUNK) {
			mem_free(t);
			continue;
		}
		t->n = 0;
		t->next = b->spare;
		b->spare = t;
	}
	b->texts_used = 0;
}

static void add_text(struct batch *b, size_t n)
{
	struct batch_text *t = b->spare;

	if (t != NULL && n <= t->cap) {
		b->spare = t->next;
	} else {
		size_t cap = n > TEXT_CHUNK ? n : TEXT_CHUNK;
		assert(cap <= SIZE_MAX - sizeof *t);
		t = mem_alloc(sizeof *t + cap);
		t->n = 0;
		t->cap = cap;
	}
	t->next = b->texts;
	b->texts = t;
}

char *batch_room(struct batch *b, size_t n)
{
	if (b->texts == NULL || n > b->texts->cap - b->texts->n)
		add_text(b, n);
	char *at = b->texts->bytes + b->texts->n;
	b->texts->n += n;
	b->texts_used += n;
	return at;
}

void batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	free_columns(b);
	mem_free(b->op);
	mem_free(b->commit);
	mem_free(b->seq);
	mem_free(b->xid);
	mem_free(b->committed_at);
	mem_free(b->moved);
	mem_free(b->exact);
	mem_free(b->unchanged);
	free_texts(b->texts);
	free_texts(b->spare);
	arena_free(&b->mem);
	mem_free(b);
}

void batch_reset(struct batch *b)
{
	for (size_t c = 0; c < b->ncols && b->rows > 0; c++)
		memset(b->cols[c].valid, 0, words(b->rows) * sizeof *b->cols[c].valid);
	b->rows = 0;
	b->nexact = 0;
	b->nunchanged = 0;
	arena_reset(&b->mem);
	spare_texts(b);
}

static bool same_kinds(const struct batch *b, const struct table *t)
{
	if (b->ncols != t->ncolumns)
		return false;
	for (size_t c = 0; c < t->ncolumns; c++)
		if (b->cols[c].type.kind != t->columns[c].type.kind)
			return false;
	return true;
}

void batch_retable(struct batch *b, const struct table *t)
{
	assert(b->rows == 0);
	assert(t->ncolumns <= TABLE_MAX_COLUMNS);
	if (!same_kinds(b, t)) {
		free_columns(b);
		make_columns(b, t);
		return;
	}
	b->table = t;
	for (size_t c = 0; c < t->ncolumns; c++)
		b->cols[c].type = t->columns[c].type;
}

size_t batch_add(struct batch *b)
{
	if (b->rows == b->cap)
		grow(b);
	size_t row = b->rows++;
	assert(row < UINT32_MAX);
	b->op[row] = 0;
	b->commit[row] = LSN_NONE;
	b->seq[row] = 0;
	b->xid[row] = 0;
	b->committed_at[row] = 0;
	b->moved[row] = 0;
	return row;
}

void batch_unadd(struct batch *b)
{
	assert(b->rows > 0);
	size_t row = --b->rows;
	for (size_t c = 0; c < b->table->ncolumns; c++)
		batch_set_null(b, row, c);
	while (b->nexact > 0 && b->exact[b->nexact - 1].row == row)
		b->nexact--;
	while (b->nunchanged > 0 && b->unchanged[b->nunchanged - 1].row == row)
		b->nunchanged--;
}

static void keep_values(struct vec *v, size_t before, const uint32_t *rows, size_t n)
{
	size_t size = type_size(v->type.kind);
	char *data = v->data;

	for (size_t i = 0; i < n; i++) {
		bool valid = (v->valid[rows[i] >> 6] >> (rows[i] & 63) & 1) != 0;
		v->valid[i >> 6] &= ~((uint64_t)1 << (i & 63));
		v->valid[i >> 6] |= (uint64_t)valid << (i & 63);
		if (i != rows[i])
			memcpy(data + i * size, data + rows[i] * size, size);
	}
	for (size_t i = n; i < before; i++)
		v->valid[i >> 6] &= ~((uint64_t)1 << (i & 63));
}

static void keep_notes(struct batch *b, const uint32_t *rows, size_t n)
{
	size_t exact = 0, unchanged = 0;

	for (size_t i = 0, at = 0; i < b->nexact; i++) {
		while (at < n && rows[at] < b->exact[i].row)
			at++;
		if (at == n || rows[at] != b->exact[i].row)
			continue;
		b->exact[exact] = b->exact[i];
		b->exact[exact++].row = (uint32_t)at;
	}
	for (size_t i = 0, at = 0; i < b->nunchanged; i++) {
		while (at < n && rows[at] < b->unchanged[i].row)
			at++;
		if (at == n || rows[at] != b->unchanged[i].row)
			continue;
		b->unchanged[unchanged] = b->unchanged[i];
		b->unchanged[unchanged++].row = (uint32_t)at;
	}
	b->nexact = exact;
	b->nunchanged = unchanged;
}

void batch_keep(struct batch *b, const uint32_t *rows, size_t n)
{
	if (n == b->rows)
		return;
	for (size_t c = 0; c < b->table->ncolumns; c++)
		keep_values(&b->cols[c], b->rows, rows, n);
	for (size_t i = 0; i < n; i++) {
		b->op[i] = b->op[rows[i]];
		b->commit[i] = b->commit[rows[i]];
		b->seq[i] = b->seq[rows[i]];
		b->xid[i] = b->xid[rows[i]];
		b->committed_at[i] = b->committed_at[rows[i]];
		/* Of no use without the deletion before it. */
		b->moved[i] = b->moved[rows[i]] != 0 && i > 0 && rows[i - 1] + 1 == rows[i];
	}
	keep_notes(b, rows, n);
	b->rows = n;
}

void batch_set_null(struct batch *b, size_t row, size_t col)
{
	b->cols[col].valid[row >> 6] &= ~((uint64_t)1 << (row & 63));
}

void batch_note_exact(struct batch *b, size_t row, size_t col, struct str text)
{
	assert(row < b->rows && col < b->table->ncolumns);
	assert(b->nexact == 0 || b->exact[b->nexact - 1].row <= row);
	if (b->nexact == b->capexact) {
		b->capexact = b->capexact > 0 ? b->capexact * 2 : 64;
		b->exact = mem_realloc_array(b->exact, b->capexact, sizeof *b->exact);
	}
	b->exact[b->nexact++] = (struct exact_note){
		.row = (uint32_t)row, .column = (uint16_t)col, .text = arena_str(&b->mem, text)};
}

void batch_note_unchanged(struct batch *b, size_t row, size_t col)
{
	assert(row < b->rows && col < b->table->ncolumns);
	assert(b->nunchanged == 0 || b->unchanged[b->nunchanged - 1].row <= row);
	if (b->nunchanged == b->capunchanged) {
		b->capunchanged = b->capunchanged > 0 ? b->capunchanged * 2 : 64;
		b->unchanged = mem_realloc_array(
			b->unchanged, b->capunchanged, sizeof *b->unchanged);
	}
	b->unchanged[b->nunchanged++] = (struct unchanged_note){
		.row = (uint32_t)row, .column = (uint16_t)col};
}

bool batch_exact_json(const struct batch *b, size_t row, size_t *at, struct buf *out)
{
	struct json_out j;

	while (*at < b->nexact && b->exact[*at].row < row)
		++*at;
	if (*at == b->nexact || b->exact[*at].row != row)
		return false;
	jo_init(&j, out);
	jo_object(&j, NULL);
	for (; *at < b->nexact && b->exact[*at].row == row; ++*at) {
		char *name = mem_cstr(b->table->columns[b->exact[*at].column].name);

		jo_str(&j, name, b->exact[*at].text);
		mem_free(name);
	}
	jo_end_object(&j);
	return true;
}

bool batch_unchanged_json(const struct batch *b, size_t row, size_t *at, struct buf *out)
{
	struct json_out j;

	while (*at < b->nunchanged && b->unchanged[*at].row < row)
		++*at;
	if (*at == b->nunchanged || b->unchanged[*at].row != row)
		return false;
	jo_init(&j, out);
	jo_array(&j, NULL);
	for (; *at < b->nunchanged && b->unchanged[*at].row == row; ++*at)
		jo_str(&j, NULL, b->table->columns[b->unchanged[*at].column].name);
	jo_end_array(&j);
	return true;
}
