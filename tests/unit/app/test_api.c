/* The API end to end, against a private PostgreSQL. */
#include "unit.h"

#include <pthread.h>

#include "app_fixture.h"
#include "app_health.h"
#include "json.h"
#include "thread.h"

static void open_client(struct app_client *c, void **state)
{
	app_client_open(c, *state);
}

static const char *path_of(struct app_fixture *f, int64_t id, const char *rest)
{
	return arena_fmt(&f->mem, "/v1/bookings/%lld%s", (long long)id, rest).p;
}

static int64_t count(struct app_fixture *f, const char *what, int64_t id)
{
	return app_number(f,
		arena_fmt(&f->mem, "SELECT count(*) FROM %s AND booking_id = %lld", what,
			(long long)id)
			.p);
}

static void assert_problem(const struct app_client *c, const char *name)
{
	char type[128];

	(void)snprintf(type, sizeof type, "urn:sluice:problem:%s", name);
	assert_str(http_reply_header(&c->reply, "content-type"), "application/problem+json");
	assert_string_equal(app_json_text(c, "type"), type);
	assert_int_equal(app_json_number(c, "status"), c->reply.status);
}

static void a_booking_lives(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "\"agent_id\":9");
	struct app_fixture *f = c.f;
	char want[64];
	(void)snprintf(want, sizeof want, "/v1/bookings/%lld", (long long)id);
	assert_str(http_reply_header(&c.reply, "location"), want);
	assert_str(http_reply_header(&c.reply, "etag"), "\"1\"");
	assert_string_equal(app_json_text(&c, "status"), "booked");
	assert_string_equal(app_json_text(&c, "assigned_room_type"), "A");
	assert_true(app_json_number(&c, "guest_id") > 0);
	assert_int_equal(app_call(&c, "GET", path_of(f, id, ""), NULL), 200);
	assert_int_equal(app_json_number(&c, "version"), 1);

	assert_int_equal(app_call(&c, "PATCH", path_of(f, id, ""),
				 "{\"arrival_date\":\"2199-08-01\",\"week_nights\":5}"),
		200);
	assert_string_equal(app_json_text(&c, "arrival_date"), "2199-08-01");
	assert_int_equal(app_json_number(&c, "changes"), 1);
	assert_int_equal(
		app_call(&c, "PATCH", path_of(f, id, ""), "{\"assigned_room_type\":\"D\"}"), 200);
	assert_int_equal(app_json_number(&c, "changes"), 1);
	assert_int_equal(app_call(&c, "POST", path_of(f, id, "/check-in"), NULL), 200);
	assert_string_equal(app_json_text(&c, "status"), "checked_in");
	assert_int_equal(app_call(&c, "POST", path_of(f, id, "/check-out"), "{}"), 200);
	assert_str(http_reply_header(&c.reply, "etag"), "\"5\"");
	assert_string_equal(app_json_text(&c, "status"), "checked_out");

	assert_str(app_sql(f,
			   arena_fmt(&f->mem,
				   "SELECT string_agg(kind, ',' ORDER BY event_id) FROM "
				   "booking_events "
				   "WHERE booking_id = %lld",
				   (long long)id)
				   .p),
		"created,changed,room_assigned,checked_in,checked_out");
	assert_int_equal(count(f, "outbox WHERE true", id), 5);
	assert_str(app_sql(f,
			   arena_fmt(&f->mem,
				   "SELECT details::text FROM booking_events WHERE booking_id = "
				   "%lld AND "
				   "kind = 'changed' AND nights = 6",
				   (long long)id)
				   .p),
		"{\"week_nights\": 5, \"arrival_date\": \"2199-08-01\"}");
	app_client_close(&c);
}

/* Every state against every action: what the table allows happens, the rest is 409 and leaves the
 * booking alone. */
static void states_are_kept(void **state)
{
	static const char *const actions[] = {"/cancel", "/check-in", "/check-out", "/no-show"};
	static const struct {
		const char *way[2];
		bool allowed[4];
	} cases[] = {
		{{NULL}, {true, true, false, true}},
		{{"/cancel"}, {false}},
		{{"/check-in"}, {false, false, true, false}},
		{{"/check-in", "/check-out"}, {false}},
		{{"/no-show"}, {false}},
	};
	struct app_client c;

	open_client(&c, state);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (size_t a = 0; a < 4; a++) {
			int64_t id = app_new_booking(&c, "");
			for (size_t w = 0; w < 2 && cases[i].way[w] != NULL; w++)
				assert_int_equal(app_call(&c, "POST",
							 path_of(c.f, id, cases[i].way[w]), NULL),
					200);
			unsigned status = app_call(&c, "POST", path_of(c.f, id, actions[a]), NULL);
			assert_int_equal(status, cases[i].allowed[a] ? 200 : 409);
			if (status == 409)
				assert_problem(&c, "wrong-state");
		}
	app_client_close(&c);
}

