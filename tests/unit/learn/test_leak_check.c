/* The leak proof: what is honest passes, what peeks is named. */
#include "learn_fixture.h"

/* Bookings with their outcome; %s adds columns, %s joins. */
#define SET(columns, joins)                                                                        \
	"WITH made AS (SELECT * FROM {{versions public.booking_events}} WHERE kind = 'created'), " \
	"ends AS (SELECT booking_id, max(CAST(kind = 'cancelled' AS INTEGER)) AS cancelled, "      \
	"max(occurred_at) AS label_at FROM {{versions public.booking_events}} "                    \
	"WHERE kind <> 'created' GROUP BY booking_id) "                                            \
	"SELECT m.booking_id, m.occurred_at AS booked_at, e.cancelled, e.label_at, "               \
	"e.cancelled IS NULL AS is_open, m.nights" columns                                         \
	" FROM made m LEFT JOIN ends e ON e.booking_id = m.booking_id " joins

static struct leak_report check(struct learn_fixture *f, const struct feature_set *set)
{
	struct leak_report report;
	struct feature_build built;
	struct error e = {0};

	assert_ok(leak_check(f->w, set, &f->env, &f->mem, &report, &built, &e), &e);
	assert_string_equal(built.lsn, "1/2B");
	return report;
}

static void expect_leak(struct learn_fixture *f, const char *body, const char *column)
{
	struct feature_set set = learn_set(f, body);
	struct leak_report r = check(f, &set);

	assert_false(r.ok);
	assert_int_equal(r.nleaking, 1);
	assert_str(r.leaking[0], column);
}

static void test_built_in_set_is_honest(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct leak_report r = check(f, &set);

	for (size_t i = 0; i < r.nleaking; i++)
		print_message("leaks: %.*s\n", STR_ARG(r.leaking[i]));
	assert_true(r.ok);
	assert_int_equal(r.cuts, LEAK_CUTS);
	/* Sixths of 4,000 rows: 1/6 + ... + 5/6 of them. */
	assert_in_range(r.rows, 9990, 10010);
	for (size_t i = 1; i < r.cuts; i++)
		assert_true(r.cut_us[i - 1] < r.cut_us[i]);
	/* What was built for the comparison is gone again. */
	assert_int_equal(learn_number(f,
				 "SELECT count(*) FROM information_schema.tables WHERE "
				 "table_schema = 'features'"),
		1);
}

static void test_honest_window_passes(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_set(f,
		SET(", (SELECT count(*) FROM made x WHERE x.agent_id = m.agent_id AND "
		    "x.occurred_at < m.occurred_at) AS before",
			""));

	assert_true(check(f, &set).ok);
}

static void test_peeking_aggregate(void **state)
{
	/* Counts the agent's bookings of all times, later ones too. */
	expect_leak(*state, SET(", count(*) OVER (PARTITION BY m.agent_id) AS agent_bookings", ""),
		"agent_bookings");
}

static void test_peeking_at_the_outcome(void **state)
{
	expect_leak(*state, SET(", CAST(e.cancelled IS NULL AS INTEGER) AS still_open", ""),
		"still_open");
}

static void test_late_version(void **state)
{
	/* The status as it is now, not as it was when the booking was made. */
	expect_leak(*state,
		SET(", v.status",
			"LEFT JOIN {{versions public.bookings}} v ON v.booking_id = m.booking_id "
			"AND v._valid_to = TIMESTAMPTZ 'infinity'"),
		"status");
}

static void test_version_as_of_booking(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_set(f,
		SET(", v.status",
			"LEFT JOIN {{versions public.bookings}} v ON v.booking_id = m.booking_id "
			"AND v._valid_from <= m.occurred_at AND v._valid_to > m.occurred_at"));

	assert_true(check(f, &set).ok);
}

static void test_fixed_that_changes(void **state)
{
	expect_leak(*state,
		SET(", b.meal, b.assigned_room_type",
			"JOIN {{fixed public.bookings by booking_id: meal, assigned_room_type}} b "
			"ON "
			"b.booking_id = m.booking_id"),
		"public.bookings.assigned_room_type");
}

