/*
 * http_client: HTTP requests over libcurl. One struct keeps its connections open between calls
 * (keep-alive) and belongs to one thread at a time; make one for each thread.
 *
 * TLS certificates are always verified, redirects are never followed, only http and https are
 * spoken. Proxies are taken from the environment as curl does, but never for this machine and for
 * metadata servers, which only this machine can reach.
 */
#ifndef SLUICE_HTTP_CLIENT_H
#define SLUICE_HTTP_CLIENT_H

#include "http_message.h"

struct http_client;

struct http_client_options {
	const char *user_agent; /* NULL: "sluice" */
	const char *ca_file; /* PEM certificates to trust instead of the system's; NULL: system */
	int64_t connect_timeout_us; /* 0: 5 s */
};

/* o may be NULL. The options' strings are copied; env must outlive the client. */
enum err http_client_new(struct http_client **out, const struct http_client_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
void http_client_free(struct http_client *c); /* NULL is fine */

struct http_call {
	const char *method; /* "GET" */
	const char *url;    /* absolute, already encoded */
	const char *shown;  /* what errors and logs say instead of a URL that is secret; or NULL */
	const struct http_pair *headers;
	size_t nheaders;
	struct str body;
	int64_t deadline_us; /* for the whole call with its retries; 0: 30 s */
	int64_t stall_us; /* no byte in either direction for so long ends an attempt; 0: any time */
	size_t max_response; /* bytes of body; 0: 64 MiB */
	/* Repeating it does no harm. Only such calls are tried again, after a failure to connect,
	 * a lost connection, or 408, 425, 429 and 5xx. */
	bool idempotent;
	unsigned attempts; /* at most; 0: 4 when idempotent, otherwise always 1 */
};

struct http_reply {
	unsigned status;
	struct buf body;
	struct http_pair *headers; /* of the last attempt, names as sent */
	size_t nheaders;
	unsigned attempts; /* made */
	struct arena mem;  /* holds the headers */
};

void http_reply_init(struct http_reply *r);
void http_reply_free(struct http_reply *r); /* usable again after http_reply_init */
struct str http_reply_header(const struct http_reply *r, const char *name); /* without case */

/*
 * OK once the server has answered, whatever the status; the reply (initialised by the caller,
 * reused without leaking) is filled. Waits between attempts grow from 100 ms, with full jitter,
 * and follow Retry-After; when they are spent the last answer is given as it is. Fails with
 * ERR_UNAVAILABLE (no connection, timeout), ERR_INPUT (broken or too large answer), ERR_USAGE (a
 * URL that is none), ERR_FAILED (the server's certificate is not trusted) or ERR_INTERRUPTED.
 */
enum err http_client_send(struct http_client *c, const struct http_call *call,
	struct http_reply *reply, struct error *e) MUST_CHECK;

/* As http_client_send, and then ERR by http_status_kind() unless the status is 2xx: the error
 * says what was asked, the status and the answer's own explanation. */
enum err http_client_want(struct http_client *c, const struct http_call *call,
	struct http_reply *reply, struct error *e) MUST_CHECK;

#endif
