/*
 * booking_fields: what the bodies of the reservation API may hold.
 */
#ifndef SLUICE_BOOKING_FIELDS_H
#define SLUICE_BOOKING_FIELDS_H

#include "fields.h"

/* Places in booking_create_rules, which are $1.. of booking_create.sql. */
enum create_field {
	CREATE_HOTEL,
	CREATE_GUEST_ID,
	CREATE_AGENT,
	CREATE_COMPANY,
	CREATE_BOOKED_AT,
	CREATE_ARRIVAL,
	CREATE_WEEKEND_NIGHTS,
	CREATE_WEEK_NIGHTS,
	CREATE_ADULTS,
	CREATE_CHILDREN,
	CREATE_BABIES,
	CREATE_LAST = 24,
	CREATE_FIELDS,
};

/* Places in booking_change_rules, which are $1.. of booking_change.sql. */
enum change_field {
	CHANGE_OCCURRED_AT,
	CHANGE_ARRIVAL,
	CHANGE_ADULTS = 4,
	CHANGE_CHILDREN,
	CHANGE_BABIES,
	CHANGE_ASSIGNED_ROOM = 9,
	CHANGE_LAST = 11,
	CHANGE_FIELDS,
};

#define GUEST_FIELDS 3
#define ACT_FIELDS   1

extern const struct field_rule booking_create_rules[CREATE_FIELDS];
extern const struct field_rule booking_change_rules[CHANGE_FIELDS];
extern const struct field_rule guest_rules[GUEST_FIELDS]; /* "guest" in a new booking */
extern const struct field_rule booking_act_rules[ACT_FIELDS];

/* Reads the body of a new booking: its fields, then the guest's, and what must hold between them.
 */
void booking_create_read(struct fields *f, const json_t *body);

/* Reads a change. *room_only: nothing but the assigned room is changed. */
void booking_change_read(struct fields *f, const json_t *body, bool *room_only);

/* True when a change names the party, of whom somebody must come. History holds bookings without
 * guests: they may be imported, and changed otherwise. */
bool booking_change_needs_party(const struct fields *f);

#endif
