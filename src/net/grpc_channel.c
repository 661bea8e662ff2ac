/* A channel: its connections, and which of them a new call goes to. */
#include <assert.h>
#include <string.h>

#include "clock.h"
#include "grpc_parts.h"
#include "mem.h"
#include "sigv4.h"

#define SECOND       INT64_C(1000000)
#define MOST_HEADERS 24

static const char *copy(struct arena *mem, const char *text)
{
	return text != NULL && text[0] != '\0' ? arena_cstr(mem, str_of(text)) : NULL;
}

static void fill_in(struct grpc_channel *c, const struct grpc_options *o)
{
	struct grpc_options *own = &c->o;

	*own = *o;
	own->target = arena_cstr(&c->mem, str_of(o->target));
	own->setting = copy(&c->mem, o->setting);
	own->ca_file = copy(&c->mem, o->ca_file);
	own->user_agent = o->user_agent != NULL ? copy(&c->mem, o->user_agent) : "sluice";
	if (own->connect_timeout_us <= 0)
		own->connect_timeout_us = 10 * SECOND;
	if (own->ping_us <= 0)
		own->ping_us = 60 * SECOND;
	if (own->ping_timeout_us <= 0)
		own->ping_timeout_us = 20 * SECOND;
	if (own->max_message == 0)
		own->max_message = (size_t)64 << 20;
	if (own->send_buffer == 0)
		own->send_buffer = (size_t)16 << 20;
	if (own->max_connections == 0)
		own->max_connections = 20;
}

enum err grpc_open(struct grpc_channel **out, const struct grpc_options *o, const struct env *env,
	struct error *e)
{
	struct grpc_channel *c = mem_zalloc(sizeof *c);

	*out = NULL;
	c->env = env;
	pthread_mutex_init(&c->lock, NULL);
	fill_in(c, o);
	enum err rc = endpoint_want(c->o.target,
		c->o.setting != NULL ? c->o.setting : "the gRPC service's address", &c->at, e);
	if (rc == OK && c->at.path.n > 1)
		rc = FAIL(e, ERR_USAGE, "using %s: it has a path; a host and a port are enough",
			c->o.target);
	if (rc == OK)
		rc = grpc_tls_new(c, e);
	if (rc != OK) {
		grpc_close(c);
		return rc;
	}
	*out = c;
	return OK;
}

void grpc_close(struct grpc_channel *c)
{
	if (c == NULL)
		return;
	while (c->conns != NULL) {
		struct grpc_conn *conn = c->conns;
		c->conns = conn->next;
		grpc_conn_free(conn);
	}
	SSL_CTX_free(c->tls);
	pthread_mutex_destroy(&c->lock);
	arena_free(&c->mem);
	mem_free(c);
}

static void add_header(struct grpc_stream *s, const char *name, struct str value, uint8_t flags)
{
	assert(s->nheaders < MOST_HEADERS);
	s->headers[s->nheaders++] = (nghttp2_nv){(uint8_t *)arena_cstr(&s->mem, str_of(name)),
		(uint8_t *)arena_cstr(&s->mem, value), strlen(name), value.n, flags};
}

static struct grpc_stream *new_stream(const struct grpc_channel *c, const struct grpc_call *call)
{
	struct grpc_stream *s = mem_zalloc(sizeof *s);

