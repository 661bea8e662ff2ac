/* Records: the real file's form, the simulator's promises, the order of each story. */
#include "unit.h"

#include <math.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "plan.h"
#include "record.h"

static const char header[] =
	"hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_week_number,"
	"arrival_date_day_of_month,stays_in_weekend_nights,stays_in_week_nights,adults,children,"
	"babies,meal,country,market_segment,distribution_channel,is_repeated_guest,"
	"previous_cancellations,previous_bookings_not_canceled,reserved_room_type,"
	"assigned_room_type,booking_changes,deposit_type,agent,company,days_in_waiting_list,"
	"customer_type,adr,required_car_parking_spaces,total_of_special_requests,"
	"reservation_status,reservation_status_date\n";
static const char stayed[] =
	"Resort Hotel,0,342,2015,July,27,1,0,3,2,,0,BB,PRT,Direct,Direct,0,0,0,C,D,3,No Deposit,,,0,"
	"Transient,75.5,0,0,Check-Out,2015-07-04\n";
static const char cancelled[] =
	"City Hotel,1,10,2016,May,20,9,2,1,2,1.0,0,HB,NULL,Online TA,TA/TO,0,1,0,A,A,0,Non Refund,9,,0,"
	"Transient,101.0,0,1,Canceled,2016-05-01\n";

struct fixture {
	struct arena mem;
	char path[64];
};

static int set_up(void **state)
{
	static struct fixture f;
	f = (struct fixture){0};
	snprintf(f.path, sizeof f.path, "/tmp/sluice-records-%d.csv", (int)getpid());
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	arena_free(&f->mem);
	unlink(f->path);
	return 0;
}

static enum err read_text(struct fixture *f, struct str text, struct records *out, struct error *e)
{
	enum err rc = file_write_atomic(f->path, text, e);
	return rc != OK ? rc : records_from_file(f->path, &f->mem, out, e);
}

static void reads_both_outcomes(void **state)
{
	struct fixture *f = *state;
	struct records r;
	struct error e = {0};
	assert_ok(
		read_text(f, arena_fmt(&f->mem, "%s%s%s", header, cancelled, stayed), &r, &e), &e);
	assert_int_equal(r.n, 2);
	/* Sorted by booking: 2014-07-24 comes before 2016-04-29. */
	const struct record *a = &r.items[0], *b = &r.items[1];
	assert_int_equal(a->outcome, OUTCOME_STAYED);
	assert_int_equal(a->children, -1);
	assert_int_equal(a->agent, 0);
	assert_int_equal(a->arrival_days, clock_days(2015, 7, 1));
	assert_int_equal(a->booked_us / DAY_US, clock_days(2014, 7, 24));
	assert_int_equal(a->checked_out_us / DAY_US, clock_days(2015, 7, 4));
	assert_int_equal(b->outcome, OUTCOME_CANCELLED);
	assert_int_equal(b->agent, 9);
	assert_int_equal(b->country.n, 0);
	assert_int_equal(b->ended_us / DAY_US, clock_days(2016, 5, 1));
	assert_true(isnan(b->cancel_probability));
}

static void names_what_is_wrong(void **state)
{
	struct fixture *f = *state;
	struct records r;
	struct error e = {0};
	assert_err(read_text(f, STR("a,b\n1,2\n"), &r, &e), ERR_INPUT, &e);
	assert_err(read_text(f, arena_fmt(&f->mem, "%sResort Hotel,0\n", header), &r, &e),
		ERR_INPUT, &e);
	assert_has(e.text, "line 2 has 2 fields");

	struct str bad = arena_fmt(&f->mem, "%s%s", header, stayed);
	char *at = strstr((char *)(uintptr_t)bad.p, "342");
	memcpy(at, "3x2", 3);
	assert_err(read_text(f, bad, &r, &e), ERR_INPUT, &e);
	assert_has(e.text, "lead_time is '3x2'");
	assert_err(read_text(f, str_of(header), &r, &e), ERR_INPUT, &e);
	assert_has(e.text, "no bookings");
	assert_err(records_from_file("/nonexistent.csv", &f->mem, &r, &e), ERR_USAGE, &e);
}

static void stories_are_in_order(void **state)
{
	struct fixture *f = *state;
	struct records r;
	struct action story[ACT_KINDS];
	records_simulate(5000, 7, &f->mem, &r);
	for (size_t i = 0; i < r.n; i++) {
		size_t n = plan_story(&r, i, story);
		assert_true(n >= 2 && n <= ACT_KINDS);
		assert_int_equal(story[0].kind, ACT_CREATE);
		for (size_t k = 1; k < n; k++)
			assert_true(story[k - 1].at_us < story[k].at_us);
		assert_true(i == 0 || r.items[i - 1].booked_us <= r.items[i].booked_us);
	}
}

static void a_seed_gives_the_same_again(void **state)
{
	struct fixture *f = *state;
	struct records a, b, c;
	size_t differing = 0;
	records_simulate(500, 11, &f->mem, &a);
	records_simulate(500, 11, &f->mem, &b);
	records_simulate(500, 12, &f->mem, &c);
	for (size_t i = 0; i < a.n; i++) {
		assert_true(a.items[i].booked_us == b.items[i].booked_us);
		assert_true(a.items[i].cancel_probability == b.items[i].cancel_probability);
		differing += a.items[i].booked_us != c.items[i].booked_us;
	}
	assert_true(differing > 400);
}

/* The outcomes must be draws from the probabilities that are claimed: in each tenth of
 * probability the share that is lost lies within five standard errors. */
static void outcomes_follow_their_probability(void **state)
{
	struct fixture *f = *state;
	struct records r;
	double lost[10] = {0}, sum[10] = {0}, var[10] = {0};
	records_simulate(40000, 13, &f->mem, &r);
	for (size_t i = 0; i < r.n; i++) {
		double p = r.items[i].cancel_probability;
		int bin = (int)fmin(9, p * 10);
		assert_true(p > 0 && p < 1);
		lost[bin] += r.items[i].outcome != OUTCOME_STAYED;
		sum[bin] += p;
		var[bin] += p * (1 - p);
	}
	for (int b = 0; b < 10; b++)
		assert_true(fabs(lost[b] - sum[b]) <= 5 * sqrt(var[b]) + 1e-9);
}

static void a_plan_is_the_stories_between_two_moments(void **state)
{
	struct fixture *f = *state;
	struct records r;
	struct plan whole, early, late;
	int64_t middle = clock_days(2016, 9, 1) * DAY_US;
	records_simulate(2000, 17, &f->mem, &r);
	plan_make(&r, INT64_MIN, INT64_MAX, &f->mem, &whole);
	plan_make(&r, INT64_MIN, middle, &f->mem, &early);
	plan_make(&r, middle, INT64_MAX, &f->mem, &late);
	assert_int_equal(whole.n, early.n + late.n);
	assert_true(early.n > 0 && late.n > 0);
	for (size_t i = 0; i < whole.n; i++) {
		const struct action *want = i < early.n ? &early.items[i]
							: &late.items[i - early.n];
		assert_memory_equal(&whole.items[i].at_us, &want->at_us, sizeof want->at_us);
		assert_int_equal(whole.items[i].record, want->record);
		assert_int_equal(whole.items[i].kind, want->kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_both_outcomes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_what_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stories_are_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_seed_gives_the_same_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			outcomes_follow_their_probability, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_plan_is_the_stories_between_two_moments, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
