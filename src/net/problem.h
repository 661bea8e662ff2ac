/*
 * problem: errors as application/problem+json (RFC 9457). `type` is a stable URI for programs,
 * "urn:sluice:problem:NAME"; `detail` is a sentence for people; "errors" lists what is wrong
 * with each field, so that a form can show all of it at once.
 */
#ifndef SLUICE_PROBLEM_H
#define SLUICE_PROBLEM_H

#include "http_message.h"

#define PROBLEM_TYPE "application/problem+json"

struct problem_field {
	struct str pointer; /* JSON pointer into the body: "/guest/email" */
	struct str detail;
};

struct problem {
	unsigned status;
	const char *name;  /* "invalid-booking"; NULL: the type is "about:blank" */
	const char *title; /* NULL: the status's phrase */
	struct str detail; /* empty: left out */
	const struct problem_field *errors;
	size_t nerrors;
};

/* Fills the response, replacing its body and keeping its headers. */
void problem_answer(
	const struct http_request *req, struct http_response *resp, const struct problem *p);

/* A problem with a formatted detail and no field errors. Returns OK: the request is answered. */
enum err problem_fmt(struct http_request *req, struct http_response *resp, unsigned status,
	const char *name, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* The problem for a failure of a handler. The text of what is our own fault (500) goes to the log
 * and not to the client. */
void problem_of_error(struct http_request *req, struct http_response *resp, unsigned status,
	const struct error *e);

#endif
