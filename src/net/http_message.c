#include "http_message.h"

#include <assert.h>
#include <string.h>

#include "enc.h"

static struct str find(const struct http_pair *pairs, size_t n, const char *name, bool fold)
{
	struct str want = str_of(name);

	for (size_t i = 0; i < n; i++)
		if (fold ? str_ieq(pairs[i].name, want) : str_eq(pairs[i].name, want))
			return pairs[i].value;
	return STR_NONE;
}

struct str http_param(const struct http_request *req, const char *name)
{
	return find(req->params, req->nparams, name, false);
}

struct str http_header(const struct http_request *req, const char *name)
{
	return find(req->headers, req->nheaders, name, true);
}

struct str http_query(const struct http_request *req, const char *name)
{
	return find(req->query, req->nquery, name, false);
}

bool http_has_query(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->nquery; i++)
		if (str_eqc(req->query[i].name, name))
			return true;
	return false;
}

bool http_media_type_is(struct str content_type, const char *want)
{
	struct str type;

	if (!str_cut(&content_type, ';', &type))
		type = content_type;
	return str_ieq(str_trim(type), str_of(want));
}

void http_response_header(struct http_response *resp, struct str name, struct str value)
{
	assert(resp->nheaders < HTTP_MAX_RESPONSE_HEADERS);
	resp->headers[resp->nheaders++] = (struct http_pair){name, value};
}

void http_response_clear(struct http_response *resp)
{
	resp->status = 200;
	resp->content_type = "application/json";
	buf_reset(&resp->body);
	resp->fixed = STR_NONE;
	resp->nheaders = 0;
}

bool http_percent_decode(struct str in, struct arena *mem, struct str *out)
{
	if (in.n == 0 || memchr(in.p, '%', in.n) == NULL) {
		*out = in;
		return true;
	}
	char *p = arena_alloc(mem, in.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		if (c == '%') {
			if (in.n - i < 3 || !enc_unhex(str_make(in.p + i + 1, 2), &c) || c == '\0')
				return false;
			i += 2;
		}
		p[n++] = c;
	}
	*out = str_make(p, n);
	return true;
}

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{422, "Unprocessable Content"},
	{425, "Too Early"},
	{429, "Too Many Requests"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
};

const char *http_reason(unsigned status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

enum err http_status_kind(unsigned status)
{
	switch (status) {
	case 408:
	case 425:
	case 429:
		return ERR_UNAVAILABLE;
	case 404:
	case 410:
		return ERR_NOT_FOUND;
	case 409:
	case 412:
		return ERR_CONFLICT;
	case 401:
	case 403:
		return ERR_USAGE;
	default:
		break;
	}
	if (status >= 500)
		return ERR_UNAVAILABLE;
	return status >= 300 ? ERR_FAILED : OK;
}

unsigned http_status_of(enum err kind)
{
	switch (kind) {
	case OK:
		return 200;
	case ERR_USAGE:
	case ERR_INPUT:
		return 400;
	case ERR_CHECK:
		return 422;
	case ERR_NOT_FOUND:
		return 404;
	case ERR_CONFLICT:
		return 409;
	case ERR_UNAVAILABLE:
	case ERR_INTERRUPTED:
		return 503;
	case ERR_FAILED:
	case ERR_BUG:
	default:
		return 500;
	}
}
