/*
 * record: one booking's whole story, as the real file tells it or as the simulator makes it up.
 * The demonstration loads the older part of the stories in bulk and lives the newer part through
 * the reservation API.
 */
#ifndef SLUICE_RECORD_H
#define SLUICE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "str.h"

enum outcome { OUTCOME_STAYED, OUTCOME_CANCELLED, OUTCOME_NO_SHOW };

struct record {
	int hotel;              /* index into record_hotels */
	int32_t agent, company; /* 0: none */
	int32_t arrival_days;   /* since 1970-01-01 */
	int32_t weekend_nights, week_nights, adults, children, babies; /* children -1: unknown */
	struct str meal, country, market_segment, distribution_channel;
	struct str reserved_room, assigned_room, deposit, customer;
	bool repeated_guest;
	int32_t previous_cancellations, previous_stays;
	int32_t parking_spaces, special_requests, changes;
	struct str daily_rate; /* decimal text */
	enum outcome outcome;
	/* Business times, microseconds since 1970; 0 where it did not happen. */
	int64_t booked_us, ended_us; /* ended: cancelled or not shown up */
	int64_t checked_in_us, checked_out_us;
	double cancel_probability; /* what the simulator drew from; NaN for real bookings */
};

struct records {
	size_t n;
	struct record *items; /* in order of booked_us */
};

struct hotel {
	const char *name, *kind;
};
extern const struct hotel record_hotels[2];

#define DAY_US  INT64_C(86400000000)
#define HOUR_US INT64_C(3600000000)

/*
 * The hotel booking demand data (Antonio, Almeida and Nunes, Data in Brief 22, 2019), gzipped or
 * plain CSV with its header. The file knows dates; times of day are made up from the row number,
 * so that each booking's story stays in order. ERR_INPUT names line and column. All in mem.
 */
enum err records_from_file(
	const char *path, struct arena *mem, struct records *out, struct error *e) MUST_CHECK;

/*
 * Seeded guests whose probability to cancel is known: a logistic function of what is known at
 * booking, with an effect of each agent. Two years of bookings that end with 2017-08-31.
 */
void records_simulate(size_t n, uint64_t seed, struct arena *mem, struct records *out);

/* Fills the times of day of a record whose dates stand at midnight; `salt` varies them. */
void record_times(struct record *r, int64_t ended_day, int64_t left_day, uint64_t salt);

void records_sort(struct records *r);

#endif
