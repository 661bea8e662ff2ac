/*
 * cutting_proxy: stands between a client and PostgreSQL, both on Unix sockets, and cuts the line.
 *
 * usage: cutting_proxy LISTEN-DIR TARGET-DIR SEED MEAN-BYTES
 *
 * Listens on LISTEN-DIR/.s.PGSQL.5432 and joins each caller to the server's socket in TARGET-DIR,
 * which may be a link that is changed meanwhile. Each connection is cut after a number of bytes
 * from the server drawn from the seed, MEAN-BYTES in the middle: as a rule within a message. With
 * 0 none is cut. SIGUSR1 cuts all that stand; SIGTERM ends it, and it prints how many it cut.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "rnd.h"
#include "str.h"

#define PAIRS_MAX 64

struct pair {
	int client, server; /* -1: the pair is free */
	uint64_t left;      /* bytes from the server until the cut */
};

struct proxy {
	const char *target;
	int listener;
	struct rnd rnd;
	uint64_t mean;
	struct pair pairs[PAIRS_MAX];
	unsigned long cut;
};

static atomic_bool ended, cut_now;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		atomic_store(&cut_now, true);
	else
		atomic_store(&ended, true);
}

static bool address(struct sockaddr_un *a, const char *dir)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(a->sun_path, sizeof a->sun_path, "%s/.s.PGSQL.5432", dir);
	return n > 0 && (size_t)n < sizeof a->sun_path;
}

static void close_pair(struct pair *p)
{
	close(p->client);
	close(p->server);
	*p = (struct pair){.client = -1, .server = -1};
}

static void take_caller(struct proxy *x)
{
	struct sockaddr_un a;
	struct pair *p = x->pairs;
	int client = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC);

	while (p < x->pairs + PAIRS_MAX && p->client >= 0)
		p++;
	if (client < 0)
		return;
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* With no server there the caller sees its line closed, as with a server that is down. */
	if (p == x->pairs + PAIRS_MAX || server < 0 || !address(&a, x->target) ||
		connect(server, (struct sockaddr *)&a, sizeof a) != 0) {
		close(client);
		if (server >= 0)
			close(server);
		return;
	}
	*p = (struct pair){.client = client, .server = server, .left = UINT64_MAX};
	if (x->mean > 0)
		p->left = 1 + rnd_below(&x->rnd, 2 * x->mean);
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR && !atomic_load(&ended))
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* False when the line is at its end; *cut when that is our doing. */
static bool carry(struct pair *p, bool from_server, bool *cut)
{
	char piece[65536];
	ssize_t n = recv(from_server ? p->server : p->client, piece, sizeof piece, 0);

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	size_t pass = (size_t)n;
	if (from_server && pass >= p->left) {
		pass = (size_t)p->left;
		*cut = true;
	}
	if (from_server && p->left != UINT64_MAX)
		p->left -= pass;
	return send_all(from_server ? p->client : p->server, piece, pass) && !*cut;
}

static void serve_pair(struct proxy *x, struct pair *p, const struct pollfd *fds)
{
	bool cut = false, stands = true;

	if (fds[0].revents != 0)
		stands = carry(p, false, &cut);
	if (stands && fds[1].revents != 0)
		stands = carry(p, true, &cut);
	x->cut += cut;
	if (!stands)
		close_pair(p);
}

static void cut_all(struct proxy *x)
{
	for (struct pair *p = x->pairs; p < x->pairs + PAIRS_MAX; p++)
		if (p->client >= 0) {
			close_pair(p);
			x->cut++;
		}
}

static void serve(struct proxy *x)
{
	struct pollfd fds[1 + 2 * PAIRS_MAX];

	while (!atomic_load(&ended)) {
		if (atomic_exchange(&cut_now, false))
			cut_all(x);
		fds[0] = (struct pollfd){.fd = x->listener, .events = POLLIN};
		for (size_t i = 0; i < PAIRS_MAX; i++) {
			fds[1 + 2 * i] = (struct pollfd){
				.fd = x->pairs[i].client, .events = POLLIN};
			fds[2 + 2 * i] = (struct pollfd){
				.fd = x->pairs[i].server, .events = POLLIN};
		}
		if (poll(fds, 1 + 2 * PAIRS_MAX, 100) <= 0)
			continue;
		for (size_t i = 0; i < PAIRS_MAX; i++)
			if (x->pairs[i].client >= 0)
				serve_pair(x, &x->pairs[i], &fds[1 + 2 * i]);
		if (fds[0].revents != 0)
			take_caller(x);
	}
}

static bool open_listener(struct proxy *x, const char *dir)
{
	struct sockaddr_un a;

	x->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->listener < 0 || !address(&a, dir))
		return false;
	unlink(a.sun_path);
	return bind(x->listener, (struct sockaddr *)&a, sizeof a) == 0 &&
		listen(x->listener, 16) == 0;
}

int main(int argc, char **argv)
{
	static struct proxy x;
	struct sigaction action = {.sa_handler = on_signal};
	int64_t seed, mean;

	if (argc != 5 || !str_to_i64(str_of(argv[3]), &seed) ||
		!str_to_i64(str_of(argv[4]), &mean) || mean < 0) {
		fprintf(stderr, "usage: cutting_proxy LISTEN-DIR TARGET-DIR SEED MEAN-BYTES\n");
		return 2;
	}
	x.target = argv[2];
	x.mean = (uint64_t)mean;
	rnd_seed(&x.rnd, (uint64_t)seed);
	for (size_t i = 0; i < PAIRS_MAX; i++)
		x.pairs[i] = (struct pair){.client = -1, .server = -1};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (!open_listener(&x, argv[1])) {
		fprintf(stderr, "cutting_proxy: listening in %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	serve(&x);
	cut_all(&x);
	printf("%lu\n", x.cut);
	return 0;
}
