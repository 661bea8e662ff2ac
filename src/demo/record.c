/* What records from both origins share. */
#include "record.h"

#include <stdlib.h>

const struct hotel record_hotels[2] = {
	{"Resort Hotel", "resort"},
	{"City Hotel", "city"},
};

/* splitmix64 (Steele, Lea and Flood, 2014): a well-mixed number from a counter. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static int64_t within(uint64_t salt, unsigned which, int64_t span_us)
{
	return (int64_t)(mix(salt * 8 + which) % (uint64_t)span_us);
}

/*
 * Guests book in the morning and cancel at noon, arrive in the afternoon and leave in the
 * morning: so a story that begins and ends on one day still happens in order.
 */
void record_times(struct record *r, int64_t ended_day, int64_t left_day, uint64_t salt)
{
	int64_t arrival = r->arrival_days * DAY_US;
	r->booked_us += within(salt, 0, 11 * HOUR_US);
	switch (r->outcome) {
	case OUTCOME_CANCELLED:
		r->ended_us = ended_day + 12 * HOUR_US + within(salt, 1, HOUR_US);
		break;
	case OUTCOME_NO_SHOW:
		r->ended_us = arrival + 23 * HOUR_US + within(salt, 1, HOUR_US / 2);
		break;
	case OUTCOME_STAYED:
		r->checked_in_us = arrival + 14 * HOUR_US + within(salt, 2, 8 * HOUR_US);
		r->checked_out_us = left_day > arrival
			? left_day + 6 * HOUR_US + within(salt, 3, 5 * HOUR_US)
			: arrival + 23 * HOUR_US;
		break;
	}
}

static int by_booked(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	return (x->booked_us > y->booked_us) - (x->booked_us < y->booked_us);
}

void records_sort(struct records *r)
{
	qsort(r->items, r->n, sizeof *r->items, by_booked);
}
