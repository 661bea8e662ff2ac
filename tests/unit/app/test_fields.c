/* What a body may hold, and the state machine: no database. */
#include "unit.h"

#include "booking_fields.h"
#include "booking_state.h"
#include "app_openapi.h"
#include "clock.h"
#include "json.h"

#define GOOD                                                                                       \
	"\"hotel_id\":1,\"arrival_date\":\"2026-07-01\",\"weekend_nights\":0,\"week_nights\":2,"   \
	"\"adults\":2,\"meal\":\"BB\",\"market_segment\":\"Direct\","                              \
	"\"distribution_channel\":\"Direct\",\"reserved_room_type\":\"A\","                        \
	"\"deposit_type\":\"No Deposit\",\"customer_type\":\"Transient\",\"daily_rate\":75.5"
#define GUEST ",\"guest\":{\"full_name\":\"Ana\"}"

struct read {
	struct arena mem;
	struct fields f;
	json_t *body;
};

static void create(struct read *r, const char *text, bool import_mode)
{
	struct error e;
	int64_t now;

	*r = (struct read){.body = NULL};
	assert_true(clock_parse(STR("2026-06-01T12:00:00Z"), &now));
	assert_ok(json_read(str_of(text), "body", &r->body, &e), &e);
	r->f = (struct fields){.mem = &r->mem, .import_mode = import_mode, .now_us = now};
	booking_create_read(&r->f, r->body);
}

static void done(struct read *r)
{
	json_decref(r->body);
	arena_free(&r->mem);
}

static void a_good_booking_is_taken(void **state)
{
	struct read r;

	(void)state;
	create(&r, "{" GOOD GUEST ",\"agent_id\":9,\"children\":null}", false);
	assert_int_equal(r.f.nerrors, 0);
	assert_int_equal(r.f.n, CREATE_FIELDS + GUEST_FIELDS);
	assert_string_equal(r.f.values[CREATE_HOTEL], "1");
	assert_string_equal(r.f.values[CREATE_ARRIVAL], "2026-07-01");
	assert_string_equal(r.f.values[CREATE_AGENT], "9");
	assert_null(r.f.values[CREATE_CHILDREN]);
	assert_string_equal(r.f.values[CREATE_BABIES], "0");
	assert_string_equal(r.f.values[22], "75.50");
	assert_null(r.f.values[CREATE_BOOKED_AT]);
	assert_string_equal(r.f.values[CREATE_FIELDS], "Ana");
	done(&r);
}

static void text_is_trimmed(void **state)
{
	struct read r;

	(void)state;
	create(&r,
		"{" GOOD
		",\"guest\":{\"full_name\":\"  Ana Alves \",\"email\":\" a@example.org\"}}",
		false);
	assert_int_equal(r.f.nerrors, 0);
	assert_string_equal(r.f.values[CREATE_FIELDS], "Ana Alves");
	assert_string_equal(r.f.values[CREATE_FIELDS + 1], "a@example.org");
	done(&r);
}