	s->id = -1;
	s->method = arena_cstr(&s->mem, str_of(call->method));
	s->headers = arena_array(&s->mem, MOST_HEADERS, sizeof *s->headers);
	if (call->deadline_us > 0)
		s->deadline_us = clock_mono(c->env->clock) + call->deadline_us;
	add_header(s, ":method", STR("POST"), 0);
	add_header(s, ":scheme", c->at.tls ? STR("https") : STR("http"), 0);
	add_header(s, ":path", str_of(call->method), 0);
	add_header(s, ":authority", c->at.authority, 0);
	if (call->deadline_us > 0)
		add_header(s, "grpc-timeout", grpc_timeout_text(call->deadline_us, &s->mem), 0);
	add_header(s, "te", STR("trailers"), 0);
	add_header(s, "content-type", STR("application/grpc"), 0);
	add_header(s, "user-agent", str_of(c->o.user_agent), 0);
	for (size_t i = 0; i < call->nmetadata; i++) {
		const struct http_pair *m = &call->metadata[i];
		add_header(s, arena_cstr(&s->mem, m->name), m->value,
			call->secret_metadata ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
		if (call->secret_metadata)
			sigv4_wipe_later(
				&s->mem, str_make(s->headers[s->nheaders - 1].value, m->value.n));
	}
	return s;
}

/* Dead connections that nobody needs are put away. With the channel's lock. */
static void reap(struct grpc_channel *c, unsigned *alive)
{
	struct grpc_conn **at = &c->conns;

	*alive = 0;
	while (*at != NULL) {
		struct grpc_conn *conn = *at;
		pthread_mutex_lock(&conn->lock);
		bool dead = conn->state == GRPC_DEAD;
		bool needed = conn->streams != NULL || conn->users > 0;
		pthread_mutex_unlock(&conn->lock);
		*alive += !dead;
		if (dead && !needed) {
			*at = conn->next;
			grpc_conn_free(conn);
		} else {
			at = &conn->next;
		}
	}
}

/* Puts the stream on a connection with room; true when there is one. With the channel's lock. */
static bool place(struct grpc_channel *c, struct grpc_stream *s)
{
	bool placed = false;

	for (struct grpc_conn *conn = c->conns; conn != NULL && !placed; conn = conn->next) {
		pthread_mutex_lock(&conn->lock);
		placed = conn->state == GRPC_READY && !conn->draining && !conn->stop &&
			conn->active < conn->limit;
		if (placed) {
			s->conn = conn;
			s->next = conn->streams;
			conn->streams = s;
			conn->active++;
			grpc_conn_wake(conn);
		}
		pthread_mutex_unlock(&conn->lock);
	}
	return placed;
}

static bool is_connecting(struct grpc_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	bool is = conn->state == GRPC_CONNECTING;
	pthread_mutex_unlock(&conn->lock);
	return is;
}

/* A connection that will be there soon: one that is on its way, or a new one. */
static enum err expect_one(
	struct grpc_channel *c, unsigned alive, struct grpc_conn **out, struct error *e)
{
	struct grpc_conn *conn = c->conns;

	while (conn != NULL && !is_connecting(conn))
		conn = conn->next;
	if (conn == NULL) {
		if (alive >= c->o.max_connections)
			return FAIL(e, ERR_UNAVAILABLE,
				"calling %s: all %u connections carry as many calls as the server "
				"allows; wait until some have ended",
				c->o.target, alive);
		TRY(grpc_conn_start(c, &conn, e));
		conn->next = c->conns;
		c->conns = conn;
	}
	conn->users++;
	*out = conn;
	return OK;
}

/* Until it is connected, or will not be. */
static enum err await(struct grpc_channel *c, struct grpc_conn *conn, struct error *e)
{
	enum err rc = OK;

	pthread_mutex_lock(&conn->lock);
	while (conn->state == GRPC_CONNECTING && rc == OK) {
		grpc_conn_wait(conn, INT64_MAX);
		rc = env_check(c->env, e);
	}
	if (rc == OK)
		rc = env_check(c->env, e); /* the connection may have seen it first */
	if (rc == OK && conn->state == GRPC_DEAD) {
		*e = conn->error;
		rc = conn->rc;
	}
	pthread_mutex_unlock(&conn->lock);
	pthread_mutex_lock(&c->lock);
	conn->users--;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

enum err grpc_start(struct grpc_channel *c, const struct grpc_call *call, struct grpc_stream **out,
	struct error *e)
{
	struct grpc_stream *s = new_stream(c, call);
	struct grpc_conn *conn = NULL;
	unsigned alive;
	enum err rc = OK;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		reap(c, &alive);
		bool placed = place(c, s);
		if (!placed)
			rc = expect_one(c, alive, &conn, e);
		pthread_mutex_unlock(&c->lock);
		if (placed || rc != OK)
			break;
		assert(conn != NULL);
		rc = await(c, conn, e);
		if (rc != OK)
			break;
	}
	if (rc != OK) {
		grpc_stream_forget(s);
		return rc;
	}
	*out = s;
	return OK;
}