static void bodies_are_checked(void **state)
{
	struct app_client c;

	open_client(&c, state);
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", "{\"hotel_id\": 1,\n  oops}"), 400);
	assert_problem(&c, "malformed-json");
	assert_has(app_json_text(&c, "detail"), "line 2");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", "[]"), 400);
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", ""), 400);
	app_client_header(&c, "Content-Type", "text/plain");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", "{}"), 415);
	assert_problem(&c, "unsupported-media-type");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", "{}"), 422);
	assert_problem(&c, "invalid-booking");
	assert_in_range(json_array_size(json_object_get(c.json, "errors")), 12, 14);
	char *large = test_malloc(70000);
	memset(large, ' ', 69999);
	large[69999] = '\0';
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", large), 413);
	test_free(large);
	assert_int_equal(app_call(&c, "POST", "/v1/bookings",
				 app_booking(c.f, "\"booked_at\":\"2020-01-01T00:00:00Z\"")),
		422);
	assert_has(buf_cstr(&c.reply.body), "import mode only");
	app_client_close(&c);
}

static void references_must_exist(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t before = app_number(c.f, "SELECT count(*) FROM guests");
	assert_int_equal(
		app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "\"agent_id\":77")), 422);
	assert_problem(&c, "unknown-reference");
	assert_has(buf_cstr(&c.reply.body), "/agent_id");
	assert_int_equal(app_number(c.f, "SELECT count(*) FROM guests"), before);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings/987654321", NULL), 404);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings/0", NULL), 404);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings/x", NULL), 404);
	assert_int_equal(app_call(&c, "POST", "/v1/bookings/987654321/cancel", NULL), 404);
	assert_int_equal(app_call(&c, "PATCH", "/v1/bookings/987654321", "{\"adults\":1}"), 404);
	assert_problem(&c, "not-found");
	assert_int_equal(app_call(&c, "PUT", "/v1/bookings/1", "{}"), 405);
	assert_str(http_reply_header(&c.reply, "allow"), "GET, PATCH");
	app_client_close(&c);
}

static void tags_guard_changes(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	const char *path = path_of(c.f, id, "");
	app_client_header(&c, "If-Match", "\"2\"");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":1}"), 412);
	assert_problem(&c, "version-mismatch");
	app_client_header(&c, "If-Match", "W/\"1\"");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":1}"), 412);
	app_client_header(&c, "If-Match", "\"7\", \"1\"");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":1}"), 200);
	app_client_header(&c, "If-Match", "*");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":3}"), 200);
	app_client_header(&c, "If-Match", "\"2\"");
	assert_int_equal(app_call(&c, "POST", path_of(c.f, id, "/cancel"), NULL), 412);
	app_client_header(&c, "If-None-Match", "\"3\"");
	assert_int_equal(app_call(&c, "GET", path, NULL), 304);
	assert_int_equal(c.reply.body.n, 0);
	app_client_header(&c, "If-None-Match", "\"2\"");
	assert_int_equal(app_call(&c, "GET", path, NULL), 200);
	app_client_close(&c);
}

