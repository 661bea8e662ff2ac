/*
 * grpc_parts: what the files of the gRPC client share. Private to grpc_*.c.
 *
 * A connection's thread is the only one that touches its socket, its TLS and its nghttp2 session.
 * It and the callers meet in the streams, under the connection's lock: callers set what they want
 * and wake the thread; the thread puts in what arrived and wakes the callers.
 */
#ifndef SLUICE_GRPC_PARTS_H
#define SLUICE_GRPC_PARTS_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "arena.h"
#include "endpoint.h"
#include "grpc.h"
#include "thread.h"

struct grpc_piece { /* a message, or what of it is still to be sent */
	struct grpc_piece *next;
	size_t n, at;
	char bytes[];
};

struct grpc_pieces {
	struct grpc_piece *first, *last;
	size_t bytes;
};
struct grpc_piece *grpc_piece_new(size_t n);
void grpc_pieces_add(struct grpc_pieces *q, struct grpc_piece *p);
struct grpc_piece *grpc_pieces_take(struct grpc_pieces *q); /* NULL: none */
void grpc_pieces_free(struct grpc_pieces *q);

struct grpc_stream {
	struct grpc_conn *conn;
	struct grpc_stream *next; /* of conn->streams */
	struct arena mem;         /* holds what the call named */
	const char *method;
	nghttp2_nv *headers;
	size_t nheaders;
	int64_t deadline_us; /* mono time; 0: none */

	/* all below: under conn->lock */
	int32_t id;                            /* -1 until submitted */
	bool started, resume, cancel, dropped; /* asked for by the caller */
	struct grpc_pieces out;
	bool out_done;
	bool deferred;         /* nghttp2 waits for grpc_conn to resume it */
	struct grpc_pieces in; /* whole messages */
	struct grpc_piece *building;
	uint8_t prefix[5]; /* of the message being built */
	size_t prefix_n;
	size_t unconsumed; /* bytes received that the server may not replace yet */
	bool closed;       /* nghttp2 knows it no more; `code` counts */
	unsigned http_status;
	bool has_code, is_grpc;
	enum grpc_code code;
	struct str message, details; /* in mem */
};

enum grpc_state { GRPC_CONNECTING, GRPC_READY, GRPC_DEAD };

struct grpc_conn {
	struct grpc_channel *channel;
	struct grpc_conn *next; /* under the channel's lock, as is users */
	unsigned users;         /* callers that wait for it */
	struct thread thread;
	struct error thread_error;
	int wake_fd; /* eventfd */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* monotonic */

	/* under the lock */
	enum grpc_state state;
	struct error error; /* why it is dead */
	enum err rc;
	bool draining, stop;
	unsigned active; /* streams that are not closed */
	unsigned limit;  /* of the server */
	struct grpc_stream *streams;

	/* the thread's own */
	int fd;
	SSL *ssl;
	nghttp2_session *session;
	char *out; /* bytes that the socket did not take yet */
	size_t out_n, out_at, out_cap;
	int64_t heard_us, pinged_us; /* mono time; pinged 0: no PING is unanswered */
	bool wants_write;            /* TLS: reading needs the socket to be writable */
	bool more;                   /* there is more to read */
};

struct grpc_channel {
	struct grpc_options o; /* defaults filled in; strings in mem */
	struct endpoint at;
	struct arena mem;
	const struct env *env;
	SSL_CTX *tls;
	pthread_mutex_t lock;
	struct grpc_conn *conns; /* under the lock */
};

/* grpc_conn.c: starts the thread, which connects. */
enum err grpc_conn_start(
	struct grpc_channel *c, struct grpc_conn **out, struct error *e) MUST_CHECK;
void grpc_conn_wake(struct grpc_conn *c);
void grpc_conn_free(struct grpc_conn *c); /* asks it to stop, waits; no streams are left */
/* Waits on `changed` at most until `until_us` (mono), and never longer than a fifth of a second.
 * With the lock. */
void grpc_conn_wait(struct grpc_conn *c, int64_t until_us);

/* grpc_session.c: what HTTP/2 says; all with the lock, on the connection's thread. */
enum err grpc_session_begin(struct grpc_conn *c, struct error *e) MUST_CHECK;
void grpc_session_requests(struct grpc_conn *c); /* what the callers want is submitted */
void grpc_stream_close(struct grpc_stream *s, enum grpc_code code, const char *why);
void grpc_stream_forget(struct grpc_stream *s); /* closed, in no list, unknown to nghttp2 */

/* grpc_socket.c: the thread's socket. Reading and writing give 0 when it would block, -1 at its
 * end. */
enum err grpc_socket_open(struct grpc_conn *c, struct error *e) MUST_CHECK;
ssize_t grpc_socket_read(struct grpc_conn *c, void *p, size_t n);
ssize_t grpc_socket_write(struct grpc_conn *c, const void *p, size_t n);
void grpc_socket_close(struct grpc_conn *c);
enum err grpc_tls_new(struct grpc_channel *c, struct error *e) MUST_CHECK;

/* grpc_status.c: pure. */
enum grpc_code grpc_code_of_http(unsigned status);
enum grpc_code grpc_code_of_h2(uint32_t error);
struct str grpc_message_decode(struct str percent, struct arena *mem);
struct str grpc_bin_decode(struct str base64, struct arena *mem); /* padding may be missing */
struct str grpc_timeout_text(int64_t us, struct arena *mem);

#endif
