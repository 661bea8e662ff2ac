#include "fixture.h"

#define CURRENT "SELECT id, note, _lsn, _exact FROM shop.t ORDER BY id"
#define HISTORY                                                                                    \
	"SELECT id, note, _op, _lsn, _seq, _unchanged FROM shop_history.t ORDER BY _lsn, _seq"

static struct batch *start(struct fixture *f)
{
	struct table *t = make_table(f, "t", "id int8 key, note text, price decimal(6,2)");

	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	return batch_new(t);
}

static void test_fold(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);

	add_row(b, 'r', 10, 0, 0, "1|one|1.5");
	add_row(b, 'r', 10, 1, 0, "2|two|2");
	assert_ok(apply_batch(f, b, true, "A"), &f->e);
	assert_string_equal(answer(f, CURRENT), "1|one|10|-\n2|two|10|-");
	batch_reset(b);
	add_row(b, 'U', 20, 0, 5, "1|uno|1.5");
	add_row(b, 'I', 20, 1, 5, "3|three|-");
	add_row(b, 'U', 20, 2, 5, "1|eins|1.5"); /* only the newest of a key is folded */
	add_row(b, 'D', 21, 0, 6, "2|-|-");
	add_row(b, 'I', 22, 0, 7, "4|gone soon|-");
	add_row(b, 'D', 22, 1, 7, "4|-|-");
	assert_ok(apply_batch(f, b, false, "B"), &f->e);
	assert_string_equal(answer(f, CURRENT), "1|eins|20|-\n3|three|20|-");
	assert_string_equal(answer(f, HISTORY),
		"1|one|r|10|0|-\n2|two|r|10|1|-\n1|uno|U|20|0|-\n3|three|I|20|1|-\n"
		"1|eins|U|20|2|-\n2|-|D|21|0|-\n4|gone soon|I|22|0|-\n4|-|D|22|1|-");
	assert_string_equal(answer(f, "SELECT value FROM ops.marks"), "B");
	batch_reset(b); /* a key that changes: its deletion, then the new row */
	add_row(b, 'D', 30, 0, 8, "3|-|-");
	add_row(b, 'U', 30, 1, 8, "33|three|-");
	must_apply(f, b);
	assert_string_equal(answer(f, CURRENT), "1|eins|20|-\n33|three|30|-");
	fixture_reopen(f);
	assert_string_equal(answer(f, CURRENT), "1|eins|20|-\n33|three|30|-");
	batch_free(b);
}

static void test_truncate(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);

	add_row(b, 'I', 10, 0, 1, "1|a|-");
	add_row(b, 'I', 10, 1, 1, "2|b|-");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'I', 11, 0, 2, "3|c|-");
	add_row(b, 'T', 12, 0, 3, "");
	add_row(b, 'I', 13, 0, 4, "2|after|-");
	must_apply(f, b);
	assert_string_equal(answer(f, CURRENT), "2|after|13|-");
	assert_string_equal(answer(f, "SELECT count(*), count(id) FROM shop_history.t"), "5|4");
	batch_free(b);
}

static void test_exact(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);

	add_row(b, 'I', 10, 0, 1, "1|a|!NaN");
	add_row(b, 'I', 10, 1, 1, "2|b|123456.78"); /* one digit more than the column has */
	size_t row = add_row(b, 'I', 10, 2, 1, "3|-|1");
	VEC_AT(&b->cols[1], struct str, row) = STR("ab\xff");
	batch_set_valid(b, row, 1);
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT id, note, price, _exact FROM shop.t ORDER BY id"),
		"1|a|-|{\"price\":\"NaN\"}\n2|b|-|{\"price\":\"123456.78\"}\n"
		"3|-|1.00|{\"note\":\"\\\\x6162ff\"}");
	assert_string_equal(answer(f, "SELECT count(_exact) FROM shop_history.t"), "3");
	batch_free(b);
}