static void keys_make_requests_safe_to_repeat(void **state)
{
	struct app_client c;
	char first[4096];

	open_client(&c, state);
	const char *body = app_booking(c.f, "");
	int64_t before = app_number(c.f, "SELECT count(*) FROM bookings");
	app_client_header(&c, "Idempotency-Key", "key-1");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", body), 201);
	int64_t id = app_json_number(&c, "booking_id");
	(void)snprintf(first, sizeof first, "%s", buf_cstr(&c.reply.body));
	assert_null(http_reply_header(&c.reply, "idempotent-replayed").p);
	app_client_header(&c, "Idempotency-Key", "key-1");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", body), 201);
	assert_string_equal(buf_cstr(&c.reply.body), first);
	assert_str(http_reply_header(&c.reply, "idempotent-replayed"), "true");
	assert_str(http_reply_header(&c.reply, "etag"), "\"1\"");
	assert_has(http_reply_header(&c.reply, "location").p, "/v1/bookings/");
	assert_int_equal(app_number(c.f, "SELECT count(*) FROM bookings"), before + 1);
	app_client_header(&c, "Idempotency-Key", "key-1");
	assert_int_equal(
		app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "\"babies\":1")), 422);
	assert_problem(&c, "key-reused");

	app_client_header(&c, "Idempotency-Key", "key-2");
	assert_int_equal(app_call(&c, "POST", path_of(c.f, id, "/cancel"), NULL), 200);
	app_client_header(&c, "Idempotency-Key", "key-2");
	assert_int_equal(app_call(&c, "POST", path_of(c.f, id, "/cancel"), NULL), 200);
	assert_int_equal(app_json_number(&c, "version"), 2);
	assert_int_equal(count(c.f, "booking_events WHERE kind = 'cancelled'", id), 1);
	/* A refusal is not kept: the key is free for the request that will succeed. */
	app_client_header(&c, "Idempotency-Key", "key-3");
	assert_int_equal(app_call(&c, "POST", path_of(c.f, id, "/check-in"), NULL), 409);
	assert_problem(&c, "wrong-state");
	assert_int_equal(
		app_number(c.f, "SELECT count(*) FROM idempotency_keys WHERE key = 'key-3'"), 0);
	app_client_close(&c);
}

/* What must hold between fields holds after a change too, whichever of them it names. */
static void changes_keep_the_rules(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	const char *path = path_of(c.f, id, "");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"arrival_date\":\"1999-01-01\"}"), 422);
	assert_problem(&c, "invalid-booking");
	assert_has(buf_cstr(&c.reply.body), "\"/arrival_date\"");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":0}"), 422);
	assert_problem(&c, "invalid-booking");
	assert_has(buf_cstr(&c.reply.body), "\"/adults\"");
	assert_int_equal(
		app_call(&c, "PATCH", path, "{\"adults\":0,\"arrival_date\":\"1999-01-01\"}"), 422);
	assert_int_equal(json_array_size(json_object_get(c.json, "errors")), 2);
	assert_int_equal(app_call(&c, "GET", path, NULL), 200);
	assert_int_equal(app_json_number(&c, "version"), 1);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":0,\"children\":1}"), 200);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"children\":0}"), 422);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"children\":0,\"babies\":1}"), 200);
	/* A booking without guests from the past can still be moved. */
	app_exec(c.f,
		arena_fmt(&c.f->mem,
			"UPDATE bookings SET babies = 0, children = NULL WHERE booking_id = %lld",
			(long long)id)
			.p);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"arrival_date\":\"2199-09-01\"}"), 200);
	assert_int_equal(app_call(&c, "PATCH", path, "{\"babies\":0}"), 422);
	app_client_close(&c);
}

static void a_change_with_a_key_is_done_once(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	const char *path = path_of(c.f, id, "");
	for (int i = 0; i < 2; i++) {
		app_client_header(&c, "Idempotency-Key", "change-1");
		assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":3}"), 200);
		assert_int_equal(app_json_number(&c, "version"), 2);
	}
	assert_str(http_reply_header(&c.reply, "idempotent-replayed"), "true");
	assert_int_equal(count(c.f, "booking_events WHERE kind = 'changed'", id), 1);
	app_client_header(&c, "Idempotency-Key", "change-1");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":4}"), 422);
	assert_problem(&c, "key-reused");
	/* A refusal is not kept. */
	app_client_header(&c, "Idempotency-Key", "change-2");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":0}"), 422);
	app_client_header(&c, "Idempotency-Key", "change-2");
	assert_int_equal(app_call(&c, "PATCH", path, "{\"adults\":4}"), 200);
	app_client_close(&c);
}

static void a_key_in_flight_is_said(void **state)
{
	struct app_client c;

	open_client(&c, state);
	/* What a transaction that has not ended holds. */
	app_exec(c.f, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('busy', 0))");
	app_client_header(&c, "Idempotency-Key", "busy");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "")), 409);
	assert_problem(&c, "request-in-flight");
	app_exec(c.f, "COMMIT");
	app_client_header(&c, "Idempotency-Key", "busy");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "")), 201);
	app_client_close(&c);
}

