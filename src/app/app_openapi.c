#include "app_openapi.h"

#include <stdio.h>
#include <string.h>

#include "booking_fields.h"
#include "json.h"

enum body { BODY_NONE, BODY_CREATE, BODY_CHANGE, BODY_ACT };

static const char *const body_schemas[] = {
	[BODY_CREATE] = "NewBooking",
	[BODY_CHANGE] = "BookingChange",
	[BODY_ACT] = "BookingAction",
};

static const struct operation {
	const char *path, *method, *id, *summary;
	const char *status, *answer; /* answer: schema, or NULL for an empty one */
	const char *errors;          /* statuses with a problem */
	enum body body;
	bool key, if_match;
} operations[] = {
	{"/v1/bookings", "post", "createBooking", "Make a booking", "201", "Booking",
		"400 409 413 415 422 503", .body = BODY_CREATE, .key = true},
	{"/v1/bookings", "get", "listBookings", "List bookings in the order of their ids", "200",
		"BookingPage", "400 503"},
	{"/v1/bookings/{id}", "get", "getBooking", "Read a booking", "200", "Booking", "404 503"},
	{"/v1/bookings/{id}", "patch", "changeBooking",
		"Change dates, party, rooms or requests; only assigned_room_type assigns a room",
		"200", "Booking", "400 404 409 412 413 415 422 503", .body = BODY_CHANGE,
		.key = true, .if_match = true},
	{"/v1/bookings/{id}/cancel", "post", "cancelBooking", "Cancel a booking", "200", "Booking",
		"400 404 409 412 415 422 503", .body = BODY_ACT, .key = true, .if_match = true},
	{"/v1/bookings/{id}/check-in", "post", "checkInBooking", "The guests have arrived", "200",
		"Booking", "400 404 409 412 415 422 503", .body = BODY_ACT, .key = true,
		.if_match = true},
	{"/v1/bookings/{id}/check-out", "post", "checkOutBooking", "The guests have left", "200",
		"Booking", "400 404 409 412 415 422 503", .body = BODY_ACT, .key = true,
		.if_match = true},
	{"/v1/bookings/{id}/no-show", "post", "noShowBooking", "The guests did not come", "200",
		"Booking", "400 404 409 412 415 422 503", .body = BODY_ACT, .key = true,
		.if_match = true},
	{"/v1/guests/{id}", "get", "getGuest", "Read a guest", "200", "Guest", "404 503"},
	{"/v1/guests/{id}", "delete", "eraseGuest",
		"Erase a guest; the guest's bookings stay, without the guest", "204", NULL,
		"404 503"},
	{"/livez", "get", "live", "Whether the process runs", "200", "Anything", ""},
	{"/readyz", "get", "ready", "Whether requests can be served", "200", "Anything", "503"},
	{"/openapi.json", "get", "openapi", "This document", "200", "Anything", ""},
};

static void write_type(struct json_out *j, const char *type, bool nullable)
{
	if (!nullable) {
		jo_cstr(j, "type", type);
		return;
	}
	jo_array(j, "type");
	jo_cstr(j, NULL, type);
	jo_cstr(j, NULL, "null");
	jo_end_array(j);
}

static void write_choices(struct json_out *j, const struct field_rule *r)
{
	struct str rest = str_of(r->choices), one;

	jo_array(j, "enum");
	while (str_next(&rest, '|', &one))
		jo_str(j, NULL, one);
	if (r->flags & FIELD_NULLABLE)
		jo_null(j, NULL);
	jo_end_array(j);
}

static void write_limits(
	struct json_out *j, const struct field_rule *r, const char *low, const char *high)
{
	jo_i64(j, low, r->min);
	jo_i64(j, high, r->max);
}