/* Values that PostgreSQL did not send, wherever the row was before. */
static void test_unchanged(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);

	add_row(b, 'I', 10, 0, 1, "1|long one|!NaN");
	add_row(b, 'I', 10, 1, 1, "2|long two|2");
	add_row(b, 'I', 10, 2, 1, "3|long three|3");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'U', 20, 0, 2, "1|?|?"); /* from current, with its exact text */
	add_row(b, 'U', 20, 1, 2, "1|?|7"); /* from the row before, itself completed */
	add_row(b, 'D', 20, 2, 2, "2|-|-"); /* a changed key: from current ... */
	b->moved[add_row(b, 'U', 20, 3, 2, "20|?|8")] = 1;
	add_row(b, 'U', 21, 0, 3, "3|new three|3"); /* ... and from this batch */
	add_row(b, 'D', 21, 1, 3, "3|-|-");
	b->moved[add_row(b, 'U', 21, 2, 3, "30|?|9")] = 1;
	add_row(b, 'D', 22, 0, 4, "77|-|-"); /* a deletion that has nothing to do with it */
	add_row(b, 'U', 22, 1, 4, "30|?|10");
	add_row(b, 'U', 23, 0, 5, "99|?|1"); /* never seen before: nobody knows */
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT id, note, price, _exact FROM shop.t ORDER BY id"),
		"1|long one|7.00|-\n20|long two|8.00|-\n30|new three|10.00|-\n99|-|1.00|-");
	assert_string_equal(answer(f,
				    "SELECT id, note, price, _exact, _unchanged FROM "
				    "shop_history.t WHERE _lsn >= 20 AND _op = 'U' ORDER BY "
				    "_lsn, _seq"),
		"1|long one|-|{\"price\":\"NaN\"}|[\"note\",\"price\"]\n"
		"1|long one|7.00|-|[\"note\"]\n20|long two|8.00|-|[\"note\"]\n"
		"3|new three|3.00|-|-\n30|new three|9.00|-|[\"note\"]\n"
		"30|new three|10.00|-|[\"note\"]\n99|-|1.00|-|[\"note\"]");
	batch_reset(b);
	add_row(b, 'T', 30, 0, 6, "");
	add_row(b, 'U', 31, 0, 7, "1|?|1"); /* what a truncation took does not come back */
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT id, note FROM shop.t"), "1|-");
	batch_free(b);
}

/* While a table is copied a row may be changed that is not there yet: then nobody knows the values
 * that were not sent, least of all the row that the same transaction deleted just before. */
static void test_unchanged_of_a_row_not_there(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);

	add_row(b, 'I', 10, 0, 1, "1|long one|1");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'D', 20, 0, 2, "1|-|-"); /* in current */
	add_row(b, 'U', 20, 1, 2, "2|?|2");
	add_row(b, 'I', 20, 2, 2, "3|long three|3");
	add_row(b, 'D', 20, 3, 2, "3|-|-"); /* in this batch */
	add_row(b, 'U', 20, 4, 2, "4|?|4");
	/* A key changed twice, whose row is not there. */
	add_row(b, 'D', 21, 0, 3, "5|-|-");
	b->moved[add_row(b, 'U', 21, 1, 3, "6|?|6")] = 1;
	add_row(b, 'D', 21, 2, 3, "6|-|-");
	b->moved[add_row(b, 'U', 21, 3, 3, "7|?|7")] = 1;
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT id, note, price FROM shop.t ORDER BY id"),
		"2|-|2.00\n4|-|4.00\n7|-|7.00");
	assert_string_equal(
		answer(f, "SELECT count(note) FROM shop_history.t WHERE _op = 'U'"), "0");
	batch_free(b);
}

/* What stands in current from before the floor is not what the row had. */
static void test_unchanged_above_the_floor(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);
	uint32_t all[] = {0, 1, 2, 3};
	struct table_changes c = {
		.table = b->table, .rows = b, .newest = all, .nnewest = 4, .floor = {20}};
	struct change_set set = {.tables = &c, .ntables = 1};

	add_row(b, 'I', 19, 0, 1, "1|old one|1");
	add_row(b, 'I', 20, 0, 1, "2|right two|2");
	add_row(b, 'I', 18, 0, 1, "3|old three|3");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'U', 30, 0, 2, "1|?|4");
	add_row(b, 'U', 30, 1, 2, "2|?|5");
	add_row(b, 'D', 30, 2, 2, "3|-|-");
	b->moved[add_row(b, 'U', 30, 3, 2, "30|?|6")] = 1;
	assert_ok(warehouse_apply(f->w, &set, &f->e), &f->e);
	assert_string_equal(answer(f, "SELECT id, note, price FROM shop.t ORDER BY id"),
		"1|-|4.00\n2|right two|5.00\n30|-|6.00");
	batch_free(b);
}

static void test_keys_kept_exactly(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "k", "id decimal(4,0) key, note text");
	struct batch *b = batch_new(t);

	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	add_row(b, 'I', 10, 0, 1, "!123456|big");
	add_row(b, 'I', 10, 1, 1, "!NaN|nan");
	add_row(b, 'I', 10, 2, 1, "7|seven");
	must_apply(f, b);
	batch_reset(b);
	add_row(b, 'U', 11, 0, 2, "!NaN|other");
	add_row(b, 'D', 11, 1, 2, "!123456|-");
	must_apply(f, b);
	assert_string_equal(
		answer(f, "SELECT id, note FROM shop.k ORDER BY note"), "-|other\n7|seven");
	batch_free(b);
}