static void lists_come_in_pages(void **state)
{
	struct app_client c;
	int64_t last = 0, seen = 0;
	char path[128] = "/v1/bookings?status=no_show&limit=3";

	open_client(&c, state);
	for (int i = 0; i < 7; i++) {
		int64_t id = app_new_booking(&c, "");
		assert_int_equal(app_call(&c, "POST", path_of(c.f, id, "/no-show"), NULL), 200);
	}
	int64_t all = app_number(c.f, "SELECT count(*) FROM bookings WHERE status = 'no_show'");
	for (bool more = true; more;) {
		json_t *b;
		size_t i;
		assert_int_equal(app_call(&c, "GET", path, NULL), 200);
		json_array_foreach (json_object_get(c.json, "bookings"), i, b) {
			int64_t id = json_integer_value(json_object_get(b, "booking_id"));
			assert_true(id > last);
			assert_str(json_get_str(b, "status"), "no_show");
			last = id;
			seen++;
		}
		const char *next = app_json_text(&c, "next");
		more = next[0] != '\0';
		(void)snprintf(
			path, sizeof path, "/v1/bookings?status=no_show&limit=3&after=%s", next);
	}
	assert_int_equal(seen, all);
	assert_true(all >= 7);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings?limit=1", NULL), 200);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings?status=lost&limit=0&x=1", NULL), 400);
	assert_problem(&c, "invalid-query");
	assert_int_equal(json_array_size(json_object_get(c.json, "errors")), 3);
	app_client_close(&c);
}

static void guests_can_be_erased(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	int64_t guest = app_json_number(&c, "guest_id");
	const char *path = arena_fmt(&c.f->mem, "/v1/guests/%lld", (long long)guest).p;
	assert_int_equal(app_call(&c, "GET", path, NULL), 200);
	assert_string_equal(app_json_text(&c, "full_name"), "Ana Alves");
	assert_int_equal(app_call(&c, "DELETE", path, NULL), 204);
	assert_int_equal(app_call(&c, "GET", path, NULL), 404);
	assert_int_equal(app_call(&c, "DELETE", path, NULL), 404);
	assert_int_equal(app_call(&c, "GET", path_of(c.f, id, ""), NULL), 200);
	assert_true(json_is_null(json_object_get(c.json, "guest_id")));
	assert_int_equal(app_json_number(&c, "version"), 2);
	/* Nothing that is kept for other purposes says who it was. */
	assert_int_equal(
		app_number(c.f,
			"SELECT count(*) FROM (SELECT details::text t FROM booking_events "
			"UNION ALL SELECT payload::text FROM outbox UNION ALL SELECT body FROM "
			"idempotency_keys) x WHERE t LIKE '%Ana%' OR t LIKE '%example.org%'"),
		0);
	app_client_close(&c);
}

struct racer {
	struct app_fixture *f;
	struct thread thread;
	int64_t booking;
	const char *key;
	int done, refused;
	uint64_t made;
};

/* Reads, then writes with the version that was read, until it has done so 25 times. */
static enum err race_changes(void *arg, struct error *e)
{
	struct racer *r = arg;
	struct app_client c;
	char path[64], tag[32];

	app_client_open(&c, r->f);
	(void)snprintf(path, sizeof path, "/v1/bookings/%lld", (long long)r->booking);
	enum err rc = OK;
	while (r->done < 25 && rc == OK) {
		char body[64];
		unsigned status = app_call(&c, "GET", path, NULL);
		(void)snprintf(
			tag, sizeof tag, "\"%lld\"", (long long)app_json_number(&c, "version"));
		(void)snprintf(body, sizeof body, "{\"special_requests\":%lld}",
			(long long)app_json_number(&c, "special_requests") + 1);
		if (status == 200) {
			app_client_header(&c, "If-Match", tag);
			status = app_call(&c, "PATCH", path, body);
		}
		r->done += status == 200;
		r->refused += status == 412 || status == 409;
		if (status != 200 && status != 412 && status != 409)
			rc = FAIL(e, ERR_FAILED, "status %u: %s", status, c.e.text);
	}
	app_client_close(&c);
	return rc;
}

#define RACERS 4

