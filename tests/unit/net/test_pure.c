/* The parts of the HTTP layer that need no socket. */
#include "unit.h"

#include "arena.h"
#include "http_message.h"
#include "http_retry.h"
#include "http_route.h"
#include "json.h"
#include "log.h"
#include "problem.h"
#include "trace_context.h"

static enum err nothing(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)req;
	(void)resp;
	(void)e;
	return OK;
}

static const struct http_route routes[] = {
	{"GET", "/", nothing},
	{"GET", "/v1/bookings", nothing},
	{"POST", "/v1/bookings", nothing},
	{"GET", "/v1/bookings/{id}", nothing},
	{"POST", "/v1/bookings/{id}/cancel", nothing},
	{"POST", "/v1/p/{project}/endpoints/{endpoint}:predict", nothing},
	{"GET", "/v1/p/{project}/endpoints/{endpoint}", nothing},
	{"GET", "/static/{file...}", nothing},
	HTTP_ROUTE_END,
};

struct found {
	struct http_request req;
	struct arena mem;
	struct str allow;
	int index;
};

static void look(struct found *f, const char *method, const char *path)
{
	arena_free(&f->mem);
	*f = (struct found){.index = -1};
	f->req.method = str_of(method);
	f->req.path = str_of(path);
	f->req.mem = &f->mem;
	f->index = http_route_find(routes, &f->req, &f->allow);
}

static void routes_match(void **state)
{
	struct found f = {.index = -1};

	(void)state;
	look(&f, "GET", "/");
	assert_int_equal(f.index, 0);
	look(&f, "POST", "/v1/bookings");
	assert_int_equal(f.index, 2);
	look(&f, "GET", "/v1/bookings/a%20b%2Fc");
	assert_int_equal(f.index, 3);
	assert_str(http_param(&f.req, "id"), "a b/c");
	look(&f, "POST", "/v1/bookings/17/cancel");
	assert_int_equal(f.index, 4);
	assert_str(http_param(&f.req, "id"), "17");
	look(&f, "POST", "/v1/p/x/endpoints/7:predict");
	assert_int_equal(f.index, 5);
	assert_str(http_param(&f.req, "endpoint"), "7");
	assert_str(http_param(&f.req, "project"), "x");
	look(&f, "GET", "/static/js/a.js");
	assert_int_equal(f.index, 7);
	assert_str(http_param(&f.req, "file"), "js/a.js");
	look(&f, "HEAD", "/v1/bookings");
	assert_int_equal(f.index, 1);
	arena_free(&f.mem);
}

static void routes_refuse(void **state)
{
	static const char *const unknown[] = {"", "v1/bookings", "/v1", "/v1/bookings/",
		"/v1/bookings//", "/v1/bookings/1/", "/v1/bookings/1/cancel/x", "/v1/bookings/%zz",
		"/v1/bookings/%00", "/v1/bookings/%4", "//", "/static/",
		"/v1/p/x/endpoints/:predict"};
	struct found f = {.index = -1};

	(void)state;
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		look(&f, "POST", unknown[i]);
		if (f.index != -1 || f.allow.n != 0)
			/* ":predict" alone is a name for the plain GET route. */
			assert_str(f.allow, "GET");
	}
	look(&f, "DELETE", "/v1/bookings");
	assert_int_equal(f.index, -1);
	assert_str(f.allow, "GET, POST");
	arena_free(&f.mem);
}

static void headers_and_media_types(void **state)
{
	struct http_pair headers[] = {{STR("Content-Type"), STR("application/json; charset=utf-8")},
		{STR("X-Empty"), STR("")}};
	struct http_request req = {.headers = headers, .nheaders = 2};

	(void)state;
	assert_str(http_header(&req, "content-type"), "application/json; charset=utf-8");
	assert_non_null(http_header(&req, "x-empty").p);
	assert_null(http_header(&req, "x-absent").p);
	assert_true(http_media_type_is(http_header(&req, "content-type"), "application/json"));
	assert_true(http_media_type_is(STR("Application/JSON"), "application/json"));
	assert_false(http_media_type_is(STR("application/json5"), "application/json"));
	assert_false(http_media_type_is(STR_NONE, "application/json"));
}

static void statuses_have_a_kind(void **state)
{
	(void)state;
	assert_int_equal(http_status_kind(200), OK);
	assert_int_equal(http_status_kind(204), OK);
	assert_int_equal(http_status_kind(301), ERR_FAILED);
	assert_int_equal(http_status_kind(400), ERR_FAILED);
	assert_int_equal(http_status_kind(403), ERR_USAGE);
	assert_int_equal(http_status_kind(404), ERR_NOT_FOUND);
	assert_int_equal(http_status_kind(412), ERR_CONFLICT);
	assert_int_equal(http_status_kind(429), ERR_UNAVAILABLE);
	assert_int_equal(http_status_kind(503), ERR_UNAVAILABLE);
	for (int kind = OK; kind <= ERR_BUG; kind++)
		assert_true((http_status_of((enum err)kind) < 300) == (kind == OK));
}

