#include "booking_fields.h"

#include "clock.h"
#include "json.h"

#define MEALS     "BB|HB|FB|SC|Undefined"
#define SEGMENTS  "Direct|Corporate|Online TA|Offline TA/TO|Groups|Complementary|Aviation|Undefined"
#define CHANNELS  "Direct|Corporate|TA/TO|GDS|Undefined"
#define DEPOSITS  "No Deposit|Non Refund|Refundable"
#define CUSTOMERS "Transient|Transient-Party|Contract|Group"

#define ID_MAX INT64_C(2147483647)

const struct field_rule booking_create_rules[CREATE_FIELDS] = {
	{"hotel_id", FIELD_INT, FIELD_REQUIRED, 1, ID_MAX, .help = "The hotel."},
	{"guest_id", FIELD_INT, FIELD_NULLABLE, 1, INT64_MAX,
		.help = "A guest who is known already; otherwise give guest."},
	{"agent_id", FIELD_INT, FIELD_NULLABLE, 1, ID_MAX, .help = "The travel agent."},
	{"company_id", FIELD_INT, FIELD_NULLABLE, 1, ID_MAX, .help = "The company that pays."},
	{"booked_at", FIELD_TIME, FIELD_IMPORT, .help = "When the booking was made."},
	{"arrival_date", FIELD_DATE, FIELD_REQUIRED, .help = "The day of arrival."},
	{"weekend_nights", FIELD_INT, FIELD_REQUIRED, 0, 365, .help = "Nights on weekends."},
	{"week_nights", FIELD_INT, FIELD_REQUIRED, 0, 365, .help = "Other nights."},
	{"adults", FIELD_INT, FIELD_REQUIRED, 0, 100, .help = "Adults."},
	{"children", FIELD_INT, FIELD_NULLABLE, 0, 100, .help = "Children; null when not said."},
	{"babies", FIELD_INT, 0, 0, 100, .initial = "0", .help = "Babies."},
	{"meal", FIELD_CHOICE, FIELD_REQUIRED, .choices = MEALS, .help = "The meal plan."},
	{"country", FIELD_CODE, FIELD_NULLABLE, 2, 3, .help = "The guest's country, ISO 3166."},
	{"market_segment", FIELD_CHOICE, FIELD_REQUIRED, .choices = SEGMENTS,
		.help = "The market segment."},
	{"distribution_channel", FIELD_CHOICE, FIELD_REQUIRED, .choices = CHANNELS,
		.help = "How the booking came."},
	{"is_repeated_guest", FIELD_BOOL, 0, .initial = "false",
		.help = "Whether the guest has been here before."},
	{"previous_cancellations", FIELD_INT, 0, 0, 100000, .initial = "0",
		.help = "Earlier bookings that the guest cancelled."},
	{"previous_stays", FIELD_INT, 0, 0, 100000, .initial = "0",
		.help = "Earlier bookings that the guest kept."},
	{"reserved_room_type", FIELD_CODE, FIELD_REQUIRED, 1, 1, .help = "The room type booked."},
	{"assigned_room_type", FIELD_CODE, 0, 1, 1,
		.help = "The room type given; the one booked when absent."},
	{"deposit_type", FIELD_CHOICE, FIELD_REQUIRED, .choices = DEPOSITS, .help = "The deposit."},
	{"customer_type", FIELD_CHOICE, FIELD_REQUIRED, .choices = CUSTOMERS,
		.help = "The kind of customer."},
	{"daily_rate", FIELD_DECIMAL, FIELD_REQUIRED, -10000, 1000000,
		.help = "The price of a night; below zero is a refund."},
	{"parking_spaces", FIELD_INT, 0, 0, 100, .initial = "0", .help = "Parking spaces wanted."},
	{"special_requests", FIELD_INT, 0, 0, 100, .initial = "0",
		.help = "How many special requests were made."},
};

const struct field_rule guest_rules[GUEST_FIELDS] = {
	{"full_name", FIELD_TEXT, FIELD_REQUIRED, 1, 200, .help = "The guest's name."},
	{"email", FIELD_EMAIL, FIELD_NULLABLE, 3, 254, .help = "Where to write to."},
	{"country", FIELD_CODE, FIELD_NULLABLE, 2, 3, .help = "The guest's country, ISO 3166."},
};

