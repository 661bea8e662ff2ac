#include "plan.h"

#include <stdlib.h>

/* One guest in this many asks to be forgotten, a day after leaving. */
#define ERASE_ONE_IN 50

static void add(struct action *out, size_t *n, int64_t at, size_t record, enum action_kind kind)
{
	out[(*n)++] = (struct action){
		.at_us = at, .record = (uint32_t)record, .kind = (uint8_t)kind};
}

size_t plan_story(const struct records *r, size_t record, struct action out[ACT_KINDS])
{
	const struct record *rec = &r->items[record];
	size_t n = 0;
	add(out, &n, rec->booked_us, record, ACT_CREATE);
	if (rec->outcome == OUTCOME_CANCELLED)
		add(out, &n, rec->ended_us, record, ACT_CANCEL);
	if (rec->outcome == OUTCOME_NO_SHOW)
		add(out, &n, rec->ended_us, record, ACT_NO_SHOW);
	if (rec->outcome != OUTCOME_STAYED)
		return n;
	if (!str_eq(rec->reserved_room, rec->assigned_room))
		add(out, &n, rec->checked_in_us - 60000000, record, ACT_ROOM);
	add(out, &n, rec->checked_in_us, record, ACT_CHECK_IN);
	add(out, &n, rec->checked_out_us, record, ACT_CHECK_OUT);
	if (record % ERASE_ONE_IN == 0)
		add(out, &n, rec->checked_out_us + DAY_US, record, ACT_ERASE);
	return n;
}

static int by_time(const void *a, const void *b)
{
	const struct action *x = a, *y = b;
	if (x->at_us != y->at_us)
		return x->at_us > y->at_us ? 1 : -1;
	if (x->record != y->record)
		return x->record > y->record ? 1 : -1;
	return (int)x->kind - (int)y->kind;
}

void plan_make(const struct records *r, int64_t from_us, int64_t to_us, struct arena *mem,
	struct plan *out)
{
	struct action story[ACT_KINDS];
	size_t cap = 0;
	out->n = 0;
	for (size_t i = 0; i < r->n; i++) {
		size_t n = plan_story(r, i, story);
		for (size_t k = 0; k < n; k++)
			cap += story[k].at_us >= from_us && story[k].at_us < to_us;
	}
	out->items = arena_array(mem, cap + 1, sizeof *out->items);
	for (size_t i = 0; i < r->n; i++) {
		size_t n = plan_story(r, i, story);
		for (size_t k = 0; k < n; k++)
			if (story[k].at_us >= from_us && story[k].at_us < to_us)
				out->items[out->n++] = story[k];
	}
	qsort(out->items, out->n, sizeof *out->items, by_time);
}
