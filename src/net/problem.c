#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "json.h"
#include "log.h"

void problem_answer(
	const struct http_request *req, struct http_response *resp, const struct problem *p)
{
	struct json_out j;
	struct str id = arena_fmt(req->mem, "urn:sluice:request:%.*s", STR_ARG(req->request_id));

	resp->status = p->status;
	resp->content_type = PROBLEM_TYPE;
	resp->fixed = STR_NONE;
	buf_reset(&resp->body);
	jo_init(&j, &resp->body);
	jo_object(&j, NULL);
	if (p->name != NULL)
		jo_str(&j, "type", arena_fmt(req->mem, "urn:sluice:problem:%s", p->name));
	else
		jo_cstr(&j, "type", "about:blank");
	jo_cstr(&j, "title", p->title != NULL ? p->title : http_reason(p->status));
	jo_i64(&j, "status", (int64_t)p->status);
	if (p->detail.n > 0)
		jo_str(&j, "detail", p->detail);
	jo_str(&j, "instance", id);
	if (p->nerrors > 0) {
		jo_array(&j, "errors");
		for (size_t i = 0; i < p->nerrors; i++) {
			jo_object(&j, NULL);
			jo_str(&j, "pointer", p->errors[i].pointer);
			jo_str(&j, "detail", p->errors[i].detail);
			jo_end_object(&j);
		}
		jo_end_array(&j);
	}
	jo_end_object(&j);
}

enum err problem_fmt(struct http_request *req, struct http_response *resp, unsigned status,
	const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	struct problem p = {.status = status, .name = name, .detail = str_of(text)};
	problem_answer(req, resp, &p);
	return OK;
}

void problem_of_error(struct http_request *req, struct http_response *resp, unsigned status,
	const struct error *e)
{
	struct problem p = {.status = status, .detail = str_of(e->text)};

	if (status == 503) {
		p.name = "unavailable";
		http_response_header(resp, STR("Retry-After"), STR("1"));
	}
	if (status >= 500) {
		log_warn(req->env->log, "http", e->text, F_STR("request_id", req->request_id),
			F_STR("method", req->method), F_STR("path", req->path),
			F_CSTR("kind", error_kind_name(e->kind)), F_I64("status", status));
		p.detail = status == 503
			? STR("A service this one depends on did not answer. Try again shortly.")
			: STR("The request could not be completed. The server's log has the "
			      "reason under this request id.");
	}
	problem_answer(req, resp, &p);
}
