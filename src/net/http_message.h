/*
 * http_message: what a handler is given (struct http_request) and what it fills (struct
 * http_response). Every view in a request lives as long as the request. One thread.
 */
#ifndef SLUICE_HTTP_MESSAGE_H
#define SLUICE_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "buf.h"
#include "env.h"
#include "err.h"
#include "str.h"

#define HTTP_MAX_PARAMS           8
#define HTTP_MAX_RESPONSE_HEADERS 16

struct http_pair {
	struct str name, value;
};

struct http_request {
	struct str
		method;  /* "GET"; HEAD goes to the GET route, and the server leaves the body out */
	struct str path; /* as sent, still percent-encoded, without the query */
	struct http_pair params[HTTP_MAX_PARAMS]; /* {name} parts of the route, decoded */
	size_t nparams;
	const struct http_pair *headers;
	size_t nheaders;
	const struct http_pair *query; /* decoded */
	size_t nquery;
	struct str body;
	struct str request_id;   /* X-Request-Id as received, or one made here */
	struct str trace_parent; /* W3C traceparent as received, or one made here */
	struct arena *mem;       /* lives until the response has been sent */
	const struct env *env;
	void *shared; /* http_server_options.shared */
	void *thread; /* what thread_open gave */
};

struct http_response {
	unsigned status;          /* 200 unless the handler says otherwise */
	const char *content_type; /* static; "application/json" unless the handler says otherwise */
	struct buf body;          /* empty at first; freed by the server */
	struct str fixed; /* when .p is set, sent instead of body; must outlive the server */
	struct http_pair headers[HTTP_MAX_RESPONSE_HEADERS];
	size_t nheaders;
};

/* The empty view when absent. Header names compare without case; the first one counts. */
struct str http_param(const struct http_request *req, const char *name);
struct str http_header(const struct http_request *req, const char *name);
struct str http_query(const struct http_request *req, const char *name);
bool http_has_query(const struct http_request *req, const char *name);

/* The header as an element of "type/subtype; parameters": true when the type is `want`. */
bool http_media_type_is(struct str content_type, const char *want);

/* Adds a header; the views must live as long as the request (use req->mem). A header beyond the
 * 16th is a bug of the handler and fails an assertion. */
void http_response_header(struct http_response *resp, struct str name, struct str value);

/* Forgets what has been filled in so far. */
void http_response_clear(struct http_response *resp);

/* Decodes %XX in place of copying when there is none; false on a bad escape or an encoded NUL. */
bool http_percent_decode(struct str in, struct arena *mem, struct str *out);

/* "Not Found" for 404; "Unknown" for codes without a registered phrase. Static. */
const char *http_reason(unsigned status);

/*
 * What a status means for whoever asked: OK below 300; ERR_UNAVAILABLE for 408, 425, 429 and 5xx,
 * which may succeed later; ERR_NOT_FOUND for 404 and 410; ERR_CONFLICT for 409 and 412;
 * ERR_USAGE for 401 and 403 (identity or configuration); ERR_FAILED for every other status.
 */
enum err http_status_kind(unsigned status);

/* The status with which a server answers a failure of this kind. */
unsigned http_status_of(enum err kind);

#endif
