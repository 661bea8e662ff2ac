/* One call, from its callers' side. */
#include <assert.h>
#include <string.h>

#include "clock.h"
#include "grpc_parts.h"
#include "mem.h"

#define PREFIX 5

static int64_t now_us(const struct grpc_stream *s)
{
	return clock_mono(s->conn->channel->env->clock);
}

/* With the lock. The deadline's passing ends the call here, whatever the server does. */
static void check_deadline(struct grpc_stream *s)
{
	if (s->deadline_us == 0 || s->closed || now_us(s) < s->deadline_us)
		return;
	grpc_stream_close(s, GRPC_DEADLINE_EXCEEDED, "no answer within the call's time");
	s->cancel = true;
	grpc_conn_wake(s->conn);
}

static int64_t earlier(const struct grpc_stream *s, int64_t until_us)
{
	return s->deadline_us > 0 && s->deadline_us < until_us ? s->deadline_us : until_us;
}

static struct grpc_piece *frame(struct str message)
{
	struct grpc_piece *p = grpc_piece_new(message.n + PREFIX);

	p->bytes[0] = 0;
	for (unsigned i = 0; i < 4; i++)
		p->bytes[1 + i] = (char)(message.n >> (24 - 8 * i));
	if (message.n > 0)
		memcpy(p->bytes + PREFIX, message.p, message.n);
	return p;
}

static enum err wait_for_room(struct grpc_stream *s, size_t n, struct error *e)
{
	const struct grpc_channel *c = s->conn->channel;

	for (;;) {
		check_deadline(s);
		if (s->closed || s->has_code)
			return FAIL(e, ERR_CONFLICT, "sending to %s%s: the call has ended (%s)",
				c->o.target, s->method, grpc_code_name(s->code));
		if (s->out.bytes == 0 || s->out.bytes + n <= c->o.send_buffer)
			return OK;
		TRY(env_check(c->env, e));
		grpc_conn_wait(s->conn, earlier(s, INT64_MAX));
	}
}

enum err grpc_send(struct grpc_stream *s, struct str message, struct error *e)
{
	assert(message.n <= UINT32_MAX);
	struct grpc_piece *piece = frame(message);

	pthread_mutex_lock(&s->conn->lock);
	assert(!s->out_done);
	enum err rc = wait_for_room(s, piece->n, e);
	if (rc == OK) {
		grpc_pieces_add(&s->out, piece);
		s->resume = true;
		grpc_conn_wake(s->conn);
	}
	pthread_mutex_unlock(&s->conn->lock);
	if (rc != OK)
		mem_free(piece);
	return rc;
}

void grpc_send_done(struct grpc_stream *s)
{
	pthread_mutex_lock(&s->conn->lock);
	s->out_done = true;
	s->resume = true;
	grpc_conn_wake(s->conn);
	pthread_mutex_unlock(&s->conn->lock);
}

/* With the lock: a whole message, or NULL. */
static enum err next_message(
	struct grpc_stream *s, int64_t until_us, struct grpc_piece **out, struct error *e)
{
	for (;;) {
		*out = grpc_pieces_take(&s->in);
		if (*out != NULL || s->closed)
			return OK;
		check_deadline(s);
		if (s->closed || now_us(s) >= until_us)
			return OK;
		TRY(env_check(s->conn->channel->env, e));
		grpc_conn_wait(s->conn, earlier(s, until_us));
	}
}

enum err grpc_receive(
	struct grpc_stream *s, struct buf *message, bool *got, int64_t wait_us, struct error *e)
{
	int64_t until = wait_us < 0 ? INT64_MAX : now_us(s) + wait_us;
	struct grpc_piece *piece = NULL;

	pthread_mutex_lock(&s->conn->lock);
	enum err rc = next_message(s, until, &piece, e);
	if (s->unconsumed > 0)
		grpc_conn_wake(s->conn); /* the server may send more */
	pthread_mutex_unlock(&s->conn->lock);
	*got = piece != NULL;
	if (piece != NULL && buf_add(message, str_make(piece->bytes, piece->n), e) != OK)
		rc = error_wrap(e, "receiving from %s%s", s->conn->channel->o.target, s->method);
	mem_free(piece);
	return rc;
}

bool grpc_ended(struct grpc_stream *s)
{
	pthread_mutex_lock(&s->conn->lock);
	check_deadline(s);
	bool ended = s->closed && s->in.first == NULL;
	pthread_mutex_unlock(&s->conn->lock);
	return ended;
}

bool grpc_draining(struct grpc_stream *s)
{
	pthread_mutex_lock(&s->conn->lock);
	bool draining = s->conn->draining || s->conn->state == GRPC_DEAD;
	pthread_mutex_unlock(&s->conn->lock);
	return draining;
}

void grpc_status(struct grpc_stream *s, struct grpc_status *out)
{
	pthread_mutex_lock(&s->conn->lock);
	assert(s->closed);
	*out = (struct grpc_status){s->code, s->message, s->details};
	pthread_mutex_unlock(&s->conn->lock);
}

enum err grpc_check(struct grpc_stream *s, struct error *e)
{
	struct grpc_status st;

	grpc_status(s, &st);
	if (st.code == GRPC_OK)
		return OK;
	return FAIL(e, grpc_code_kind(st.code), "calling %s%s: %s: %.*s",
		s->conn->channel->o.target, s->method, grpc_code_name(st.code),
		(int)(st.message.n < 600 ? st.message.n : 600), st.message.p ? st.message.p : "");
}

void grpc_stream_free(struct grpc_stream *s)
{
	if (s == NULL)
		return;
	struct grpc_conn *c = s->conn;
	bool own = false;
	pthread_mutex_lock(&c->lock);
	s->dropped = true;
	if (c->state == GRPC_DEAD) {
		struct grpc_stream **at = &c->streams;
		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
		own = true;
	} else {
		s->cancel = s->cancel || !s->closed;
		grpc_conn_wake(c);
	}
	pthread_mutex_unlock(&c->lock);
	if (own)
		grpc_stream_forget(s);
}

/* The one answer, and that there is no other. */
static enum err one_answer(struct grpc_stream *s, struct buf *response, struct error *e)
{
	size_t before = response->n;
	bool got = false, more = false;

	TRY(grpc_receive(s, response, &got, -1, e));
	if (got)
		TRY(grpc_receive(s, response, &more, -1, e));
	enum err rc = more ? FAIL(e, ERR_INPUT, "calling %s%s: it answered with several messages",
				     s->conn->channel->o.target, s->method)
			   : grpc_check(s, e);
	if (rc == OK && !got)
		rc = FAIL(e, ERR_INPUT, "calling %s%s: it answered with no message",
			s->conn->channel->o.target, s->method);
	if (rc != OK)
		response->n = before;
	return rc;
}

enum err grpc_unary(struct grpc_channel *c, const struct grpc_call *call, struct str request,
	struct buf *response, enum grpc_code *code, struct error *e)
{
	struct grpc_stream *s;
	struct grpc_status st = {.code = GRPC_UNAVAILABLE};
	enum err rc = grpc_start(c, call, &s, e);

	if (code != NULL)
		*code = GRPC_UNAVAILABLE;
	if (rc != OK)
		return rc;
	rc = grpc_send(s, request, e);
	/* A call that has ended already has a status that says more. */
	if (rc == OK || rc == ERR_CONFLICT) {
		grpc_send_done(s);
		rc = one_answer(s, response, e);
	}
	if (code != NULL && grpc_ended(s)) {
		grpc_status(s, &st);
		*code = st.code;
	}
	grpc_stream_free(s);
	return rc;
}
