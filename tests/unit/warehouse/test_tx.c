/* Transactions of several parts: seen whole or not at all. */
#include "fixture.h"

#include "mem.h"

static void put_into(struct warehouse_tx *x, const struct batch *b, bool fresh, struct error *e)
{
	uint32_t *all = mem_array(b->rows + 1, sizeof *all);

	for (uint32_t i = 0; i < b->rows; i++)
		all[i] = i;
	struct table_changes c = {
		.table = b->table, .rows = b, .newest = all, .nnewest = b->rows, .fresh = fresh};
	struct change_set set = {.tables = &c, .ntables = 1};
	assert_int_equal(warehouse_tx_put(x, &set, e), OK);
	mem_free(all);
}

static struct warehouse_tx *begun(struct fixture *f)
{
	struct warehouse_tx *x;

	assert_int_equal(warehouse_begin(f->w, &x, &f->e), OK);
	return x;
}

/* Two parts; the second changes a row of the first. Nobody sees either before the commit. */
static void parts_become_visible_together(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "item", "id int8 key, note text");
	struct batch *b = batch_new(t);

	assert_int_equal(warehouse_ensure_table(f->w, t, &f->e), OK);
	struct warehouse_tx *x = begun(f);
	add_row(b, OP_INSERT, 10, 0, 1, "1|one");
	add_row(b, OP_INSERT, 10, 1, 1, "2|two");
	put_into(x, b, false, &f->e);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.item"), "0");
	batch_reset(b);
	add_row(b, OP_UPDATE, 10, 2, 1, "2|-");
	put_into(x, b, false, &f->e);
	struct mark mark = {.name = STR("position"), .value = STR("10")};
	struct change_set marks = {.marks = &mark, .nmarks = 1};
	assert_int_equal(warehouse_tx_put(x, &marks, &f->e), OK);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.item"), "0");
	assert_int_equal(warehouse_tx_commit(x, &f->e), OK);
	assert_string_equal(answer(f, "SELECT id, note FROM shop.item ORDER BY id"), "1|one\n2|-");
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.item"), "3");
	assert_string_equal(answer(f, "SELECT value FROM ops.marks WHERE name = 'position'"), "10");
	batch_free(b);
}

static void abandoned_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "item", "id int8 key, note text");
	struct batch *b = batch_new(t);

	assert_int_equal(warehouse_ensure_table(f->w, t, &f->e), OK);
	struct warehouse_tx *x = begun(f);
	add_row(b, OP_INSERT, 10, 0, 1, "1|one");
	put_into(x, b, true, &f->e);
	warehouse_tx_abandon(x);
	warehouse_tx_abandon(NULL);
	fixture_reopen(f);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.item"), "0");
	assert_string_equal(answer(f, "SELECT count(*) FROM shop_history.item"), "0");
	batch_free(b);
}

/* A source transaction may change the shape of its own table between its rows. */
static void shape_changes_within(void **state)
{
	struct fixture *f = *state;
	struct table *before = make_table(f, "item", "id int8 key, note text");
	struct table *after = make_table(f, "item", "id int8 key, note text, price decimal(10,2)");
	struct batch *b = batch_new(before), *wide = batch_new(after);

	assert_int_equal(warehouse_ensure_table(f->w, before, &f->e), OK);
	struct warehouse_tx *x = begun(f);
	add_row(b, OP_INSERT, 10, 0, 1, "1|one");
	put_into(x, b, false, &f->e);
	assert_int_equal(warehouse_tx_ensure_table(x, after, &f->e), OK);
	add_row(wide, OP_INSERT, 10, 1, 1, "2|two|3.50");
	put_into(x, wide, false, &f->e);
	assert_int_equal(warehouse_tx_commit(x, &f->e), OK);
	assert_string_equal(answer(f, "SELECT id, note, price FROM shop.item ORDER BY id"),
		"1|one|-\n2|two|3.50");
	batch_free(b);
	batch_free(wide);
}

