/* A connection's socket: reached within its time, and spoken to in TLS or, on this machine,
 * plainly. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "clock.h"
#include "grpc_parts.h"

static const uint8_t alpn_h2[] = {2, 'h', '2'};

/* OpenSSL's own words for the failure seen last, and its queue emptied. */
static const char *reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text != NULL ? text : "no reason given";
}

enum err grpc_tls_new(struct grpc_channel *c, struct error *e)
{
	if (!c->at.tls)
		return OK;
	c->tls = SSL_CTX_new(TLS_client_method());
	if (c->tls == NULL)
		return FAIL(e, ERR_FAILED, "preparing TLS: %s", reason());
	SSL_CTX_set_verify(c->tls, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(
		c->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(c->tls, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_alpn_protos(c->tls, alpn_h2, sizeof alpn_h2) != 0)
		return FAIL(e, ERR_FAILED, "preparing TLS: %s", reason());
	int done = c->o.ca_file != NULL ? SSL_CTX_load_verify_file(c->tls, c->o.ca_file)
					: SSL_CTX_set_default_verify_paths(c->tls);
	if (done != 1)
		return FAIL(e, ERR_USAGE,
			"preparing TLS: the certificates in %s cannot be read (%s); correct the "
			"ca_file, or install ca-certificates",
			c->o.ca_file != NULL ? c->o.ca_file : "the system's directory", reason());
	return OK;
}

/* Waits for the socket; false when the time is over or a stop was asked for. */
static bool wait_for(struct grpc_conn *c, short events, int64_t until_us)
{
	for (;;) {
		int64_t left = until_us - clock_mono(c->channel->env->clock);
		struct pollfd p = {.fd = c->fd, .events = events};
		pthread_mutex_lock(&c->lock);
		bool stop = c->stop;
		pthread_mutex_unlock(&c->lock);
		if (left <= 0 || stop || env_stopping(c->channel->env))
			return false;
		int n = poll(&p, 1, left < 200000 ? (int)(left / 1000 + 1) : 200);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static enum err no_way(struct grpc_conn *c, const char *why, struct error *e)
{
	return FAIL(e, ERR_UNAVAILABLE,
		"connecting to %s: %s; check that it is running and can be reached",
		c->channel->o.target, why);
}

static bool connect_one(struct grpc_conn *c, const struct addrinfo *a, int64_t until_us)
{
	int one = 1, failed = 0;
	socklen_t n = sizeof failed;

	c->fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	if (c->fd < 0)
		return false;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0)
		return true;
	if (errno == EINPROGRESS) {
		if (!wait_for(c, POLLOUT, until_us))
			failed = ETIMEDOUT;
		else if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &n) != 0)
			failed = errno;
		if (failed == 0)
			return true;
		errno = failed;
	}
	failed = errno;
	close(c->fd);
	c->fd = -1;
	errno = failed;
	return false;
}

static char *host_of(const struct grpc_channel *ch, struct arena *mem)
{
	struct str host = ch->at.host;

	if (host.n > 2 && host.p[0] == '[')
		host = str_make(host.p + 1, host.n - 2);
	return arena_cstr(mem, host);
}

static enum err reach(struct grpc_conn *c, const char *host, int64_t until_us, struct error *e)
{
	const struct grpc_channel *ch = c->channel;
	struct arena mem = {.chunks = NULL};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	char text[128];
	const char *port = ch->at.port.n > 0 ? arena_cstr(&mem, ch->at.port)
		: ch->at.tls                 ? "443"
					     : "80";
	int rc = getaddrinfo(host, port, &hints, &found);
	enum err result = OK;

	if (rc != 0)
		result = no_way(c, gai_strerror(rc), e);
	for (const struct addrinfo *a = found; a != NULL && c->fd < 0; a = a->ai_next)
		(void)connect_one(c, a, until_us);
	if (result == OK && c->fd < 0)
		result = no_way(c, strerror_r(errno, text, sizeof text), e);
	if (found != NULL)
		freeaddrinfo(found);
	arena_free(&mem);
	return result;
}

static enum err not_trusted(struct grpc_conn *c, struct error *e)
{
	long verdict = SSL_get_verify_result(c->ssl);

	if (verdict != X509_V_OK)
		return FAIL(e, ERR_FAILED,
			"connecting to %s: its certificate is not trusted: %s; give the "
			"certificate authority that signed it, or the right name",
			c->channel->o.target, X509_verify_cert_error_string(verdict));
	return no_way(c, reason(), e);
}

static enum err shake_hands(struct grpc_conn *c, int64_t until_us, struct error *e)
{
	for (;;) {
		ERR_clear_error();
		int rc = SSL_connect(c->ssl);
		if (rc == 1)
			return OK;
		int why = SSL_get_error(c->ssl, rc);
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			return not_trusted(c, e);
		if (!wait_for(c, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_us))
			return no_way(c, "TLS takes too long", e);
	}
}

static enum err secure(struct grpc_conn *c, char *host, int64_t until_us, struct error *e)
{
	const uint8_t *protocol = NULL;
	unsigned n = 0;

	c->ssl = SSL_new(c->channel->tls);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		return FAIL(e, ERR_FAILED, "preparing TLS: %s", reason());
	/* An address is looked for among the certificate's addresses, a name among its names. */
	bool named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), host) != 1;
	if (named &&
		(SSL_set1_host(c->ssl, host) != 1 || SSL_set_tlsext_host_name(c->ssl, host) != 1))
		return FAIL(e, ERR_FAILED, "preparing TLS: %s", reason());
	TRY(shake_hands(c, until_us, e));
	SSL_get0_alpn_selected(c->ssl, &protocol, &n);
	if (n != 2 || memcmp(protocol, "h2", 2) != 0)
		return FAIL(e, ERR_FAILED,
			"connecting to %s: it does not speak HTTP/2 (no ALPN h2); check that it is "
			"a gRPC service and not a proxy",
			c->channel->o.target);
	return OK;
}

enum err grpc_socket_open(struct grpc_conn *c, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	int64_t until = clock_mono(c->channel->env->clock) + c->channel->o.connect_timeout_us;
	char *host = host_of(c->channel, &mem);
	enum err rc = reach(c, host, until, e);

	if (rc == OK && c->channel->at.tls)
		rc = secure(c, host, until, e);
	arena_free(&mem);
	return rc;
}

static ssize_t tls_result(struct grpc_conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);

	c->wants_write = why == SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t grpc_socket_read(struct grpc_conn *c, void *p, size_t n)
{
	if (c->ssl != NULL) {
		ERR_clear_error();
		int rc = SSL_read(c->ssl, p, (int)n);
		c->wants_write = false;
		return rc > 0 ? rc : tls_result(c, rc);
	}
	ssize_t got = recv(c->fd, p, n, 0);
	if (got > 0)
		return got;
	return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

ssize_t grpc_socket_write(struct grpc_conn *c, const void *p, size_t n)
{
	if (c->ssl != NULL) {
		ERR_clear_error();
		int rc = SSL_write(c->ssl, p, n < (1 << 30) ? (int)n : 1 << 30);
		return rc > 0 ? rc : tls_result(c, rc);
	}
	ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void grpc_socket_close(struct grpc_conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}
