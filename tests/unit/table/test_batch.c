#include "unit.h"

#include "batch.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_start_empty),
		cmocka_unit_test(test_unadd),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_keep_moved),
		cmocka_unit_test(test_retable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
