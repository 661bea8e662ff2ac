#include "fixture.h"

#include "file.h"
#include "map.h"
#include "mem.h"

static void open_it(struct fixture *f)
{
	struct warehouse_options o = {.url = f->url, .threads = 1};

	assert_ok(warehouse_open(&f->w, &o, &f->env, &f->e), &f->e);
	assert_ok(warehouse_ensure_ops(f->w, &f->e), &f->e);
}

int fixture_up(void **state)
{
	struct fixture *f = mem_zalloc(sizeof *f);

	unit_tmpdir(f->dir, sizeof f->dir);
	snprintf(f->url, sizeof f->url, "duckdb://%s/warehouse.duckdb", f->dir);
	rnd_seed(&f->rnd, 1);
	f->env = (struct env){.clock = clock_system(), .rnd = &f->rnd};
	open_it(f);
	*state = f;
	return 0;
}

int fixture_down(void **state)
{
	struct fixture *f = *state;

	warehouse_close(f->w);
	arena_free(&f->mem);
	enum err rc = file_remove_tree(f->dir, &f->e);
	mem_free(f);
	return rc == OK ? 0 : 1;
}

void fixture_reopen(struct fixture *f)
{
	warehouse_close(f->w);
	open_it(f);
}

static struct type type_of(struct str text)
{
	struct type t = {.kind = T_KINDS};
	struct str name = text;
	uint64_t precision = 0, scale = 0;

	if (str_cut(&text, '(', &name)) {
		struct str p;

		assert_true(str_cut(&text, ',', &p) && str_to_u64(p, &precision));
		assert_true(str_to_u64(str_make(text.p, text.n - 1), &scale));
	}
	for (size_t k = 0; k < T_KINDS; k++)
		if (str_eqc(name, type_name((enum type_kind)k)))
			t.kind = (enum type_kind)k;
	assert_int_not_equal(t.kind, T_KINDS);
	t.precision = (uint8_t)precision;
	t.scale = (uint8_t)scale;
	return t;
}

/* Commas inside parentheses do not part columns, so items are parted by ", ". */
static bool next_item(struct str *rest, struct str *item)
{
	if (rest->n == 0)
		return false;
	ptrdiff_t at = str_find(*rest, STR(", "));
	*item = at < 0 ? *rest : str_make(rest->p, (size_t)at);
	*rest = at < 0 ? STR_NONE : str_from(*rest, (size_t)at + 2);
	return true;
}

struct table *make_table(struct fixture *f, const char *name, const char *columns)
{
	struct table *t = arena_alloc(&f->mem, sizeof *t);
	struct str rest = str_of(columns), item;

	t->schema = STR("shop");
	t->name = arena_str(&f->mem, str_of(name));
	t->identity = IDENTITY_DEFAULT;
	t->columns = arena_array(&f->mem, 64, sizeof *t->columns);
	while (next_item(&rest, &item)) {
		struct column *c = &t->columns[t->ncolumns++];
		struct str type = STR_NONE, word = item;

		assert_true(str_cut(&word, ' ', &type));
		c->name = arena_str(&f->mem, type);
		c->is_key = str_ends(word, STR(" key"));
		c->type = type_of(str_trim(c->is_key ? str_make(word.p, word.n - 4) : word));
		c->pg_modifier = -1;
		c->nullable = !c->is_key;
	}
	table_index_keys(t, &f->mem);
	return t;
}

static void set_cell(struct batch *b, size_t row, size_t col, struct str text)
{
	struct vec *v = &b->cols[col];
	int64_t n = 0;
	double x = 0;

	if (str_eqc(text, "-"))
		return;
	if (str_eqc(text, "?")) {
		batch_note_unchanged(b, row, col);
		return;
	}
	if (str_starts(text, STR("!"))) {
		batch_note_exact(b, row, col, str_from(text, 1));
		return;
	}
	if (v->type.kind == T_TEXT || v->type.kind == T_JSON) {
		VEC_AT(v, struct str, row) = arena_str(&b->mem, text);
	} else if (v->type.kind == T_DECIMAL) {
		assert_true(str_to_double(text, &x));
		for (unsigned i = 0; i < v->type.scale; i++)
			x *= 10;
		VEC_AT(v, int128, row) = (int128)(x < 0 ? x - 0.5 : x + 0.5);
	} else {
		assert_true(str_to_i64(text, &n));
		assert_true(v->type.kind == T_INT8 || v->type.kind == T_TIMESTAMPTZ);
		VEC_AT(v, int64_t, row) = v->type.kind == T_INT8 ? n : n * 1000000;
	}
	batch_set_valid(b, row, col);
}

