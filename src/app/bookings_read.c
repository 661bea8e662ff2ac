/* Reading bookings, one or a page of them. */
#include <inttypes.h>

#include "app_handlers.h"
#include "app_request.h"
#include "booking_state.h"
#include "json.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     500

enum err booking_get(struct http_request *req, struct http_response *resp, struct error *e)
{
	const char *id;
	PGresult *r;

	if (!request_id_param(req, resp, &id))
		return OK;
	TRY(app_db_run(db_of(req), STMT_BOOKING_GET, &id, req->mem, &r, e));
	if (PQntuples(r) == 0)
		return problem_fmt(req, resp, 404, "not-found", "There is no booking %s.", id);
	int64_t version = pg_cell_i64(r, 0, 0);
	bool same = request_has_version(req, version);
	answer_booking(
		req, resp, same ? 304 : 200, version, same ? STR_NONE : pg_cell_str(r, 0, 1));
	return OK;
}

struct page {
	int64_t after, limit;
	struct str status; /* empty: all */
};

static bool query_number(
	const struct http_request *req, const char *name, int64_t low, int64_t high, int64_t *out)
{
	int64_t n;

	if (!http_has_query(req, name))
		return true;
	if (!str_to_i64(http_query(req, name), &n) || n < low || n > high)
		return false;
	*out = n;
	return true;
}

/* Every query parameter that is wrong, in one answer. */
static bool read_page(struct http_request *req, struct http_response *resp, struct page *p)
{
	struct fields f;

	fields_start(&f, req);
	*p = (struct page){.limit = LIMIT_DEFAULT, .status = http_query(req, "status")};
	if (!query_number(req, "after", 0, INT64_MAX, &p->after))
		fields_error(&f, "/query", "after", "must be the \"next\" of an earlier answer");
	if (!query_number(req, "limit", 1, LIMIT_MAX, &p->limit))
		fields_error(&f, "/query", "limit", "must be a number from 1 to %d", LIMIT_MAX);
	if (http_has_query(req, "status") && !booking_state_known(p->status))
		fields_error(&f, "/query", "status",
			"must be booked, cancelled, checked_in, checked_out or no_show");
	for (size_t i = 0; i < req->nquery; i++)
		if (!str_eqc(req->query[i].name, "after") &&
			!str_eqc(req->query[i].name, "limit") &&
			!str_eqc(req->query[i].name, "status"))
			fields_error(&f, "/query", arena_cstr(req->mem, req->query[i].name),
				"is not known here");
	if (f.nerrors == 0)
		return true;
	struct problem problem = {.status = 400,
		.name = "invalid-query",
		.errors = f.errors,
		.nerrors = f.nerrors,
		.detail = STR("The query parameters are not valid.")};
	problem_answer(req, resp, &problem);
	return false;
}

static void write_page(struct http_response *resp, PGresult *r, int64_t limit)
{
	struct json_out j;
	int n = PQntuples(r);
	bool more = n > limit;

	if (more)
		n = (int)limit;
	jo_init(&j, &resp->body);
	jo_object(&j, NULL);
	jo_array(&j, "bookings");
	for (int i = 0; i < n; i++)
		jo_raw(&j, NULL, pg_cell_str(r, i, 1));
	jo_end_array(&j);
	if (more)
		jo_str(&j, "next", pg_cell_str(r, n - 1, 0));
	else
		jo_null(&j, "next");
	jo_end_object(&j);
}

enum err booking_list(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct page p;
	PGresult *r;

	if (!read_page(req, resp, &p))
		return OK;
	/* One more than asked for says whether there is another page. */
	const char *params[] = {arena_fmt(req->mem, "%" PRId64, p.after).p,
		arena_fmt(req->mem, "%" PRId64, p.limit + 1).p, arena_cstr(req->mem, p.status)};
	TRY(app_db_run(db_of(req), p.status.n > 0 ? STMT_BOOKING_LIST_STATUS : STMT_BOOKING_LIST,
		params, req->mem, &r, e));
	write_page(resp, r, p.limit);
	return OK;
}
