/*
 * http_route: which handler answers a method and a path. Pure.
 *
 * A route's path is a sequence of segments: literal text, "{name}" (one non-empty segment),
 * "{name}:verb" (a segment that ends in that text, as Google's custom methods do), or, last,
 * "{name...}" (one or more segments with the slashes between them). The first route in the table
 * that fits wins, so put the more exact one first. A GET route answers HEAD too.
 */
#ifndef SLUICE_HTTP_ROUTE_H
#define SLUICE_HTTP_ROUTE_H

#include "http_message.h"

/* Fills the response. Returning an error makes the server answer by its kind (see
 * http_status_of), and forgets what was filled in. */
typedef enum err http_handler(
	struct http_request *req, struct http_response *resp, struct error *e);

struct http_route {
	const char *method; /* NULL ends the table */
	const char *path;
	http_handler *handler;
};

#define HTTP_ROUTE_END                                                                             \
	{                                                                                          \
		.method = NULL                                                                     \
	}

/*
 * The index of the route, or -1. Params go to req->params. When the path is known but not with
 * this method, *allow is the list for the Allow header ("GET, POST"), else the empty view. A path
 * with a bad escape fits no route.
 */
int http_route_find(const struct http_route *routes, struct http_request *req, struct str *allow);

#endif