/* A counter kept by read, change and If-Match loses nothing. */
static void no_update_is_lost(void **state)
{
	struct racer racers[RACERS];
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){.f = c.f, .booking = id};
		assert_ok(thread_start(&racers[i].thread, "racer", race_changes, &racers[i], &c.e),
			&c.e);
	}
	for (int i = 0; i < RACERS; i++)
		assert_ok(thread_join(&racers[i].thread, &c.e), &c.e);
	assert_int_equal(app_call(&c, "GET", path_of(c.f, id, ""), NULL), 200);
	assert_int_equal(app_json_number(&c, "special_requests"), 25 * RACERS);
	assert_int_equal(app_json_number(&c, "version"), 25 * RACERS + 1);
	assert_int_equal(app_json_number(&c, "changes"), 25 * RACERS);
	assert_int_equal(count(c.f, "booking_events WHERE kind = 'changed'", id), 25 * RACERS);
	assert_int_equal(count(c.f, "outbox WHERE true", id), 25 * RACERS + 1);
	assert_int_equal(
		app_number(c.f,
			"SELECT count(*) FROM (SELECT occurred_at < lag(occurred_at) OVER "
			"(PARTITION "
			"BY booking_id ORDER BY event_id) back FROM booking_events) x WHERE back"),
		0);
	app_client_close(&c);
}

/* All send the same request with the same key until it is answered. */
static enum err race_key(void *arg, struct error *e)
{
	struct racer *r = arg;
	struct app_client c;
	unsigned status = 409;

	app_client_open(&c, r->f);
	while (status == 409) {
		app_client_header(&c, "Idempotency-Key", r->key);
		status = app_call(&c, "POST", "/v1/bookings",
			"{\"hotel_id\":1,\"arrival_date\":\"2199-07-01\",\"weekend_nights\":1,"
			"\"week_nights\":2,\"adults\":2,\"meal\":\"BB\",\"market_segment\":"
			"\"Direct\","
			"\"distribution_channel\":\"Direct\",\"reserved_room_type\":\"A\","
			"\"deposit_type\":\"No Deposit\",\"customer_type\":\"Transient\","
			"\"daily_rate\":75,\"guest\":{\"full_name\":\"Racer\"}}");
	}
	r->booking = app_json_number(&c, "booking_id");
	app_client_close(&c);
	return status == 201 ? OK : FAIL(e, ERR_FAILED, "status %u", status);
}

static void one_key_makes_one_booking(void **state)
{
	struct racer racers[RACERS];
	struct app_client c;

	open_client(&c, state);
	int64_t before = app_number(c.f, "SELECT count(*) FROM bookings");
	for (int round = 0; round < 10; round++) {
		char key[32];
		(void)snprintf(key, sizeof key, "race-%d", round);
		for (int i = 0; i < RACERS; i++) {
			racers[i] = (struct racer){.f = c.f, .key = key};
			assert_ok(thread_start(
					  &racers[i].thread, "racer", race_key, &racers[i], &c.e),
				&c.e);
		}
		for (int i = 0; i < RACERS; i++) {
			assert_ok(thread_join(&racers[i].thread, &c.e), &c.e);
			assert_int_equal(racers[i].booking, racers[0].booking);
		}
	}
	assert_int_equal(app_number(c.f, "SELECT count(*) FROM bookings"), before + 10);
	assert_int_equal(
		app_number(c.f, "SELECT count(*) FROM guests WHERE full_name = 'Racer'"), 10);
	app_client_close(&c);
}

/* One of several cancellations at a time wins; the others are told. */
static enum err race_cancel(void *arg, struct error *e)
{
	struct racer *r = arg;
	struct app_client c;
	char path[64];

	app_client_open(&c, r->f);
	(void)snprintf(path, sizeof path, "/v1/bookings/%lld/cancel", (long long)r->booking);
	unsigned status = app_call(&c, "POST", path, NULL);
	r->done = status == 200;
	r->refused = status == 409;
	app_client_close(&c);
	return r->done + r->refused == 1 ? OK : FAIL(e, ERR_FAILED, "status %u", status);
}

static void one_cancellation_wins(void **state)
{
	struct racer racers[RACERS];
	struct app_client c;

	open_client(&c, state);
	for (int round = 0; round < 10; round++) {
		int64_t id = app_new_booking(&c, "");
		int won = 0;
		for (int i = 0; i < RACERS; i++) {
			racers[i] = (struct racer){.f = c.f, .booking = id};
			assert_ok(thread_start(&racers[i].thread, "racer", race_cancel, &racers[i],
					  &c.e),
				&c.e);
		}
		for (int i = 0; i < RACERS; i++) {
			assert_ok(thread_join(&racers[i].thread, &c.e), &c.e);
			won += racers[i].done;
		}
		assert_int_equal(won, 1);
		assert_int_equal(count(c.f, "booking_events WHERE kind = 'cancelled'", id), 1);
	}
	app_client_close(&c);
}

