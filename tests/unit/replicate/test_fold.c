#include "unit.h"

#include "fold.h"
#include "mem.h"
#include "pg_value.h"
#include "rnd.h"
#include "shape.h"

static struct table *make_table(
	struct arena *mem, const char *const *names, const uint32_t *types, size_t n, size_t nkeys)
{
	struct table *t = arena_alloc(mem, sizeof(*t));

	t->schema = STR("public");
	t->name = STR("t");
	t->ncolumns = n;
	t->columns = arena_array(mem, n, sizeof(*t->columns));
	for (size_t i = 0; i < n; i++)
		t->columns[i] = (struct column){.name = str_of(names[i]),
			.pg_type = types[i],
			.pg_modifier = -1,
			.type = pg_landing(types[i], -1),
			.is_key = i < nkeys,
			.nullable = true};
	table_index_keys(t, mem);
	return t;
}

enum { INT4 = 23, TEXT = 25, NUMERIC = 1700 };

static size_t add(struct batch *b, enum change_op op, const char *const *values)
{
	assert_true(b->table->ncolumns <= 3);
	struct error e = {.kind = OK};
	size_t row = batch_add(b);

	b->op[row] = (uint8_t)op;
	for (size_t c = 0; c < b->table->ncolumns && op != OP_TRUNCATE; c++)
		if (values[c] != NULL)
			assert_ok(pg_value_text(b, row, c, str_of(values[c]), &e), &e);
	return row;
}

#define ROW(...)                                                                                   \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void test_newest_of_each_key(void **state)
{
	(void)state;
	struct arena mem = {0};
	const struct table *t = make_table(
		&mem, ROW("a", "b", "v"), (const uint32_t[]){TEXT, TEXT, INT4}, 3, 2);
	struct batch *b = batch_new(t);
	struct fold f = {0};
	struct table_changes out = {.table = t};

	add(b, OP_INSERT, ROW("x", "yz", "1"));
	add(b, OP_INSERT,
		ROW("xy", "z", "2")); /* another key, though the bytes run together alike */
	add(b, OP_UPDATE, ROW("x", "yz", "3"));
	add(b, OP_DELETE, ROW("xy", "z", NULL));
	add(b, OP_INSERT, ROW("", "", "4"));
	fold_run(&f, b, &out);
	assert_false(out.truncated);
	assert_int_equal(out.nnewest, 3);
	assert_int_equal(out.newest[0], 2);
	assert_int_equal(out.newest[1], 3);
	assert_int_equal(out.newest[2], 4);
	/* What a truncation has removed does not come back; what follows it does. */
	add(b, OP_TRUNCATE, ROW(NULL, NULL, NULL));
	add(b, OP_INSERT, ROW("x", "yz", "5"));
	fold_run(&f, b, &out);
	assert_true(out.truncated);
	assert_int_equal(out.nnewest, 1);
	assert_int_equal(out.newest[0], 6);
	/* A deletion and the insertion after it are one change. */
	batch_reset(b);
	add(b, OP_DELETE, ROW("x", "yz", NULL));
	add(b, OP_INSERT, ROW("x", "yz", "6"));
	fold_run(&f, b, &out);
	assert_int_equal(out.nnewest, 1);
	batch_reset(b);
	fold_run(&f, b, &out);
	assert_int_equal(out.nnewest, 0);
	assert_false(out.truncated);
	fold_free(&f);
	batch_free(b);
	arena_free(&mem);
}

/* Against the obvious way: a table of the last row of each key. */
static void test_random_batches(void **state)
{
	(void)state;
	struct arena mem = {0};
	struct rnd rnd;
	const struct table *t = make_table(
		&mem, ROW("id", "v"), (const uint32_t[]){INT4, TEXT}, 2, 1);
	struct batch *b = batch_new(t);
	struct fold f = {0};

	rnd_seed(&rnd, unit_seed());
	for (unsigned round = 0; round < 60; round++) {
		uint32_t last[64];
		size_t keys = 0, rows = rnd_below(&rnd, round % 10 == 0 ? 3000 : 50);
		bool truncated = false;
		struct table_changes out = {.table = t};
		memset(last, 0xFF, sizeof(last));
		batch_reset(b);
		for (size_t i = 0; i < rows; i++) {
			unsigned id = (unsigned)rnd_below(&rnd, 64);
			char text[16];
			snprintf(text, sizeof(text), "%u", id);
			if (rnd_below(&rnd, 40) == 0) {
				add(b, OP_TRUNCATE, ROW(NULL, NULL, NULL));
				memset(last, 0xFF, sizeof(last));
				truncated = true;
				continue;
			}
			last[id] = (uint32_t)add(b, rnd_below(&rnd, 3) == 0 ? OP_DELETE : OP_UPDATE,
				ROW(text, "v", NULL));
		}
		fold_run(&f, b, &out);
		assert_int_equal(out.truncated, truncated);
		for (size_t id = 0; id < 64; id++)
			keys += last[id] != UINT32_MAX;
		assert_int_equal(out.nnewest, keys);
		for (size_t i = 0; i < out.nnewest; i++) {
			uint32_t row = out.newest[i];
			assert_int_equal(last[VEC_AT(&b->cols[0], int32_t, row)], row);
			assert_true(i == 0 || out.newest[i - 1] < row);
		}
	}
	fold_free(&f);
	batch_free(b);
	arena_free(&mem);
}

