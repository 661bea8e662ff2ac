/*
 * grpc: a gRPC client over HTTP/2 (nghttp2) and TLS (OpenSSL), for threads that block.
 *
 * A channel is one service's address and its connections, each with a thread that owns its socket.
 * New calls go to a connection that has room by the server's limit of streams; when there is none,
 * one more is made. A connection that says GOAWAY finishes its calls and gets no new ones. Nothing
 * is repeated here: a call that failed with UNAVAILABLE is made again by the caller, and finds or
 * makes a living connection.
 *
 * TLS 1.2 or later with ALPN "h2", certificate and host name verified; plain text (prior knowledge)
 * only to this machine's own addresses. Messages are not compressed. Proxies are not supported.
 *
 * Sources: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), RFC 9113.
 */
#ifndef SLUICE_GRPC_H
#define SLUICE_GRPC_H

#include "buf.h"
#include "env.h"
#include "http_message.h"

struct grpc_channel;
struct grpc_stream;

enum grpc_code {
	GRPC_OK,
	GRPC_CANCELLED,
	GRPC_UNKNOWN,
	GRPC_INVALID_ARGUMENT,
	GRPC_DEADLINE_EXCEEDED,
	GRPC_NOT_FOUND,
	GRPC_ALREADY_EXISTS,
	GRPC_PERMISSION_DENIED,
	GRPC_RESOURCE_EXHAUSTED,
	GRPC_FAILED_PRECONDITION,
	GRPC_ABORTED,
	GRPC_OUT_OF_RANGE,
	GRPC_UNIMPLEMENTED,
	GRPC_INTERNAL,
	GRPC_UNAVAILABLE,
	GRPC_DATA_LOSS,
	GRPC_UNAUTHENTICATED,
};

const char *grpc_code_name(enum grpc_code code); /* "UNAVAILABLE" */

/* What a status means for whoever called: ERR_UNAVAILABLE when the same call may succeed later. */
enum err grpc_code_kind(enum grpc_code code);

struct grpc_options {
	const char *target;  /* "https://host[:port]", or "http://127.0.0.1:port" */
	const char *setting; /* what errors call it: "[warehouse] endpoint" */
	const char *ca_file; /* PEM certificates to trust instead of the system's; NULL: system */
	const char *user_agent;     /* NULL: "sluice" */
	int64_t connect_timeout_us; /* TLS included; 0: 10 s */
	int64_t ping_us;            /* silence after which a connection in use is tried; 0: 60 s */
	int64_t ping_timeout_us;    /* and given up; 0: 20 s */
	size_t max_message;         /* bytes, received; 0: 64 MiB */
	size_t send_buffer;         /* bytes that wait to be sent, of one call; 0: 16 MiB */
	unsigned max_connections;   /* 0: 20 */
};

/* Connects to nothing yet. Strings are copied; env must outlive the channel. ERR_USAGE for an
 * address that is none or not safe, or a ca_file that is none. */
enum err grpc_open(struct grpc_channel **out, const struct grpc_options *o, const struct env *env,
	struct error *e) MUST_CHECK;
void grpc_close(struct grpc_channel *c); /* its streams have been freed; NULL is fine */

struct grpc_call {
	const char *method; /* "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows" */
	const struct http_pair *metadata; /* lower-case names; at most 16 */
	size_t nmetadata;
	bool secret_metadata; /* never put into the connection's header table */
	int64_t deadline_us;  /* for the whole call; 0: none */
};

/* Begins a call, connecting if need be. A stream belongs to one sending and one receiving thread
 * at a time, which may be two. ERR_UNAVAILABLE when there is no connection, ERR_FAILED when the
 * certificate is not trusted. */
enum err grpc_start(struct grpc_channel *c, const struct grpc_call *call, struct grpc_stream **out,
	struct error *e) MUST_CHECK;

/* Copies the message and returns when it is on its way to be sent, waiting while send_buffer is
 * full. ERR_CONFLICT when the server has ended the call: its status says why. */
enum err grpc_send(struct grpc_stream *s, struct str message, struct error *e) MUST_CHECK;
void grpc_send_done(struct grpc_stream *s); /* no more will be sent */

/*
 * The next message is appended to `message`, and *got is true. *got is false when the call has
 * ended (see grpc_status), or when `wait_us` passed without one (see grpc_ended; -1: no limit but
 * the call's). The deadline's passing ends the call with DEADLINE_EXCEEDED. ERR_INPUT when
 * `message` has no room for it; the message is then lost. ERR_INTERRUPTED when asked to stop.
 */
enum err grpc_receive(struct grpc_stream *s, struct buf *message, bool *got, int64_t wait_us,
	struct error *e) MUST_CHECK;

/* No message is left and the call has ended. */
bool grpc_ended(struct grpc_stream *s);

/* The connection is going away: finish this call and begin another. */
bool grpc_draining(struct grpc_stream *s);

struct grpc_status {
	enum grpc_code code;
	struct str message; /* UTF-8 as far as the server sent it so; views live as long as the
			       stream */
	struct str details; /* a google.rpc.Status as bytes (see proto.h), or empty */
};

/* After grpc_ended(). */
void grpc_status(struct grpc_stream *s, struct grpc_status *out);

/* OK for GRPC_OK, else an error of grpc_code_kind() that names the method, the code and the
 * message. */
enum err grpc_check(struct grpc_stream *s, struct error *e) MUST_CHECK;

/* Ends the call with CANCELLED if it has not ended, and frees it. NULL is fine. */
void grpc_stream_free(struct grpc_stream *s);

/* One message there, one back, which is appended to `response`. The error as grpc_check; *code,
 * when not NULL, is GRPC_UNAVAILABLE when there was no connection at all. */
enum err grpc_unary(struct grpc_channel *c, const struct grpc_call *call, struct str request,
	struct buf *response, enum grpc_code *code, struct error *e) MUST_CHECK;

#endif