static void operators_can_ask(void **state)
{
	struct app_client c;

	open_client(&c, state);
	assert_int_equal(app_call(&c, "GET", "/livez", NULL), 200);
	assert_int_equal(app_call(&c, "GET", "/readyz", NULL), 200);
	assert_int_equal(app_call(&c, "GET", "/openapi.json", NULL), 200);
	assert_string_equal(app_json_text(&c, "openapi"), "3.1.0");
	assert_int_equal(app_call(&c, "GET", "/metrics", NULL), 200);
	assert_has(buf_cstr(&c.reply.body), "sluice_http_requests_total{route=\"GET /livez\"");
	app_client_close(&c);
}

/* Every connection is cut: the next requests open new ones, and no client sees it. */
static void lost_connections_come_back(void **state)
{
	struct app_client c;

	open_client(&c, state);
	int64_t id = app_new_booking(&c, "");
	for (int round = 0; round < 3; round++) {
		assert_true(app_number(c.f,
				    "SELECT count(pg_terminate_backend(pid, 5000)) FROM "
				    "pg_stat_activity "
				    "WHERE pid <> pg_backend_pid() AND backend_type = 'client "
				    "backend'") > 0);
		for (int i = 0; i < 8; i++)
			assert_int_equal(app_call(&c, "GET", path_of(c.f, id, ""), NULL), 200);
	}
	app_client_close(&c);
}

/* While PostgreSQL restarts there may be 503, and then everything is as before. */
static void a_restart_is_survived(void **state)
{
	struct app_client c;

	open_client(&c, state);
	struct app_fixture *f = c.f;
	int64_t id = app_new_booking(&c, "");
	pg_close(f->pg);
	f->pg = NULL;
	assert_ok(pg_server_restart(f->server, true, &f->e), &f->e);
	assert_ok(pg_open(&f->pg, &f->database, &f->env, &f->e), &f->e);
	unsigned status = 503;
	while (status == 503)
		status = app_call(&c, "PATCH", path_of(f, id, ""), "{\"adults\":1}");
	assert_int_equal(status, 200);
	app_client_close(&c);
}

static struct app_api *late_api(struct app_late *late, struct app_log *log)
{
	const struct app_api_options o = {
		.listen = "127.0.0.1:0", .database = late->database, .threads = 2, .migrate = true};
	struct app_api *api = NULL;
	struct error e;

	assert_ok(app_api_start(&api, &o, &log->env, &e), &e);
	return api;
}

/* 503 until the database is there; then the schema is made before anything uses it. What happened
 * is told once, however many ask. */
static void the_database_may_come_late(void **state)
{
	struct app_client c;
	struct app_late late;
	struct app_log log;

	open_client(&c, state);
	app_log_open(&log, c.f);
	app_late_make(&late, c.f, "late_api");
	struct app_api *usual = c.f->api;
	c.f->api = late_api(&late, &log);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(app_call(&c, "GET", "/livez", NULL), 200);
		assert_int_equal(app_call(&c, "GET", "/readyz", NULL), 503);
		assert_int_equal(app_call(&c, "GET", "/v1/bookings", NULL), 503);
		assert_problem(&c, "unavailable");
		assert_str(http_reply_header(&c.reply, "retry-after"), "1");
	}
	assert_int_equal(app_log_count(&log, "\"level\":\"warn\""), 1);
	assert_int_equal(app_log_count(&log, "connecting to PostgreSQL"), 1);
	app_late_arrives(&late);
	assert_int_equal(app_log_wait(&log, "does this again"), 1);
	assert_int_equal(app_call(&c, "GET", "/readyz", NULL), 200);
	assert_int_equal(app_call(&c, "GET", "/v1/bookings", NULL), 200);
	assert_ok(app_api_check(c.f->api, &c.e), &c.e);
	app_api_stop(c.f->api);
	assert_int_equal(app_log_count(&log, "does this again"), 1);
	app_late_leaves(&late);
	c.f->api = usual;
	app_log_close(&log);
	app_client_close(&c);
}