static void discards_by_key(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "item", "id int8 key, note text");
	struct batch *b = batch_new(t);

	assert_int_equal(warehouse_ensure_table(f->w, t, &f->e), OK);
	add_row(b, OP_UPDATE, 20, 0, 2, "1|newer");
	must_apply(f, b);
	batch_reset(b);
	struct warehouse_tx *x = begun(f);
	for (int i = 1; i <= 3; i++) {
		char cells[16];
		snprintf(cells, sizeof cells, "%d|copied", i);
		add_row(b, OP_SNAPSHOT, 5, (uint32_t)i, 0, cells);
	}
	put_into(x, b, true, &f->e);
	struct batch *keys = batch_new(t);
	add_row(keys, OP_DELETE, 20, 0, 0, "1|-");
	add_row(keys, OP_DELETE, 20, 0, 0, "3|-");
	assert_int_equal(warehouse_tx_discard(x, keys, (lsn){5}, &f->e), OK);
	assert_int_equal(warehouse_tx_commit(x, &f->e), OK);
	assert_string_equal(
		answer(f, "SELECT id, note FROM shop.item ORDER BY id"), "1|newer\n2|copied");
	assert_string_equal(
		answer(f, "SELECT id, _op FROM shop_history.item ORDER BY id, _op"), "1|U\n2|r");
	batch_free(b);
	batch_free(keys);
}

/* A transaction whose statement failed can only be abandoned, and does no harm to others. */
static void failure_is_reported(void **state)
{
	struct fixture *f = *state;
	struct warehouse_tx *x = begun(f);

	assert_int_equal(
		warehouse_tx_script(x, STR("INSERT INTO nowhere VALUES (1)"), &f->e), ERR_INPUT);
	warehouse_tx_abandon(x);
	struct warehouse *w = warehouse_faulty(f->w, "commit", 1);
	assert_int_equal(warehouse_begin(w, &x, &f->e), OK);
	assert_int_equal(warehouse_tx_script(x, STR("CREATE TABLE ops.there (a INT)"), &f->e), OK);
	assert_int_equal(warehouse_tx_commit(x, &f->e), ERR_UNAVAILABLE);
	assert_string_equal(answer(f,
				    "SELECT count(*) FROM duckdb_tables() WHERE table_name = "
				    "'there'"),
		"0");
	f->w = w; /* closes both */
}

#define GROUP 122880 /* rows that DuckDB writes at once */

/* Rows of 400 random letters. */
static void add_long_rows(struct fixture *f, struct batch *b, int64_t first)
{
	char cells[440];

	for (int64_t i = first; i < first + GROUP; i++) {
		int n = snprintf(cells, sizeof cells, "%lld|", (long long)i);
		for (int k = 0; k < 400; k++)
			cells[n + k] = (char)('a' + rnd_u64(&f->rnd) % 26);
		cells[n + 400] = '\0';
		add_row(b, OP_INSERT, 10, (uint32_t)i, 1, cells);
	}
}

/* What a large transaction has written does not fill the memory that is there for questions; the
 * limit is afterwards as it was. */
static void large_parts_leave_memory(void **state)
{
	struct fixture *f = *state;
	struct warehouse_options o = {.url = f->url, .memory_limit = INT64_C(1) << 30};

	warehouse_close(f->w);
	assert_int_equal(warehouse_open(&f->w, &o, &f->env, &f->e), OK);
	struct table *t = make_table(f, "item", "id int8 key, note text");
	struct batch *b = batch_new(t);
	assert_int_equal(warehouse_ensure_table(f->w, t, &f->e), OK);
	struct warehouse_tx *x = begun(f);
	for (int64_t part = 0; part < 3; part++) {
		add_long_rows(f, b, part * GROUP);
		put_into(x, b, false, &f->e);
		batch_reset(b);
	}
	assert_string_equal(answer(f,
				    "SELECT sum(memory_usage_bytes) <= 96 << 20 FROM "
				    "duckdb_memory() WHERE tag = 'BASE_TABLE'"),
		"t");
	assert_string_equal(answer(f, "SELECT current_setting('memory_limit')"), "1.0 GiB");
	assert_int_equal(warehouse_tx_commit(x, &f->e), OK);
	assert_string_equal(answer(f, "SELECT count(*) FROM shop.item"), "368640");
	batch_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			parts_become_visible_together, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(abandoned_leaves_nothing, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(shape_changes_within, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(discards_by_key, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(failure_is_reported, fixture_up, fixture_down),
		cmocka_unit_test_setup_teardown(large_parts_leave_memory, fixture_up, fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
