/* What HTTP/2 says: nghttp2's callbacks, and the requests that callers ask for. */
#include <string.h>

#include "clock.h"
#include "grpc_parts.h"
#include "log.h"
#include "mem.h"

#define STREAM_WINDOW                                                                              \
	(4 << 20) /* bytes that the server may send of one call before they are taken */
#define CONN_WINDOW (32 << 20) /* and of all calls */
#define PREFIX      5          /* a message's: compressed or not, and its length */

struct grpc_piece *grpc_piece_new(size_t n)
{
	struct grpc_piece *p = mem_alloc(sizeof *p + n);

	*p = (struct grpc_piece){.n = n};
	return p;
}

void grpc_pieces_add(struct grpc_pieces *q, struct grpc_piece *p)
{
	if (q->last != NULL)
		q->last->next = p;
	else
		q->first = p;
	q->last = p;
	q->bytes += p->n;
}

struct grpc_piece *grpc_pieces_take(struct grpc_pieces *q)
{
	struct grpc_piece *p = q->first;

	if (p == NULL)
		return NULL;
	q->first = p->next;
	if (q->first == NULL)
		q->last = NULL;
	q->bytes -= p->n;
	p->next = NULL;
	return p;
}

void grpc_pieces_free(struct grpc_pieces *q)
{
	struct grpc_piece *p;

	while ((p = grpc_pieces_take(q)) != NULL)
		mem_free(p);
}

/* The first word on how a call ended counts. */
static void set_code(struct grpc_stream *s, enum grpc_code code, const char *why)
{
	if (s->has_code)
		return;
	s->has_code = true;
	s->code = code;
	if (s->message.n == 0 && why != NULL)
		s->message = arena_str(&s->mem, str_of(why));
}

void grpc_stream_close(struct grpc_stream *s, enum grpc_code code, const char *why)
{
	if (s->closed)
		return;
	set_code(s, code, why);
	s->closed = true;
	s->conn->active--;
	grpc_pieces_free(&s->out);
	mem_free(s->building);
	s->building = NULL;
	pthread_cond_broadcast(&s->conn->changed);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct grpc_stream *s = source->ptr;
	size_t done = 0;

	(void)session;
	(void)id;
	(void)arg;
	while (done < n && s->out.first != NULL) {
		struct grpc_piece *piece = s->out.first;
		size_t take = piece->n - piece->at < n - done ? piece->n - piece->at : n - done;
		memcpy(p + done, piece->bytes + piece->at, take);
		piece->at += take;
		done += take;
		if (piece->at < piece->n)
			break;
		mem_free(grpc_pieces_take(&s->out));
		/* There is room again; waking the sender for each message would cost more than it
		 * gives. */
		if (s->out.bytes <= s->conn->channel->o.send_buffer / 2)
			pthread_cond_broadcast(&s->conn->changed);
	}
	if (s->out.first == NULL && s->out_done) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		return (ssize_t)done;
	}
	if (done > 0)
		return (ssize_t)done;
	s->deferred = true;
	return NGHTTP2_ERR_DEFERRED;
}

