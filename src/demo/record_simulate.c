/* Guests made up from a seed, whose probability to cancel is known. */
#include <math.h>

#include "clock.h"
#include "record.h"
#include "rnd.h"

#define AGENTS 60

struct market {
	double agent_effect[AGENTS];
	int64_t first_day, days;
};

static const char *pick(struct rnd *r, const char *const *words, const double *weights, size_t n)
{
	double x = rnd_unit(r);
	for (size_t i = 0; i + 1 < n; i++) {
		if (x < weights[i])
			return words[i];
		x -= weights[i];
	}
	return words[n - 1];
}

/* Sum of twelve uniforms less six: near enough to a standard normal for effects. */
static double bell(struct rnd *r)
{
	double sum = -6;
	for (int i = 0; i < 12; i++)
		sum += rnd_unit(r);
	return sum;
}

static void open_market(struct market *m, struct rnd *r)
{
	for (int i = 0; i < AGENTS; i++)
		m->agent_effect[i] = 0.9 * bell(r);
	m->first_day = clock_days(2015, 7, 1);
	m->days = clock_days(2017, 8, 31) - m->first_day + 1;
}

static void draw_guest(struct record *rec, struct rnd *r)
{
	static const char *const customers[] = {
		"Transient", "Transient-Party", "Contract", "Group"};
	static const double customer_weights[] = {0.75, 0.20, 0.04};
	static const char *const countries[] = {"PRT", "GBR", "FRA", "ESP", "DEU", "ITA"};
	static const double country_weights[] = {0.42, 0.14, 0.12, 0.12, 0.10};
	rec->adults = 1 + (int32_t)rnd_below(r, 3);
	rec->children = rnd_below(r, 12) == 0 ? 1 + (int32_t)rnd_below(r, 2) : 0;
	rec->babies = rnd_below(r, 60) == 0;
	rec->repeated_guest = rnd_below(r, 25) == 0;
	rec->previous_cancellations = rnd_below(r, 15) == 0 ? 1 + (int32_t)rnd_below(r, 3) : 0;
	rec->previous_stays = rec->repeated_guest ? 1 + (int32_t)rnd_below(r, 6) : 0;
	rec->customer = str_of(pick(r, customers, customer_weights, 4));
	rec->country = str_of(pick(r, countries, country_weights, 6));
}

static void draw_stay(struct record *rec, struct arena *mem, struct rnd *r)
{
	static const char *const segments[] = {
		"Online TA", "Offline TA/TO", "Groups", "Direct", "Corporate"};
	static const double segment_weights[] = {0.48, 0.20, 0.16, 0.11};
	static const char *const meals[] = {"BB", "HB", "SC", "FB"};
	static const double meal_weights[] = {0.77, 0.12, 0.09};
	static const char *const rooms[] = {"A", "D", "E", "F", "G"};
	static const double room_weights[] = {0.7, 0.16, 0.07, 0.04};
	static const char *const deposits[] = {"No Deposit", "Non Refund", "Refundable"};
	static const double deposit_weights[] = {0.87, 0.125};
	rec->hotel = (int)rnd_below(r, 3) > 0;
	rec->weekend_nights = (int32_t)rnd_below(r, 3);
	rec->week_nights = 1 + (int32_t)rnd_below(r, 5);
	rec->meal = str_of(pick(r, meals, meal_weights, 4));
	rec->market_segment = str_of(pick(r, segments, segment_weights, 5));
	bool direct = str_eqc(rec->market_segment, "Direct") ||
		str_eqc(rec->market_segment, "Corporate");
	rec->distribution_channel = direct ? rec->market_segment : STR("TA/TO");
	rec->agent = direct ? 0 : 1 + (int32_t)rnd_below(r, AGENTS);
	rec->reserved_room = str_of(pick(r, rooms, room_weights, 5));
	rec->assigned_room = rnd_below(r, 8) == 0 ? str_of(pick(r, rooms, room_weights, 5))
						  : rec->reserved_room;
	rec->deposit = str_of(pick(r, deposits, deposit_weights, 3));
	rec->daily_rate = arena_fmt(
		mem, "%.2f", 45 + 150 * rnd_unit(r) * rnd_unit(r) + 40 * rnd_unit(r));
	rec->special_requests = (int32_t)rnd_below(r, 4);
	rec->parking_spaces = rnd_below(r, 15) == 0;
}

/* What is known at booking, and nothing else, decides. */
static double cancel_probability(const struct record *rec, const struct market *m, double lead)
{
	double z = -1.9 + 0.011 * fmin(lead, 300) - 0.45 * rec->special_requests +
		0.9 * rec->previous_cancellations - 0.5 * rec->previous_stays;
	if (str_eqc(rec->deposit, "Non Refund"))
		z += 2.6;
	if (str_eqc(rec->market_segment, "Groups"))
		z += 0.5;
	if (str_eqc(rec->market_segment, "Online TA"))
		z += 0.7;
	if (str_eqc(rec->customer, "Transient-Party"))
		z -= 0.8;
	if (rec->agent > 0)
		z += m->agent_effect[rec->agent - 1];
	return 1 / (1 + exp(-z));
}

static void draw_story(struct record *rec, const struct market *m, struct rnd *r, uint64_t salt)
{
	int64_t lead = (int64_t)(-70 * log(1 - rnd_unit(r)));
	int64_t booked = m->first_day + (int64_t)rnd_below(r, (uint64_t)m->days);
	rec->cancel_probability = cancel_probability(rec, m, (double)lead);
	rec->booked_us = booked * DAY_US;
	rec->arrival_days = (int32_t)(booked + lead);
	bool lost = rnd_unit(r) < rec->cancel_probability;
	rec->outcome = !lost            ? OUTCOME_STAYED
		: rnd_below(r, 30) == 0 ? OUTCOME_NO_SHOW
					: OUTCOME_CANCELLED;
	int64_t ended = booked + (int64_t)(rnd_unit(r) * (double)(lead + 1));
	int64_t left = rec->arrival_days + rec->weekend_nights + rec->week_nights;
	record_times(rec, ended * DAY_US, left * DAY_US, salt);
}

void records_simulate(size_t n, uint64_t seed, struct arena *mem, struct records *out)
{
	struct rnd r;
	struct market m;
	rnd_seed(&r, seed);
	open_market(&m, &r);
	out->n = n;
	out->items = arena_array(mem, n, sizeof *out->items);
	for (size_t i = 0; i < n; i++) {
		draw_guest(&out->items[i], &r);
		draw_stay(&out->items[i], mem, &r);
		draw_story(&out->items[i], &m, &r, i);
	}
	records_sort(out);
}
