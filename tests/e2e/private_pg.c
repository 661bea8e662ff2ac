/*
 * private_pg: a PostgreSQL for one end-to-end test. Prints its connection string, then lives
 * until its standard input closes or it is told to stop; then nothing of it is left. An f on its
 * standard input restarts the server fast, an i immediately, as after a crash; each is answered
 * with the connection string once it is ready again.
 *
 * usage: private_pg DIR [SETTING=VALUE...]
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "env.h"
#include "pg_server.h"
#include "rnd.h"

static atomic_bool stop;

static void on_signal(int sig)
{
	(void)sig;
	atomic_store(&stop, true);
}

static enum err obey(struct pg_server *server, char byte, struct error *e)
{
	if (byte != 'f' && byte != 'i')
		return OK;
	TRY(pg_server_restart(server, byte == 'i', e));
	printf("%s\n", pg_server_conninfo(server));
	fflush(stdout);
	return OK;
}

static enum err wait_for_the_end(struct pg_server *server, struct error *e)
{
	char byte;
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	while (!atomic_load(&stop)) {
		if (poll(&p, 1, 100) <= 0)
			continue;
		if (read(STDIN_FILENO, &byte, 1) <= 0)
			return OK;
		TRY(obey(server, byte, e));
	}
	return OK;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: private_pg DIR [SETTING=VALUE...]\n");
		return 2;
	}
	struct rnd rnd;
	rnd_system(&rnd);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	const struct env env = {.clock = clock_system(), .rnd = &rnd, .stop = &stop};
	const struct pg_server_options o = {
		.dir = argv[1], .database = "app", .settings = (const char *const *)(argv + 2)};
	struct pg_server *server;
	struct error e = {0};
	if (pg_server_start(&server, &o, &env, &e) != OK) {
		fprintf(stderr, "private_pg: %s\n", e.text);
		return 1;
	}
	printf("%s\n", pg_server_conninfo(server));
	fflush(stdout);
	enum err rc = wait_for_the_end(server, &e);
	if (rc != OK)
		fprintf(stderr, "private_pg: %s\n", e.text);
	pg_server_stop(server, true);
	return rc == OK ? 0 : 1;
}
