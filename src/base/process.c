#include "process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"

#define POLL_US 10000

/* What the child could not do, sent through a pipe that a successful exec closes. */
struct child_failure {
	int errnum;
	enum { STAGE_FDS, STAGE_CWD, STAGE_USER, STAGE_EXEC } stage;
};

static const char *const stages[] = {
	[STAGE_FDS] = "redirecting the output of",
	[STAGE_CWD] = "entering the working directory of",
	[STAGE_USER] = "changing the user of",
	[STAGE_EXEC] = "running",
};

/* Searched here and not in the child: between fork and exec only calls that are safe in a signal
 * handler are allowed, because another thread may hold any lock. */
static enum err find_program(const char *name, char path[PATH_MAX], struct error *e)
{
	const char *given = getenv("PATH");
	struct str dirs = str_of(given != NULL ? given : "/usr/local/bin:/usr/bin:/bin"), dir;

	if (strchr(name, '/') != NULL) {
		snprintf(path, PATH_MAX, "%s", name);
		return OK;
	}
	while (str_next(&dirs, ':', &dir)) {
		int n = snprintf(path, PATH_MAX, "%.*s/%s", STR_ARG(dir), name);
		if (dir.n > 0 && n < PATH_MAX && access(path, X_OK) == 0)
			return OK;
	}
	return FAIL(e, ERR_NOT_FOUND, "running %s: there is no such program on PATH", name);
}

static bool child_fds(const struct process_options *o)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, 0) < 0)
		return false;
	if (null > 2)
		close(null);
	/* err first into a safe place: out_fd may be 2, or err_fd 1. */
	int err = o->err_fd >= 0 ? fcntl(o->err_fd, F_DUPFD_CLOEXEC, 3) : -1;
	if (o->err_fd >= 0 && err < 0)
		return false;
	if (o->out_fd >= 0 && o->out_fd != 1 && dup2(o->out_fd, 1) < 0)
		return false;
	return err < 0 || dup2(err, 2) >= 0;
}

static bool child_user(const struct process_options *o)
{
	if (!o->switch_user)
		return true;
	return setgroups(0, NULL) == 0 && setgid(o->gid) == 0 && setuid(o->uid) == 0;
}

/* The parent's threads block signals, and main ignores SIGPIPE: a program expects neither. */
static void child_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static _Noreturn void child_run(
	const struct process_options *o, const char *path, pid_t parent, int report)
{
	struct child_failure failure = {.stage = STAGE_EXEC};

	child_signals();
	if (!child_fds(o))
		failure.stage = STAGE_FDS;
	else if (o->cwd != NULL && chdir(o->cwd) != 0)
		failure.stage = STAGE_CWD;
	else if (!child_user(o))
		failure.stage = STAGE_USER;
	if (failure.stage == STAGE_EXEC) {
		/* After setuid, which clears it; the parent may have ended before it was set. */
		if (o->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
			getppid() != parent)
			_exit(1);
		execve(path, o->argv, o->environ != NULL ? o->environ : environ);
	}
	failure.errnum = errno;
	ssize_t ignored = write(report, &failure, sizeof failure);
	(void)ignored;
	_exit(127);
}

static enum err child_report(
	struct process *p, const struct process_options *o, int report, struct error *e)
{
	struct child_failure failure;
	ssize_t n;

	do
		n = read(report, &failure, sizeof failure);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof failure)
		return OK;
	int ignored;
	IGNORE(process_wait(p, &ignored, NULL)); /* it has ended, and its report says more */
	enum err kind = failure.errnum == ENOENT ? ERR_NOT_FOUND : ERR_FAILED;
	return error_errno(
		e, kind, failure.errnum, __func__, "%s %s", stages[failure.stage], o->argv[0]);
}

enum err process_start(struct process *p, const struct process_options *o, struct error *e)
{
	char path[PATH_MAX];
	int report[2];