size_t add_row(struct batch *b, char op, uint64_t at, uint32_t seq, uint64_t xid, const char *cells)
{
	size_t row = batch_add(b), col = 0;
	struct str rest = str_of(cells), cell;

	b->op[row] = (uint8_t)op;
	b->commit[row] = (lsn){at};
	b->seq[row] = seq;
	b->xid[row] = xid;
	b->committed_at[row] = (int64_t)at * 1000000;
	while (str_next(&rest, '|', &cell))
		set_cell(b, row, col++, cell);
	assert_true(op == OP_TRUNCATE || col == b->table->ncolumns);
	return row;
}

/* The key of a row as text: the first column, or its exact text. */
static void key_text(const struct batch *b, size_t row, struct buf *out)
{
	buf_reset(out);
	type_print(&b->cols[0], row, out);
	for (size_t i = 0; i < b->nexact; i++)
		if (b->exact[i].row == row && b->exact[i].column == 0)
			buf_put(out, b->exact[i].text);
}

/* From the back: what is met first of a key is its newest change. */
static size_t fold(const struct batch *b, uint32_t *newest, bool *truncated)
{
	struct map seen = {0};
	struct buf key;
	size_t n = 0;

	buf_init(&key, 100000);
	for (size_t row = b->rows; row-- > 0;) {
		if (b->op[row] == OP_TRUNCATE) {
			*truncated = true;
			break;
		}
		key_text(b, row, &key);
		if (b->table->nkeys > 0 && map_has(&seen, buf_str(&key)))
			continue;
		map_put(&seen, buf_str(&key), &seen);
		newest[n++] = (uint32_t)row;
	}
	for (size_t i = 0; i < n / 2; i++) {
		uint32_t x = newest[i];

		newest[i] = newest[n - 1 - i];
		newest[n - 1 - i] = x;
	}
	buf_free(&key);
	map_free(&seen);
	return n;
}

enum err apply_batch(struct fixture *f, const struct batch *b, bool fresh, const char *mark)
{
	uint32_t *newest = mem_array(b->rows + 1, sizeof *newest);
	struct table_changes c = {.table = b->table, .rows = b, .newest = newest, .fresh = fresh};
	struct mark m = {.name = STR("position"), .value = str_of(mark)};
	struct change_set set = {
		.tables = &c, .ntables = 1, .marks = &m, .nmarks = mark != NULL ? 1 : 0};

	c.nnewest = fold(b, newest, &c.truncated);
	enum err rc = warehouse_apply(f->w, &set, &f->e);
	mem_free(newest);
	return rc;
}

void must_apply(struct fixture *f, const struct batch *b)
{
	assert_ok(apply_batch(f, b, false, NULL), &f->e);
}

static enum err take_answer(void *arg, const struct chunk *c, struct error *e)
{
	struct buf *out = arg;

	(void)e;
	for (size_t row = 0; row < c->rows; row++) {
		if (out->n > 0)
			buf_putc(out, '\n');
		for (size_t col = 0; col < c->ncols; col++) {
			if (col > 0)
				buf_putc(out, '|');
			if (vec_is_null(&c->cols[col], row))
				buf_putc(out, '-');
			else
				type_print(&c->cols[col], row, out);
		}
	}
	return OK;
}

const char *answer(struct fixture *f, const char *sql)
{
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	assert_ok(warehouse_query(f->w, str_of(sql), take_answer, &out, &f->e), &f->e);
	const char *text = arena_cstr(&f->mem, buf_str(&out));
	buf_free(&out);
	return text;
}
