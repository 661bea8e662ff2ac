#include "pg_fixture.h"

#include <stdatomic.h>

#include "copy_rows.h"
#include "pg_catalog.h"
#include "pg_copy.h"
#include "pg_value.h"

static struct table *find(struct fixture *f, const char *name)
{
	struct error e = {.kind = OK};
	struct table *t = NULL;

	assert_ok(pg_table(f->pg, STR("public"), str_of(name), &f->mem, &t, &e), &e);
	return t;
}

struct counted {
	size_t rows, batches, largest;
	int64_t sum;    /* of the first column */
	size_t fail_at; /* the batch to fail at, from 1; 0: never */
};

static enum err count(void *arg, struct batch *b, struct error *e)
{
	struct counted *c = arg;

	c->batches++;
	c->rows += b->rows;
	if (b->rows > c->largest)
		c->largest = b->rows;
	for (size_t i = 0; i < b->rows; i++)
		c->sum += VEC_AT(&b->cols[0], int32_t, i);
	if (c->batches == c->fail_at)
		return FAIL(e, ERR_CONFLICT, "the test says so");
	return OK;
}

static struct counted copy(
	struct fixture *f, const struct table *t, const char *where, size_t batch)
{
	struct error e = {.kind = OK};
	struct counted c = {0};

	assert_ok(pg_copy_out(f->pg, t, str_of(where), batch, count, &c, &e), &e);
	return c;
}

static void test_batches_and_conditions(void **state)
{
	struct fixture *f = *state;

	fixture_exec(f,
		"CREATE TABLE \"many.rows\" AS SELECT i::integer AS \"the \"\"id\", "
		"'row ' || i AS t FROM generate_series(1, 10000) i");
	struct table *t = find(f, "many.rows");
	struct counted c = copy(f, t, "", 3000);
	assert_int_equal(c.rows, 10000);
	assert_int_equal(c.batches, 4);
	assert_int_equal(c.largest, 3000);
	assert_int_equal(c.sum, 50005000);
	c = copy(f, t, "", 10000);
	assert_int_equal(c.batches, 1);
	c = copy(f, t, "\"the \"\"id\" > 10 AND \"the \"\"id\" <= 12 OR false", 100);
	assert_int_equal(c.rows, 2);
	assert_int_equal(c.sum, 23);
	c = copy(f, t, "false", 100);
	assert_int_equal(c.batches, 0);
}

/* A parent's rows are its own; a partitioned table's are those of its partitions. */
static void test_whose_rows(void **state)
{
	struct fixture *f = *state;

	fixture_exec(f,
		"CREATE TABLE parent (x integer); CREATE TABLE child () INHERITS (parent);"
		"INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);"
		"CREATE TABLE root (x integer) PARTITION BY LIST (x);"
		"CREATE TABLE leaf_a PARTITION OF root FOR VALUES IN (10);"
		"CREATE TABLE leaf_b PARTITION OF root FOR VALUES IN (20);"
		"INSERT INTO root VALUES (10), (20)");
	assert_int_equal(copy(f, find(f, "parent"), "", 10).sum, 1);
	assert_int_equal(copy(f, find(f, "child"), "", 10).sum, 2);
	assert_int_equal(copy(f, find(f, "root"), "", 10).sum, 30);
	assert_int_equal(copy(f, find(f, "leaf_b"), "", 10).sum, 20);
}

