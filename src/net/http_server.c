#include "http_server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_exchange.h"
#include "http_listen.h"
#include "log.h"
#include "mem.h"

/* A client that goes on sending after its body became too large is cut off here. */
#define DISCARD_MAX ((size_t)16 << 20)

void *http_server_on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct http_server *s = cls;

	(void)pthread_mutex_lock(&s->lock);
	s->active++;
	(void)pthread_mutex_unlock(&s->lock);
	return exchange_new(s, conn, uri);
}

void http_server_on_done(
	void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode why)
{
	struct http_server *s = cls;

	(void)conn;
	(void)why;
	if (*state == NULL)
		return;
	exchange_free(*state);
	*state = NULL;
	(void)pthread_mutex_lock(&s->lock);
	s->active--;
	(void)pthread_cond_broadcast(&s->idle);
	(void)pthread_mutex_unlock(&s->lock);
}

/* Answers at once when the header already says that the body is too large. */
static enum MHD_Result on_headers(struct exchange *x, const char *method)
{
	struct http_server *s = x->server;
	uint64_t length;

	exchange_begin(x, method, &s->io_rnd);
	x->stage = STAGE_BODY;
	if (!str_to_u64(http_header(&x->req, "content-length"), &length) || length <= s->o.max_body)
		return MHD_YES;
	x->stage = STAGE_REFUSED;
	exchange_refuse(x, 413, ERR_INPUT, "The body is larger than this service takes.");
	return exchange_send(x);
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t *size)
{
	struct error ignored;

	/* libmicrohttpd takes no answer in mid-body, so the rest is read and dropped. */
	if (x->too_large || buf_add(&x->body, str_make(data, *size), &ignored) != OK) {
		x->too_large = true;
		x->req.body.n += *size;
		if (x->req.body.n > DISCARD_MAX)
			return MHD_NO;
	}
	*size = 0;
	return MHD_YES;
}

/* Suspended first: a handler thread may be done before queue_try_push returns. */
static enum MHD_Result on_complete(struct exchange *x)
{
	x->stage = STAGE_RUNNING;
	MHD_suspend_connection(x->conn);
	if (queue_try_push(x->server->queue, x))
		return MHD_YES;
	exchange_refuse(x, 503, ERR_UNAVAILABLE, "too many requests are waiting");
	x->stage = STAGE_ANSWERED;
	MHD_resume_connection(x->conn);
	return MHD_YES;
}

enum MHD_Result http_server_on_access(void *cls, struct MHD_Connection *conn, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	struct exchange *x = *state;

	(void)cls;
	(void)conn;
	(void)url;
	(void)version;
	switch (x->stage) {
	case STAGE_NEW:
		return on_headers(x, method);
	case STAGE_BODY:
		return *size > 0 ? on_body(x, data, size) : on_complete(x);
	case STAGE_REFUSED:
		*size = 0;
		return MHD_YES;
	case STAGE_RUNNING:
		return MHD_YES;
	case STAGE_ANSWERED:
		return exchange_send(x);
	}
	return MHD_NO;
}

static enum err handler_loop(void *arg, struct error *e)
{
	struct handler_thread *t = arg;
	struct exchange *x;

	(void)e;
	while ((x = queue_pop(t->server->queue)) != NULL) {
		exchange_run(x, t->data);
		x->stage = STAGE_ANSWERED;
		MHD_resume_connection(x->conn);
	}
	return OK;
}

static enum err start_thread(struct http_server *s, struct handler_thread *t, struct error *e)
{
	t->server = s;
	if (s->o.thread_open != NULL) {
		TRY(s->o.thread_open(s->o.shared, &t->data, e));
		t->opened = true;
	}
	return thread_start(&t->thread, "http", handler_loop, t, e);
}

static void stop_threads(struct http_server *s)
{
	struct error ignored;

	queue_close(s->queue);
	for (unsigned i = 0; i < s->o.threads; i++)
		(void)thread_join(&s->threads[i].thread, &ignored);
	for (unsigned i = 0; i < s->o.threads; i++)
		if (s->threads[i].opened && s->o.thread_close != NULL)
			s->o.thread_close(s->o.shared, s->threads[i].data);
}

