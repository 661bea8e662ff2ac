/* The pieces of a copy that need no server: ranges of blocks, and the keys that were touched. */
#include "unit.h"

#include "rnd.h"
#include "snapshot_parts.h"
#include "snapshot_touched.h"

static struct copy_part part_of(uint32_t blocks, uint32_t step)
{
	return (struct copy_part){.relid = 7,
		.schema = STR("public"),
		.name = STR("a \"name\""),
		.print = STR("f00"),
		.blocks = blocks,
		.step = step};
}

static void drop(struct copy_part *p)
{
	struct copy_parts all = {.items = p, .n = 1};

	parts_free(&all);
}

/* Ranges follow each other without a gap, and only the last one is open at its end. */
static void test_ranges_cover_all(void **state)
{
	(void)state;
	for (uint32_t blocks = 0; blocks < 40; blocks++)
		for (uint32_t step = 1; step < 12; step++) {
			struct copy_part p = part_of(blocks, step);
			struct block_range r;
			uint32_t at = 0;
			while (at != BLOCK_END) {
				assert_true(part_next(&p, at, &r));
				assert_int_equal(r.from, at);
				assert_true(r.to > r.from);
				assert_true(r.to == BLOCK_END || r.to < blocks);
				at = r.to;
			}
			drop(&p);
		}
}

/* In any order, done twice or in overlapping pieces: what is in is not asked for again. */
static void test_ranges_in_any_order(void **state)
{
	struct rnd rnd;

	(void)state;
	rnd_seed(&rnd, unit_seed());
	for (int round = 0; round < 300; round++) {
		struct copy_part p = part_of(64, 1 + (uint32_t)rnd_below(&rnd, 9));
		bool in[80] = {false};
		for (int i = 0; i < 12; i++) {
			struct block_range r = {.from = (uint32_t)rnd_below(&rnd, 70)};
			r.to = r.from + 1 + (uint32_t)rnd_below(&rnd, 9);
			part_add(&p, r);
			for (uint32_t b = r.from; b < r.to; b++)
				in[b] = true;
		}
		struct block_range r;
		bool asked[80] = {false};
		for (uint32_t at = 0; part_next(&p, at, &r); at = r.to) {
			for (uint32_t b = r.from; b < r.to && b < 80; b++)
				asked[b] = true;
			if (r.to == BLOCK_END)
				break;
		}
		for (size_t b = 0; b < 80; b++)
			assert_true(asked[b] == !in[b]);
		drop(&p);
	}
}

static void test_parts_survive_json(void **state)
{
	struct arena mem = {0};
	struct copy_part items[2] = {part_of(64, 3), part_of(0, 1)};
	struct copy_parts p = {.items = items, .n = 2}, back = {.n = 0}, bad = {.n = 0};
	struct error e = {.kind = OK};
	struct buf json;

	(void)state;
	part_add(&items[0], (struct block_range){3, 6});
	part_add(&items[0], (struct block_range){9, BLOCK_END});
	buf_init(&json, 1 << 20);
	parts_write(&p, &json);
	assert_ok(parts_read(buf_str(&json), &mem, &back, &e), &e);
	assert_true(parts_same(&p, &back));
	assert_int_equal(back.items[0].nin, 2);
	assert_int_equal(back.items[0].in[1].to, BLOCK_END);
	assert_int_equal(back.items[0].step, 3);
	back.items[1].print = STR("other");
	assert_false(parts_same(&p, &back));
	assert_err(parts_read(STR("[{\"relid\":-1}]"), &mem, &bad, &e), ERR_INPUT, &e);
	parts_free(&p);
	parts_free(&back);
	buf_free(&json);
	arena_free(&mem);
}

static void test_conditions(void **state)
{
	struct buf sql;

	(void)state;
	buf_init(&sql, 4096);
	part_where(150000, (struct block_range){5, 9}, &sql);
	assert_string_equal(buf_cstr(&sql),
		"ctid >= '(5,0)'::pg_catalog.tid AND ctid < '(9,0)'::pg_catalog.tid");
	buf_reset(&sql);
	part_where(130000, (struct block_range){5, 9}, &sql);
	assert_non_null(strstr(buf_cstr(&sql), "generate_series(5, 8)"));
	buf_reset(&sql);
	part_where(130000, (struct block_range){5, BLOCK_END}, &sql);
	assert_string_equal(buf_cstr(&sql), "ctid >= '(5,0)'::pg_catalog.tid");
	buf_free(&sql);
}

static void test_touched(void **state)
{
	struct touched t = {.n = 0};
	struct rnd rnd;

	(void)state;
	rnd_seed(&rnd, unit_seed());
	uint64_t lo = rnd_u64(&rnd);
	assert_false(touched_has(&t, (struct rowhash){.lo = 1}));
	for (uint64_t i = 1; i <= 20000; i++)
		touched_add(&t, (struct rowhash){.lo = lo * i, .hi = i});
	for (uint64_t i = 1; i <= 20000; i++) {
		assert_true(touched_has(&t, (struct rowhash){.lo = lo * i, .hi = i}));
		assert_false(touched_has(&t, (struct rowhash){.lo = lo * i, .hi = i + 20000}));
	}
	assert_false(touched_has(&t, (struct rowhash){.lo = 0}));
	touched_add(&t, (struct rowhash){.lo = 0});
	assert_true(touched_has(&t, (struct rowhash){.lo = 0}));
	assert_int_equal(t.n, 20000);
	touched_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_cover_all),
		cmocka_unit_test(test_ranges_in_any_order),
		cmocka_unit_test(test_parts_survive_json),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
