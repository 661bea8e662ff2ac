#include "fixture.h"

#define VERSIONS                                                                                   \
	"SELECT id, note, epoch(_valid_from)::BIGINT, CASE WHEN _valid_to = 'infinity' THEN NULL " \
	"ELSE epoch(_valid_to)::BIGINT END, _op FROM shop_history.t_versions ORDER BY id, _lsn, "  \
	"_seq"

static struct batch *start(struct fixture *f, const char *columns, const char *valid_time)
{
	struct table *t = make_table(f, "t", columns);

	t->valid_time = valid_time != NULL ? str_of(valid_time) : STR_NONE;
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	return batch_new(t);
}

/* Commit times of the rows are their LSN in seconds. */
static void test_by_commit_time(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f, "id int8 key, note text", NULL);

	add_row(b, 'r', 10, 0, 0, "1|a");
	add_row(b, 'U', 20, 0, 2, "1|b");
	add_row(b, 'U', 20, 1, 2, "1|c"); /* the same moment: only what it ended with */
	add_row(b, 'I', 20, 2, 2, "2|x");
	add_row(b, 'D', 30, 0, 3, "2|-");
	add_row(b, 'I', 40, 0, 4, "2|again");
	add_row(b, 'T', 50, 0, 5, "");
	add_row(b, 'I', 60, 0, 6, "3|after");
	must_apply(f, b);
	assert_string_equal(answer(f, VERSIONS),
		"1|a|10|20|r\n1|c|20|50|U\n2|x|20|30|I\n2|again|40|50|I\n3|after|60|-|I");
	batch_free(b);
}

static void test_by_business_time(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f, "id int8 key, note text, at timestamptz", "at");

	add_row(b, 'r', 1000, 0, 0, "1|booked|100");
	add_row(b, 'U', 1001, 0, 2, "1|cancelled|200");
	add_row(b, 'U', 1002, 0, 3, "1|corrected|150"); /* backdated: what follows it is no more */
	add_row(b, 'I', 1003, 0, 4, "2|first|100");
	add_row(b, 'U', 1004, 0, 5, "2|same time|100");
	add_row(b, 'I', 1005, 0, 6, "3|unknown time|-");
	add_row(b, 'D', 1006, 0, 7, "2|-|-");
	must_apply(f, b);
	assert_string_equal(answer(f, VERSIONS),
		"1|booked|100|150|r\n1|corrected|150|-|U\n2|same time|100|1006|U\n"
		"3|unknown time|1005|-|I");
	assert_string_equal(
		answer(f,
			"SELECT count(*) FROM shop_history.t_versions a JOIN "
			"shop_history.t_versions b ON a.id = b.id AND a._lsn < b._lsn "
			"AND a._valid_from < b._valid_to AND b._valid_from < a._valid_to"),
		"0");
	batch_free(b);
}

static void test_without_key(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f, "id int8, note text", NULL);

	add_row(b, 'I', 10, 0, 1, "1|a");
	add_row(b, 'I', 11, 0, 2, "1|a");
	add_row(b, 'T', 20, 0, 3, "");
	add_row(b, 'I', 30, 0, 4, "1|a");
	must_apply(f, b);
	assert_string_equal(answer(f, VERSIONS), "1|a|10|20|I\n1|a|11|20|I\n1|a|30|-|I");
	batch_free(b);
}

struct row {
	char op;
	int64_t id, from;
};

/* What a version's end is by definition: the least beginning of anything later of its key. */
static int64_t ends(const struct row *rows, size_t n, size_t at)
{
	int64_t least = INT64_MAX;

	for (size_t i = at + 1; i < n; i++)
		if ((rows[i].op == 'T' || rows[i].id == rows[at].id) && rows[i].from < least)
			least = rows[i].from;
	return least;
}

static void check_against_definition(struct fixture *f, const struct row *rows, size_t n)
{
	struct buf want;

	buf_init(&want, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		int64_t end = ends(rows, n, i);

		if (rows[i].op == 'D' || rows[i].op == 'T' || rows[i].from >= end)
			continue;
		buf_putf(&want, "%s%zu|%lld|%lld", want.n > 0 ? "\n" : "", i,
			(long long)rows[i].from, end == INT64_MAX ? -1LL : (long long)end);
	}
	assert_string_equal(
		answer(f,
			"SELECT _lsn - 1000, epoch(_valid_from)::BIGINT, CASE WHEN _valid_to = "
			"'infinity' THEN -1 ELSE epoch(_valid_to)::BIGINT END FROM "
			"shop_history.t_versions ORDER BY _lsn"),
		buf_cstr(&want));
	buf_free(&want);
}

static void test_random_histories(void **state)
{
	struct fixture *f = *state;
	struct batch *b = start(f, "id int8 key, note text, at timestamptz", "at");
	struct row rows[120];
	struct rnd r;

	rnd_seed(&r, unit_seed());
	for (int round = 0; round < 8; round++) {
		batch_reset(b);
		for (size_t i = 0; i < 120; i++) {
			uint64_t kind = rnd_below(&r, 40);
			char cells[64];

			rows[i].op = kind == 0 ? 'T' : kind < 8 ? 'D' : 'U';
			rows[i].id = (int64_t)rnd_below(&r, 8);
			rows[i].from = rows[i].op == 'U' ? (int64_t)rnd_below(&r, 3000)
							 : 1000 + (int64_t)i;
			snprintf(cells, sizeof cells, "%lld|n|%lld", (long long)rows[i].id,
				(long long)rows[i].from);
			add_row(b, rows[i].op, 1000 + i, 0, i + 1, rows[i].op == 'T' ? "" : cells);
		}
		assert_ok(warehouse_script(f->w, STR("DELETE FROM shop_history.t"), &f->e), &f->e);
		must_apply(f, b);
		check_against_definition(f, rows, 120);
	}
	batch_free(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_commit_time),
		TEST(test_by_business_time),
		TEST(test_without_key),
		TEST(test_random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
