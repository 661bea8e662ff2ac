#include "app_request.h"

#include <inttypes.h>

#include "enc.h"
#include "json.h"
#include "log.h"

#define KEY_MAX 255

static void drop(void *v)
{
	json_decref(v);
}

/* From here on it lives as long as the request. */
static void keep(struct http_request *req, json_t *v)
{
	arena_defer(req->mem, drop, v);
}

void answer_unavailable(struct http_request *req, struct http_response *resp)
{
	http_response_header(resp, STR("Retry-After"), STR("1"));
	(void)problem_fmt(
		req, resp, 503, "unavailable", "The database does not answer. Try again shortly.");
}

void app_refuse(struct http_request *req, struct http_response *resp, unsigned status,
	const struct error *e)
{
	if (status != 503) {
		problem_of_error(req, resp, status, e);
		return;
	}
	/* No handler thread ever had it: it was turned away at the door. */
	if (req->thread == NULL)
		app_health_crowded(app_of(req)->health, clock_mono(req->env->clock));
	log_debug(req->env->log, "app", e->text, F_STR("request_id", req->request_id),
		F_STR("path", req->path));
	answer_unavailable(req, resp);
}

static bool content_is_json(const struct http_request *req)
{
	struct str type = http_header(req, "content-type");

	return http_media_type_is(type, "application/json") ||
		(str_eqc(req->method, "PATCH") &&
			http_media_type_is(type, "application/merge-patch+json"));
}

bool request_object(
	struct http_request *req, struct http_response *resp, bool optional, json_t **out)
{
	struct error e = {.kind = OK};

	if (req->body.n == 0 && optional) {
		*out = json_object();
		keep(req, *out);
		return true;
	}
	if (!content_is_json(req)) {
		http_response_header(resp, STR("Accept"), STR("application/json"));
		(void)problem_fmt(req, resp, 415, "unsupported-media-type",
			"The body must be application/json, and say so in Content-Type.");
		return false;
	}
	if (json_read(req->body, "the body", out, &e) != OK) {
		(void)problem_fmt(req, resp, 400, "malformed-json", "%s", e.text);
		return false;
	}
	keep(req, *out);
	if (json_is_object(*out))
		return true;
	(void)problem_fmt(req, resp, 400, "malformed-json", "The body must be a JSON object.");
	return false;
}

bool request_id_param(struct http_request *req, struct http_response *resp, const char **id)
{
	struct str text = http_param(req, "id");
	int64_t n;

	if (str_to_i64(text, &n) && n > 0) {
		*id = arena_fmt(req->mem, "%" PRId64, n).p;
		return true;
	}
	(void)problem_fmt(req, resp, 404, "not-found", "Ids are positive whole numbers.");
	return false;
}

static bool key_valid(struct str key)
{
	if (key.n < 1 || key.n > KEY_MAX)
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] < ' ' || key.p[i] > '~')
			return false;
	return true;
}

bool request_key(struct http_request *req, struct http_response *resp, const char **key,
	const char **fingerprint)
{
	struct str given = http_header(req, "idempotency-key");
	char *digest;

	*key = *fingerprint = NULL;
	if (given.p == NULL)
		return true;
	if (!key_valid(given)) {
		(void)problem_fmt(req, resp, 400, "invalid-idempotency-key",
			"An Idempotency-Key has 1 to %d printable ASCII characters.", KEY_MAX);
		return false;
	}
	struct str whole = arena_fmt(req->mem, "%.*s %.*s\n%.*s", STR_ARG(req->method),
		STR_ARG(req->path), STR_ARG(req->body));
	digest = arena_alloc(req->mem, ENC_SHA256_TEXT);
	enc_sha256(whole, digest);
	*key = arena_cstr(req->mem, given);
	*fingerprint = digest;
	return true;
}

/* "3" with its quotes; weak tags never match in If-Match. */
static bool tag_version(struct str tag, int64_t *version)
{
	tag = str_trim(tag);
	return tag.n >= 3 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
		str_to_i64(str_make(tag.p + 1, tag.n - 2), version) && *version > 0 &&
		*version <= INT32_MAX;
}

const char *request_versions(struct http_request *req)
{
	struct str header = http_header(req, "if-match"), one;
	struct str out = STR("{0");

	if (header.p == NULL || str_eqc(str_trim(header), "*"))
		return NULL;
	while (str_next(&header, ',', &one)) {
		int64_t version;
		if (tag_version(one, &version))
			out = arena_fmt(req->mem, "%.*s,%" PRId64, STR_ARG(out), version);
	}
	return arena_fmt(req->mem, "%.*s}", STR_ARG(out)).p;
}

bool request_has_version(const struct http_request *req, int64_t version)
{
	struct str header = http_header(req, "if-none-match"), one;
	int64_t v;

	while (str_next(&header, ',', &one)) {
		one = str_trim(one);
		if (str_starts(one, STR("W/")))
			one = str_from(one, 2);
		if (str_eqc(one, "*") || (tag_version(one, &v) && v == version))
			return true;
	}
	return false;
}

void fields_start(struct fields *f, const struct http_request *req)
{
	*f = (struct fields){
		.mem = req->mem,
		.import_mode = app_of(req)->o.import_mode,
		.now_us = clock_wall(req->env->clock),
	};
}

bool fields_good(const struct fields *f, struct http_request *req, struct http_response *resp,
	const char *problem)
{
	if (f->nerrors == 0)
		return true;
	struct problem p = {
		.status = 422,
		.name = problem,
		.title = "The body is not valid",
		.detail = arena_fmt(req->mem, "%zu %s; see errors.", f->nerrors,
			f->nerrors == 1 ? "thing is wrong" : "things are wrong"),
		.errors = f->errors,
		.nerrors = f->nerrors,
	};
	problem_answer(req, resp, &p);
	return false;
}

void answer_booking(struct http_request *req, struct http_response *resp, unsigned status,
	int64_t version, struct str json)
{
	resp->status = status;
	http_response_header(resp, STR("ETag"), arena_fmt(req->mem, "\"%" PRId64 "\"", version));
	buf_put(&resp->body, json);
}

enum err answer_replay(struct http_request *req, struct http_response *resp, const char *key,
	const char *fingerprint, struct error *e)
{
	PGresult *r;

	TRY(app_db_run(db_of(req), STMT_KEY_GET, &key, req->mem, &r, e));
	if (PQntuples(r) == 0) {
		http_response_header(resp, STR("Retry-After"), STR("1"));
		return problem_fmt(req, resp, 409, "request-in-flight",
			"A request with this Idempotency-Key is being worked on. Send it again "
			"shortly.");
	}
	if (!str_eqc(pg_cell_str(r, 0, 0), fingerprint))
		return problem_fmt(req, resp, 422, "key-reused",
			"This Idempotency-Key was used for another request. Use a new one.");
	unsigned status = (unsigned)pg_cell_i64(r, 0, 1);
	if (status == 201)
		http_response_header(resp, STR("Location"),
			arena_fmt(req->mem, "/v1/bookings/%s", pg_cell(r, 0, 3)));
	http_response_header(resp, STR("Idempotent-Replayed"), STR("true"));
	answer_booking(req, resp, status, pg_cell_i64(r, 0, 2), pg_cell_str(r, 0, 4));
	return OK;
}
