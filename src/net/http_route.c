#include "http_route.h"

/* The name inside "{name}" and what follows the brace; false for a literal. */
static bool capture_parts(struct str pattern, struct str *name, struct str *suffix)
{
	if (pattern.n < 3 || pattern.p[0] != '{')
		return false;
	struct str rest = str_from(pattern, 1);
	if (!str_cut(&rest, '}', name))
		return false;
	*suffix = rest;
	return true;
}

static bool add_param(struct http_request *req, struct str name, struct str raw)
{
	struct str value;

	if (raw.n == 0 || req->nparams == HTTP_MAX_PARAMS ||
		!http_percent_decode(raw, req->mem, &value))
		return false;
	req->params[req->nparams++] = (struct http_pair){name, value};
	return true;
}

static bool match_segment(struct str pattern, struct str segment, struct http_request *req)
{
	struct str name, suffix, plain;

	if (!capture_parts(pattern, &name, &suffix))
		return http_percent_decode(segment, req->mem, &plain) && str_eq(plain, pattern);
	if (!str_ends(segment, suffix))
		return false;
	return add_param(req, name, str_make(segment.p, segment.n - suffix.n));
}

static bool is_tail(struct str pattern, struct str *name)
{
	struct str suffix;

	if (!capture_parts(pattern, name, &suffix) || !str_ends(*name, STR("...")))
		return false;
	name->n -= 3;
	return true;
}

/* Both start with a slash. */
static bool match_path(struct str pattern, struct str path, struct http_request *req)
{
	struct str want, have, name;

	req->nparams = 0;
	if (!str_starts(path, STR("/")))
		return false;
	pattern = str_from(pattern, 1);
	path = str_from(path, 1);
	for (;;) {
		bool more_want = str_cut(&pattern, '/', &want);
		if (!more_want)
			want = pattern;
		if (!more_want && is_tail(want, &name))
			return add_param(req, name, path);
		bool more_have = str_cut(&path, '/', &have);
		if (!more_have)
			have = path;
		if (more_want != more_have || !match_segment(want, have, req))
			return false;
		if (!more_want)
			return true;
	}
}

static bool method_fits(const char *route, struct str method)
{
	return str_eqc(method, route) || (str_eqc(method, "HEAD") && str_eqc(STR("GET"), route));
}

int http_route_find(const struct http_route *routes, struct http_request *req, struct str *allow)
{
	*allow = STR_NONE;
	for (int i = 0; routes[i].method != NULL; i++) {
		if (!match_path(str_of(routes[i].path), req->path, req))
			continue;
		if (method_fits(routes[i].method, req->method))
			return i;
		*allow = allow->n == 0
			? str_of(routes[i].method)
			: arena_fmt(req->mem, "%.*s, %s", STR_ARG(*allow), routes[i].method);
	}
	req->nparams = 0;
	return -1;
}
