#include "unit.h"

#include "marks.h"
#include "reconcile.h"
#include "rnd.h"

/* A warehouse that has nothing but a position, which moves when it is looked at. */
struct moving {
	struct warehouse base;
	uint64_t at, step, stops_at;
	unsigned looks;
	bool broken, none;
};

static enum err moving_mark(struct warehouse *w, struct str name, struct buf *out, struct error *e)
{
	struct moving *m = (struct moving *)w;
	struct arena mem = {0};

	assert_str(name, "position");
	m->looks++;
	if (m->broken)
		return FAIL(e, ERR_UNAVAILABLE, "reading a mark: the warehouse is down");
	if (m->none)
		return OK;
	if (m->at + m->step <= m->stops_at)
		m->at += m->step;
	const struct replicate_position p = {.found = true, .at = {m->at}, .xid = 700};
	enum err rc = buf_add(out, mark_position(&mem, &p), e);
	arena_free(&mem);
	return rc;
}

static const struct warehouse_ops moving_ops = {.name = "moving", .mark = moving_mark};

static enum err reach(
	struct moving *m, uint64_t want, int64_t patience, int64_t *took, struct error *e)
{
	struct clock_manual clock;
	struct rnd rnd;

	m->base.ops = &moving_ops;
	rnd_seed(&rnd, 1);
	clock_manual_init(&clock, 1000000);
	const struct env env = {.clock = &clock.base, .rnd = &rnd};
	struct reach_polling poll = {.warehouse = &m->base, .env = &env, .patience_us = patience};
	enum err rc = reach_polling(&poll, (lsn){want}, e);
	*took = clock.now_us - 1000000;
	return rc;
}

static void test_reaches(void **state)
{
	(void)state;
	struct error e = {.kind = OK};
	struct moving m = {.at = 0, .step = 10, .stops_at = 1000};
	int64_t took;

	assert_ok(reach(&m, 500, 60000000, &took, &e), &e);
	assert_int_equal(m.at, 500);
	assert_int_equal(m.looks, 50);
}

/* Slow is not stuck: patience counts from the last move, not from the start. */
static void test_slow_progress_is_waited_for(void **state)
{
	(void)state;
	struct error e = {.kind = OK};
	struct moving m = {.at = 0, .step = 1, .stops_at = 100000};
	int64_t took;

	assert_ok(reach(&m, 5000, 1000000, &took, &e), &e);
	assert_true(took > 100 * INT64_C(1000000));
}

static void test_gives_up_without_progress(void **state)
{
	(void)state;
	struct error e = {.kind = OK};
	struct moving m = {.at = 0x100, .step = 1, .stops_at = 0x110};
	int64_t took;

	assert_err(reach(&m, 0x200, 60000000, &took, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "0/200");
	assert_has(e.text, "0/110");
	assert_has(e.text, "sluice replicate");
	assert_true(took >= 60000000 && took < 70000000);
}

static void test_nothing_replicated_yet(void **state)
{
	(void)state;
	struct error e = {.kind = OK};
	struct moving m = {.none = true};
	int64_t took;

	assert_err(reach(&m, 0x200, 5000000, &took, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "nothing has been replicated");
}

static void test_unreadable_position_is_no_progress(void **state)
{
	(void)state;
	struct error e = {.kind = OK};
	struct moving m = {.broken = true};
	int64_t took;

	assert_err(reach(&m, 0x200, 5000000, &took, &e), ERR_UNAVAILABLE, &e);
	assert_int_equal(m.looks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reaches),
		cmocka_unit_test(test_slow_progress_is_waited_for),
		cmocka_unit_test(test_gives_up_without_progress),
		cmocka_unit_test(test_nothing_replicated_yet),
		cmocka_unit_test(test_unreadable_position_is_no_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
