#include "oracle.h"

#include <inttypes.h>

#include "array_text.h"
#include "canon.h"
#include "pg_catalog.h"
#include "pg_copy.h"
#include "pg_stream.h"
#include "pg_types.h"
#include "pg_value.h"
#include "pgoutput.h"

void oracle_open(struct fixture *f, const char *table, struct tried *t)
{
	struct error e = {.kind = OK};

	assert_ok(pg_table(f->pg, STR("public"), str_of(table), &f->mem, &t->table, &e), &e);
	t->text = batch_new(t->table);
	t->copied = batch_new(t->table);
	t->streamed = batch_new(t->table);
}

void oracle_close(struct tried *t)
{
	batch_free(t->text);
	batch_free(t->copied);
	batch_free(t->streamed);
}

void oracle_read_text(struct fixture *f, struct tried *t)
{
	struct error e = {.kind = OK};
	PGresult *r = fixture_query(
		f, arena_fmt(&f->mem, "SELECT * FROM %.*s ORDER BY id", STR_ARG(t->table->name)).p);

	for (int i = 0; i < PQntuples(r); i++) {
		size_t row = batch_add(t->text);
		for (int col = 0; col < PQnfields(r); col++)
			if (pg_cell(r, i, col) != NULL)
				assert_ok(pg_value_text(t->text, row, (size_t)col,
						  pg_cell_str(r, i, col), &e),
					&e);
	}
}

/* Copies a batch row by row as text would be: by value, with the texts in the target's arena. */
static enum err keep_copied(void *arg, struct batch *b, struct error *e)
{
	struct tried *t = arg;
	size_t note = 0;
	(void)e;

	for (size_t i = 0; i < b->rows; i++) {
		size_t row = batch_add(t->copied);
		assert_int_equal(b->op[i], OP_SNAPSHOT);
		for (size_t col = 0; col < b->table->ncolumns; col++) {
			struct vec *from = &b->cols[col], *to = &t->copied->cols[col];
			size_t size = type_size(from->type.kind);
			if (vec_is_null(from, i))
				continue;
			memcpy((char *)to->data + row * size, (char *)from->data + i * size, size);
			if (from->type.kind == T_TEXT || from->type.kind == T_JSON ||
				from->type.kind == T_BYTES)
				VEC_AT(to, struct str, row) = arena_str(
					&t->copied->mem, vec_text(from, i));
			batch_set_valid(t->copied, row, col);
		}
		for (; note < b->nexact && b->exact[note].row == i; note++)
			batch_note_exact(
				t->copied, row, b->exact[note].column, b->exact[note].text);
	}
	return OK;
}

void oracle_read_copy(struct fixture *f, struct tried *t)
{
	struct error e = {.kind = OK};

	assert_ok(pg_copy_out(f->pg, t->table, STR_NONE, 3, keep_copied, t, &e), &e);
}

static void add_streamed(struct fixture *f, const struct pgoutput_msg *m, struct tried *t)
{
	struct error e = {.kind = OK};
	size_t row = batch_add(t->streamed);

	assert_int_equal(m->new_row.n, t->table->ncolumns);
	for (size_t col = 0; col < m->new_row.n; col++) {
		const struct pgoutput_value *v = &m->new_row.values[col];
		if (v->kind == PGV_NULL)
			continue;
		assert_int_equal(v->kind, PGV_TEXT);
		assert_ok(
			pg_value_text(t->streamed, row, col, arena_str(&f->mem, v->bytes), &e), &e);
	}
}

void oracle_read_stream(
	struct fixture *f, struct pg *c, const char *slot, struct tried *tried, size_t n)
{
	struct error e = {.kind = OK};
	struct pgoutput *d = pgoutput_new();
	struct pg_message in;
	struct pgoutput_msg m;
	lsn until;

	assert_true(lsn_parse(str_of(fixture_cell(f, "SELECT pg_current_wal_lsn()")), &until));
	assert_ok(pg_stream_start(c, slot, LSN_NONE, 1, "everything", &e), &e);
	do {
		assert_ok(pg_stream_receive(c, 10000000, -1, &in, &e), &e);
		assert_true(in.kind != PG_NOTHING);
		if (in.kind != PG_DATA)
			continue;
		assert_ok(pgoutput_decode(d, in.payload, &m, &e), &e);
		for (size_t i = 0; i < n && m.kind == PGO_INSERT; i++)
			if (tried[i].table->relid == m.relid)
				add_streamed(f, &m, &tried[i]);
	} while (in.end.v < until.v);
	pgoutput_free(d);
}

struct str oracle_exact(const struct batch *b, size_t row, size_t col)
{
	for (size_t i = 0; i < b->nexact; i++)
		if (b->exact[i].row == row && b->exact[i].column == col)
			return b->exact[i].text;
	return STR_NONE;
}

/* The row of the same id. COPY gives rows as they stand in the table, mostly in order. */
static size_t row_of(const struct tried *t, const struct batch *other, size_t row)
{
	int32_t id = VEC_AT(&t->text->cols[0], int32_t, row);

	if (VEC_AT(&other->cols[0], int32_t, row) == id)
		return row;
	for (size_t i = 0; i < other->rows; i++)
		if (VEC_AT(&other->cols[0], int32_t, i) == id)
			return i;
	fail_msg("%.*s: no row with id %d", STR_ARG(t->table->name), id);
	return 0;
}

