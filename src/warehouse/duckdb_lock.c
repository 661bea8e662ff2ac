#include "duckdb_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "mem.h"

/* DuckDB's own lock is of the kind that a process cannot hold against itself, and is lost when
 * any descriptor of the file is closed; flock on a file beside it has neither weakness. */

static enum err who_has_it(const char *path, int fd, struct error *e)
{
	char pid[24];
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return FAIL(e, ERR_CONFLICT,
		"opening the warehouse %s: it is held by process %s; stop that process, or run "
		"the command through it",
		path, pid[0] != '\0' ? pid : "(unknown)");
}

static enum err write_pid(int fd, const char *path, struct error *e)
{
	char pid[24];
	int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return FAIL_ERRNO(
			e, ERR_USAGE, "opening the warehouse %s: writing %s.lock", path, path);
	return OK;
}

enum err duck_lock(const char *path, bool shared, int *fd, struct error *e)
{
	struct buf name;
	enum err rc = OK;

	buf_init(&name, 1 << 16);
	buf_putf(&name, "%s.lock", path);
	*fd = open(buf_cstr(&name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (*fd < 0 && shared && (errno == EACCES || errno == EROFS)) {
		buf_free(&name);
		return OK; /* a reader of a directory that nobody here can write */
	}
	if (*fd < 0)
		rc = FAIL_ERRNO(e, ERR_USAGE,
			"opening the warehouse %s: cannot write %s; give [warehouse] url a "
			"directory that this user can write",
			path, buf_cstr(&name));
	else if (flock(*fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
		rc = who_has_it(path, *fd, e);
	else if (!shared)
		rc = write_pid(*fd, path, e);
	buf_free(&name);
	if (rc != OK && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

/* The file stays: removing it would let a third process lock another file of the same name. */
void duck_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}
