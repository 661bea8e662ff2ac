/* Guests: reading one, and erasing one at the guest's wish. */
#include "app_handlers.h"
#include "app_request.h"

enum err guest_get(struct http_request *req, struct http_response *resp, struct error *e)
{
	const char *id;
	PGresult *r;

	if (!request_id_param(req, resp, &id))
		return OK;
	TRY(app_db_run(db_of(req), STMT_GUEST_GET, &id, req->mem, &r, e));
	if (PQntuples(r) == 0)
		return problem_fmt(req, resp, 404, "not-found", "There is no guest %s.", id);
	buf_put(&resp->body, pg_cell_str(r, 0, 0));
	return OK;
}

enum err guest_erase(struct http_request *req, struct http_response *resp, struct error *e)
{
	const char *params[2] = {NULL, arena_cstr(req->mem, req->trace_parent)};
	PGresult *r;

	if (!request_id_param(req, resp, &params[0]))
		return OK;
	TRY(app_db_run(db_of(req), STMT_GUEST_ERASE, params, req->mem, &r, e));
	if (pg_cell_i64(r, 0, 0) == 0)
		return problem_fmt(req, resp, 404, "not-found", "There is no guest %s.", params[0]);
	resp->status = 204;
	return OK;
}
