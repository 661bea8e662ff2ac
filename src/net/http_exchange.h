/*
 * http_exchange: one request and its response on their way through the server. Private to
 * http_server*.c.
 */
#ifndef SLUICE_HTTP_EXCHANGE_H
#define SLUICE_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "http_server.h"
#include "metrics.h"
#include "queue.h"
#include "rnd.h"
#include "thread.h"

enum stage {
	STAGE_NEW,      /* the request line has been read */
	STAGE_BODY,     /* headers are here, the body is arriving */
	STAGE_REFUSED,  /* answered before its body was read */
	STAGE_RUNNING,  /* with a handler thread; the connection sleeps */
	STAGE_ANSWERED, /* the response is filled in */
};

struct exchange {
	struct http_server *server;
	struct MHD_Connection *conn;
	enum stage stage;
	bool too_large;
	int route; /* index, or -1 */
	int64_t start_us;
	struct buf body;
	struct arena mem;
	struct http_request req;
	struct http_response resp;
};

/* Metrics of a route; made when first needed. The last of the array is for unknown paths. */
struct route_metrics {
	_Atomic(struct metric *) by_class[6]; /* 1xx..5xx; [0] unused */
	_Atomic(struct metric *) seconds;
};

struct handler_thread {
	struct http_server *server;
	struct thread thread;
	void *data; /* from thread_open */
	bool opened;
};

struct http_server {
	struct http_server_options o;
	const struct env *env;
	struct arena mem;
	struct MHD_Daemon *daemon;
	int listen_fd;
	struct str address;
	struct queue *queue;
	struct handler_thread *threads;
	struct rnd io_rnd; /* the socket thread's */
	size_t nroutes;
	struct route_metrics *metrics; /* nroutes + 1 */
	atomic_bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t active; /* exchanges alive, under lock */
};

struct exchange *exchange_new(
	struct http_server *s, struct MHD_Connection *conn, const char *target);
void exchange_free(struct exchange *x);

/* Headers, query, ids. On the socket thread, once the headers are here. */
void exchange_begin(struct exchange *x, const char *method, struct rnd *rnd);

/* Finds the route, runs the handler, fills the response. On a handler thread. */
void exchange_run(struct exchange *x, void *thread_data);

/* Answers without a handler. */
void exchange_refuse(struct exchange *x, unsigned status, enum err kind, const char *text);

/* Hands the response to libmicrohttpd. On the socket thread. */
enum MHD_Result exchange_send(struct exchange *x);

/* The daemon's callbacks. */
void *http_server_on_uri(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result http_server_on_access(void *cls, struct MHD_Connection *conn, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state);
void http_server_on_done(
	void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode why);

#endif