static void test_first_is_said_to_be_assumed(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_set(f,
		SET(", b.assigned_room_type",
			"JOIN {{first public.bookings by booking_id: assigned_room_type}} b ON "
			"b.booking_id = m.booking_id"));
	struct leak_report r = check(f, &set);

	assert_true(r.ok);
	assert_int_equal(r.nassumed, 1);
	assert_str(r.assumed[0], "public.bookings.assigned_room_type");
	/* Bookings that came by the stream have the room of their first version. */
	assert_int_equal(learn_number(f,
				 "SELECT count(*) FROM features.cancel_risk WHERE booking_id "
				 "% 2 = 0 AND assigned_room_type <> 'A'"),
		0);
}

static void test_rows_that_only_the_future_knows(void **state)
{
	/* Only bookings whose end is known have a row. */
	expect_leak(*state, SET("", "WHERE e.cancelled IS NOT NULL"), "booking_id");
}

static void test_label_before_its_time(void **state)
{
	/* label_at lies a year behind the event, so labels are known before it. */
	expect_leak(*state,
		"WITH made AS (SELECT * FROM {{versions public.booking_events}} WHERE kind = "
		"'created'), ends AS (SELECT booking_id, max(CAST(kind = 'cancelled' AS INTEGER)) "
		"AS "
		"cancelled, max(occurred_at) AS label_at FROM {{versions public.booking_events}} "
		"WHERE kind <> 'created' GROUP BY booking_id) SELECT m.booking_id, m.occurred_at "
		"AS "
		"booked_at, e.cancelled, e.label_at + INTERVAL 365 DAY AS label_at, e.cancelled IS "
		"NULL AS is_open, m.nights FROM made m LEFT JOIN ends e USING (booking_id)",
		"cancelled");
}

static void test_nothing_is_not_proven(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_set(f, SET("", "WHERE false"));
	struct leak_report r = check(f, &set);

	assert_false(r.ok);
	assert_int_equal(r.rows, 0);
}

static void test_build_is_checked(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_build built;
	struct error e = {0};
	struct feature_set set = learn_set(
		f, SET("", "JOIN (SELECT 1 UNION ALL SELECT 2) x ON true"));

	assert_err(feature_build(f->w, &set, &f->env, &built, &e), ERR_INPUT, &e);
	assert_has(e.text, "4000 repeat");
	set = learn_built_in(f);
	f->clock.now_us++;
	assert_ok(feature_build(f->w, &set, &f->env, &built, &e), &e);
	assert_int_equal(built.rows, 4000);
	assert_int_equal(built.at.v, UINT64_C(0x10000002B));
	learn_expect_text(f,
		"SELECT lsn || ' ' || lsn_number || ' ' || rows_built FROM ops.feature_builds "
		"ORDER BY sql_sha256 = (SELECT max(sql_sha256) FROM ops.feature_builds WHERE "
		"rows_built = 4000) DESC LIMIT 1",
		"1/2B 4294967339 4000");
	f->clock.now_us++; /* builds are told apart by their time */
	learn_script(f, "DELETE FROM ops.marks");
	assert_err(feature_build(f->w, &set, &f->env, &built, &e), ERR_USAGE, &e);
	assert_has(e.text, "sluice replicate");
}

#define LEARN_TEST(fn) cmocka_unit_test_setup_teardown(fn, learn_setup, learn_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEARN_TEST(test_built_in_set_is_honest),
		LEARN_TEST(test_honest_window_passes),
		LEARN_TEST(test_peeking_aggregate),
		LEARN_TEST(test_peeking_at_the_outcome),
		LEARN_TEST(test_late_version),
		LEARN_TEST(test_version_as_of_booking),
		LEARN_TEST(test_fixed_that_changes),
		LEARN_TEST(test_first_is_said_to_be_assumed),
		LEARN_TEST(test_rows_that_only_the_future_knows),
		LEARN_TEST(test_label_before_its_time),
		LEARN_TEST(test_nothing_is_not_proven),
		LEARN_TEST(test_build_is_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