static struct grpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static void fail_stream(
	nghttp2_session *session, struct grpc_stream *s, enum grpc_code code, const char *why)
{
	set_code(s, code, why);
	(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

/* True while there is more to look at. */
static bool take_bytes(
	nghttp2_session *session, struct grpc_stream *s, const uint8_t **p, size_t *n)
{
	if (s->building == NULL) {
		while (s->prefix_n<PREFIX && * n> 0) {
			s->prefix[s->prefix_n++] = *(*p)++;
			--*n;
		}
		if (s->prefix_n < PREFIX)
			return false;
		size_t length = (size_t)s->prefix[1] << 24 | (size_t)s->prefix[2] << 16 |
			(size_t)s->prefix[3] << 8 | s->prefix[4];
		if (s->prefix[0] != 0) {
			fail_stream(session, s, GRPC_INTERNAL,
				"the server sent a compressed message, which was not agreed");
			return false;
		}
		if (length > s->conn->channel->o.max_message) {
			fail_stream(session, s, GRPC_RESOURCE_EXHAUSTED,
				"the server sent a message larger than is allowed here");
			return false;
		}
		s->building = grpc_piece_new(length);
		s->building->n = 0; /* counts what has come */
		s->building->at = length;
	}
	struct grpc_piece *b = s->building;
	size_t take = b->at - b->n < *n ? b->at - b->n : *n;
	memcpy(b->bytes + b->n, *p, take);
	b->n += take;
	*p += take;
	*n -= take;
	if (b->n < b->at)
		return false;
	s->building = NULL;
	s->prefix_n = 0;
	grpc_pieces_add(&s->in, b);
	pthread_cond_broadcast(&s->conn->changed);
	return true;
}

/* The connection's window opens at once, so that a slow caller holds up nobody else; the stream's
 * as its messages are taken. A message in the making counts as taken, or it might never become
 * whole. */
static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct grpc_stream *s = stream_of(session, id);

	(void)flags;
	(void)arg;
	(void)nghttp2_session_consume_connection(session, n);
	if (s == NULL || s->closed || s->has_code) {
		(void)nghttp2_session_consume_stream(session, id, n);
		return 0;
	}
	if (s->in.bytes < STREAM_WINDOW / 2)
		(void)nghttp2_session_consume_stream(session, id, n);
	else
		s->unconsumed += n;
	while (take_bytes(session, s, &p, &n) && n > 0)
		;
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_p,
	size_t name_n, const uint8_t *value_p, size_t value_n, uint8_t flags, void *arg)
{
	struct grpc_stream *s = stream_of(session, frame->hd.stream_id);
	struct str name = str_make(name_p, name_n), value = str_make(value_p, value_n);
	uint64_t n;

	(void)flags;
	(void)arg;
	if (s == NULL || s->closed)
		return 0;
	if (str_eqc(name, ":status") && str_to_u64(value, &n)) {
		s->http_status = (unsigned)n;
	} else if (str_eqc(name, "content-type")) {
		s->is_grpc = str_starts(value, STR("application/grpc"));
	} else if (str_eqc(name, "grpc-message")) {
		if (s->message.n == 0) /* nothing of ours is said yet */
			s->message = grpc_message_decode(value, &s->mem);
	} else if (str_eqc(name, "grpc-status-details-bin")) {
		s->details = grpc_bin_decode(value, &s->mem);
	} else if (str_eqc(name, "grpc-status") && !s->has_code) {
		bool known = str_to_u64(value, &n) && n <= GRPC_UNAUTHENTICATED;
		s->has_code = true;
		s->code = known ? (enum grpc_code)n : GRPC_UNKNOWN;
	}
	return 0;
}

/* Headers are whole: an answer that is no gRPC ends the call; trailers end it too, and what we
 * still had to send is not wanted any more. */
static void on_headers_end(nghttp2_session *session, struct grpc_stream *s, bool last)
{
	if (s->http_status != 200 && s->http_status >= 200)
		set_code(s, grpc_code_of_http(s->http_status),
			arena_fmt(
				&s->mem, "the server answered with HTTP status %u", s->http_status)
				.p);
	else if (s->http_status == 200 && !s->is_grpc)
		set_code(s, GRPC_UNKNOWN, "what answered is no gRPC service");
	if (!last && s->has_code)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	if (!last)
		return;
	if (s->has_code && s->code == GRPC_OK && (s->building != NULL || s->prefix_n > 0)) {
		s->code = GRPC_INTERNAL;
		s->message = STR("the server ended the call in the middle of a message");
	}
	if (!s->has_code)
		set_code(s, GRPC_UNKNOWN, "the server ended the call without a status");
	if (nghttp2_session_get_stream_local_close(session, s->id) == 0)
		(void)nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	grpc_stream_close(s, s->code, NULL);
}

static void on_goaway(struct grpc_conn *c, const nghttp2_goaway *g)
{
	c->draining = true;
	log_debug(c->channel->env->log, "grpc", "the server is going away",
		F_CSTR("target", c->channel->o.target), F_I64("error", g->error_code),
		F_STR("said", str_make(g->opaque_data, g->opaque_data_len)));
	pthread_cond_broadcast(&c->changed);
}

static void on_settings(struct grpc_conn *c, nghttp2_session *session)
{
	c->limit = nghttp2_session_get_remote_settings(
		session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (c->state == GRPC_CONNECTING)
		c->state = GRPC_READY;
	pthread_cond_broadcast(&c->changed);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct grpc_conn *c = arg;
	struct grpc_stream *s;
	bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (frame->hd.type) {
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			on_settings(c, session);
		break;
	case NGHTTP2_GOAWAY:
		on_goaway(c, &frame->goaway);
		break;
	case NGHTTP2_PING:
		c->pinged_us = 0;
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		s = stream_of(session, frame->hd.stream_id);
		if (s != NULL && !s->closed && (last || frame->hd.type == NGHTTP2_HEADERS))
			on_headers_end(session, s, last);
		break;
	default:
		break;
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct grpc_stream *s = stream_of(session, id);

	(void)arg;
	if (s == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	grpc_stream_close(s, grpc_code_of_h2(error),
		arena_fmt(&s->mem, "the server reset the call (HTTP/2 error %u, %s)", error,
			nghttp2_http2_strerror(error))
			.p);
	s->id = 0; /* nghttp2 knows it no more */
	return 0;
}

/* A request that never went out, because the connection is going away. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int code, void *arg)
{
	struct grpc_stream *s;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s = stream_of(session, frame->hd.stream_id);
	if (s != NULL) {
		grpc_stream_close(s, GRPC_UNAVAILABLE, nghttp2_strerror(code));
		s->id = 0;
	}
	return 0;
}

static nghttp2_session_callbacks *new_callbacks(void)
{
	nghttp2_session_callbacks *cb = NULL;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
	return cb;
}

enum err grpc_session_begin(struct grpc_conn *c, struct error *e)
{
	const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 65536}};
	nghttp2_session_callbacks *cb = new_callbacks();
	nghttp2_option *option = NULL;
	int rc = cb == NULL ? NGHTTP2_ERR_NOMEM : nghttp2_option_new(&option);

	if (rc == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		rc = nghttp2_session_client_new2(&c->session, cb, c, option);
	}
	if (rc == 0)
		rc = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 3);
	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(
			c->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	if (rc != 0)
		return FAIL(e, ERR_FAILED, "beginning HTTP/2: %s", nghttp2_strerror(rc));
	return OK;
}

static void submit(struct grpc_conn *c, struct grpc_stream *s)
{
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read};

	s->started = true;
	s->id = nghttp2_submit_request(c->session, NULL, s->headers, s->nheaders, &provider, s);
	if (s->id < 0)
		grpc_stream_close(s, GRPC_UNAVAILABLE, nghttp2_strerror(s->id));
}

static void serve(struct grpc_conn *c, struct grpc_stream *s)
{
	if (!s->started && !s->closed && !s->cancel) {
		submit(c, s);
	} else if (s->resume && s->deferred && !s->closed) {
		s->deferred = false;
		(void)nghttp2_session_resume_data(c->session, s->id);
	}
	s->resume = false;
	if (s->unconsumed > 0 && s->in.bytes < STREAM_WINDOW / 2 && s->id > 0) {
		(void)nghttp2_session_consume_stream(c->session, s->id, s->unconsumed);
		s->unconsumed = 0;
	}
	if (s->cancel) {
		s->cancel = false;
		if (s->id > 0)
			(void)nghttp2_submit_rst_stream(
				c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		grpc_stream_close(s, GRPC_CANCELLED, "the caller ended it");
	}
}

void grpc_stream_forget(struct grpc_stream *s)
{
	grpc_pieces_free(&s->in);
	arena_free(&s->mem);
	mem_free(s);
}

void grpc_session_requests(struct grpc_conn *c)
{
	struct grpc_stream **at = &c->streams;

	while (*at != NULL) {
		struct grpc_stream *s = *at;
		serve(c, s);
		/* As long as nghttp2 knows it, its data provider may be asked. */
		if (s->dropped && s->closed && s->id <= 0) {
			*at = s->next;
			grpc_stream_forget(s);
		} else {
			at = &s->next;
		}
	}
}
