#include "prove_fixture.h"

#include "buckets.h"
#include "differ.h"
#include "pg_catalog.h"

static enum err add_row(void *arg, const struct row *r, struct error *e)
{
	(void)e;
	buckets_add(arg, r->key, r->hash);
	return OK;
}

/* Whatever the number of buckets and the size of a group, the answer is the same. */
static void find_with(struct fixture *f, size_t nbuckets, size_t group_rows,
	const struct sides *sides, const struct subject *subject)
{
	struct error e = {.kind = OK};
	struct arena mem = {0};
	struct buckets b[SIDES];
	struct reconcile_table out = {.nkeys = 0};

	for (int s = 0; s < SIDES; s++) {
		buckets_init(&b[s], nbuckets);
		assert_ok(rows_read(sides, subject, (enum side)s, add_row, &b[s], &e), &e);
	}
	const struct differ d = {.sides = sides,
		.subject = subject,
		.bucket = {&b[SIDE_SOURCE], &b[SIDE_REPLICA]},
		.max_keys = 100,
		.group_rows = group_rows};
	assert_ok(differ_find(&d, &mem, &out, &e), &e);
	assert_int_equal(out.count[ROW_MISSING], 20);
	assert_int_equal(out.count[ROW_EXTRA], 31);
	assert_int_equal(out.count[ROW_DIFFERENT], 11);
	assert_int_equal(out.nkeys, 20 + 31 + 11);
	for (size_t i = 0; i < out.nkeys; i++)
		assert_true(out.keys[i].kind != ROW_DIFFERENT || out.keys[i].ncolumns == 1);
	for (int s = 0; s < SIDES; s++)
		buckets_free(&b[s]);
	arena_free(&mem);
	(void)f;
}

static void test_groups_and_buckets_do_not_matter(void **state)
{
	struct fixture *f = *state;
	struct error e = {.kind = OK};
	struct arena mem = {0};
	struct cut cut;
	struct table *t;
	struct subject subject;

	source_run(f,
		"DELETE FROM items WHERE id BETWEEN 1 AND 30; "
		"INSERT INTO items (id) SELECT i FROM generate_series(1001, 1020) AS i; "
		"UPDATE items SET price = -1 WHERE id BETWEEN 40 AND 50");
	/* One row is in the replica twice. */
	warehouse_run(f,
		"INSERT INTO public.items FROM public.items WHERE id = 200; "
		"INSERT INTO public_history.items FROM public_history.items WHERE id = 200");
	source_run(f, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	assert_ok(pg_cut(f->pg, &mem, &cut, &e), &e);
	assert_ok(pg_table(f->pg, STR("public"), STR("items"), &mem, &t, &e), &e);
	const struct sides sides = {.source = f->pg,
		.replica = f->warehouse,
		.cut = &cut,
		.env = &f->env,
		.batch_rows = 64};
	subject_of(t, &mem, &subject);
	assert_ok(subject_look_up(&subject, f->warehouse, &e), &e);
	assert_true(subject.in_replica);
	const size_t nbuckets[] = {1, 16, 4096}, group[] = {1, 50, 1000000};
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++)
			find_with(f, nbuckets[i], group[k], &sides, &subject);
	source_run(f, "COMMIT");
	arena_free(&mem);
}

static int setup(void **state)
{
	static struct fixture f;

	fixture_open(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_and_buckets_do_not_matter),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
