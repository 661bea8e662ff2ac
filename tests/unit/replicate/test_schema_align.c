/* Which columns are which, from names, order and the catalog. */
#include "unit.h"

#include "align.h"
#include "buf.h"

#define INT  23
#define TEXT 25

/* "name:number:type ..." */
static struct table *table_of(struct arena *mem, const char *text)
{
	struct table *t = arena_alloc(mem, sizeof(*t));
	struct str rest = str_of(text), item;

	t->columns = arena_array(mem, 64, sizeof(*t->columns));
	while (str_next(&rest, ' ', &item)) {
		struct str name, number;
		int64_t n = 0, type = 0;
		assert_true(str_cut(&item, ':', &name));
		assert_true(str_cut(&item, ':', &number));
		assert_true(str_to_i64(number, &n) && str_to_i64(item, &type));
		t->columns[t->ncolumns++] = (struct column){.name = arena_str(mem, name),
			.attnum = (int16_t)n,
			.pg_type = (uint32_t)type,
			.pg_modifier = -1};
	}
	return t;
}

/* The catalog's columns; those whose name is - are dropped. */
static struct attributes catalog_of(struct arena *mem, const char *text)
{
	struct table *t = table_of(mem, text);
	struct attributes a = {.n = t->ncolumns};

	a.items = arena_array(mem, a.n + 1, sizeof(*a.items));
	for (size_t i = 0; i < a.n; i++)
		a.items[i] = (struct attribute){.name = t->columns[i].name,
			.num = t->columns[i].attnum,
			.type = t->columns[i].pg_type,
			.live = !str_eqc(t->columns[i].name, "-")};
	return a;
}

static void check(const char *before, const char *said, const char *catalog, const char *want)
{
	struct arena mem = {0};
	struct table *b = table_of(&mem, before), *s = table_of(&mem, said);
	struct attributes now = {.n = 0};
	int from[64];
	struct buf got;

	if (catalog != NULL)
		now = catalog_of(&mem, catalog);
	align_columns(b, s, &now, from);
	buf_init(&got, 4096);
	for (size_t i = 0; i < s->ncolumns; i++)
		buf_putf(&got, "%s%d:%d", i > 0 ? " " : "", from[i], s->columns[i].attnum);
	assert_string_equal(buf_cstr(&got), want);
	buf_free(&got);
	arena_free(&mem);
}

static void test_one_change(void **state)
{
	(void)state;
	check("id:1:23 a:2:25", "id:0:23 a:0:25 b:0:23", "id:1:23 a:2:25 b:3:23", "0:1 1:2 -1:3");
	check("id:1:23 a:2:25 b:3:23", "id:0:23 b:0:23", "id:1:23 -:2:0 b:3:23", "0:1 2:3");
	check("id:1:23 a:2:25", "id:0:23 b:0:25", "id:1:23 b:2:25", "0:1 1:2");
	check("id:1:23 a:2:25", "id:0:23 b:0:25", "id:1:23 -:2:0 b:3:25", "0:1 -1:3");
	check("id:1:23 a:2:25", "id:0:23 a:0:23", "id:1:23 a:2:23", "0:1 1:2");
}

static void test_several_in_a_row(void **state)
{
	(void)state;
	/* Renamed once more since. */
	check("id:1:23 a:2:25", "id:0:23 b:0:25", "id:1:23 c:2:25", "0:1 1:2");
	/* Two names swapped: the order tells. */
	check("id:1:23 a:2:23 b:3:23", "id:0:23 b:0:23 a:0:23", "id:1:23 b:2:23 a:3:23",
		"0:1 1:2 2:3");
	/* Dropped, and another of its name added, of the same and of another type. */
	check("id:1:23 a:2:25", "id:0:23 a:0:25", "id:1:23 -:2:0 a:3:25", "0:1 -1:3");
	check("id:1:23 a:2:25", "id:0:23 a:0:23", "id:1:23 -:2:0 a:3:23", "0:1 -1:3");
	/* The first of two of one name, which has gone by now. */
	check("id:1:23", "id:0:23 h:0:23", "id:1:23 -:2:0 h:3:25", "0:1 -1:2");
	/* Dropped, renamed and added at once. */
	check("id:1:23 a:2:25 b:3:25 c:4:25", "id:0:23 x:0:25 c:0:25 d:0:25",
		"id:1:23 -:2:0 x:3:25 c:4:25 d:5:25", "0:1 2:3 3:4 -1:5");
	/* Renamed and retyped. */
	check("id:1:23 a:2:25 b:3:25", "id:0:23 z:0:23 b:0:25", "id:1:23 z:2:23 b:3:25",
		"0:1 1:2 2:3");
}

/* A column that was added and then retyped has its own number, not that of one dropped long ago. */
/* A new name of a column that is gone by now, and the same with another that came after it. */
static void test_gone_by_now(void **state)
{
	(void)state;
	check("a:1:23 x:2:23", "a:0:23 y:0:23", "a:1:23 -:2:0", "0:1 1:2");
	check("a:1:23 x:2:23", "a:0:23 y:0:20", "a:1:23 -:2:0", "0:1 1:2");
	check("a:1:23 x:2:23", "a:0:23 y:0:23", "a:1:23 -:2:0 y:3:23", "0:1 -1:3");
	check("a:1:23 x:2:23", "a:0:23", "a:1:23 -:2:0", "0:1");
}

static void test_numbers_are_not_given_again(void **state)
{
	(void)state;
	struct arena mem = {0};
	struct table *before = table_of(&mem, "id:1:23"), *said = table_of(&mem, "id:0:23 b:0:23");
	struct attributes now = catalog_of(&mem, "id:1:23 -:2:0 b:3:25");
	int from[2];

	before->highest = 2;
	align_columns(before, said, &now, from);
	assert_int_equal(from[1], -1);
	assert_int_equal(said->columns[1].attnum, 3);
	assert_int_equal(said->highest, 3);
	arena_free(&mem);
}

static void test_without_a_catalog(void **state)
{
	(void)state;
	check("id:1:23 a:2:25", "id:0:23 a:0:25 b:0:23", NULL, "0:1 1:2 -1:0");
	check("id:1:23 a:2:25 b:3:25", "id:0:23 b:0:25", NULL, "0:1 2:3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_change),
		cmocka_unit_test(test_several_in_a_row),
		cmocka_unit_test(test_gone_by_now),
		cmocka_unit_test(test_numbers_are_not_given_again),
		cmocka_unit_test(test_without_a_catalog),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
