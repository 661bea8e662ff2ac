#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

static enum err kind_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_CONFLICT;
	default:
		return ERR_FAILED;
	}
}

#define FAIL_FILE(e, ...) error_errno((e), kind_of(errno), errno, __func__, __VA_ARGS__)

/* Reads on to the end. Asks for one byte more than is left, so that the end is seen. */
static enum err read_all(int fd, const char *path, struct buf *out, struct error *e)
{
	struct stat st;
	size_t piece = 4096;

	if (fstat(fd, &st) == 0 && st.st_size > 0)
		piece = (size_t)st.st_size + 1;
	for (;;) {
		char *at;
		size_t room = out->max - out->n < piece ? out->max - out->n : piece;
		char beyond;
		if (room > 0)
			TRY(buf_room(out, room, &at, e));
		else
			at = &beyond;
		ssize_t n = read(fd, at, room > 0 ? room : 1);
		if (n == 0)
			return OK;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return FAIL_FILE(e, "reading %s", path);
		if (room == 0)
			return FAIL(e, ERR_INPUT,
				"reading %s: it is longer than the %zu bytes allowed", path,
				out->max);
		buf_took(out, (size_t)n);
		piece = 65536;
	}
}

enum err file_read(const char *path, struct buf *out, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return FAIL_FILE(e, "opening %s", path);
	enum err rc = read_all(fd, path, out, e);
	close(fd);
	return rc;
}

enum err file_write_all(int fd, const void *p, size_t n, const char *path, struct error *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return FAIL_FILE(e, "writing %s", path);
		at += done;
		n -= (size_t)done;
	}
	return OK;
}

enum err file_fsync_dir(const char *path, struct error *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return FAIL_FILE(e, "opening directory %s", path);
	enum err rc = OK;
	if (fsync(fd) != 0)
		rc = FAIL_FILE(e, "fsync of directory %s", path);
	close(fd);
	return rc;
}

static enum err fsync_parent(const char *path, struct error *e)
{
	char *copy = mem_strdup(path);
	enum err rc = file_fsync_dir(dirname(copy), e);

	mem_free(copy);
	return rc;
}

static enum err write_synced(const char *path, struct str content, struct error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return FAIL_FILE(e, "creating %s", path);
	enum err rc = file_write_all(fd, content.p, content.n, path, e);
	if (rc == OK && fsync(fd) != 0)
		rc = FAIL_FILE(e, "fsync of %s", path);
	if (close(fd) != 0 && rc == OK)
		rc = FAIL_FILE(e, "closing %s", path);
	return rc;
}

/* The thread's id, which in the first thread is the process's: two threads writing the same path
 * must not share a temporary file. */
static char *temporary_name(const char *path)
{
	struct buf b;

	buf_init(&b, PATH_MAX + 32);
	buf_putf(&b, "%s.tmp-%d", path, (int)gettid());
	return buf_steal(&b);
}

enum err file_write_atomic(const char *path, struct str content, struct error *e)
{
	char *tmp = temporary_name(path);
	enum err rc = write_synced(tmp, content, e);

	if (rc == OK && rename(tmp, path) != 0)
		rc = FAIL_FILE(e, "renaming %s to %s", tmp, path);
	if (rc == OK)
		rc = fsync_parent(path, e);
	else
		unlink(tmp);
	mem_free(tmp);
	return rc;
}

enum err file_write_new(const char *path, struct str content, struct error *e)
{
	char *tmp = temporary_name(path);
	enum err rc = write_synced(tmp, content, e);

	if (rc == OK && link(tmp, path) != 0)
		rc = FAIL_FILE(e, "creating %s", path);
	unlink(tmp);
	if (rc == OK)
		rc = fsync_parent(path, e);
	mem_free(tmp);
	return rc;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum err file_mkdirs(const char *path, struct error *e)
{
	char *copy = mem_strdup(path);
	enum err rc = OK;

	for (char *at = copy; rc == OK && *at != '\0';) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		char end = *at;
		*at = '\0';
		/* It may be there already, or be made by another process this moment. */
		if (mkdir(copy, 0755) != 0 && !is_directory(copy))
			rc = FAIL_ERRNO(e, ERR_FAILED, "making directory %s", copy);
		*at = end;
	}
	mem_free(copy);
	return rc;
}

static enum err remove_at(int dir, const char *name, const char *root, struct error *e);

static enum err remove_entries(DIR *d, const char *root, struct error *e)
{
	const struct dirent *entry;

	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			TRY(remove_at(dirfd(d), name, root, e));
	}
	return OK;
}

static enum err remove_content(int dir, const char *name, const char *root, struct error *e)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		enum err rc = FAIL_FILE(e, "removing %s below %s", name, root);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	enum err rc = remove_entries(d, root, e);
	closedir(d);
	return rc;
}

/* A symbolic link is removed and never followed. Depth of recursion: that of the tree. */
static enum err remove_at(int dir, const char *name, const char *root, struct error *e)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return OK;
	if (errno != EISDIR && errno != EPERM)
		return FAIL_FILE(e, "removing %s below %s", name, root);
	TRY(remove_content(dir, name, root, e));
	if (unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return FAIL_FILE(e, "removing directory %s below %s", name, root);
	return OK;
}

enum err file_remove_tree(const char *path, struct error *e)
{
	return remove_at(AT_FDCWD, path, path, e);
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

struct names {
	char **items;
	size_t n, cap;
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err names_read(struct names *names, const char *dir, struct error *e)
{
	DIR *d = opendir(dir);

	if (d == NULL && errno == ENOENT)
		return OK;
	if (d == NULL)
		return FAIL_FILE(e, "listing %s", dir);
	const struct dirent *entry;
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (names->n == names->cap) {
			names->cap = names->cap > 0 ? names->cap * 2 : 16;
			names->items = mem_realloc_array(names->items, names->cap, sizeof(char *));
		}
		names->items[names->n++] = mem_strdup(entry->d_name);
	}
	closedir(d);
	if (names->n > 0)
		qsort(names->items, names->n, sizeof(char *), by_bytes);
	return OK;
}

enum err file_list(const char *dir, enum err (*fn)(void *arg, const char *name, struct error *e),
	void *arg, struct error *e)
{
	struct names names = {0};
	enum err rc = names_read(&names, dir, e);

	for (size_t i = 0; rc == OK && i < names.n; i++)
		rc = fn(arg, names.items[i], e);
	for (size_t i = 0; i < names.n; i++)
		mem_free(names.items[i]);
	mem_free(names.items);
	return rc;
}
