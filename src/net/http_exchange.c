#include "http_exchange.h"

#include <stdio.h>

#include "log.h"
#include "mem.h"
#include "problem.h"
#include "trace_context.h"

#define MAX_FIELDS 128 /* headers, and query members; more are left out of sight */

struct exchange *exchange_new(
	struct http_server *s, struct MHD_Connection *conn, const char *target)
{
	struct exchange *x = mem_zalloc(sizeof *x);
	struct str path, whole = str_of(target);

	x->server = s;
	x->conn = conn;
	x->route = -1;
	x->start_us = clock_mono(s->env->clock);
	buf_init(&x->body, s->o.max_body);
	buf_init(&x->resp.body, BUF_MAX_DEFAULT);
	http_response_clear(&x->resp);
	if (!str_cut(&whole, '?', &path))
		path = whole;
	/* libmicrohttpd decodes the target in place later, so keep a copy as it was sent. */
	x->req.path = arena_str(&x->mem, path);
	x->req.mem = &x->mem;
	x->req.env = s->env;
	x->req.shared = s->o.shared;
	return x;
}

void exchange_free(struct exchange *x)
{
	buf_free(&x->body);
	buf_free(&x->resp.body);
	arena_free(&x->mem);
	mem_free(x);
}

struct collect {
	struct http_pair *pairs;
	size_t n;
};

static enum MHD_Result collect_one(void *cls, enum MHD_ValueKind kind, const char *key,
	size_t key_size, const char *value, size_t value_size)
{
	struct collect *c = cls;

	(void)kind;
	if (c->n < MAX_FIELDS)
		c->pairs[c->n++] = (struct http_pair){
			str_make(key, key_size), str_make(value != NULL ? value : "", value_size)};
	return MHD_YES;
}

/* The views point into the connection's memory, which stands until the request is done. */
static struct collect collect(struct exchange *x, enum MHD_ValueKind kind)
{
	struct collect c = {.pairs = NULL};
	int n = MHD_get_connection_values_n(x->conn, kind, NULL, NULL);

	c.pairs = arena_array(&x->mem, n > 0 ? (size_t)n : 1, sizeof *c.pairs);
	(void)MHD_get_connection_values_n(x->conn, kind, collect_one, &c);
	return c;
}

void exchange_begin(struct exchange *x, const char *method, struct rnd *rnd)
{
	struct http_request *req = &x->req;
	struct collect headers = collect(x, MHD_HEADER_KIND);
	struct collect query = collect(x, MHD_GET_ARGUMENT_KIND);

	req->method = arena_str(&x->mem, str_of(method));
	req->headers = headers.pairs;
	req->nheaders = headers.n;
	req->query = query.pairs;
	req->nquery = query.n;
	req->trace_parent = trace_parent_take(http_header(req, "traceparent"), rnd, &x->mem);
	req->request_id = request_id_take(http_header(req, "x-request-id"), rnd, &x->mem);
}

static void refuse_with(struct exchange *x, unsigned status, const struct error *e)
{
	http_refuse_fn *refuse = x->server->o.refuse;

	http_response_clear(&x->resp);
	(refuse != NULL ? refuse : problem_of_error)(&x->req, &x->resp, status, e);
}

void exchange_refuse(struct exchange *x, unsigned status, enum err kind, const char *text)
{
	struct error e = {.kind = OK};

	(void)FAIL(&e, kind, "%s", text);
	refuse_with(x, status, &e);
}

static void refuse_route(struct exchange *x, struct str allow)
{
	struct error e = {.kind = OK};

	if (allow.n == 0) {
		(void)FAIL(&e, ERR_NOT_FOUND, "There is nothing at %.*s.", STR_ARG(x->req.path));
		refuse_with(x, 404, &e);
		return;
	}
	if (str_eqc(x->req.method, "OPTIONS")) {
		x->resp.status = 204;
	} else {
		(void)FAIL(&e, ERR_USAGE, "%.*s answers %.*s, not %.*s.", STR_ARG(x->req.path),
			STR_ARG(allow), STR_ARG(x->req.method));
		refuse_with(x, 405, &e);
	}
	http_response_header(&x->resp, STR("Allow"), allow);
}

