/*
 * disk: a disk that fills, fails or forgets, for one program: loaded before libc (LD_PRELOAD).
 * It needs no rights, and what the program sees is what a kernel would say.
 *
 *   DISK_UNDER   the directory it is about, an absolute path
 *   DISK_SWITCH  a directory; a file in it named full, eio or fsync turns the fault on:
 *                full: a write stores the first half, the next says ENOSPC
 *                eio: a write says EIO     fsync: fsync and fdatasync say EIO
 *   DISK_SYNCED  a file to which is added, for what a disk would still hold after the power has
 *                failed:
 *                "synced SIZE PATH", "failed SIZE PATH"   by each fsync
 *                "wrote FROM TO PATH"                     by each write
 *                "renamed PATH PATH"                      by each rename
 */
/* Both names of pwrite are defined here, not one for the other. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef ssize_t write_fn(int fd, const void *p, size_t n);
typedef ssize_t pwrite_fn(int fd, const void *p, size_t n, off_t at);
typedef ssize_t writev_fn(int fd, const struct iovec *v, int n);
typedef int sync_fn(int fd);
typedef int rename_fn(const char *from, const char *to);

/* What we stand before. A function's address comes as an object's; memcpy is the clean way over. */
static void next(const char *name, void *fn)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	memcpy(fn, &found, sizeof found);
}

static bool path_of(int fd, char *out, size_t n)
{
	char link[64];
	const char *under = getenv("DISK_UNDER");

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t got = under == NULL ? -1 : readlink(link, out, n - 1);
	if (got < 0)
		return false;
	out[got] = '\0';
	size_t length = strlen(under);
	return strncmp(out, under, length) == 0 && (out[length] == '/' || out[length] == '\0');
}

static bool is_ours(int fd)
{
	char path[4096];
	int before = errno;
	bool ours = path_of(fd, path, sizeof path);

	errno = before;
	return ours;
}

static bool turned_on(const char *fault)
{
	char path[4096];
	const char *dir = getenv("DISK_SWITCH");
	int before = errno;

	if (dir == NULL)
		return false;
	snprintf(path, sizeof path, "%s/%s", dir, fault);
	bool on = access(path, F_OK) == 0;
	errno = before;
	return on;
}

/* How much of n bytes still has room; -1 with errno when nothing does. */
static ssize_t room(int fd, size_t n)
{
	static _Thread_local bool half; /* the write before took what room there was */

	if (!is_ours(fd))
		return (ssize_t)n;
	if (turned_on("eio")) {
		errno = EIO;
		return -1;
	}
	if (!turned_on("full")) {
		half = false;
		return (ssize_t)n;
	}
	half = !half;
	if (half && n > 1)
		return (ssize_t)(n / 2);
	errno = ENOSPC;
	return -1;
}

/* ---- what is noted ---- */

/* One line, one write: several threads may sync at a time. */
static void note(const char *line, int n)
{
	static write_fn *real;
	const char *to = getenv("DISK_SYNCED");

	if (real == NULL)
		next("write", &real);
	if (to == NULL)
		return;
	int out = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (out < 0 || n < 0 || real(out, line, (size_t)n) != n)
		abort();
	close(out);
}

static void note_sync(int fd, const char *how)
{
	char path[4096], line[4200];
	struct stat st;

	if (!path_of(fd, path, sizeof path) || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	note(line, snprintf(line, sizeof line, "%s %lld %s\n", how, (long long)st.st_size, path));
}

static ssize_t note_write(int fd, off_t from, ssize_t n)
{
	char path[4096], line[4200];
	int before = errno;

	if (n > 0 && from >= 0 && path_of(fd, path, sizeof path))
		note(line,
			snprintf(line, sizeof line, "wrote %lld %lld %s\n", (long long)from,
				(long long)from + (long long)n, path));
	errno = before;
	return n;
}

/* ---- what libc has ---- */

ssize_t write(int fd, const void *p, size_t n)
{
	static write_fn *real;

	if (real == NULL)
		next("write", &real);
	ssize_t fits = n > 0 ? room(fd, n) : 0;
	if (fits < 0)
		return -1;
	if (!is_ours(fd))
		return real(fd, p, (size_t)fits);
	off_t from = lseek(fd, 0, SEEK_CUR);
	return note_write(fd, from, real(fd, p, (size_t)fits));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	static pwrite_fn *real;

	if (real == NULL)
		next("pwrite", &real);
	ssize_t fits = n > 0 ? room(fd, n) : 0;
	return fits < 0 ? -1 : note_write(fd, at, real(fd, p, (size_t)fits, at));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	static writev_fn *real;

	if (real == NULL)
		next("writev", &real);
	if (n > 0 && room(fd, 1) < 0)
		return -1;
	off_t from = lseek(fd, 0, SEEK_CUR);
	return note_write(fd, from, real(fd, v, n));
}

int rename(const char *from, const char *to)
{
	static rename_fn *real;
	char line[9000];
	const char *under = getenv("DISK_UNDER");

	if (real == NULL)
		next("rename", &real);
	int rc = real(from, to);
	if (rc == 0 && under != NULL && strncmp(from, under, strlen(under)) == 0)
		note(line, snprintf(line, sizeof line, "renamed %s %s\n", from, to));
	return rc;
}

static int sync_with(sync_fn *real, int fd)
{
	if (is_ours(fd) && (turned_on("fsync") || turned_on("eio"))) {
		note_sync(fd, "failed");
		errno = EIO;
		return -1;
	}
	int rc = real(fd);
	if (rc == 0)
		note_sync(fd, "synced");
	return rc;
}

int fsync(int fd)
{
	static sync_fn *real;

	if (real == NULL)
		next("fsync", &real);
	return sync_with(real, fd);
}

int fdatasync(int fd)
{
	static sync_fn *real;

	if (real == NULL)
		next("fdatasync", &real);
	return sync_with(real, fd);
}
