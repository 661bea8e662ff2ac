/*
 * http_server: an HTTP/1.1 server over libmicrohttpd.
 *
 * One thread owns all sockets (epoll); a fixed number of handler threads run the handlers, which
 * may block. In between is a bounded queue: a slow handler never holds up another connection,
 * and when the queue is full the client gets 503 at once. Handlers run concurrently on
 * different requests; what a thread needs for itself (a database connection) it gets from
 * thread_open and finds in req->thread.
 *
 * No TLS: it ends before the service (ingress, sidecar). Request and trace ids are taken over or
 * made, answered as X-Request-Id and logged. Metrics: sluice_http_requests_total{route,status},
 * sluice_http_request_seconds{route}.
 */
#ifndef SLUICE_HTTP_SERVER_H
#define SLUICE_HTTP_SERVER_H

#include "env.h"
#include "http_route.h"

struct http_server;

/* Answers a request that no handler answered: unknown path (404), method (405), too large (413),
 * overload (503), or the failure of a handler. problem_of_error() is the default. */
typedef void http_refuse_fn(struct http_request *req, struct http_response *resp, unsigned status,
	const struct error *e);

struct http_server_options {
	const char *listen;              /* see http_listen() */
	const struct http_route *routes; /* must outlive the server */
	unsigned threads;                /* handler threads; 0: 4 */
	unsigned queue;                  /* requests waiting for one of them; 0: 1024 */
	size_t max_body;                 /* bytes; 0: 1 MiB */
	unsigned max_connections;        /* 0: 1024 */
	unsigned idle_timeout_s;         /* an idle connection is closed; 0: 60 */
	int64_t grace_us;                /* what http_server_stop gives running requests; 0: 10 s */
	http_refuse_fn *refuse;          /* NULL: problem_of_error */
	void *shared;                    /* handed to every handler */
	/* Run by each handler thread at its start and end; may be NULL. A failure to open makes
	 * http_server_start fail. */
	enum err (*thread_open)(void *shared, void **thread, struct error *e);
	void (*thread_close)(void *shared, void *thread);
};

/* Accepts connections when it returns. env must outlive the server. ERR_USAGE for an address
 * that is none, ERR_UNAVAILABLE when it is taken. */
enum err http_server_start(struct http_server **out, const struct http_server_options *o,
	const struct env *env, struct error *e) MUST_CHECK;

/* "127.0.0.1:41234", with the port in force; lives as long as the server. */
const char *http_server_address(const struct http_server *s);

/* Takes no new connection, lets running requests finish (each handler always ends; slow clients
 * have grace_us), closes the rest and frees the server. NULL is fine. Not from a handler. */
void http_server_stop(struct http_server *s);

#endif
