/*
 * endpoint: the parts of a service's address, and whether it may be spoken to. Pure.
 *
 * Only https may leave this machine. Plain http is for addresses of this machine itself, where
 * it was written into the configuration: fakes, sidecars.
 */
#ifndef SLUICE_ENDPOINT_H
#define SLUICE_ENDPOINT_H

#include <stdbool.h>

#include "err.h"
#include "str.h"

struct endpoint {
	bool tls;
	struct str host;      /* "[::1]" keeps its brackets */
	struct str port;      /* empty: the scheme's own */
	struct str authority; /* as a Host header has it: without the scheme's default port */
	struct str path;      /* from the first '/'; may be empty. No query, no fragment */
};

/* Views into url. ERR_USAGE when it is no http(s) URL, has a user name, a query or a fragment. */
enum err endpoint_parse(const char *url, struct endpoint *out, struct error *e) MUST_CHECK;

/* localhost, 127.0.0.0/8 or [::1]. */
bool endpoint_is_loopback(const struct endpoint *p);

/* As endpoint_parse, and ERR_USAGE for plain http to anything but loopback. `setting` is named
 * in the error: "[store] endpoint". */
enum err endpoint_want(
	const char *url, const char *setting, struct endpoint *out, struct error *e) MUST_CHECK;

#endif
