/*
 * app_request: what the handlers of the reservation API share: reading the request, keys, entity
 * tags, and the usual answers. A function that gives false has answered the request.
 */
#ifndef SLUICE_APP_REQUEST_H
#define SLUICE_APP_REQUEST_H

#include <jansson.h>

#include "app_api.h"
#include "app_db.h"
#include "booking_fields.h"
#include "http_server.h"
#include "problem.h"

struct app_shared {
	struct app_api_options o;
	const struct env *env;
	struct str openapi; /* the document, as JSON */
	struct app_health *health;
	const atomic_bool *migrated; /* the schema is up to date */
};

static inline const struct app_shared *app_of(const struct http_request *req)
{
	return req->shared;
}

static inline struct app_db *db_of(const struct http_request *req)
{
	return req->thread;
}

/* 503, and when to come back. */
void answer_unavailable(struct http_request *req, struct http_response *resp);

/* As problem_of_error, but a 503 is told by app_health and not for each request. */
void app_refuse(struct http_request *req, struct http_response *resp, unsigned status,
	const struct error *e);

/* The body as a JSON object that lives as long as the request. An absent body is an empty object
 * when `optional`. 400 with line and column, 415 for another content type. */
bool request_object(
	struct http_request *req, struct http_response *resp, bool optional, json_t **out);

/* The {id} of the path, as the text of a positive number; 404 otherwise. */
bool request_id_param(struct http_request *req, struct http_response *resp, const char **id);

/* Idempotency-Key and the request's fingerprint; both NULL when there is no key. 400 for a key
 * that is none. */
bool request_key(struct http_request *req, struct http_response *resp, const char **key,
	const char **fingerprint);

/* If-Match as an array of versions for SQL, "{3,4}"; NULL when absent or *. A tag that cannot be
 * one of ours is never equal, so it becomes version 0. */
const char *request_versions(struct http_request *req);

/* True when If-None-Match holds this version's tag. */
bool request_has_version(const struct http_request *req, int64_t version);

void fields_start(struct fields *f, const struct http_request *req);

/* 422 with every field error, when there are any. */
bool fields_good(const struct fields *f, struct http_request *req, struct http_response *resp,
	const char *problem);

/* A booking: its JSON, status and ETag. */
void answer_booking(struct http_request *req, struct http_response *resp, unsigned status,
	int64_t version, struct str json);

/* The answer kept for a key: as it was, 422 when it was for another request, 409 when that one is
 * still being worked on. */
enum err answer_replay(struct http_request *req, struct http_response *resp, const char *key,
	const char *fingerprint, struct error *e);

#endif