static void test_a_failing_callback(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct counted c = {.fail_at = 2};
	atomic_bool stop = true;

	fixture_exec(f,
		"CREATE TABLE big AS SELECT i::integer AS x, repeat('x', 1000) AS t "
		"FROM generate_series(1, 20000) i");
	struct table *t = find(f, "big");
	assert_err(pg_copy_out(f->pg, t, STR_NONE, 10, count, &c, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "the test says so");
	assert_int_equal(c.batches, 2);
	assert_string_equal(fixture_cell(f, "SELECT 1"), "1"); /* the connection still works */

	c = (struct counted){0};
	f->env.stop = &stop;
	enum err rc = pg_copy_out(f->pg, t, STR_NONE, 10, count, &c, &e);
	f->env.stop = NULL;
	assert_int_equal(rc, ERR_INTERRUPTED);
	assert_int_equal(c.batches, 0);
	assert_string_equal(fixture_cell(f, "SELECT 1"), "1");

	fixture_exec(f, "ALTER TABLE big RENAME x TO y");
	c = (struct counted){0};
	assert_err(pg_copy_out(f->pg, t, STR_NONE, 10, count, &c, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "public.big");
	assert_string_equal(fixture_cell(f, "SELECT 1"), "1");
}

/* A table for bytes made by hand: an integer and a text. */
static struct table *make_table(struct arena *mem)
{
	struct table *t = arena_alloc(mem, sizeof *t);
	struct column *c = arena_array(mem, 2, sizeof *c);

	c[0] = (struct column){.name = STR("n"), .pg_type = 23, .pg_modifier = -1};
	c[1] = (struct column){.name = STR("t"), .pg_type = 25, .pg_modifier = -1};
	for (int i = 0; i < 2; i++)
		c[i].type = pg_landing(c[i].pg_type, c[i].pg_modifier);
	*t = (struct table){.schema = STR("s"), .name = STR("t"), .ncolumns = 2, .columns = c};
	return t;
}

static void put_rows(struct buf *b, uint32_t rows)
{
	buf_put(b, str_make("PGCOPY\n\377\r\n\0", 11));
	buf_put_be32(b, 0);
	buf_put_be32(b, 3); /* an extension, to be passed over */
	buf_puts(b, "ext");
	for (uint32_t i = 0; i < rows; i++) {
		buf_put_be16(b, 2);
		buf_put_be32(b, 4);
		buf_put_be32(b, i);
		buf_put_be32(b, i % 3 == 0 ? UINT32_MAX : i % 7);
		for (uint32_t n = 0; i % 3 != 0 && n < i % 7; n++)
			buf_putc(b, (char)('a' + i % 26));
	}
	buf_put_be16(b, UINT16_MAX);
}

static void check_rows(const struct batch *b, uint32_t *at)
{
	for (size_t row = 0; row < b->rows; row++, ++*at) {
		uint32_t i = *at;
		assert_int_equal(VEC_AT(&b->cols[0], int32_t, row), i);
		assert_int_equal(vec_is_null(&b->cols[1], row), i % 3 == 0);
		struct str t = vec_text(&b->cols[1], row);
		assert_int_equal(t.n, i % 3 == 0 ? 0 : i % 7);
		for (size_t n = 0; n < t.n; n++)
			assert_int_equal(t.p[n], 'a' + i % 26);
	}
}

/* Pieces of any size, batches of any size: the same rows. */
static void test_pieces(void **state)
{
	(void)state;
	struct arena mem = {0};
	struct error e = {.kind = OK};
	struct buf all;
	struct batch *b = batch_new(make_table(&mem));
	struct rnd r;

	rnd_seed(&r, unit_seed());
	buf_init(&all, BUF_MAX_DEFAULT);
	put_rows(&all, 500);
	for (int turn = 0; turn < 60; turn++) {
		size_t longest = 1 + rnd_below(&r, 300), most = 1 + rnd_below(&r, 40);
		struct str rest = buf_str(&all);
		struct copy_rows c;
		uint32_t seen = 0;
		copy_rows_init(&c, b);
		while (rest.n > 0) {
			size_t n = 1 + rnd_below(&r, longest);
			struct str piece = str_make(rest.p, n < rest.n ? n : rest.n);
			rest = str_from(rest, n);
			bool full;
			do {
				assert_ok(copy_rows_feed(&c, &piece, most, &e), &e);
				full = b->rows == most;
				assert_true(b->rows <= most);
				if (full) {
					check_rows(b, &seen);
					batch_reset(b);
				}
			} while (full);
			assert_int_equal(piece.n, 0);
		}
		check_rows(b, &seen);
		batch_reset(b);
		assert_int_equal(seen, 500);
		assert_ok(copy_rows_finish(&c, &e), &e);
		copy_rows_free(&c);
	}
	batch_free(b);
	buf_free(&all);
	arena_free(&mem);
}

static enum err feed_whole(struct batch *b, struct str bytes, struct error *e)
{
	struct copy_rows c;

	copy_rows_init(&c, b);
	enum err rc = copy_rows_feed(&c, &bytes, 1000, e);
	if (rc == OK)
		rc = copy_rows_finish(&c, e);
	copy_rows_free(&c);
	batch_reset(b);
	return rc;
}

static void test_damaged_bytes(void **state)
{
	(void)state;
	struct arena mem = {0};
	struct error e = {.kind = OK};
	struct buf all;
	struct batch *b = batch_new(make_table(&mem));

	buf_init(&all, BUF_MAX_DEFAULT);
	put_rows(&all, 3);
	assert_ok(feed_whole(b, buf_str(&all), &e), &e);
	for (size_t n = 0; n < all.n; n++)
		assert_err(feed_whole(b, str_make(all.p, n), &e), ERR_INPUT, &e);
	static const struct {
		size_t at;
		char byte;
		const char *says;
	} damage[] = {
		{0, 'p', "does not begin"},
		{11, 1, "flags"},
		{23, 3, "number of fields"},
		{24, 2, NULL}, /* the length of an integer: 0x02000004, more than there is */
		{27, 5, NULL},
		{28 - 4, (char)0x80, "negative"},
	};
	for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
		char was = all.p[damage[i].at];
		all.p[damage[i].at] = damage[i].byte;
		assert_err(feed_whole(b, buf_str(&all), &e), ERR_INPUT, &e);
		if (damage[i].says != NULL)
			assert_has(e.text, damage[i].says);
		all.p[damage[i].at] = was;
	}
	buf_putc(&all, 'x');
	assert_err(feed_whole(b, buf_str(&all), &e), ERR_INPUT, &e);
	buf_free(&all);
	batch_free(b);
	arena_free(&mem);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches_and_conditions),
		cmocka_unit_test(test_whose_rows),
		cmocka_unit_test(test_a_failing_callback),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_damaged_bytes),
	};

	return cmocka_run_group_tests_name("copy", tests, fixture_start, fixture_stop);
}