/* Anything but being away is an error: at once, or as soon as it is seen. */
static void another_schema_ends_it(void **state)
{
	struct app_fixture *f = *state;
	struct app_late late;
	struct app_log log;

	app_log_open(&log, f);
	app_late_make(&late, f, "late_other");
	struct app_api *api = late_api(&late, &log);
	app_late_arrives(&late);
	assert_int_equal(app_log_wait(&log, "the schema is up to date"), 1);
	app_api_stop(api);
	struct pg *pg;
	assert_ok(pg_open(&pg, &late.database, &f->env, &f->e), &f->e);
	assert_ok(pg_exec(pg, "INSERT INTO schema_migrations VALUES (9000, '9000_later', 'x')",
			  "arranging", &f->e),
		&f->e);
	pg_close(pg);
	const struct app_api_options o = {
		.listen = "127.0.0.1:0", .database = late.database, .migrate = true};
	assert_err(app_api_start(&api, &o, &log.env, &f->e), ERR_CHECK, &f->e);
	app_late_leaves(&late);
	api = late_api(&late, &log);
	assert_ok(app_api_check(api, &f->e), &f->e);
	app_late_arrives(&late);
	assert_int_equal(app_log_wait(&log, "cannot be brought up to date"), 1);
	for (int i = 0; i < 1000 && app_api_check(api, &f->e) == OK; i++)
		clock_sleep(f->env.clock, 2000);
	assert_err(app_api_check(api, &f->e), ERR_CHECK, &f->e);
	app_api_stop(api);
	app_late_leaves(&late);
	const struct app_api_options none = {.listen = "127.0.0.1:0", .migrate = true};
	assert_err(app_api_start(&api, &none, &log.env, &f->e), ERR_USAGE, &f->e);
	app_log_close(&log);
}

/* One thing that does not work says nothing about another. */
static void trouble_is_told_once(void **state)
{
	struct app_fixture *f = *state;
	struct app_log log;

	app_log_open(&log, f);
	struct app_health h = {.log = log.env.log};
	for (int i = 0; i < 3; i++) {
		app_health_works(&h, 2, "reading");
		app_health_fails(&h, 3, "writing", "locked");
	}
	assert_int_equal(app_log_count(&log, "answered with 503"), 1);
	assert_int_equal(app_log_count(&log, "does this again"), 0);
	app_health_fails(&h, 2, "reading", "locked");
	app_health_works(&h, 3, "writing");
	app_health_works(&h, 3, "writing");
	assert_int_equal(app_log_count(&log, "answered with 503"), 2);
	assert_int_equal(app_log_count(&log, "does this again"), 1);
	for (int64_t t = 1; t <= 12; t++)
		app_health_crowded(&h, t * 1000000);
	assert_int_equal(app_log_count(&log, "[app] threads"), 2);
	app_log_close(&log);
}

/* A table that is missing is our fault and no 404: the client asked for nothing wrong. */
static void a_broken_schema_is_no_fault_of_the_client(void **state)
{
	struct app_client c;

	open_client(&c, state);
	app_exec(c.f, "ALTER TABLE outbox RENAME TO away");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "")), 500);
	assert_null(strstr(buf_cstr(&c.reply.body), "outbox"));
	app_exec(c.f, "ALTER TABLE away RENAME TO outbox");
	assert_int_equal(app_call(&c, "POST", "/v1/bookings", app_booking(c.f, "")), 201);
	app_client_close(&c);
}

#define TEST(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_booking_lives),
		TEST(states_are_kept),
		TEST(bodies_are_checked),
		TEST(references_must_exist),
		TEST(tags_guard_changes),
		TEST(keys_make_requests_safe_to_repeat),
		TEST(changes_keep_the_rules),
		TEST(a_change_with_a_key_is_done_once),
		TEST(a_key_in_flight_is_said),
		TEST(lists_come_in_pages),
		TEST(guests_can_be_erased),
		TEST(no_update_is_lost),
		TEST(one_key_makes_one_booking),
		TEST(one_cancellation_wins),
		TEST(operators_can_ask),
		TEST(lost_connections_come_back),
		TEST(a_restart_is_survived),
		TEST(the_database_may_come_late),
		TEST(another_schema_ends_it),
		TEST(trouble_is_told_once),
		TEST(a_broken_schema_is_no_fault_of_the_client),
	};
	return cmocka_run_group_tests(tests, app_fixture_open, app_fixture_close);
}