static void assert_same_cell(
	const struct tried *t, const struct batch *other, size_t row, size_t col, const char *way)
{
	const struct batch *b = t->text;
	const size_t there = row_of(t, other, row);
	const struct vec *v = &b->cols[col], *w = &other->cols[col];
	struct str said = oracle_exact(b, row, col), other_said = oracle_exact(other, there, col);
	struct buf one, two;

	buf_init(&one, BUF_MAX_DEFAULT);
	buf_init(&two, BUF_MAX_DEFAULT);
	canon_value(&one, v, row, said);
	canon_value(&two, w, there, other_said);
	if (!str_eq(buf_str(&one), buf_str(&two)) || !str_eq(said, other_said) ||
		vec_is_null(v, row) != vec_is_null(w, there)) {
		buf_reset(&one);
		buf_reset(&two);
		type_print(v, row, &one);
		type_print(w, there, &two);
		fail_msg("%.*s.%.*s row %zu: text gives %.*s (%.*s), %s gives %.*s (%.*s)",
			STR_ARG(t->table->name), STR_ARG(t->table->columns[col].name), row,
			STR_ARG(buf_str(&one)), STR_ARG(said), way, STR_ARG(buf_str(&two)),
			STR_ARG(other_said));
	}
	/* The signs of zeros are bits too, though they hash alike. */
	size_t size = type_size(v->type.kind);
	if (v->type.kind <= T_FLOAT8 && !vec_is_null(v, row))
		assert_memory_equal(
			(char *)v->data + row * size, (char *)w->data + there * size, size);
	buf_free(&one);
	buf_free(&two);
}

/* Without the zeros after the last digit behind a point. */
static struct str without_padding(struct str s)
{
	if (memchr(s.p, '.', s.n) == NULL)
		return s;
	while (s.p[s.n - 1] == '0')
		s.n--;
	return s.p[s.n - 1] == '.' ? str_make(s.p, s.n - 1) : s;
}

bool oracle_shown(const struct tried *t, size_t row, size_t col, struct buf *out)
{
	const struct vec *v = &t->text->cols[col];
	struct str exact = oracle_exact(t->text, row, col);
	enum type_form form = (enum type_form)t->table->columns[col].type.form;

	if (vec_is_null(v, row)) {
		buf_put(out, exact);
		return exact.p != NULL;
	}
	assert_null(exact.p);
	if (form != FORM_PLAIN)
		array_text(VEC_AT(v, struct str, row), form, out);
	else
		type_print(v, row, out);
	return true;
}

/* A number prints with its column's scale, money without its ornaments. */
static bool same_number(struct str got, struct str want, bool money)
{
	char plain[64];
	size_t n = 0;

	for (size_t i = 0; money && i < want.n && n < sizeof plain; i++)
		if (want.p[i] != '$' && want.p[i] != ',')
			plain[n++] = want.p[i];
	if (money)
		want = str_make(plain, n);
	return str_eq(without_padding(got), without_padding(want));
}

static void assert_shown(
	const struct tried *t, size_t row, size_t col, const char *text, size_t length)
{
	const struct column *c = &t->table->columns[col];
	struct str want = str_make(text, length);
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	bool present = oracle_shown(t, row, col, &b);
	bool same = present && str_eq(buf_str(&b), want);
	if (!same && present && c->type.kind == T_DECIMAL)
		same = same_number(buf_str(&b), want, memchr(text, '$', length) != NULL);
	if (!same)
		fail_msg("%.*s.%.*s row %zu prints as %.*s, PostgreSQL says %.*s",
			STR_ARG(t->table->name), STR_ARG(c->name), row, STR_ARG(buf_str(&b)),
			STR_ARG(want));
	buf_free(&b);
}

void oracle_judge(struct fixture *f, const struct tried *t)
{
	PGresult *r = fixture_query(
		f, arena_fmt(&f->mem, "SELECT * FROM %.*s ORDER BY id", STR_ARG(t->table->name)).p);
	size_t rows = (size_t)PQntuples(r);

	assert_int_equal(t->text->rows, rows);
	assert_int_equal(t->copied->rows, rows);
	assert_int_equal(t->streamed->rows, rows);
	for (size_t i = 0; i < rows; i++)
		for (size_t col = 1; col < t->table->ncolumns; col++) {
			assert_same_cell(t, t->copied, i, col, "COPY");
			assert_same_cell(t, t->streamed, i, col, "the stream");
			if (pg_cell(r, (int)i, (int)col) == NULL) {
				assert_true(vec_is_null(&t->text->cols[col], i));
				assert_null(oracle_exact(t->text, i, col).p);
				continue;
			}
			struct str want = pg_cell_str(r, (int)i, (int)col);
			assert_shown(t, i, col, want.p, want.n);
		}
}

struct pg *oracle_open_slot(struct fixture *f, const char *slot)
{
	struct error e = {.kind = OK};
	struct pg *c = fixture_open(f, true);
	struct str snapshot;
	lsn at;

	assert_ok(pg_create_slot(c, slot, &f->mem, &at, &snapshot, &e), &e);
	assert_true(at.v > 0 && snapshot.n > 0);
	return c;
}

void oracle_close_slot(struct fixture *f, struct pg *c, const char *slot)
{
	pg_close(c);
	/* The walsender notices in its own time that nobody listens. */
	fixture_exec(f,
		arena_fmt(&f->mem,
			"DO $$ BEGIN WHILE EXISTS (SELECT 1 FROM pg_replication_slots WHERE "
			"slot_name = '%s' AND active) LOOP PERFORM pg_sleep(0.01); END LOOP; "
			"END $$; SELECT pg_drop_replication_slot('%s')",
			slot, slot)
			.p);
}