	*p = (struct process){0};
	assert(o->argv != NULL && o->argv[0] != NULL);
	TRY(find_program(o->argv[0], path, e));
	if (pipe2(report, O_CLOEXEC) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "making a pipe for %s", o->argv[0]);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		child_run(o, path, parent, report[1]);
	close(report[1]);
	enum err rc = OK;
	if (pid < 0) {
		rc = FAIL_ERRNO(e, ERR_FAILED, "starting %s", o->argv[0]);
	} else {
		p->pid = pid;
		rc = child_report(p, o, report[0], e);
	}
	close(report[0]);
	return rc;
}

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static enum err reap(struct process *p, int options, bool *ended, struct error *e)
{
	pid_t got;

	do
		got = waitpid(p->pid, &p->status, options);
	while (got < 0 && errno == EINTR);
	*ended = got > 0;
	if (got < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "waiting for process %d", (int)p->pid);
	if (*ended)
		p->pid = 0;
	return OK;
}

enum err process_wait(struct process *p, int *exit_code, struct error *e)
{
	bool ended;

	if (p->pid > 0)
		TRY(reap(p, 0, &ended, e));
	*exit_code = code_of(p->status);
	return OK;
}

enum err process_wait_for(struct process *p, struct clock *clock, int64_t timeout_us, bool *ended,
	int *exit_code, struct error *e)
{
	int64_t until = clock_mono(clock) + timeout_us;

	*ended = p->pid == 0;
	while (!*ended) {
		TRY(reap(p, WNOHANG, ended, e));
		int64_t left = until - clock_mono(clock);
		if (*ended || left <= 0)
			break;
		clock_sleep(clock, left < POLL_US ? left : POLL_US);
	}
	if (*ended)
		*exit_code = code_of(p->status);
	return OK;
}

void process_stop(struct process *p, struct clock *clock, int64_t grace_us)
{
	bool ended = false;
	int ignored;

	if (p->pid <= 0)
		return;
	kill(p->pid, SIGTERM);
	if (process_wait_for(p, clock, grace_us, &ended, &ignored, NULL) == OK && ended)
		return;
	kill(p->pid, SIGKILL);
	if (process_wait(p, &ignored, NULL) != OK)
		p->pid = 0; /* somebody else has reaped it */
}

/* One stream being collected; fd is -1 once it has ended. */
struct collected {
	int fd;
	struct buf *into;
};

static enum err collect_some(struct collected *c, const char *what, struct error *e)
{
	char piece[16384];
	ssize_t n = read(c->fd, piece, sizeof piece);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return OK;
	if (n < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "reading the output of %s", what);
	if (n == 0) {
		close(c->fd);
		c->fd = -1;
		return OK;
	}
	if (buf_add(c->into, str_make(piece, (size_t)n), e) != OK)
		return error_wrap(e, "reading the output of %s", what);
	return OK;
}

static enum err collect(struct collected streams[2], const char *what, struct error *e)
{
	while (streams[0].fd >= 0 || streams[1].fd >= 0) {
		struct pollfd fds[2] = {
			{.fd = streams[0].fd, .events = POLLIN},
			{.fd = streams[1].fd, .events = POLLIN},
		};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return FAIL_ERRNO(e, ERR_FAILED, "waiting for the output of %s", what);
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents != 0)
				TRY(collect_some(&streams[i], what, e));
	}
	return OK;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* A pipe for one stream of the child, when it is wanted. */
static enum err open_stream(struct collected *c, int *child_end, const char *what, struct error *e)
{
	int ends[2];

	if (c->into == NULL)
		return OK;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "making a pipe for %s", what);
	c->fd = ends[0];
	*child_end = ends[1];
	return OK;
}

enum err process_run(const struct process_options *o, struct buf *out, struct buf *err,
	int *exit_code, struct error *e)
{
	struct collected streams[2] = {{-1, out}, {-1, err}};
	struct process_options options = *o;
	struct process p = {0};
	int ends[2] = {-1, -1};

	enum err rc = open_stream(&streams[0], &ends[0], o->argv[0], e);
	if (rc == OK)
		rc = open_stream(&streams[1], &ends[1], o->argv[0], e);
	if (rc == OK) {
		options.out_fd = ends[0] >= 0 ? ends[0] : o->out_fd;
		options.err_fd = ends[1] >= 0 ? ends[1] : o->err_fd;
		rc = process_start(&p, &options, e);
	}
	close_if_open(ends[0]);
	close_if_open(ends[1]);
	if (rc == OK)
		rc = collect(streams, o->argv[0], e);
	close_if_open(streams[0].fd);
	close_if_open(streams[1].fd);
	if (rc != OK)
		process_stop(&p, clock_system(), 1000000);
	else
		rc = process_wait(&p, exit_code, e);
	return rc;
}
