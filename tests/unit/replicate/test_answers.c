/* What was asked of the source is kept once, found again, and says the same in a file. */
#include "unit.h"

#include "answers.h"
#include "file.h"
#include "marks.h"

static struct table *make(
	struct arena *mem, const char *const *names, const int16_t *numbers, size_t n)
{
	struct table *t = arena_alloc(mem, sizeof(*t));

	*t = (struct table){.relid = 77,
		.schema = STR("public"),
		.name = STR("t"),
		.identity = IDENTITY_DEFAULT,
		.ncolumns = n};
	t->columns = arena_array(mem, n, sizeof(*t->columns));
	for (size_t i = 0; i < n; i++)
		t->columns[i] = (struct column){.name = str_of(names[i]),
			.pg_type = i == 0 ? 23 : 25,
			.pg_modifier = -1,
			.type = {.kind = i == 0 ? T_INT4 : T_TEXT},
			.is_key = i == 0,
			.nullable = true,
			.attnum = numbers[i]};
	table_index_keys(t, mem);
	return t;
}

static const char *const names_before[] = {"id", "a", "b", "gone"};
static const int16_t numbers_before[] = {1, 2, 3, 4};
/* a and b have swapped their names, `gone` is another column of its name, c is new. */
static const char *const names_said[] = {"id", "b", "a", "gone", "c"};
static const int16_t numbers_said[] = {1, 2, 3, 5, 6};

static struct answer an_answer(struct arena *mem)
{
	return (struct answer){.relid = 77,
		.at = {0x1234},
		.at_rest = true,
		.kind = STR(ANSWER_SHAPE),
		.schema = STR("public"),
		.name = STR("it's"),
		.before = mark_shape(mem, make(mem, names_before, numbers_before, 4)),
		.said = mark_shape(mem, make(mem, names_said, numbers_said, 5)),
		.body = STR("{\"values\":[]}")};
}

static void same_answer(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->relid, b->relid);
	assert_int_equal(a->at.v, b->at.v);
	assert_int_equal(a->at_rest, b->at_rest);
	assert_true(str_eq(a->kind, b->kind) && str_eq(a->schema, b->schema) &&
		str_eq(a->name, b->name) && str_eq(a->before, b->before) &&
		str_eq(a->said, b->said) && str_eq(a->body, b->body));
}

static void columns_are_paired_by_number(void **state)
{
	struct arena mem = {0};
	const struct table *before = make(&mem, names_before, numbers_before, 4);
	int from[5];

	(void)state;
	answer_pair(before, make(&mem, names_said, numbers_said, 5), from);
	const int want[] = {0, 1, 2, -1, -1};
	assert_memory_equal(from, want, sizeof(want));
	/* Without numbers only the names tell. */
	const int16_t none[5] = {0};
	answer_pair(before, make(&mem, names_said, none, 5), from);
	const int by_name[] = {0, 2, 1, 3, -1};
	assert_memory_equal(from, by_name, sizeof(by_name));
	arena_free(&mem);
}

static void the_stream_takes_what_was_said(void **state)
{
	struct arena mem = {0};
	struct error e = {.kind = OK};
	const struct answer x = an_answer(&mem);
	const int16_t none[5] = {0};
	struct table *said = make(&mem, names_said, none, 5);

	(void)state;
	said->columns[0].is_key = false;
	assert_true(answer_fits(&x, said, &mem));
	assert_ok(answer_take(&x, said, &mem, &e), &e);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(said->columns[i].attnum, numbers_said[i]);
	assert_int_equal(said->nkeys, 1);
	said->columns[3].pg_type = 23;
	assert_false(answer_fits(&x, said, &mem));
	assert_false(answer_fits(&x, make(&mem, names_before, numbers_before, 4), &mem));
	arena_free(&mem);
}

static void a_line_says_the_same(void **state)
{
	struct arena mem = {0};
	struct error e = {.kind = OK};
	const struct answer x = an_answer(&mem);
	struct answer back = {.relid = 0};
	struct buf line;

	(void)state;
	buf_init(&line, 1 << 20);
	answer_write(&x, &line);
	assert_ok(answer_parse(buf_str(&line), &mem, &back, &e), &e);
	same_answer(&x, &back);
	assert_int_equal(answer_parse(STR("{\"relid\":-1}"), &mem, &back, &e), ERR_INPUT);
	buf_free(&line);
	arena_free(&mem);
}

static void it_is_kept_once(void **state)
{
	struct arena mem = {0};
	struct error e = {.kind = OK};
	struct warehouse *w = NULL;
	struct answers all;
	struct env env = {.clock = clock_system()};

	(void)state;
	char dir[] = "/tmp/sluice-answers-XXXXXX", url[64];
	assert_non_null(mkdtemp(dir));
	snprintf(url, sizeof(url), "duckdb://%s/w.duckdb", dir);
	const struct warehouse_options o = {.url = url};
	assert_ok(warehouse_open(&w, &o, &env, &e), &e);
	assert_ok(warehouse_ensure_ops(w, &e), &e);
	struct answer x = an_answer(&mem), y = x;
	y.at.v = 0x1000;
	struct buf sql;
	buf_init(&sql, 1 << 20);
	answer_sql(&x, &sql);
	answer_sql(&x, &sql);
	answer_sql(&y, &sql);
	assert_ok(warehouse_script(w, buf_str(&sql), &e), &e);
	assert_ok(answers_read(w, STR("relid = 77"), &mem, &all, &e), &e);
	assert_int_equal(all.n, 2);
	same_answer(&all.items[0], &y);
	same_answer(&all.items[1], &x);
	assert_ok(answers_read(w, STR("relid = 78"), &mem, &all, &e), &e);
	assert_int_equal(all.n, 0);
	buf_free(&sql);
	warehouse_close(w);
	assert_ok(file_remove_tree(dir, &e), &e);
	arena_free(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_paired_by_number),
		cmocka_unit_test(the_stream_takes_what_was_said),
		cmocka_unit_test(a_line_says_the_same),
		cmocka_unit_test(it_is_kept_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