static void test_without_key(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "log", "id int8, note text");
	struct batch *b = batch_new(t);

	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	add_row(b, 'I', 10, 0, 1, "1|x");
	add_row(b, 'I', 10, 1, 1, "1|x");
	must_apply(f, b);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.log"), "2");
	batch_reset(b);
	add_row(b, 'D', 11, 0, 2, "1|x");
	assert_err(apply_batch(f, b, false, NULL), ERR_INPUT, &f->e);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.log"), "2");
	batch_free(b);
}

/* One table's rows are good, the other's table is not there: nothing of either may stay. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct batch *good = start(f), *bad = batch_new(make_table(f, "absent", "id int8 key"));
	uint32_t first = 0;

	add_row(good, 'I', 10, 0, 1, "1|a|-");
	add_row(bad, 'I', 10, 1, 1, "1");
	struct table_changes changes[] = {
		{.table = good->table, .rows = good, .newest = &first, .nnewest = 1},
		{.table = bad->table, .rows = bad, .newest = &first, .nnewest = 1}};
	struct mark mark = {.name = STR("position"), .value = STR("B")};
	struct change_set set = {.tables = changes, .ntables = 2, .marks = &mark, .nmarks = 1};
	assert_err(warehouse_apply(f->w, &set, &f->e), ERR_INPUT, &f->e);
	assert_has(f->e.text, "absent");
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.t"), "0");
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.t"), "0");
	assert_string_equal(answer(f, "SELECT count(*) FROM ops.marks"), "0");
	set.ntables = 1;
	assert_ok(warehouse_apply(f->w, &set, &f->e), &f->e);
	assert_string_equal(answer(f, CURRENT), "1|a|10|-");
	batch_free(good);
	batch_free(bad);
}

static void test_broken_fold_is_refused(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);
	uint32_t newest[] = {1, 0};
	struct table_changes c = {.table = b->table, .rows = b, .newest = newest, .nnewest = 2};
	struct change_set set = {.tables = &c, .ntables = 1};

	add_row(b, 'I', 10, 0, 1, "1|a|-");
	add_row(b, 'I', 10, 1, 1, "2|b|-");
	assert_err(warehouse_apply(f->w, &set, &f->e), ERR_BUG, &f->e);
	newest[0] = 5;
	c.nnewest = 1;
	assert_err(warehouse_apply(f->w, &set, &f->e), ERR_BUG, &f->e);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.t"), "0");
	batch_free(b);
}

static void test_marks(void **state)
{
	struct fixture *f = *state;
	struct mark marks[] = {{STR("a'b"), STR("1'2")}, {STR("c"), STR("")}};
	struct change_set set = {.marks = marks, .nmarks = 2};
	struct buf out;

	buf_init(&out, 100);
	assert_ok(warehouse_mark(f->w, STR("a'b"), &out, &f->e), &f->e);
	assert_int_equal(out.n, 0);
	assert_ok(warehouse_apply(f->w, &set, &f->e), &f->e);
	marks[1].value = STR("again");
	assert_ok(warehouse_apply(f->w, &set, &f->e), &f->e);
	fixture_reopen(f);
	assert_ok(warehouse_mark(f->w, STR("a'b"), &out, &f->e), &f->e);
	assert_str(buf_str(&out), "1'2");
	buf_reset(&out);
	assert_ok(warehouse_mark(f->w, STR("c"), &out, &f->e), &f->e);
	assert_str(buf_str(&out), "again");
	buf_free(&out);
}

static void test_faulty(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f);
	unsigned failed = 0;

	add_row(b, 'I', 10, 0, 1, "1|a|-");
	for (unsigned nth = 1; nth <= 3; nth++) {
		struct warehouse *inner = f->w;

		f->w = warehouse_faulty(inner, "apply", nth);
		for (unsigned call = 1; call <= 2; call++) {
			enum err rc = apply_batch(f, b, false, NULL);

			assert_int_equal(rc, call == nth ? ERR_UNAVAILABLE : OK);
			failed += rc != OK;
		}
		answer(f, CURRENT); /* other operations pass */
		warehouse_close(f->w);
		struct warehouse_options o = {.url = f->url, .threads = 1};
		assert_ok(warehouse_open(&f->w, &o, &f->env, &f->e), &f->e);
	}
	assert_int_equal(failed, 2);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.t"), "4");
	f->w = warehouse_faulty(f->w, "*", 1);
	assert_err(warehouse_script(f->w, STR("SELECT 1"), &f->e), ERR_UNAVAILABLE, &f->e);
	assert_ok(warehouse_script(f->w, STR("SELECT 1"), &f->e), &f->e);
	batch_free(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fold),
		TEST(test_truncate),
		TEST(test_exact),
		TEST(test_unchanged),
		TEST(test_unchanged_of_a_row_not_there),
		TEST(test_unchanged_above_the_floor),
		TEST(test_keys_kept_exactly),
		TEST(test_without_key),
		TEST(test_all_or_nothing),
		TEST(test_broken_fold_is_refused),
		TEST(test_marks),
		TEST(test_faulty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
