#include "operator.h"

#include "http_server.h"
#include "mem.h"
#include "metrics.h"
#include "problem.h"

struct operator_server {
	struct operator_options o;
	const struct env *env;
	struct http_server *http;
};

static void say(struct http_response *resp, unsigned status, const char *text)
{
	resp->status = status;
	resp->content_type = "text/plain; charset=utf-8";
	buf_puts(&resp->body, text);
}

static enum err live(struct http_request *req, struct http_response *resp, struct error *e)
{
	(void)req;
	(void)e;
	say(resp, 200, "ok\n");
	return OK;
}

static enum err ready(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct operator_server *s = req->shared;
	struct error why = {0};
	(void)e;
	if (s->o.ready(s->o.arg, &why) == OK) {
		say(resp, 200, "ok\n");
		return OK;
	}
	say(resp, 503, "not ready");
	if (http_has_query(req, "verbose"))
		buf_putf(&resp->body, ": %s", why.text);
	buf_putc(&resp->body, '\n');
	return OK;
}

static enum err metrics(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct operator_server *s = req->shared;
	(void)e;
	resp->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_print(s->env->metrics, &resp->body);
	return OK;
}

static enum err status(struct http_request *req, struct http_response *resp, struct error *e)
{
	struct operator_server *s = req->shared;
	return s->o.status(s->o.arg, &resp->body, e);
}

static const struct http_route routes[] = {
	{"GET", "/livez", live},
	{"GET", "/healthz", live},
	{"GET", "/readyz", ready},
	{"GET", "/metrics", metrics},
	{"GET", "/status", status},
	HTTP_ROUTE_END,
};

enum err operator_start(struct operator_server **out, const struct operator_options *o,
	const struct env *env, struct error *e)
{
	struct operator_server *s = mem_zalloc(sizeof *s);
	s->o = *o;
	s->env = env;
	const struct http_server_options h = {
		.listen = o->listen, .routes = routes, .threads = 2, .shared = s};
	enum err rc = http_server_start(&s->http, &h, env, e);
	if (rc != OK) {
		mem_free(s);
		return error_wrap(e, "starting the operator API on %s", o->listen);
	}
	*out = s;
	return OK;
}

const char *operator_address(const struct operator_server *s)
{
	return http_server_address(s->http);
}

void operator_stop(struct operator_server *s)
{
	if (s == NULL)
		return;
	http_server_stop(s->http);
	mem_free(s);
}
