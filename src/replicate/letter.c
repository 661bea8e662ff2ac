#include "letter.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "pg_value.h"
#include "shape.h"
#include "warehouse.h"

#define STATEMENT_ROWS 500

static void copy_values(const struct batch *from, size_t row, struct batch *to, size_t at)
{
	for (size_t c = 0; c < from->table->ncolumns; c++) {
		const struct vec *was = &from->cols[c];
		size_t size = type_size(was->type.kind);

		if (vec_is_null(was, row))
			continue;
		memcpy((char *)to->cols[c].data + at * size, (const char *)was->data + row * size,
			size);
		batch_set_valid(to, at, c);
	}
}

static size_t first_unchanged(const struct batch *b, size_t row)
{
	size_t low = 0, high = b->nunchanged;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (b->unchanged[mid].row < row)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct batch *letter_pick(const struct batch *b, const uint8_t *skip, size_t from, size_t to)
{
	struct batch *out = batch_new(b->table);
	size_t exact = from == 0 ? 0 : shape_first_exact(b, from);
	size_t unchanged = from == 0 ? 0 : first_unchanged(b, from);

	for (size_t row = from; row < to; row++) {
		while (exact < b->nexact && b->exact[exact].row < row)
			exact++;
		while (unchanged < b->nunchanged && b->unchanged[unchanged].row < row)
			unchanged++;
		if (skip != NULL && skip[row] != 0)
			continue;
		size_t at = batch_add(out);
		out->op[at] = b->op[row];
		out->commit[at] = b->commit[row];
		out->seq[at] = b->seq[row];
		out->xid[at] = b->xid[row];
		out->committed_at[at] = b->committed_at[row];
		/* Of no use without the deletion before it. */
		out->moved[at] = b->moved[row] != 0 && row > from &&
			(skip == NULL || skip[row - 1] == 0);
		copy_values(b, row, out, at);
		for (; exact < b->nexact && b->exact[exact].row == row; exact++)
			batch_note_exact(out, at, b->exact[exact].column, b->exact[exact].text);
		for (; unchanged < b->nunchanged && b->unchanged[unchanged].row == row; unchanged++)
			batch_note_unchanged(out, at, b->unchanged[unchanged].column);
	}
	return out;
}

/* ---- writing ---- */

static bool is_unchanged(const struct batch *b, size_t row, size_t c)
{
	for (size_t i = first_unchanged(b, row); i < b->nunchanged && b->unchanged[i].row == row;
		i++)
		if (b->unchanged[i].column == c)
			return true;
	return false;
}

/* The columns as one JSON object of PostgreSQL's texts; only those of the key, or all. */
static void put_row(struct buf *out, const struct batch *b, size_t row, bool key_only)
{
	const struct table *t = b->table;
	struct json_out j;
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	jo_init(&j, out);
	jo_object(&j, NULL);
	for (size_t c = 0; c < t->ncolumns; c++) {
		struct arena mem = {0};
		const char *name = arena_cstr(&mem, t->columns[c].name);
		struct str exact = shape_exact(b, row, c);

		if (key_only && !t->columns[c].is_key)
			goto next;
		if (exact.p == NULL && vec_is_null(&b->cols[c], row)) {
			jo_null(&j, name);
			goto next;
		}
		buf_reset(&text);
		if (exact.p == NULL)
			type_print(&b->cols[c], row, &text);
		jo_str(&j, name, exact.p != NULL ? exact : buf_str(&text));
	next:
		arena_free(&mem);
	}
	jo_end_object(&j);
	buf_free(&text);
}

static void put_unchanged(struct buf *out, const struct batch *b, size_t row)
{
	struct json_out j;

	jo_init(&j, out);
	jo_array(&j, NULL);
	for (size_t c = 0; b->nunchanged > 0 && c < b->table->ncolumns; c++)
		if (is_unchanged(b, row, c))
			jo_str(&j, NULL, b->table->columns[c].name);
	jo_end_array(&j);
}

void letters_begin(struct letters_out *out, const struct batch *rows, int64_t now_us)
{
	*out = (struct letters_out){.rows = rows, .now_us = now_us};
	buf_init(&out->sql, (size_t)2 << 30);
}

void letters_end(struct letters_out *out)
{
	buf_free(&out->sql);
}

/* The statements are of many rows: thousands of small ones take their time to be read. */
static void begin_values(struct letters_out *out)
{
	bool first = out->sql.n == 0 || out->in_statement == STATEMENT_ROWS;

	if (first) {
		buf_puts(&out->sql, out->sql.n > 0 ? ";\n" : "");
		buf_puts(&out->sql,
			"INSERT INTO ops.dead_letters (table_name, lsn, lsn_number, seq, op, xid, "
			"committed_us, seen_at, reason, row_key, row_json, unchanged) VALUES ");
		out->in_statement = 0;
	}
	out->in_statement++;
	buf_puts(&out->sql, first ? "(" : ",\n(");
}

void letters_add(struct letters_out *out, size_t row, struct str reason)
{
	const struct batch *b = out->rows;
	struct buf *sql = &out->sql;
	struct arena mem = {0};
	struct buf json;
	char at[LSN_TEXT], now[CLOCK_TEXT];

	buf_init(&json, BUF_MAX_DEFAULT);
	begin_values(out);
	sql_text(sql, table_full_name(b->table, &mem));
	buf_putf(sql, ", '%s', %" PRIu64 ", %" PRIu32 ", '%c', %" PRIu64 ", %" PRId64,
		lsn_format(b->commit[row], at), b->commit[row].v, b->seq[row], (char)b->op[row],
		b->xid[row], b->committed_at[row]);
	buf_putf(sql, ", CAST('%s' AS TIMESTAMPTZ), ", clock_format(out->now_us, now, sizeof now));
	sql_text(sql, reason);
	for (int part = 0; part < 3; part++) {
		buf_reset(&json);
		if (part < 2)
			put_row(&json, b, row, part == 0);
		else
			put_unchanged(&json, b, row);
		buf_puts(sql, ", ");
		sql_text(sql, buf_str(&json));
	}
	buf_putc(sql, ')');
	buf_free(&json);
	arena_free(&mem);
}

/* ---- reading ---- */

static enum err read_values(struct batch *to, size_t row, const json_t *values, struct error *e)
{
	const struct table *t = to->table;

	for (size_t c = 0; c < t->ncolumns; c++) {
		struct arena mem = {0};
		const json_t *v = json_object_get(values, arena_cstr(&mem, t->columns[c].name));
		enum err rc = OK;

		arena_free(&mem);
		if (v == NULL || json_is_null(v))
			continue;
		if (!json_is_string(v))
			return FAIL(e, ERR_INPUT, "the value of %.*s is no string",
				STR_ARG(t->columns[c].name));
		struct str text = str_make(json_string_value(v), json_string_length(v));
		rc = pg_value_text(to, row, c, arena_str(&to->mem, text), e);
		if (rc != OK)
			return rc;
	}
	return OK;
}

static void read_unchanged(struct batch *to, size_t row, const json_t *names)
{
	size_t i;
	json_t *v;

	json_array_foreach (names, i, v) {
		int c = table_column(to->table, str_of(json_string_value(v)));
		if (c >= 0)
			batch_note_unchanged(to, row, (size_t)c);
	}
}

enum err letter_read(struct batch *to, const struct letter *l, struct error *e)
{
	json_t *values = NULL, *unchanged = NULL;
	enum err rc = json_read(l->row_json, "row_json of a dead letter", &values, e);

	if (rc == OK && l->unchanged.n > 0)
		rc = json_read(l->unchanged, "unchanged of a dead letter", &unchanged, e);
	if (rc == OK && (l->op.n != 1 || !json_is_object(values)))
		rc = FAIL(e, ERR_INPUT, "a dead letter is not one that sluice wrote");
	if (rc == OK) {
		size_t row = batch_add(to);

		to->op[row] = (uint8_t)l->op.p[0];
		to->commit[row] = (lsn){(uint64_t)l->lsn};
		to->seq[row] = (uint32_t)l->seq;
		to->xid[row] = (uint64_t)l->xid;
		to->committed_at[row] = l->committed_us;
		rc = read_values(to, row, values, e);
		if (unchanged != NULL)
			read_unchanged(to, row, unchanged);
	}
	json_decref(values);
	json_decref(unchanged);
	return rc;
}
