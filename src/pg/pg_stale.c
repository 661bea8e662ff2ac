/* Stops a postmaster that outlived the run that started it. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "buf.h"
#include "file.h"
#include "pg_place.h"
#include "str.h"

#define FAST_MS      20000
#define IMMEDIATE_MS 5000

/* The first line of postmaster.pid; 0 when there is no such file or no number in it. */
static pid_t recorded_pid(const char *data, struct arena *mem)
{
	struct buf text;
	struct error ignored = {.kind = OK};
	int64_t pid = 0;

	buf_init(&text, 4096);
	/* No such file is the usual case: nothing runs there. */
	if (file_read(arena_fmt(mem, "%s/postmaster.pid", data).p, &text, &ignored) == OK) {
		struct str rest = buf_str(&text), line;
		if (!str_next(&rest, '\n', &line) || !str_to_i64(line, &pid) || pid < 2 ||
			pid > INT_MAX)
			pid = 0;
	}
	buf_free(&text);
	return (pid_t)pid;
}

/* A postmaster works in its data directory: another program that got the same id does not. */
static bool works_in(pid_t pid, const char *data, struct arena *mem)
{
	char cwd[PATH_MAX], real[PATH_MAX];
	ssize_t n = readlink(arena_fmt(mem, "/proc/%ld/cwd", (long)pid).p, cwd, sizeof cwd - 1);

	if (n < 0 || realpath(data, real) == NULL)
		return false;
	cwd[n] = '\0';
	return strcmp(cwd, real) == 0;
}

static bool ended_within(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static bool stop(pid_t pid, int pidfd)
{
	static const struct {
		int signal, wait_ms;
	} steps[] = {{SIGINT, FAST_MS}, {SIGQUIT, IMMEDIATE_MS}, {SIGKILL, IMMEDIATE_MS}};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (kill(pid, steps[i].signal) != 0)
			return errno == ESRCH;
		if (ended_within(pidfd, steps[i].wait_ms))
			return true;
	}
	return false;
}

enum err pg_place_stop_stale(const char *data, struct error *e)
{
	struct arena mem = {0};
	enum err rc = OK;
	pid_t pid = recorded_pid(data, &mem);
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	/* Looked at after pidfd_open, so that the id cannot pass to another process between. */
	if (pidfd >= 0 && works_in(pid, data, &mem) && !stop(pid, pidfd))
		rc = FAIL_ERRNO(e, ERR_FAILED,
			"stopping the PostgreSQL %ld that an earlier run left on %s; stop it by "
			"hand",
			(long)pid, data);
	if (pidfd >= 0)
		close(pidfd);
	arena_free(&mem);
	return rc;
}