/* Registering the same metric twice gives the same one, so a race here is harmless. */
static void count(struct exchange *x)
{
	struct http_server *s = x->server;
	size_t i = x->route >= 0 ? (size_t)x->route : s->nroutes;
	const struct http_route *r = x->route >= 0 ? &s->o.routes[x->route] : NULL;
	unsigned class = x->resp.status / 100 % 6;
	char name[160] = "unknown", status[4];
	const char *by_status[] = {"route", name, "status", status, NULL};
	const char *by_route[] = {"route", name, NULL};

	if (s->env->metrics == NULL)
		return;
	if (r != NULL)
		(void)snprintf(name, sizeof name, "%s %s", r->method, r->path);
	(void)snprintf(status, sizeof status, "%uxx", class);
	struct metric *requests = atomic_load(&s->metrics[i].by_class[class]);
	if (requests == NULL) {
		requests = metrics_counter(s->env->metrics, "sluice_http_requests_total",
			"Requests answered, by route and class of status.", by_status);
		atomic_store(&s->metrics[i].by_class[class], requests);
	}
	struct metric *seconds = atomic_load(&s->metrics[i].seconds);
	if (seconds == NULL) {
		seconds = metrics_histogram(s->env->metrics, "sluice_http_request_seconds",
			"Time from a request's first byte to its answer.", by_route);
		atomic_store(&s->metrics[i].seconds, seconds);
	}
	metric_add(requests, 1);
	metric_observe(seconds, (double)(clock_mono(s->env->clock) - x->start_us) / 1e6);
}

static void run_handler(struct exchange *x)
{
	struct error e = {.kind = OK};
	enum err rc = x->server->o.routes[x->route].handler(&x->req, &x->resp, &e);

	if (rc != OK)
		refuse_with(x, http_status_of(rc), &e);
	else if (x->resp.fixed.p == NULL && !buf_ok(&x->resp.body))
		exchange_refuse(x, 500, ERR_BUG, "the answer is larger than it may be");
}

void exchange_run(struct exchange *x, void *thread_data)
{
	struct str allow;

	x->req.thread = thread_data;
	x->req.body = buf_str(&x->body);
	x->route = http_route_find(x->server->o.routes, &x->req, &allow);
	if (x->too_large)
		exchange_refuse(x, 413, ERR_INPUT, "The body is larger than this service takes.");
	else if (x->route < 0)
		refuse_route(x, allow);
	else
		run_handler(x);
}

static void add_headers(struct exchange *x, struct MHD_Response *r)
{
	struct http_response *resp = &x->resp;

	if (resp->status != 204 && resp->status != 304)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, resp->content_type);
	(void)MHD_add_response_header(r, "X-Request-Id", arena_cstr(&x->mem, x->req.request_id));
	for (size_t i = 0; i < resp->nheaders; i++)
		(void)MHD_add_response_header(r, arena_cstr(&x->mem, resp->headers[i].name),
			arena_cstr(&x->mem, resp->headers[i].value));
	if (atomic_load(&x->server->stopping) || x->stage == STAGE_REFUSED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* The body is only lent: it stands in the exchange until the request is done. */
static struct MHD_Response *response_of(const struct http_response *resp)
{
	struct str body = resp->fixed.p != NULL ? resp->fixed : buf_str(&resp->body);
	union {
		const char *in;
		void *out;
	} bytes = {.in = body.n > 0 ? body.p : ""};

	/* Persistent: libmicrohttpd neither changes nor frees it. */
	return MHD_create_response_from_buffer(body.n, bytes.out, MHD_RESPMEM_PERSISTENT);
}

enum MHD_Result exchange_send(struct exchange *x)
{
	struct MHD_Response *r = response_of(&x->resp);

	if (r == NULL)
		return MHD_NO;
	add_headers(x, r);
	count(x);
	enum MHD_Result sent = MHD_queue_response(x->conn, x->resp.status, r);
	MHD_destroy_response(r);
	log_debug(x->server->env->log, "http", "answered", F_STR("method", x->req.method),
		F_STR("path", x->req.path), F_I64("status", x->resp.status),
		F_STR("request_id", x->req.request_id),
		F_I64("us", clock_mono(x->server->env->clock) - x->start_us));
	return sent;
}
