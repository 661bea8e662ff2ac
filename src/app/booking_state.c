#include "booking_state.h"

#include <assert.h>

static const struct booking_rule rules[BOOKING_ACTIONS] = {
	{ACTION_CHANGE, "change", "changed", "{booked}", NULL},
	{ACTION_ASSIGN_ROOM, "assign a room", "room_assigned", "{booked,checked_in}", NULL},
	{ACTION_CANCEL, "cancel", "cancelled", "{booked}", "cancelled"},
	{ACTION_CHECK_IN, "check in", "checked_in", "{booked}", "checked_in"},
	{ACTION_CHECK_OUT, "check out", "checked_out", "{checked_in}", "checked_out"},
	{ACTION_NO_SHOW, "record a no-show", "no_show", "{booked}", "no_show"},
};

static const char *const states[] = {"booked", "cancelled", "checked_in", "checked_out", "no_show"};

const struct booking_rule *booking_rule(enum booking_action action)
{
	assert(action < BOOKING_ACTIONS && rules[action].action == action);
	return &rules[action];
}

bool booking_allows(const struct booking_rule *rule, struct str state)
{
	struct str list = str_of(rule->from), one;

	list = str_make(list.p + 1, list.n - 2); /* without the braces */
	while (str_next(&list, ',', &one))
		if (str_eq(one, state))
			return true;
	return false;
}

bool booking_state_known(struct str state)
{
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		if (str_eqc(state, states[i]))
			return true;
	return false;
}
