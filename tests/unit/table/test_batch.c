#include "unit.h"

#include <string.h>

#include "batch.h"
#include "mem.h"
#include "rnd.h"

static struct column columns[] = {
	{.name = {"id", 2}, .type = {.kind = T_INT8}, .is_key = true},
	{.name = {"we\"ird", 6}, .type = {.kind = T_TEXT}},
	{.name = {"n", 1}, .type = {.kind = T_DECIMAL, .precision = 10, .scale = 2}},
};
static uint16_t keys[] = {0};
static const struct table sample = {.schema = {"s", 1},
	.name = {"t", 1},
	.ncolumns = 3,
	.columns = columns,
	.nkeys = 1,
	.keys = keys};

static void test_rows_start_empty(void **state)
{
	struct batch *b = batch_new(&sample);

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		size_t row = batch_add(b);

		assert_int_equal(row, i);
		assert_true(b->xid[row] == 0 && b->op[row] == 0 && b->commit[row].v == 0);
		for (size_t c = 0; c < 3; c++)
			assert_true(vec_is_null(&b->cols[c], row));
		VEC_AT(&b->cols[0], int64_t, row) = (int64_t)row;
		batch_set_valid(b, row, 0);
		b->xid[row] = 9;
	}
	for (size_t i = 0; i < 5000; i++) {
		assert_false(vec_is_null(&b->cols[0], i));
		assert_int_equal(VEC_AT(&b->cols[0], int64_t, i), i);
	}
	batch_reset(b);
	assert_int_equal(b->rows, 0);
	assert_true(vec_is_null(&b->cols[0], batch_add(b)));
	assert_int_equal(b->xid[0], 0);
	batch_free(b);
	batch_free(NULL);
}

static void test_unadd(void **state)
{
	struct batch *b = batch_new(&sample);

	(void)state;
	batch_add(b);
	size_t row = batch_add(b);
	batch_set_valid(b, row, 0);
	batch_note_exact(b, row, 2, STR("NaN"));
	batch_note_unchanged(b, row, 1);
	batch_unadd(b);
	assert_int_equal(b->rows, 1);
	assert_int_equal(b->nexact, 0);
	assert_int_equal(b->nunchanged, 0);
	assert_true(vec_is_null(&b->cols[0], batch_add(b)));
	batch_free(b);
}

static void test_notes(void **state)
{
	struct batch *b = batch_new(&sample);
	struct buf out;
	size_t exact = 0, unchanged = 0;
	char text[] = "NaN";

	(void)state;
	buf_init(&out, 1000);
	for (int i = 0; i < 3; i++)
		batch_add(b);
	batch_note_exact(b, 1, 1, STR("a\"b"));
	batch_note_exact(b, 1, 2, str_of(text));
	batch_note_unchanged(b, 2, 1);
	text[0] = 'X'; /* the batch has its own copy */
	assert_false(batch_exact_json(b, 0, &exact, &out));
	assert_true(batch_exact_json(b, 1, &exact, &out));
	assert_str(buf_str(&out), "{\"we\\\"ird\":\"a\\\"b\",\"n\":\"NaN\"}");
	assert_false(batch_exact_json(b, 2, &exact, &out));
	buf_reset(&out);
	assert_false(batch_unchanged_json(b, 1, &unchanged, &out));
	assert_true(batch_unchanged_json(b, 2, &unchanged, &out));
	assert_str(buf_str(&out), "[\"we\\\"ird\"]");
	buf_free(&out);
	batch_free(b);
}

/* A row whose key was changed is told by the deletion before it, and by nothing else. */
static void test_keep_moved(void **state)
{
	struct batch *b = batch_new(&sample);
	const uint32_t keep[] = {0, 1, 3, 5};

	(void)state;
	for (int i = 0; i < 6; i++)
		batch_add(b);
	b->moved[1] = b->moved[3] = b->moved[5] = 1;
	batch_keep(b, keep, 4);
	assert_int_equal(b->moved[1], 1);
	assert_int_equal(b->moved[2], 0);
	assert_int_equal(b->moved[3], 0);
	batch_reset(b);
	batch_add(b);
	assert_int_equal(b->moved[batch_add(b)], 0);
	batch_free(b);
}

static void test_retable(void **state)
{
	struct batch *b = batch_new(&sample);
	struct table narrow = sample;

	(void)state;
	for (int i = 0; i < 2000; i++)
		batch_add(b);
	batch_reset(b);
	narrow.ncolumns = 1;
	batch_retable(b, &narrow);
	for (int i = 0; i < 3000; i++)
		assert_true(vec_is_null(&b->cols[0], batch_add(b)));
	batch_reset(b);
	batch_retable(b, &sample);
	assert_true(vec_is_null(&b->cols[2], batch_add(b)));
	batch_free(b);
}

/* The batch of a table that is gone, for another of the same kinds: what it has grown to stays. */
static void test_retable_keeps(void **state)
{
	struct table *first = mem_alloc(sizeof *first);
	struct column other[3] = {columns[0], columns[1], columns[2]};
	struct table second = sample;

	(void)state;
	*first = sample;
	struct batch *b = batch_new(first);
	for (int i = 0; i < 3000; i++)
		batch_set_valid(b, batch_add(b), 0);
	void *data = b->cols[0].data;
	batch_reset(b);
	mem_free(first);
	other[2].type.scale = 4;
	second.columns = other;
	batch_retable(b, &second);
	assert_ptr_equal(b->cols[0].data, data);
	assert_int_equal(b->cols[2].type.scale, 4);
	for (int i = 0; i < 3000; i++)
		assert_true(vec_is_null(&b->cols[0], batch_add(b)));
	batch_free(b);
}

#define PIECES 3000

/* Each piece keeps what was written to it until the batch is reset; then the room is used again. */
static void test_room(void **state)
{
	struct batch *b = batch_new(&sample);
	struct rnd rnd;
	char *at[PIECES];
	size_t n[PIECES], used = 0;

	(void)state;
	rnd_seed(&rnd, unit_seed());
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < PIECES; i++) {
			n[i] = i == 7 ? (size_t)3 << 20 : rnd_below(&rnd, 2000);
			at[i] = batch_room(b, n[i]);
			memset(at[i], (int)(i % 251), n[i]);
			used += n[i];
		}
		assert_int_equal(b->texts_used, used);
		for (size_t i = 0; i < PIECES; i++)
			for (size_t k = 0; k < n[i]; k += 97)
				assert_int_equal((unsigned char)at[i][k], i % 251);
		batch_reset(b);
		assert_int_equal(b->texts_used, used = 0);
		assert_ptr_not_equal(b->spare, NULL);
	}
	batch_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_start_empty),
		cmocka_unit_test(test_unadd),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_keep_moved),
		cmocka_unit_test(test_retable),
		cmocka_unit_test(test_retable_keeps),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
