/* A connection's thread: connects, then carries bytes between the socket and nghttp2 until the end.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "grpc_parts.h"
#include "mem.h"

#define OUT_BYTES ((size_t)256 << 10)
#define IN_BYTES  ((size_t)64 << 10)
#define TICK_MS   200

static int64_t now_us(const struct grpc_conn *c)
{
	return clock_mono(c->channel->env->clock);
}

void grpc_conn_wake(struct grpc_conn *c)
{
	uint64_t one = 1;
	ssize_t n = write(c->wake_fd, &one, sizeof one);

	(void)n; /* a full counter wakes as well */
}

void grpc_conn_wait(struct grpc_conn *c, int64_t until_us)
{
	struct timespec t;
	int64_t left = until_us - now_us(c), most = TICK_MS * 1000;

	if (left <= 0)
		return;
	left = left < most ? left : most;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = t.tv_nsec + left * 1000;
	t.tv_sec += ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	(void)pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

/* Frames for the socket, as many as there is room for. With the lock. */
static enum err fill(struct grpc_conn *c, struct error *e)
{
	const uint8_t *p;

	if (c->out_at == c->out_n)
		c->out_at = c->out_n = 0;
	while (c->out_n < OUT_BYTES) {
		ssize_t n = nghttp2_session_mem_send(c->session, &p);
		if (n < 0)
			return FAIL(e, ERR_UNAVAILABLE, "speaking HTTP/2 with %s: %s",
				c->channel->o.target, nghttp2_strerror((int)n));
		if (n == 0)
			return OK;
		if (c->out_n + (size_t)n > c->out_cap) {
			c->out_cap = c->out_n + (size_t)n + OUT_BYTES;
			c->out = mem_realloc(c->out, c->out_cap);
		}
		memcpy(c->out + c->out_n, p, (size_t)n);
		c->out_n += (size_t)n;
	}
	return OK;
}

static enum err lost(const struct grpc_conn *c, struct error *e)
{
	return FAIL(e, ERR_UNAVAILABLE, "the connection to %s was closed by the other side",
		c->channel->o.target);
}

static enum err flush(struct grpc_conn *c, struct error *e)
{
	while (c->out_at < c->out_n) {
		ssize_t n = grpc_socket_write(c, c->out + c->out_at, c->out_n - c->out_at);
		if (n < 0)
			return lost(c, e);
		if (n == 0)
			return OK;
		c->out_at += (size_t)n;
	}
	return OK;
}

/* What callers want goes out, until there is nothing more or the socket is full. *done: the
 * connection has nothing left to do. */
static enum err push(struct grpc_conn *c, bool *done, struct error *e)
{
	do {
		pthread_mutex_lock(&c->lock);
		grpc_session_requests(c);
		enum err rc = fill(c, e);
		*done = c->stop || (c->draining && c->active == 0) ||
			(nghttp2_session_want_read(c->session) == 0 &&
				nghttp2_session_want_write(c->session) == 0);
		pthread_mutex_unlock(&c->lock);
		TRY(rc);
		if (c->out_n == c->out_at)
			return OK;
		TRY(flush(c, e));
	} while (c->out_at == c->out_n);
	return OK;
}

/* A server that never pauses must not keep us from sending. */
static enum err pull(struct grpc_conn *c, char *in, struct error *e)
{
	c->more = false;
	for (unsigned reads = 0;; reads++) {
		if (reads == 64) {
			c->more = true;
			return OK;
		}
		ssize_t n = grpc_socket_read(c, in, IN_BYTES);
		if (n < 0)
			return lost(c, e);
		if (n == 0)
			return OK;
		c->heard_us = now_us(c);
		c->pinged_us = 0;
		pthread_mutex_lock(&c->lock);
		ssize_t took = nghttp2_session_mem_recv(c->session, (uint8_t *)in, (size_t)n);
		pthread_mutex_unlock(&c->lock);
		if (took != n)
			return FAIL(e, ERR_UNAVAILABLE, "speaking HTTP/2 with %s: %s",
				c->channel->o.target,
				took < 0 ? nghttp2_strerror((int)took) : "it broke off");
	}
}

/* A connection in use that has been silent is tried; one that does not answer is given up. */
static enum err check_life(struct grpc_conn *c, int64_t began_us, struct error *e)
{
	const struct grpc_options *o = &c->channel->o;
	int64_t now = now_us(c);
	enum err rc = OK;

	pthread_mutex_lock(&c->lock);
	if (c->state == GRPC_CONNECTING && now - began_us > o->connect_timeout_us) {
		rc = FAIL(e, ERR_UNAVAILABLE,
			"connecting to %s: it does not speak HTTP/2; check that it is a gRPC "
			"service",
			o->target);
	} else if (c->pinged_us > 0 && now - c->pinged_us > o->ping_timeout_us) {
		rc = FAIL(e, ERR_UNAVAILABLE, "the connection to %s is dead: no answer in %lld s",
			o->target, (long long)((now - c->heard_us) / 1000000));
	} else if (c->pinged_us == 0 && c->active > 0 && now - c->heard_us > o->ping_us) {
		(void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
		c->pinged_us = now;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void wait_for_work(struct grpc_conn *c)
{
	struct pollfd p[2] = {
		{.fd = c->fd, .events = POLLIN}, {.fd = c->wake_fd, .events = POLLIN}};
	uint64_t count;

	if (c->out_at < c->out_n || c->wants_write)
		p[0].events |= POLLOUT;
	/* What TLS holds already, the socket does not tell of. */
	if (poll(p, 2, c->more ? 0 : TICK_MS) > 0 && (p[1].revents & POLLIN) != 0) {
		ssize_t n = read(c->wake_fd, &count, sizeof count);
		(void)n; /* it has been emptied meanwhile, or is now */
	}
}

static enum err converse(struct grpc_conn *c, char *in, struct error *e)
{
	int64_t began = now_us(c);
	bool done = false;

	c->heard_us = began;
	for (;;) {
		TRY(push(c, &done, e));
		if (done)
			return OK;
		wait_for_work(c);
		TRY(pull(c, in, e));
		TRY(check_life(c, began, e));
	}
}

/* No stream outlives it: each learns why. */
static void bury(struct grpc_conn *c, enum err rc, struct error *e)
{
	pthread_mutex_lock(&c->lock);
	c->state = GRPC_DEAD;
	c->rc = rc != OK ? rc : ERR_UNAVAILABLE;
	if (rc == OK)
		(void)FAIL(e, ERR_UNAVAILABLE, "the connection to %s has been closed",
			c->channel->o.target);
	c->error = *e;
	nghttp2_session_del(c->session);
	c->session = NULL;
	struct grpc_stream **at = &c->streams;
	while (*at != NULL) {
		struct grpc_stream *s = *at;
		grpc_stream_close(s, GRPC_UNAVAILABLE, e->text);
		s->id = 0;
		if (s->dropped) {
			*at = s->next;
			grpc_stream_forget(s);
		} else {
			at = &s->next;
		}
	}
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	grpc_socket_close(c);
}

static enum err run(void *arg, struct error *e)
{
	struct grpc_conn *c = arg;
	char *in = mem_alloc(IN_BYTES);
	struct error why = {.kind = OK};
	sigset_t pipe;

	(void)e;
	/* OpenSSL writes without MSG_NOSIGNAL. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	enum err rc = grpc_socket_open(c, &why);
	if (rc == OK)
		rc = grpc_session_begin(c, &why);
	if (rc == OK)
		rc = converse(c, in, &why);
	bury(c, rc, &why);
	mem_free(in);
	return OK;
}

enum err grpc_conn_start(struct grpc_channel *channel, struct grpc_conn **out, struct error *e)
{
	struct grpc_conn *c = mem_zalloc(sizeof *c);
	pthread_condattr_t attr;

	c->channel = channel;
	c->fd = -1;
	c->limit = 100;
	c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	enum err rc = c->wake_fd < 0 ? FAIL_ERRNO(e, ERR_FAILED, "making a connection: eventfd")
				     : thread_start(&c->thread, "grpc", run, c, e);
	if (rc != OK) {
		grpc_conn_free(c);
		return rc;
	}
	*out = c;
	return OK;
}

void grpc_conn_free(struct grpc_conn *c)
{
	struct error ignored;

	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_mutex_unlock(&c->lock);
	if (c->wake_fd >= 0)
		grpc_conn_wake(c);
	(void)thread_join(&c->thread, &ignored); /* what it had to say is in c->error */
	assert(c->streams == NULL);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	mem_free(c->out);
	mem_free(c);
}