static void write_field(struct json_out *j, const struct field_rule *r)
{
	bool nullable = r->flags & FIELD_NULLABLE;
	char text[200];

	jo_object(j, r->name);
	switch (r->kind) {
	case FIELD_INT:
		write_type(j, "integer", nullable);
		write_limits(j, r, "minimum", "maximum");
		break;
	case FIELD_DECIMAL:
		write_type(j, "number", nullable);
		write_limits(j, r, "minimum", "maximum");
		jo_f64(j, "multipleOf", 0.01);
		break;
	case FIELD_BOOL:
		write_type(j, "boolean", nullable);
		break;
	case FIELD_TEXT:
	case FIELD_EMAIL:
		write_type(j, "string", nullable);
		if (r->kind == FIELD_EMAIL)
			jo_cstr(j, "format", "email");
		write_limits(j, r, "minLength", "maxLength");
		break;
	case FIELD_CODE:
		write_type(j, "string", nullable);
		(void)snprintf(text, sizeof text, "^[A-Z]{%lld,%lld}$", (long long)r->min,
			(long long)r->max);
		jo_cstr(j, "pattern", text);
		break;
	case FIELD_CHOICE:
		write_type(j, "string", nullable);
		write_choices(j, r);
		break;
	case FIELD_DATE:
	case FIELD_TIME:
		write_type(j, "string", nullable);
		jo_cstr(j, "format", r->kind == FIELD_DATE ? "date" : "date-time");
		break;
	}
	(void)snprintf(text, sizeof text, "%s%s", r->help,
		r->flags & FIELD_IMPORT ? " Accepted in import mode only." : "");
	jo_cstr(j, "description", text);
	if (r->initial != NULL)
		jo_raw(j, "default", str_of(r->initial));
	jo_end_object(j);
}

static void write_schema(struct json_out *j, const char *name, const struct field_rule *rules,
	size_t n, const char *ref)
{
	jo_object(j, name);
	jo_cstr(j, "type", "object");
	jo_bool(j, "additionalProperties", false);
	jo_object(j, "properties");
	for (size_t i = 0; i < n; i++)
		write_field(j, &rules[i]);
	if (ref != NULL) {
		jo_object(j, "guest");
		jo_cstr(j, "$ref", ref);
		jo_end_object(j);
	}
	jo_end_object(j);
	jo_array(j, "required");
	for (size_t i = 0; i < n; i++)
		if (rules[i].flags & FIELD_REQUIRED)
			jo_cstr(j, NULL, rules[i].name);
	jo_end_array(j);
	jo_end_object(j);
}

/* What a booking has beyond what its creation takes. */
#define BOOKING_REST                                                                               \
	"\"booking_id\":{\"type\":\"integer\"},"                                                   \
	"\"status\":{\"enum\":[\"booked\",\"cancelled\",\"checked_in\",\"checked_out\","           \
	"\"no_show\"]},"                                                                           \
	"\"changes\":{\"type\":\"integer\"},"                                                      \
	"\"cancelled_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},"              \
	"\"checked_in_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},"             \
	"\"checked_out_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},"            \
	"\"changed_at\":{\"type\":\"string\",\"format\":\"date-time\"},"                           \
	"\"version\":{\"type\":\"integer\",\"description\":\"The number in the ETag.\"}"

#define PAGE                                                                                       \
	"{\"type\":\"object\",\"properties\":{\"bookings\":{\"type\":\"array\",\"items\":{"        \
	"\"$ref\":\"#/components/schemas/Booking\"}},\"next\":{\"type\":[\"string\",\"null\"],"    \
	"\"description\":\"The after of the next page; null on the last.\"}}}"

#define GUEST                                                                                      \
	"{\"type\":\"object\",\"properties\":{\"guest_id\":{\"type\":\"integer\"},\"full_name\":{" \
	"\"type\":\"string\"},\"email\":{\"type\":[\"string\",\"null\"]},\"country\":{\"type\":["  \
	"\"string\",\"null\"]},\"created_at\":{\"type\":\"string\",\"format\":\"date-time\"}}}"

#define PROBLEM                                                                                    \
	"{\"type\":\"object\",\"description\":\"RFC 9457\",\"properties\":{\"type\":{\"type\":"    \
	"\"string\",\"format\":\"uri\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":"     \
	"\"integer\"},\"detail\":{\"type\":\"string\"},\"instance\":{\"type\":\"string\"},"        \
	"\"errors\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"           \
	"\"pointer\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}}}}}}"

static void write_schemas(struct json_out *j)
{
	jo_object(j, "schemas");
	write_schema(j, "NewBooking", booking_create_rules, CREATE_FIELDS,
		"#/components/schemas/NewGuest");
	write_schema(j, "NewGuest", guest_rules, GUEST_FIELDS, NULL);
	write_schema(j, "BookingChange", booking_change_rules, CHANGE_FIELDS, NULL);
	write_schema(j, "BookingAction", booking_act_rules, ACT_FIELDS, NULL);
	jo_object(j, "Booking");
	jo_cstr(j, "type", "object");
	jo_object(j, "properties");
	for (size_t i = 0; i < CREATE_FIELDS; i++)
		write_field(j, &booking_create_rules[i]);
	buf_puts(j->b, "," BOOKING_REST);
	jo_end_object(j);
	jo_end_object(j);
	jo_raw(j, "BookingPage", STR(PAGE));
	jo_raw(j, "Guest", STR(GUEST));
	jo_raw(j, "Problem", STR(PROBLEM));
	jo_raw(j, "Anything", STR("{\"type\":\"object\"}"));
	jo_end_object(j);
}