/* Each: what is added to a good booking, and the error it must give. */
static const struct {
	const char *body, *pointer, *says;
} wrong[] = {
	{"{" GOOD "}", "/guest", "required"},
	{"{" GOOD ",\"guest\":7}", "/guest", "object"},
	{"{" GOOD GUEST ",\"guest_id\":5}", "/guest", "one of them"},
	{"{" GOOD ",\"guest\":{}}", "/guest/full_name", "required"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"\"}}", "/guest/full_name", "1 to 200"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"  \"}}", "/guest/full_name", "1 to 200"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"a\\nb\"}}", "/guest/full_name", "control"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"a\\n\"}}", "/guest/full_name", "control"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"A\",\"email\":\"x\"}}", "/guest/email",
		"e-mail|characters"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"A\",\"email\":\"a@b@cd\"}}", "/guest/email",
		"e-mail"},
	{"{" GOOD ",\"guest\":{\"full_name\":\"A\",\"mail\":\"x\"}}", "/guest/mail", "mean email"},
	{"{" GOOD GUEST ",\"babys\":1}", "/babys", "mean babies"},
	{"{" GOOD GUEST ",\"zzzzzzzzzzzz\":1}", "/zzzzzzzzzzzz", "not known"},
	{"{" GOOD GUEST ",\"babies\":-1}", "/babies", "from 0"},
	{"{" GOOD GUEST ",\"babies\":1.5}", "/babies", "whole"},
	{"{" GOOD GUEST ",\"babies\":\"1\"}", "/babies", "whole"},
	{"{" GOOD GUEST ",\"babies\":null}", "/babies", "null"},
	{"{" GOOD GUEST ",\"agent_id\":0}", "/agent_id", "from 1"},
	{"{" GOOD GUEST ",\"agent_id\":2147483648}", "/agent_id", "2147483647"},
	{"{" GOOD GUEST ",\"country\":\"prt\"}", "/country", "capital"},
	{"{" GOOD GUEST ",\"country\":\"PRTX\"}", "/country", "capital"},
	{"{" GOOD GUEST ",\"is_repeated_guest\":1}", "/is_repeated_guest", "true or false"},
	{"{" GOOD GUEST ",\"booked_at\":\"2020-01-01T00:00:00Z\"}", "/booked_at", "import mode"},
	{"{" GOOD GUEST ",\"occurred_at\":\"2020-01-01T00:00:00Z\"}", "/occurred_at", "not known"},
};

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct read r;
		create(&r, wrong[i].body, false);
		if (r.f.nerrors != 1)
			fail_msg("%zu errors for %s", r.f.nerrors, wrong[i].body);
		assert_str(r.f.errors[0].pointer, wrong[i].pointer);
		struct str rest = str_of(wrong[i].says), one;
		bool said = false;
		while (str_next(&rest, '|', &one))
			said = said || str_find(r.f.errors[0].detail, one) >= 0;
		if (!said)
			fail_msg("%s says: %.*s", wrong[i].body, STR_ARG(r.f.errors[0].detail));
		done(&r);
	}
}

/* One by one: a member of the good booking replaced. */
static const struct {
	const char *from, *to;
} replaced[] = {
	{"2026-07-01", "2026-02-30"},
	{"2026-07-01", "2026-7-1"},
	{"2026-07-01", "2026-05-30"}, /* before today */
	{"2026-07-01", "1066-07-01"},
	{"\"BB\"", "\"XX\""},
	{"\"BB\"", "\"B\""},
	{"\"A\"", "\"AA\""},
	{"75.5", "75.555"},
	{"75.5", "1e99"},
	{"75.5", "\"75.5x\""},
	{"75.5", "\"75.\""},
	{"75.5", "\"nan\""},
	{"\"adults\":2", "\"adults\":0"},
	{"\"adults\":2,", ""},
};

static void each_field_is_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
		char text[1024];
		struct read r;
		static const char good[] = "{" GOOD GUEST "}";
		const char *at = strstr(good, replaced[i].from);
		assert_non_null(at);
		(void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good,
			replaced[i].to, at + strlen(replaced[i].from));
		create(&r, text, false);
		if (r.f.nerrors != 1)
			fail_msg("%zu errors for %s", r.f.nerrors, text);
		done(&r);
	}
}

static void all_errors_come_at_once(void **state)
{
	struct read r;

	(void)state;
	create(&r, "{\"hotel_id\":0,\"babys\":1}", false);
	assert_in_range(r.f.nerrors, 13, FIELDS_MAX_ERRORS);
	done(&r);
}

static void import_mode_takes_the_past(void **state)
{
	struct read r;
	static const char old[] = "{" GOOD GUEST
				  ",\"booked_at\":\"2014-10-17T00:00:00+02:00\",\"babies\":0}";

	(void)state;
	create(&r, old, true);
	assert_int_equal(r.f.nerrors, 0);
	assert_string_equal(r.f.values[CREATE_BOOKED_AT], "2014-10-16T22:00:00.000000Z");
	done(&r);
	create(&r, "{" GOOD GUEST ",\"booked_at\":\"2031-01-01T00:00:00Z\"}", true);
	assert_int_equal(r.f.nerrors, 1);
	assert_str(r.f.errors[0].detail, "must not be in the future");
	done(&r);
	create(&r, "{" GOOD GUEST ",\"booked_at\":\"2014-10-17\"}", true);
	assert_int_equal(r.f.nerrors, 1);
	done(&r);
	create(&r, "{" GOOD GUEST ",\"booked_at\":\"2014-10-17T00:00:00\"}", true);
	assert_int_equal(r.f.nerrors, 1);
	done(&r);
}

