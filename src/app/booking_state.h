/*
 * booking_state: what may be done to a booking in which state, and where it leads. Pure.
 */
#ifndef SLUICE_BOOKING_STATE_H
#define SLUICE_BOOKING_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "str.h"

enum booking_action {
	ACTION_CHANGE,
	ACTION_ASSIGN_ROOM,
	ACTION_CANCEL,
	ACTION_CHECK_IN,
	ACTION_CHECK_OUT,
	ACTION_NO_SHOW,
	BOOKING_ACTIONS,
};

struct booking_rule {
	enum booking_action action;
	const char *words; /* "check in" */
	const char *event; /* kind of the booking event */
	const char *from;  /* states it is allowed in, as a PostgreSQL array: "{booked}" */
	const char *to;    /* state afterwards; NULL: unchanged */
};

const struct booking_rule *booking_rule(enum booking_action action);
bool booking_allows(const struct booking_rule *rule, struct str state);
bool booking_state_known(struct str state);

#endif
