/*
 * Creating and changing bookings. One statement does it all, in one transaction and one round trip;
 * a second one runs only to say why the first found nothing to do.
 */
#include <inttypes.h>
#include <string.h>

#include "app_handlers.h"
#include "app_request.h"
#include "booking_state.h"
#include "json.h"

enum { COL_PASS, COL_ID, COL_VERSION, COL_BODY };

/* The constraints that a client can break, and the field that broke each. */
static const struct {
	const char *constraint, *field;
} references[] = {
	{"bookings_hotel_id_fkey", "hotel_id"},
	{"bookings_agent_id_fkey", "agent_id"},
	{"bookings_guest_id_fkey", "guest_id"},
};

static enum err answer_broken(struct http_request *req, struct http_response *resp, const char *key,
	const char *fingerprint, enum err rc, struct error *e)
{
	struct app_db *db = db_of(req);
	struct fields f;

	if (rc != ERR_CONFLICT)
		return rc;
	/* The first request with this key was done while this one waited. */
	if (strcmp(db->constraint, "idempotency_keys_pkey") == 0)
		return answer_replay(req, resp, key, fingerprint, e);
	fields_start(&f, req);
	for (size_t i = 0; i < sizeof references / sizeof references[0]; i++)
		if (strcmp(db->constraint, references[i].constraint) == 0)
			fields_error(&f, "", references[i].field, "names nothing that exists");
	return fields_good(&f, req, resp, "unknown-reference") ? rc : OK;
}

enum err booking_create(struct http_request *req, struct http_response *resp, struct error *e)
{
	const char *key, *fingerprint;
	const char *params[CREATE_FIELDS + GUEST_FIELDS + 3];
	struct fields f;
	json_t *body;
	PGresult *r;

	if (!request_object(req, resp, false, &body) || !request_key(req, resp, &key, &fingerprint))
		return OK;
	fields_start(&f, req);
	booking_create_read(&f, body);
	if (!fields_good(&f, req, resp, "invalid-booking"))
		return OK;
	memcpy(params, f.values, (CREATE_FIELDS + GUEST_FIELDS) * sizeof params[0]);
	params[CREATE_FIELDS + GUEST_FIELDS] = key;
	params[CREATE_FIELDS + GUEST_FIELDS + 1] = fingerprint;
	params[CREATE_FIELDS + GUEST_FIELDS + 2] = arena_cstr(req->mem, req->trace_parent);
	enum err rc = app_db_run(db_of(req), STMT_BOOKING_CREATE, params, req->mem, &r, e);
	if (rc != OK)
		return answer_broken(req, resp, key, fingerprint, rc, e);
	if (!pg_cell_bool(r, 0, COL_PASS))
		return answer_replay(req, resp, key, fingerprint, e);
	http_response_header(resp, STR("Location"),
		arena_fmt(req->mem, "/v1/bookings/%s", pg_cell(r, 0, COL_ID)));
	answer_booking(req, resp, 201, pg_cell_i64(r, 0, COL_VERSION), pg_cell_str(r, 0, COL_BODY));
	return OK;
}

/* "{3,4}" holds 4. */
static bool versions_hold(const char *versions, struct str version)
{
	struct str list = str_of(versions), one;

	list = str_make(list.p + 1, list.n - 2);
	while (str_next(&list, ',', &one))
		if (str_eq(one, version))
			return true;
	return false;
}

/* What was asked of a booking that did not do it. */
struct attempt {
	const struct booking_rule *rule;
	const char *id, *at, *versions;
	const char *arrival, *adults, *children, *babies; /* NULL: not to be changed */
	bool needs_party;
};

enum { WHY_STATE, WHY_VERSION, WHY_CHANGED_AT, WHY_EARLY, WHY_BOOKED, WHY_ARRIVAL, WHY_NOBODY };

/* What does not hold between the change and the booking as it is; true when it was answered. */
static bool answer_broken_rules(struct http_request *req, struct http_response *resp, PGresult *r)
{
	bool early = pg_cell_bool(r, 0, WHY_EARLY);
	struct fields f;

	fields_start(&f, req);
	if (early)
		fields_error(&f, "", "occurred_at", "must not be before the last change, %s",
			pg_cell(r, 0, WHY_CHANGED_AT));
	if (pg_cell_bool(r, 0, WHY_ARRIVAL))
		fields_error(&f, "", "arrival_date", "must not be before the day of booking, %s",
			pg_cell(r, 0, WHY_BOOKED));
	if (pg_cell_bool(r, 0, WHY_NOBODY))
		fields_error(&f, "", "adults", "must be at least 1 when nobody else comes");
	return !fields_good(&f, req, resp, early ? "time-out-of-order" : "invalid-booking");
}

/* Nothing was changed: says why. */
static enum err answer_why(struct http_request *req, struct http_response *resp,
	const struct attempt *a, struct error *e)
{
	const char *params[] = {a->id, a->at, a->arrival, a->adults, a->children, a->babies,
		a->needs_party ? "true" : "false"};
	PGresult *r;

	TRY(app_db_run(db_of(req), STMT_BOOKING_WHY, params, req->mem, &r, e));
	if (PQntuples(r) == 0)
		return problem_fmt(req, resp, 404, "not-found", "There is no booking %s.", a->id);
	struct str state = pg_cell_str(r, 0, WHY_STATE), version = pg_cell_str(r, 0, WHY_VERSION);
	if (a->versions != NULL && !versions_hold(a->versions, version))
		return problem_fmt(req, resp, 412, "version-mismatch",
			"Booking %s is at version %.*s, which If-Match does not name. Read it "
			"again.",
			a->id, STR_ARG(version));
	if (!booking_allows(a->rule, state))
		return problem_fmt(req, resp, 409, "wrong-state",
			"Booking %s is %.*s; to %s it must be one of: %.*s.", a->id, STR_ARG(state),
			a->rule->words, (int)strlen(a->rule->from) - 2, a->rule->from + 1);
	if (answer_broken_rules(req, resp, r))
		return OK;
	return problem_fmt(req, resp, 409, "changed-meanwhile",
		"Booking %s was changed by somebody else at this moment. Try again.", a->id);
}

