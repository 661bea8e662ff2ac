/*
 * plan: the stories of all bookings as one list of things that happen, in time order.
 */
#ifndef SLUICE_PLAN_H
#define SLUICE_PLAN_H

#include "record.h"

enum action_kind {
	ACT_CREATE,
	ACT_ROOM, /* another room is assigned than the one reserved */
	ACT_CANCEL,
	ACT_NO_SHOW,
	ACT_CHECK_IN,
	ACT_CHECK_OUT,
	ACT_ERASE, /* the guest asks to be forgotten; synthetic, the real file knows none */
	ACT_KINDS
};

struct action {
	int64_t at_us;
	uint32_t record; /* index into records */
	uint8_t kind;    /* enum action_kind */
};

struct plan {
	size_t n;
	struct action *items;
};

/* Everything that happens with from_us <= at < to_us, in mem. */
void plan_make(const struct records *r, int64_t from_us, int64_t to_us, struct arena *mem,
	struct plan *out);

/* A booking's actions in order; returns how many (at most ACT_KINDS). */
size_t plan_story(const struct records *r, size_t record, struct action out[ACT_KINDS]);

#endif