/* A key that its column cannot hold is told apart by its exact text. */
static void test_keys_beyond_their_type(void **state)
{
	(void)state;
	static const char one[] = "infinity", two[] = "-infinity";
	struct arena mem = {0};
	struct table *t = make_table(&mem, ROW("k", "v"), (const uint32_t[]){NUMERIC, INT4}, 2, 1);
	t->columns[0].pg_modifier = (10 << 16 | 2) + 4;
	t->columns[0].type = pg_landing(NUMERIC, t->columns[0].pg_modifier);
	assert_int_equal(t->columns[0].type.kind, T_DECIMAL);
	struct batch *b = batch_new(t);
	struct fold f = {0};
	struct table_changes out = {.table = t};

	add(b, OP_INSERT, ROW(one, "1"));
	add(b, OP_INSERT, ROW(two, "2"));
	add(b, OP_UPDATE, ROW(one, "3"));
	add(b, OP_INSERT, ROW("1.5", "4"));
	add(b, OP_UPDATE, ROW("1.50", "5"));
	assert_int_equal(b->nexact, 3);
	fold_run(&f, b, &out);
	assert_int_equal(out.nnewest, 3);
	assert_int_equal(out.newest[0], 1);
	assert_int_equal(out.newest[1], 2);
	assert_int_equal(out.newest[2], 4);
	fold_free(&f);
	batch_free(b);
	arena_free(&mem);
}

static void test_rows_move_to_another_shape(void **state)
{
	(void)state;
	struct arena mem = {0};
	struct error e = {.kind = OK};
	struct table *before = make_table(
		&mem, ROW("id", "old", "n"), (const uint32_t[]){INT4, TEXT, TEXT}, 3, 1);
	struct table *after = make_table(
		&mem, ROW("n", "id", "new"), (const uint32_t[]){INT4, INT4, TEXT}, 3, 0);
	after->columns[1].is_key = true;
	table_index_keys(after, &mem);
	struct table *both = shape_union(before, after, &mem);

	assert_int_equal(both->ncolumns, 4);
	assert_str(both->columns[3].name, "old");
	assert_int_equal(both->nkeys, 1);
	assert_int_equal(both->keys[0], 1);
	assert_str(shape_describe(before, after, (const int[]){2, 0, -1}, &mem),
		"retyped n from text to int4; added new text; dropped old");
	assert_str(shape_describe(before, before, (const int[]){0, 1, 2}, &mem), "");

	struct batch *from = batch_new(before), *to = batch_new(both);
	add(from, OP_INSERT, ROW("1", "gone", "42"));
	add(from, OP_UPDATE, ROW("2", NULL, "not a number"));
	batch_note_unchanged(from, 1, 1);
	from->seq[1] = 9;
	from->moved[1] = 1;
	assert_ok(shape_move_rows(from, to, &e), &e);
	assert_int_equal(to->rows, 2);
	assert_int_equal(VEC_AT(&to->cols[0], int32_t, 0), 42);
	assert_int_equal(VEC_AT(&to->cols[1], int32_t, 1), 2);
	assert_true(vec_is_null(&to->cols[2], 0));
	assert_str(vec_text(&to->cols[3], 0), "gone");
	/* What the new type cannot hold is kept as it was written. */
	assert_true(vec_is_null(&to->cols[0], 1));
	assert_str(shape_exact(to, 1, 0), "not a number");
	assert_int_equal(to->nunchanged, 1);
	assert_int_equal(to->unchanged[0].column, 3);
	assert_int_equal(to->seq[1], 9);
	assert_int_equal(to->moved[1], 1);
	assert_int_equal(to->moved[0], 0);
	assert_int_equal(to->op[1], OP_UPDATE);
	batch_free(from);
	batch_free(to);
	arena_free(&mem);
}

/* Without a key no row replaces another. */
static void test_without_a_key(void **state)
{
	(void)state;
	struct arena mem = {0};
	const struct table *t = make_table(
		&mem, ROW("a", "v"), (const uint32_t[]){TEXT, INT4}, 2, 0);
	struct batch *b = batch_new(t);
	struct fold f = {0};
	struct table_changes out = {.table = t};

	for (size_t i = 0; i < 100; i++)
		add(b, OP_INSERT, ROW("same", "1"));
	fold_run(&f, b, &out);
	assert_int_equal(out.nnewest, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(out.newest[i], i);
	add(b, OP_TRUNCATE, ROW(NULL, NULL));
	add(b, OP_INSERT, ROW("same", "1"));
	add(b, OP_INSERT, ROW("same", "1"));
	fold_run(&f, b, &out);
	assert_true(out.truncated);
	assert_int_equal(out.nnewest, 2);
	assert_int_equal(out.newest[0], 101);
	fold_free(&f);
	batch_free(b);
	arena_free(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_key),
		cmocka_unit_test(test_newest_of_each_key),
		cmocka_unit_test(test_random_batches),
		cmocka_unit_test(test_keys_beyond_their_type),
		cmocka_unit_test(test_rows_move_to_another_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
