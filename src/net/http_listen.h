/*
 * http_listen: a listening TCP socket from "ADDRESS:PORT".
 */
#ifndef SLUICE_HTTP_LISTEN_H
#define SLUICE_HTTP_LISTEN_H

#include "arena.h"
#include "err.h"
#include "str.h"

/*
 * address: "127.0.0.1:8080", "[::1]:8080", "localhost:0", or ":8080" for every IPv4 interface.
 * Port 0 takes a free one. *fd is close-on-exec and the caller's; *bound, in mem, is the address
 * with the port in force. ERR_USAGE for a malformed address, ERR_UNAVAILABLE when it is taken.
 */
enum err http_listen(const char *address, struct arena *mem, int *fd, struct str *bound,
	struct error *e) MUST_CHECK;

#endif