static void write_parameter(struct json_out *j, const char *in, const char *name, bool required,
	const char *schema, const char *help)
{
	jo_object(j, NULL);
	jo_cstr(j, "in", in);
	jo_cstr(j, "name", name);
	jo_bool(j, "required", required);
	jo_raw(j, "schema", str_of(schema));
	jo_cstr(j, "description", help);
	jo_end_object(j);
}

static void write_parameters(struct json_out *j, const struct operation *o)
{
	jo_array(j, "parameters");
	if (strstr(o->path, "{id}") != NULL)
		write_parameter(
			j, "path", "id", true, "{\"type\":\"integer\",\"minimum\":1}", "The id.");
	if (o->key)
		write_parameter(j, "header", "Idempotency-Key", false,
			"{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}",
			"A request sent again with its key is done once and answered alike.");
	if (o->if_match)
		write_parameter(j, "header", "If-Match", false, "{\"type\":\"string\"}",
			"Do it only to this version, as in ETag.");
	if (strcmp(o->id, "listBookings") == 0) {
		write_parameter(j, "query", "status", false,
			"{\"enum\":[\"booked\",\"cancelled\",\"checked_in\",\"checked_out\","
			"\"no_show\"]}",
			"Only bookings in this state.");
		write_parameter(j, "query", "after", false, "{\"type\":\"string\"}",
			"The next of the page before.");
		write_parameter(j, "query", "limit", false,
			"{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":50}",
			"At most so many.");
	}
	jo_end_array(j);
}

static void write_content(struct json_out *j, const char *type, const char *schema)
{
	char ref[64];

	(void)snprintf(ref, sizeof ref, "#/components/schemas/%s", schema);
	jo_object(j, "content");
	jo_object(j, type);
	jo_object(j, "schema");
	jo_cstr(j, "$ref", ref);
	jo_end_object(j);
	jo_end_object(j);
	jo_end_object(j);
}

static void write_responses(struct json_out *j, const struct operation *o)
{
	struct str rest = str_of(o->errors), one;

	jo_object(j, "responses");
	jo_object(j, o->status);
	jo_cstr(j, "description", "Done");
	if (o->answer != NULL)
		write_content(j, "application/json", o->answer);
	jo_end_object(j);
	while (str_next(&rest, ' ', &one)) {
		char status[8];
		uint64_t number = 0;
		(void)str_to_u64(one, &number);
		(void)snprintf(status, sizeof status, "%.*s", STR_ARG(one));
		jo_object(j, status);
		jo_cstr(j, "description", http_reason((unsigned)number));
		write_content(j, PROBLEM_TYPE, "Problem");
		jo_end_object(j);
	}
	jo_end_object(j);
}

static void write_operation(struct json_out *j, const struct operation *o)
{
	jo_object(j, o->method);
	jo_cstr(j, "operationId", o->id);
	jo_cstr(j, "summary", o->summary);
	write_parameters(j, o);
	if (o->body != BODY_NONE) {
		jo_object(j, "requestBody");
		jo_bool(j, "required", o->body != BODY_ACT);
		write_content(j, "application/json", body_schemas[o->body]);
		jo_end_object(j);
	}
	write_responses(j, o);
	jo_end_object(j);
}

/* Operations on the same path stand next to each other. */
static void write_paths(struct json_out *j)
{
	const size_t n = sizeof operations / sizeof operations[0];

	jo_object(j, "paths");
	for (size_t i = 0; i < n;) {
		const char *path = operations[i].path;
		jo_object(j, path);
		for (; i < n && strcmp(operations[i].path, path) == 0; i++)
			write_operation(j, &operations[i]);
		jo_end_object(j);
	}
	jo_end_object(j);
}

void app_openapi_write(struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_cstr(&j, "openapi", "3.1.0");
	jo_object(&j, "info");
	jo_cstr(&j, "title", "sluice reservation service");
	jo_cstr(&j, "version", "1.0.0");
	jo_cstr(&j, "description",
		"Bookings of hotels. Errors are application/problem+json (RFC 9457).");
	jo_object(&j, "license");
	jo_cstr(&j, "name", "Apache-2.0");
	jo_cstr(&j, "identifier", "Apache-2.0");
	jo_end_object(&j);
	jo_end_object(&j);
	write_paths(&j);
	jo_object(&j, "components");
	write_schemas(&j);
	jo_end_object(&j);
	jo_end_object(&j);
}
