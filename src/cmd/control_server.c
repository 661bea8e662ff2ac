/* The holder's side of the control socket: one thread accepts, one thread a client. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "control_caller.h"
#include "mem.h"
#include "run.h"
#include "shared.h"
#include "thread.h"

struct control_server {
	struct shared *shared;
	char *url;
	int listener;
	atomic_bool closing;
	struct thread acceptor;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned clients; /* under lock */
};

struct client {
	struct control_server *server;
	int fd;
	atomic_bool stop, ended;
};

/* Turns a lost client, or the end of this process, into a stop of its command. */
static enum err watch(void *arg, struct error *e)
{
	struct client *c = arg;
	(void)e;
	const struct env *env = shared_env(c->server->shared);
	while (!atomic_load(&c->ended)) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN | POLLRDHUP};
		int n = poll(&p, 1, 50);
		if ((n > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) ||
			env_stopping(env) || atomic_load(&c->server->closing))
			atomic_store(&c->stop, true);
		if (n > 0 && atomic_load(&c->stop))
			break;
	}
	return OK;
}

/* The client's three streams as FILEs; a descriptor that cannot be wrapped is closed. */
static void wrap_streams(const int fds[CONTROL_FDS], FILE *streams[CONTROL_FDS])
{
	static const char *const modes[CONTROL_FDS] = {"r", "w", "w"};
	for (int i = 0; i < CONTROL_FDS; i++) {
		streams[i] = fdopen(fds[i], modes[i]);
		if (streams[i] == NULL)
			close(fds[i]);
	}
}

/* The command, with the client's settings. */
static int run_command(struct client *c, const struct control_request *r, const struct streams *io)
{
	struct control_caller caller = {0};
	struct error e = {0};
	struct env env = *shared_env(c->server->shared);
	struct rnd rnd;
	int code;
	rnd_system(&rnd);
	env.rnd = &rnd;
	env.stop = &c->stop;
	enum err rc = control_caller_enter(r->cwd, &e);
	if (rc == OK)
		rc = control_caller_load(&caller, r, shared_settings(c->server->shared), &e);
	if (rc == OK) {
		const struct run_settings as = {.set = &caller.settings, .path = r->config};
		code = run_in(c->server->shared, &as, &env, r->argc, r->argv, io);
	} else {
		report_error(io->err, &e);
		code = error_exit_code(rc);
	}
	control_caller_free(&caller);
	return code;
}

static int run_for(struct client *c, const struct control_request *r)
{
	FILE *streams[CONTROL_FDS];
	int code = 1;
	wrap_streams(r->fds, streams);
	if (streams[0] != NULL && streams[1] != NULL && streams[2] != NULL) {
		const struct streams io = {.in = streams[0], .out = streams[1], .err = streams[2]};
		code = run_command(c, r, &io);
	}
	for (int i = 0; i < CONTROL_FDS; i++)
		if (streams[i] != NULL)
			fclose(streams[i]);
	return code;
}

static void serve_client(struct client *c)
{
	struct error e = {0};
	struct control_request r;
	enum err rc = control_receive_request(c->fd, &c->server->closing, &r, &e);
	if (rc != OK) {
		if (rc != ERR_INTERRUPTED)
			log_warn(shared_env(c->server->shared)->log, "control", e.text);
		return;
	}
	struct thread watcher = {0};
	struct error ignored = {0};
	enum err watching = thread_start(&watcher, "control-watch", watch, c, &ignored);
	int code = run_for(c, &r);
	atomic_store(&c->ended, true);
	if (watching == OK)
		(void)thread_join(&watcher, &ignored);
	control_free_request(&r);

	uint8_t byte = (uint8_t)code;
	while (send(c->fd, &byte, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct control_server *s = c->server;
	serve_client(c);
	close(c->fd);
	mem_free(c);
	pthread_mutex_lock(&s->lock);
	s->clients--;
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void start_client(struct control_server *s, int fd)
{
	struct client *c = mem_zalloc(sizeof *c);
	c->server = s;
	c->fd = fd;
	pthread_mutex_lock(&s->lock);
	s->clients++;
	pthread_mutex_unlock(&s->lock);

	pthread_attr_t attr;
	pthread_t id;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int failed = pthread_create(&id, &attr, client_main, c);
	pthread_attr_destroy(&attr);
	if (failed == 0)
		return;
	log_warn(
		shared_env(s->shared)->log, "control", "no thread for a client; it must try again");
	close(fd);
	mem_free(c);
	pthread_mutex_lock(&s->lock);
	s->clients--;
	pthread_mutex_unlock(&s->lock);
}

static enum err accept_loop(void *arg, struct error *e)
{
	struct control_server *s = arg;
	(void)e;
	while (!atomic_load(&s->closing)) {
		struct pollfd p = {.fd = s->listener, .events = POLLIN};
		if (poll(&p, 1, 50) <= 0)
			continue;
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			start_client(s, fd);
	}
	return OK;
}

enum err control_server_start(
	struct control_server **out, struct shared *shared, const char *url, struct error *e)
{
	*out = NULL;
	int fd = control_listen(url);
	if (fd < 0 && errno == EAFNOSUPPORT)
		return OK;
	if (fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "listening on the control socket beside %s", url);
	struct control_server *s = mem_zalloc(sizeof *s);
	s->shared = shared;
	s->url = mem_strdup(url);
	s->listener = fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	enum err rc = thread_start(&s->acceptor, "control", accept_loop, s, e);
	if (rc != OK) {
		control_server_stop(s);
		return rc;
	}
	*out = s;
	return OK;
}

void control_server_stop(struct control_server *s)
{
	if (s == NULL)
		return;
	struct error ignored = {0};
	/* The name goes first: who comes now opens the warehouse himself, and waits for us. */
	control_unlink(s->url);
	atomic_store(&s->closing, true);
	(void)thread_join(&s->acceptor, &ignored);
	close(s->listener);
	pthread_mutex_lock(&s->lock);
	while (s->clients > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->url);
	mem_free(s);
}
