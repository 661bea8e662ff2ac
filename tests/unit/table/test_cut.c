#include "unit.h"

#include "arena.h"
#include "cut.h"
#include "rnd.h"
#include "table.h"

static void test_lsn(void **state)
{
	char text[LSN_TEXT];
	lsn at;

	(void)state;
	assert_true(lsn_parse(STR("16/B374D848"), &at));
	assert_int_equal(at.v, 0x16B374D848);
	assert_string_equal(lsn_format(at, text), "16/B374D848");
	assert_true(lsn_parse(STR("FFFFFFFF/ffffffff"), &at));
	assert_true(at.v == UINT64_MAX);
	assert_string_equal(lsn_format(LSN_NONE, text), "0/0");
	static const char *const bad[] = {"", "/", "1/", "/1", "1", "1/2/3", "123456789/0",
		"0/123456789", "g/0", " 1/2", "1/-2"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(lsn_parse(str_of(bad[i]), &at));
	assert_int_equal(lsn_cmp((lsn){1}, (lsn){2}), -1);
	assert_int_equal(lsn_max((lsn){1}, (lsn){2}).v, 2);
}

static void test_lsn_there_and_back(void **state)
{
	struct rnd r;

	(void)state;
	rnd_seed(&r, unit_seed());
	for (int i = 0; i < 2000; i++) {
		lsn at = {rnd_u64(&r) >> rnd_below(&r, 64)}, back;
		char text[LSN_TEXT];

		assert_true(lsn_parse(str_of(lsn_format(at, text)), &back));
		assert_true(at.v == back.v);
	}
}

static void test_cut_parse(void **state)
{
	struct arena mem = {0};
	struct error e = {0};
	struct cut c;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_ok(cut_parse(STR("10:20:10,14,15"), (lsn){500}, &mem, &c, &e), &e);
	assert_int_equal(c.nrunning, 3);
	assert_true(cut_sees_xid(&c, 9));
	assert_false(cut_sees_xid(&c, 10));
	assert_true(cut_sees_xid(&c, 11));
	assert_false(cut_sees_xid(&c, 15));
	assert_true(cut_sees_xid(&c, 19));
	assert_false(cut_sees_xid(&c, 20));
	assert_true(cut_includes(&c, 11, (lsn){500}));
	assert_false(cut_includes(&c, 11, (lsn){501}));
	assert_false(cut_includes(&c, 14, (lsn){1}));
	assert_true(cut_includes(&c, 0, (lsn){1}));
	cut_print_snapshot(&c, &out);
	assert_str(buf_str(&out), "10:20:10,14,15");
	assert_ok(cut_parse(STR("7:7:"), (lsn){1}, &mem, &c, &e), &e);
	assert_int_equal(c.nrunning, 0);
	static const char *const bad[] = {"", "1", "1:2", "2:1:", "0:1:", "1:5:9", "3:5:2",
		"1:5:3,2", "1:5:3,3", "1:5:x", "a:b:", "1:5:2,"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(cut_parse(str_of(bad[i]), (lsn){1}, &mem, &c, &e), ERR_INPUT, &e);
	buf_free(&out);
	arena_free(&mem);
}

static void test_xid_widen(void **state)
{
	struct rnd r;

	(void)state;
	rnd_seed(&r, unit_seed());
	assert_true(xid_widen(5, UINT64_C(0x1fffffff0)) == UINT64_C(0x200000005));
	assert_true(xid_widen(0xfffffff0U, UINT64_C(0x200000003)) == UINT64_C(0x1fffffff0));
	assert_true(
		xid_widen(0xfffffff0U, 3) == 0xfffffff0U); /* there is no epoch before the first */
	for (int i = 0; i < 5000; i++) {
		uint64_t id = (rnd_u64(&r) >> 1) + ((uint64_t)1 << 33);
		uint64_t shift = rnd_below(&r, (uint64_t)1 << 31);
		uint64_t near = rnd_below(&r, 2) ? id + shift : id - shift;

		assert_true(xid_widen((uint32_t)id, near) == id);
	}
}

static struct table *sample(struct arena *mem)
{
	struct table *t = arena_alloc(mem, sizeof *t);

	t->schema = STR("public");
	t->name = STR("bookings");
	t->ncolumns = 2;
	t->columns = arena_array(mem, 2, sizeof *t->columns);
	t->columns[0] = (struct column){
		.name = STR("id"), .pg_modifier = -1, .type = {.kind = T_INT8}, .is_key = true};
	t->columns[1] = (struct column){
		.name = STR("note"), .pg_modifier = -1, .type = {.kind = T_TEXT}};
	table_index_keys(t, mem);
	return t;
}

static void test_table(void **state)
{
	struct arena mem = {0}, other = {0};
	struct table *t = sample(&mem);
	struct table *copy = table_copy(t, &other);

	(void)state;
	assert_int_equal(t->nkeys, 1);
	assert_int_equal(t->keys[0], 0);
	assert_true(table_same_shape(t, copy));
	assert_int_equal(table_column(t, STR("note")), 1);
	assert_int_equal(table_column(t, STR("Note")), -1);
	assert_str(table_full_name(t, &mem), "public.bookings");
	t->columns[1].pg_modifier = 7;
	assert_false(table_same_shape(t, copy));
	arena_free(&mem); /* the copy stands on its own */
	assert_str(copy->columns[1].name, "note");
	assert_str(copy->schema, "public");
	arena_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lsn),
		cmocka_unit_test(test_lsn_there_and_back),
		cmocka_unit_test(test_cut_parse),
		cmocka_unit_test(test_xid_widen),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