static void traces_are_taken_or_made(void **state)
{
	static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	static const char *const bad[] = {"",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
	struct arena mem = {.chunks = NULL};
	struct rnd rnd;

	(void)state;
	rnd_seed(&rnd, 7);
	assert_str(trace_parent_take(STR(good), &rnd, &mem), good);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct str made = trace_parent_take(str_of(bad[i]), &rnd, &mem);
		assert_true(trace_parent_valid(made));
		assert_false(str_eqc(made, bad[i]));
	}
	assert_str(request_id_take(STR("abc-1"), &rnd, &mem), "abc-1");
	assert_int_equal(request_id_take(STR("two words"), &rnd, &mem).n, 16);
	assert_int_equal(request_id_take(STR_NONE, &rnd, &mem).n, 16);
	arena_free(&mem);
}

static void problems_are_json(void **state)
{
	struct arena mem = {.chunks = NULL};
	struct http_request req = {.mem = &mem, .request_id = STR("r\"1")};
	struct http_response resp = {.status = 200};
	struct problem_field errors[] = {{STR("/adults"), STR("must be \"whole\"")}};
	struct problem p = {.status = 422,
		.name = "invalid-booking",
		.detail = STR("no"),
		.errors = errors,
		.nerrors = 1};
	struct error e;
	json_t *o;

	(void)state;
	buf_init(&resp.body, 4096);
	problem_answer(&req, &resp, &p);
	assert_int_equal(resp.status, 422);
	assert_string_equal(resp.content_type, "application/problem+json");
	assert_ok(json_read(buf_str(&resp.body), "problem", &o, &e), &e);
	assert_str(json_get_str(o, "type"), "urn:sluice:problem:invalid-booking");
	assert_str(json_get_str(o, "title"), "Unprocessable Content");
	assert_str(json_get_str(o, "instance"), "urn:sluice:request:r\"1");
	json_t *first = json_array_get(json_object_get(o, "errors"), 0);
	assert_str(json_get_str(first, "pointer"), "/adults");
	assert_str(json_get_str(first, "detail"), "must be \"whole\"");
	json_decref(o);
	buf_free(&resp.body);
	arena_free(&mem);
}

static void our_own_failures_are_not_told(void **state)
{
	struct arena mem = {.chunks = NULL};
	struct env env = {.log = NULL};
	struct http_request req = {.mem = &mem, .env = &env, .request_id = STR("r1")};
	struct http_response resp = {.status = 200};
	struct error e;

	(void)state;
	buf_init(&resp.body, 4096);
	(void)FAIL(&e, ERR_FAILED, "secret table name");
	problem_of_error(&req, &resp, 500, &e);
	assert_int_equal(resp.status, 500);
	assert_null(strstr(buf_cstr(&resp.body), "secret"));
	(void)FAIL(&e, ERR_INPUT, "the colour is wrong");
	problem_of_error(&req, &resp, 400, &e);
	assert_has(buf_cstr(&resp.body), "the colour is wrong");
	buf_free(&resp.body);
	arena_free(&mem);
}

static void retries_wait_longer_each_time(void **state)
{
	struct rnd rnd;
	int64_t most = 0;

	(void)state;
	rnd_seed(&rnd, unit_seed());
	for (unsigned next = 2; next < 40; next++) {
		int64_t ceiling = next < 9 ? 100000LL << (next - 2) : 10000000;
		for (int i = 0; i < 50; i++) {
			int64_t us = http_retry_wait_us(next, -1, &rnd);
			assert_true(us >= 0 && us <= (ceiling < 10000000 ? ceiling : 10000000));
			most = us > most ? us : most;
		}
	}
	assert_true(most > 5000000);
	assert_true(http_retry_wait_us(2, 3000000, &rnd) >= 3000000);
	assert_int_equal(http_retry_after_us(STR(" 2 ")), 2000000);
	assert_int_equal(http_retry_after_us(STR("Fri, 31 Dec 1999 23:59:59 GMT")), -1);
	assert_int_equal(http_retry_after_us(STR_NONE), -1);
	assert_true(http_retry_status(503) && http_retry_status(429));
	assert_false(http_retry_status(501) || http_retry_status(409) || http_retry_status(200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_match),
		cmocka_unit_test(routes_refuse),
		cmocka_unit_test(headers_and_media_types),
		cmocka_unit_test(statuses_have_a_kind),
		cmocka_unit_test(traces_are_taken_or_made),
		cmocka_unit_test(problems_are_json),
		cmocka_unit_test(our_own_failures_are_not_told),
		cmocka_unit_test(retries_wait_longer_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