#define OCCURRED_AT                                                                                \
	{                                                                                          \
		"occurred_at", FIELD_TIME, FIELD_IMPORT, .help = "When it happened."               \
	}

const struct field_rule booking_change_rules[CHANGE_FIELDS] = {
	OCCURRED_AT,
	{"arrival_date", FIELD_DATE, 0, .help = "The day of arrival."},
	{"weekend_nights", FIELD_INT, 0, 0, 365, .help = "Nights on weekends."},
	{"week_nights", FIELD_INT, 0, 0, 365, .help = "Other nights."},
	{"adults", FIELD_INT, 0, 0, 100, .help = "Adults."},
	{"children", FIELD_INT, 0, 0, 100, .help = "Children."},
	{"babies", FIELD_INT, 0, 0, 100, .help = "Babies."},
	{"meal", FIELD_CHOICE, 0, .choices = MEALS, .help = "The meal plan."},
	{"reserved_room_type", FIELD_CODE, 0, 1, 1, .help = "The room type booked."},
	{"assigned_room_type", FIELD_CODE, 0, 1, 1, .help = "The room type given."},
	{"parking_spaces", FIELD_INT, 0, 0, 100, .help = "Parking spaces wanted."},
	{"special_requests", FIELD_INT, 0, 0, 100, .help = "How many special requests were made."},
};

const struct field_rule booking_act_rules[ACT_FIELDS] = {OCCURRED_AT};

static void read_guest(struct fields *f, const json_t *body)
{
	const json_t *guest = json_object_get(body, "guest");

	if (guest == NULL) {
		if (f->values[CREATE_GUEST_ID] == NULL)
			fields_error(f, "", "guest", "is required unless guest_id is given");
		for (size_t i = 0; i < GUEST_FIELDS; i++)
			f->values[f->n++] = NULL;
		return;
	}
	if (f->given[CREATE_GUEST_ID])
		fields_error(f, "", "guest", "cannot stand beside guest_id; give one of them");
	if (!json_is_object(guest))
		fields_error(f, "", "guest", "must be an object");
	else
		fields_read(f, guest, guest_rules, GUEST_FIELDS, "/guest", NULL);
}

static void check_party(struct fields *f)
{
	int64_t people = fields_number(f, CREATE_ADULTS) + fields_number(f, CREATE_CHILDREN) +
		fields_number(f, CREATE_BABIES);

	/* History holds bookings without guests; a new one is a mistake. */
	if (people == 0 && !f->import_mode)
		fields_error(f, "", "adults", "must be at least 1 when nobody else comes");
}

static void check_arrival(struct fields *f)
{
	int64_t booked = f->now_us;

	if (f->values[CREATE_BOOKED_AT] != NULL)
		(void)clock_parse(str_of(f->values[CREATE_BOOKED_AT]), &booked);
	/* One day of grace: it is still yesterday west of here. */
	int64_t first = booked / 86400000000LL - 1;
	if (f->values[CREATE_ARRIVAL] != NULL && fields_day(f, CREATE_ARRIVAL) < first)
		fields_error(f, "", "arrival_date", "must not be before the day of booking");
}

void booking_create_read(struct fields *f, const json_t *body)
{
	fields_read(f, body, booking_create_rules, CREATE_FIELDS, "", "guest");
	bool whole = f->nerrors == 0;
	read_guest(f, body);
	if (!whole)
		return;
	check_party(f);
	check_arrival(f);
}

void booking_change_read(struct fields *f, const json_t *body, bool *room_only)
{
	size_t changes = 0;

	fields_read(f, body, booking_change_rules, CHANGE_FIELDS, "", NULL);
	for (size_t i = CHANGE_ARRIVAL; i < CHANGE_FIELDS; i++)
		changes += f->given[i];
	if (changes == 0 && f->nerrors == 0)
		fields_error(f, "", "", "names nothing to change");
	*room_only = changes == 1 && f->given[CHANGE_ASSIGNED_ROOM];
}

bool booking_change_needs_party(const struct fields *f)
{
	return !f->import_mode &&
		(f->given[CHANGE_ADULTS] || f->given[CHANGE_CHILDREN] || f->given[CHANGE_BABIES]);
}