static void change(struct read *r, const char *text, bool *room_only)
{
	struct error e;

	*r = (struct read){.body = NULL};
	assert_ok(json_read(str_of(text), "body", &r->body, &e), &e);
	r->f = (struct fields){.mem = &r->mem, .now_us = 0};
	booking_change_read(&r->f, r->body, room_only);
}

static void a_room_alone_is_an_assignment(void **state)
{
	struct read r;
	bool room_only;

	(void)state;
	change(&r, "{\"assigned_room_type\":\"D\"}", &room_only);
	assert_true(room_only && r.f.nerrors == 0);
	done(&r);
	change(&r, "{\"assigned_room_type\":\"D\",\"adults\":1}", &room_only);
	assert_true(!room_only && r.f.nerrors == 0);
	done(&r);
	change(&r, "{}", &room_only);
	assert_int_equal(r.f.nerrors, 1);
	done(&r);
	change(&r, "{\"adults\":null}", &room_only);
	assert_int_equal(r.f.nerrors, 1);
	done(&r);
}

/* The whole table of the state machine: rows are actions, columns states. */
static void the_state_machine(void **state)
{
	static const char *const states[] = {
		"booked", "cancelled", "checked_in", "checked_out", "no_show"};
	static const bool allowed[BOOKING_ACTIONS][5] = {
		[ACTION_CHANGE] = {true},
		[ACTION_ASSIGN_ROOM] = {true, false, true},
		[ACTION_CANCEL] = {true},
		[ACTION_CHECK_IN] = {true},
		[ACTION_CHECK_OUT] = {false, false, true},
		[ACTION_NO_SHOW] = {true},
	};

	(void)state;
	for (unsigned a = 0; a < BOOKING_ACTIONS; a++) {
		const struct booking_rule *rule = booking_rule((enum booking_action)a);
		for (size_t s = 0; s < 5; s++)
			assert_int_equal(booking_allows(rule, str_of(states[s])), allowed[a][s]);
		assert_false(booking_allows(rule, STR("book")));
		assert_true(rule->to == NULL || booking_state_known(str_of(rule->to)));
	}
	assert_false(booking_state_known(STR("lost")));
	assert_false(booking_state_known(STR_NONE));
}

/* Every reference in the document leads somewhere. */
static void check_refs(const json_t *root, json_t *v)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_array(v))
		json_array_foreach (v, i, member)
			check_refs(root, member);
	if (!json_is_object(v))
		return;
	json_object_foreach (v, key, member) {
		if (strcmp(key, "$ref") != 0) {
			check_refs(root, member);
			continue;
		}
		const char *name = strrchr(json_string_value(member), '/') + 1;
		json_t *schemas = json_object_get(json_object_get(root, "components"), "schemas");
		if (json_object_get(schemas, name) == NULL)
			fail_msg("nothing at %s", json_string_value(member));
	}
}

static void the_description_is_whole(void **state)
{
	struct buf text;
	struct error e;
	json_t *o;

	(void)state;
	buf_init(&text, BUF_MAX_DEFAULT);
	app_openapi_write(&text);
	assert_ok(json_read(buf_str(&text), "the description", &o, &e), &e);
	assert_str(json_get_str(o, "openapi"), "3.1.0");
	check_refs(o, o);
	json_t *schemas = json_object_get(json_object_get(o, "components"), "schemas");
	json_t *properties = json_object_get(json_object_get(schemas, "NewBooking"), "properties");
	for (size_t i = 0; i < CREATE_FIELDS; i++)
		assert_non_null(json_object_get(properties, booking_create_rules[i].name));
	assert_int_equal(json_object_size(json_object_get(o, "paths")), 10);
	json_decref(o);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_booking_is_taken),
		cmocka_unit_test(text_is_trimmed),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(each_field_is_checked),
		cmocka_unit_test(all_errors_come_at_once),
		cmocka_unit_test(import_mode_takes_the_past),
		cmocka_unit_test(a_room_alone_is_an_assignment),
		cmocka_unit_test(the_state_machine),
		cmocka_unit_test(the_description_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
