/* A stall is found in time, and idleness is none; the time is held by the test. */
#include "unit.h"

#include "watchdog.h"

#define S     INT64_C(1000000)
#define LIMIT (20 * S)

struct held {
	struct watchdog dog;
	struct watchdog_sight now;
	int64_t us;
};

static int begin(void **state)
{
	static struct held h;

	h = (struct held){.us = 1000 * S, .now = {.connected = true}};
	watchdog_init(&h.dog, LIMIT);
	*state = &h;
	return 0;
}

/* What a source without changes looks like: it answers, and capture turns. */
static void idle(struct held *h)
{
	h->now.heard++;
	h->now.capture_turns++;
}

/* A look each second while `work` goes on; gives after how many seconds the stage stalled, 0 when
 * it did not. */
static unsigned run(
	struct held *h, unsigned seconds, void (*work)(struct held *h), enum watchdog_stage stage)
{
	for (unsigned i = 1; i <= seconds; i++) {
		h->us += S;
		work(h);
		bool changed = watchdog_look(&h->dog, &h->now, h->us);
		for (int s = 0; s < WATCHDOG_STAGES; s++)
			if (h->dog.stalled[s] && s != (int)stage)
				fail_msg("stage %s has stalled after %u s",
					watchdog_stage_name((enum watchdog_stage)s), i);
		if (stage < WATCHDOG_STAGES && h->dog.stalled[stage]) {
			assert_true(changed);
			assert_int_equal(watchdog_first(&h->dog), stage);
			return i;
		}
	}
	return 0;
}

static void test_idle_is_no_stall(void **state)
{
	struct held *h = *state;

	h->now.durable.v = h->now.applied.v = 4096;
	assert_int_equal(run(h, 3600, idle, WATCHDOG_STAGES), 0);
	assert_int_equal(watchdog_first(&h->dog), WATCHDOG_STAGES);
}

static void grow(struct held *h)
{
	idle(h);
	h->now.durable.v += 100;
}

/* Changes go on arriving in the journal; the warehouse takes none of them. */
static void test_warehouse_hangs(void **state)
{
	struct held *h = *state;
	unsigned after = run(h, 60, grow, WATCHDOG_APPLY);

	assert_in_range(after, 20, 22);
	/* It comes on: the stall is over with the next look. */
	h->now.applied.v = 50;
	h->us += S;
	idle(h);
	assert_true(watchdog_look(&h->dog, &h->now, h->us));
	assert_int_equal(watchdog_first(&h->dog), WATCHDOG_STAGES);
}

static void retry(struct held *h)
{
	grow(h);
	h->now.apply_turns += 100;
}

/* Reading the same records again for each try is no progress. */
static void test_warehouse_refuses(void **state)
{
	struct held *h = *state;

	h->now.apply_failing = true;
	assert_in_range(run(h, 60, retry, WATCHDOG_APPLY), 20, 22);
}

/* A large transaction is read for minutes before anything of it can be committed. */
static void test_large_transaction_is_no_stall(void **state)
{
	struct held *h = *state;

	assert_int_equal(run(h, 600, retry, WATCHDOG_STAGES), 0);
}

/* Work that comes after long idleness has its whole time. */
static void test_time_begins_with_work(void **state)
{
	struct held *h = *state;

	assert_int_equal(run(h, 600, idle, WATCHDOG_STAGES), 0);
	assert_in_range(run(h, 60, grow, WATCHDOG_APPLY), 20, 22);
}

static void nothing(struct held *h)
{
	(void)h;
}

static void test_capture_hangs(void **state)
{
	struct held *h = *state;

	run(h, 5, idle, WATCHDOG_STAGES);
	assert_in_range(run(h, 60, nothing, WATCHDOG_CAPTURE), 19, 21);
}

static void silent(struct held *h)
{
	h->now.capture_turns++;
}

static void test_source_is_silent(void **state)
{
	struct held *h = *state;

	run(h, 5, idle, WATCHDOG_STAGES);
	assert_in_range(run(h, 60, silent, WATCHDOG_SOURCE), 19, 21);
}

static void test_source_is_away(void **state)
{
	struct held *h = *state;

	run(h, 5, idle, WATCHDOG_STAGES);
	h->now.connected = false;
	assert_in_range(run(h, 60, nothing, WATCHDOG_SOURCE), 20, 22);
	h->now.connected = true;
	h->us += S;
	assert_true(watchdog_look(&h->dog, &h->now, h->us));
	assert_int_equal(watchdog_first(&h->dog), WATCHDOG_STAGES);
}

static void copy(struct held *h)
{
	grow(h);
	h->now.snapshot_rows += 1000;
}

static void test_snapshot_hangs(void **state)
{
	struct held *h = *state;

	h->now.snapshotting = true;
	/* The stream waits for the copy: that is not apply's stall. */
	assert_int_equal(run(h, 600, copy, WATCHDOG_STAGES), 0);
	assert_in_range(run(h, 60, grow, WATCHDOG_SNAPSHOT), 19, 21);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_idle_is_no_stall),
		TEST(test_warehouse_hangs),
		TEST(test_warehouse_refuses),
		TEST(test_large_transaction_is_no_stall),
		TEST(test_time_begins_with_work),
		TEST(test_capture_hangs),
		TEST(test_source_is_silent),
		TEST(test_source_is_away),
		TEST(test_snapshot_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