static void PRINTF_LIKE(2, 0) on_daemon_log(void *cls, const char *fmt, va_list args)
{
	struct http_server *s = cls;
	char text[256];

	(void)vsnprintf(text, sizeof text, fmt, args);
	log_debug(s->env->log, "http", text);
}

static enum err start_daemon(struct http_server *s, struct error *e)
{
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, http_server_on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_daemon_log, s,
		MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_URI_LOG_CALLBACK,
		http_server_on_uri, s, MHD_OPTION_NOTIFY_COMPLETED, http_server_on_done, s,
		MHD_OPTION_CONNECTION_LIMIT, s->o.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
		s->o.idle_timeout_s, MHD_OPTION_END);
	if (s->daemon == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "starting the HTTP server on %s", s->o.listen);
	return OK;
}

static void fill_defaults(struct http_server_options *o)
{
	if (o->threads == 0)
		o->threads = 4;
	if (o->queue == 0)
		o->queue = 1024;
	if (o->max_body == 0)
		o->max_body = (size_t)1 << 20;
	if (o->max_connections == 0)
		o->max_connections = 1024;
	if (o->idle_timeout_s == 0)
		o->idle_timeout_s = 60;
	if (o->grace_us == 0)
		o->grace_us = 10 * 1000000LL;
}

static struct http_server *server_new(const struct http_server_options *o, const struct env *env)
{
	struct http_server *s = mem_zalloc(sizeof *s);
	pthread_condattr_t attr;

	s->o = *o;
	fill_defaults(&s->o);
	s->env = env;
	s->listen_fd = -1;
	while (o->routes[s->nroutes].method != NULL)
		s->nroutes++;
	s->metrics = mem_array(s->nroutes + 1, sizeof *s->metrics);
	s->threads = mem_array(s->o.threads, sizeof *s->threads);
	s->queue = queue_new(s->o.queue);
	rnd_system(&s->io_rnd);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->idle, &attr);
	(void)pthread_condattr_destroy(&attr);
	return s;
}

static void server_free(struct http_server *s)
{
	if (s->listen_fd >= 0)
		(void)close(s->listen_fd);
	(void)pthread_cond_destroy(&s->idle);
	(void)pthread_mutex_destroy(&s->lock);
	queue_free(s->queue);
	mem_free(s->threads);
	mem_free(s->metrics);
	arena_free(&s->mem);
	mem_free(s);
}

enum err http_server_start(struct http_server **out, const struct http_server_options *o,
	const struct env *env, struct error *e)
{
	struct http_server *s = server_new(o, env);
	enum err rc = http_listen(o->listen, &s->mem, &s->listen_fd, &s->address, e);

	for (unsigned i = 0; rc == OK && i < s->o.threads; i++)
		rc = start_thread(s, &s->threads[i], e);
	if (rc == OK)
		rc = start_daemon(s, e);
	if (rc != OK) {
		stop_threads(s);
		server_free(s);
		return rc;
	}
	*out = s;
	return OK;
}

const char *http_server_address(const struct http_server *s)
{
	return s->address.p;
}

/* Until no request is under way, at most grace_us. */
static void wait_idle(struct http_server *s)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(s->o.grace_us / 1000000);
	until.tv_nsec += (long)(s->o.grace_us % 1000000) * 1000;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	(void)pthread_mutex_lock(&s->lock);
	int rc = 0;
	while (s->active > 0 && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&s->idle, &s->lock, &until);
	(void)pthread_mutex_unlock(&s->lock);
}

void http_server_stop(struct http_server *s)
{
	if (s == NULL)
		return;
	atomic_store(&s->stopping, true);
	(void)MHD_quiesce_daemon(s->daemon);
	/* A quiesced daemon leaves the socket open: clients would wait in its backlog. */
	(void)shutdown(s->listen_fd, SHUT_RDWR);
	wait_idle(s);
	stop_threads(s);
	MHD_stop_daemon(s->daemon);
	server_free(s);
}
