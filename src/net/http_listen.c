#include "http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum err split(const char *address, struct str *host, struct str *port, struct error *e)
{
	struct str s = str_of(address);
	const char *colon = s.n > 0 ? memrchr(s.p, ':', s.n) : NULL;
	uint64_t number;

	if (colon == NULL)
		goto malformed;
	*host = str_make(s.p, (size_t)(colon - s.p));
	*port = str_from(s, host->n + 1);
	if (host->n >= 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
		*host = str_make(host->p + 1, host->n - 2);
	else if (host->n > 0 && memchr(host->p, ':', host->n) != NULL)
		goto malformed;
	if (str_to_u64(*port, &number) && number <= 65535)
		return OK;
malformed:
	return FAIL(e, ERR_USAGE,
		"listening on \"%s\": not an ADDRESS:PORT; write 127.0.0.1:8080, [::1]:8080, or "
		"port 0 "
		"for any free one",
		address != NULL ? address : "");
}

static enum err bind_and_listen(
	const char *address, const struct addrinfo *ai, int *fd, struct error *e)
{
	int on = 1;
	int s = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "listening on %s: making a socket", address);
	(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, ai->ai_addr, ai->ai_addrlen) != 0 || listen(s, 1024) != 0) {
		enum err kind = errno == EACCES ? ERR_USAGE : ERR_UNAVAILABLE;
		enum err rc = FAIL_ERRNO(e, kind,
			"listening on %s (choose another port, or 0 for any free one)", address);
		(void)close(s);
		return rc;
	}
	*fd = s;
	return OK;
}

static enum err name_bound(int fd, struct arena *mem, struct str *bound, struct error *e)
{
	struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
	socklen_t n = sizeof at;
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "asking for the address of a listening socket");
	int rc = getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV);
	if (rc != 0)
		return FAIL(e, ERR_FAILED, "naming the address of a listening socket: %s",
			gai_strerror(rc));
	*bound = arena_fmt(mem, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return OK;
}

enum err http_listen(
	const char *address, struct arena *mem, int *fd, struct str *bound, struct error *e)
{
	struct str host = STR_NONE, port = STR_NONE;
	struct addrinfo *found = NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};

	TRY(split(address, &host, &port, e));
	if (host.n == 0)
		hints.ai_family = AF_INET;
	int gai = getaddrinfo(
		host.n > 0 ? arena_cstr(mem, host) : NULL, arena_cstr(mem, port), &hints, &found);
	if (gai != 0)
		return FAIL(e, ERR_USAGE, "listening on %s: %s; give an address of this machine",
			address, gai_strerror(gai));
	enum err rc = bind_and_listen(address, found, fd, e);
	freeaddrinfo(found);
	if (rc != OK)
		return rc;
	rc = name_bound(*fd, mem, bound, e);
	if (rc != OK)
		(void)close(*fd);
	return rc;
}