static enum err act(struct http_request *req, struct http_response *resp,
	enum booking_action action, struct error *e)
{
	const struct booking_rule *rule = booking_rule(action);
	const char *id, *key, *fingerprint;
	struct fields f;
	json_t *body;
	PGresult *r;

	if (!request_id_param(req, resp, &id) || !request_object(req, resp, true, &body) ||
		!request_key(req, resp, &key, &fingerprint))
		return OK;
	fields_start(&f, req);
	fields_read(&f, body, booking_act_rules, ACT_FIELDS, "", NULL);
	if (!fields_good(&f, req, resp, "invalid-booking"))
		return OK;
	const char *versions = request_versions(req);
	const char *params[] = {id, rule->from, rule->to, rule->event, f.values[0], versions, key,
		fingerprint, arena_cstr(req->mem, req->trace_parent)};
	enum err rc = app_db_run(db_of(req), STMT_BOOKING_ACT, params, req->mem, &r, e);
	if (rc != OK)
		return answer_broken(req, resp, key, fingerprint, rc, e);
	if (!pg_cell_bool(r, 0, COL_PASS))
		return answer_replay(req, resp, key, fingerprint, e);
	if (pg_cell(r, 0, COL_ID) == NULL)
		return answer_why(req, resp,
			&(struct attempt){
				.rule = rule, .id = id, .at = f.values[0], .versions = versions},
			e);
	answer_booking(req, resp, 200, pg_cell_i64(r, 0, COL_VERSION), pg_cell_str(r, 0, COL_BODY));
	return OK;
}

enum err booking_cancel(struct http_request *req, struct http_response *resp, struct error *e)
{
	return act(req, resp, ACTION_CANCEL, e);
}

enum err booking_check_in(struct http_request *req, struct http_response *resp, struct error *e)
{
	return act(req, resp, ACTION_CHECK_IN, e);
}

enum err booking_check_out(struct http_request *req, struct http_response *resp, struct error *e)
{
	return act(req, resp, ACTION_CHECK_OUT, e);
}

enum err booking_no_show(struct http_request *req, struct http_response *resp, struct error *e)
{
	return act(req, resp, ACTION_NO_SHOW, e);
}

/* The event's details: the new values by name. None of them is personal. */
static const char *change_details(const struct fields *f, json_t *body, struct http_request *req)
{
	struct buf out;
	struct json_out j;

	buf_init(&out, BUF_MAX_DEFAULT);
	jo_init(&j, &out);
	jo_object(&j, NULL);
	for (size_t i = CHANGE_ARRIVAL; i < CHANGE_FIELDS; i++) {
		const char *name = booking_change_rules[i].name;
		if (f->values[i] == NULL)
			continue;
		if (booking_change_rules[i].kind == FIELD_INT)
			jo_i64(&j, name, json_integer_value(json_object_get(body, name)));
		else
			jo_cstr(&j, name, f->values[i]);
	}
	jo_end_object(&j);
	const char *text = arena_cstr(req->mem, buf_str(&out));
	buf_free(&out);
	return text;
}

static struct attempt change_attempt(struct http_request *req, const struct fields *f,
	const char *id, const struct booking_rule *rule)
{
	return (struct attempt){
		.rule = rule,
		.id = id,
		.at = f->values[CHANGE_OCCURRED_AT],
		.versions = request_versions(req),
		.arrival = f->values[CHANGE_ARRIVAL],
		.adults = f->values[CHANGE_ADULTS],
		.children = f->values[CHANGE_CHILDREN],
		.babies = f->values[CHANGE_BABIES],
		.needs_party = booking_change_needs_party(f),
	};
}

enum err booking_change(struct http_request *req, struct http_response *resp, struct error *e)
{
	const char *id, *key, *fingerprint, *params[CHANGE_FIELDS + 9];
	bool room_only;
	struct fields f;
	json_t *body;
	PGresult *r;

	if (!request_id_param(req, resp, &id) || !request_object(req, resp, false, &body) ||
		!request_key(req, resp, &key, &fingerprint))
		return OK;
	fields_start(&f, req);
	booking_change_read(&f, body, &room_only);
	if (!fields_good(&f, req, resp, "invalid-booking"))
		return OK;
	const struct booking_rule *rule = booking_rule(
		room_only ? ACTION_ASSIGN_ROOM : ACTION_CHANGE);
	const struct attempt a = change_attempt(req, &f, id, rule);
	const char *more[] = {id, rule->from, rule->event, a.versions,
		change_details(&f, body, req), arena_cstr(req->mem, req->trace_parent), key,
		fingerprint, a.needs_party ? "true" : "false"};
	memcpy(params, f.values, CHANGE_FIELDS * sizeof params[0]);
	memcpy(params + CHANGE_FIELDS, more, sizeof more);
	enum err rc = app_db_run(db_of(req), STMT_BOOKING_CHANGE, params, req->mem, &r, e);
	if (rc != OK)
		return answer_broken(req, resp, key, fingerprint, rc, e);
	if (!pg_cell_bool(r, 0, COL_PASS))
		return answer_replay(req, resp, key, fingerprint, e);
	if (pg_cell(r, 0, COL_ID) == NULL)
		return answer_why(req, resp, &a, e);
	answer_booking(req, resp, 200, pg_cell_i64(r, 0, COL_VERSION), pg_cell_str(r, 0, COL_BODY));
	return OK;
}
