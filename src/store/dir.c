/*
 * The directory driver: a key is a path below the root.
 *
 *   ROOT/.sluice/lock     held (flock) by whoever changes anything
 *   ROOT/.sluice/pending  the content on its way; at most one, since its writer holds the lock
 *   ROOT/a/b/c            key "a/b/c"
 *
 * A put writes `pending`, fsyncs it, gives it its name with rename(2) or link(2) and fsyncs the
 * directory. Readers take no lock: a name always stands for whole content. What a crash leaves
 * in `pending` is removed by the next put, and never shows as a key. Since every writer holds
 * the lock, "if it still has that etag" and the rename are one step. The etag is the SHA-256 of
 * the content.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "enc.h"
#include "file.h"
#include "mem.h"
#include "store_drivers.h"
#include "store_walk.h"

struct dir_store {
	struct store base; /* first: a struct store * is a struct dir_store * */
	char *root;
};

static const char *root_of(struct store *s)
{
	return ((struct dir_store *)s)->root;
}

static const char *path_of(struct store *s, struct str key, struct arena *mem)
{
	return arena_fmt(mem, "%s/%.*s", root_of(s), STR_ARG(key)).p;
}

static const char *private_path(struct store *s, const char *name, struct arena *mem)
{
	return arena_fmt(mem, "%s/" STORE_PRIVATE "/%s", root_of(s), name).p;
}

static bool absent(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR;
}

static enum err cannot_write(struct error *e, int errnum, const char *path, const char *root)
{
	return error_errno(e, ERR_FAILED, errnum, __func__,
		"writing %s (the store needs a directory it may write to: check the owner and mode "
		"of %s, or set [store] url to another)",
		path, root);
}

static enum err lock(struct store *s, int *fd, struct arena *mem, struct error *e)
{
	const char *dir = private_path(s, "", mem);
	const char *path = private_path(s, "lock", mem);

	if (file_mkdirs(dir, e) != OK)
		return error_wrap(e,
			"preparing the store in %s (set [store] url to a directory "
			"that may be written)",
			root_of(s));
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (*fd < 0)
		return cannot_write(e, errno, path, root_of(s));
	while (flock(*fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		int errnum = errno;
		close(*fd);
		return error_errno(e, ERR_FAILED, errnum, __func__, "locking %s", path);
	}
	return OK;
}

static void unlock(int fd)
{
	close(fd); /* gives the lock back */
}

/* Makes the directories above `path` and makes them durable, up to the root. */
static enum err make_parents(struct store *s, const char *path, struct arena *mem, struct error *e)
{
	struct str dir = str_make(path, (size_t)(strrchr(path, '/') - path));
	size_t root = strlen(root_of(s));
	const char *deepest = arena_cstr(mem, dir);

	if (file_exists(deepest))
		return OK;
	if (file_mkdirs(deepest, e) != OK)
		return error_wrap(e, "storing %s", path);
	while (dir.n > root) {
		while (dir.p[dir.n - 1] != '/')
			dir.n--;
		dir.n--;
		TRY(file_fsync_dir(arena_cstr(mem, dir), e));
	}
	return OK;
}

static enum err write_pending(struct store *s, const char *path, struct str body, struct error *e)
{
	/* Never truncate it: after a crash it may share its inode with a key. */
	if (unlink(path) != 0 && errno != ENOENT)
		return cannot_write(e, errno, path, root_of(s));
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return cannot_write(e, errno, path, root_of(s));
	enum err rc = file_write_all(fd, body.p, body.n, path, e);
	if (rc == OK && fsync(fd) != 0)
		rc = cannot_write(e, errno, path, root_of(s));
	if (close(fd) != 0 && rc == OK)
		rc = cannot_write(e, errno, path, root_of(s));
	return rc;
}

static enum err content_conflict(struct str key, const char *why, struct error *e)
{
	return FAIL(e, ERR_CONFLICT, "storing %.*s: %s; read it again and decide anew",
		STR_ARG(key), why);
}

static enum err place(struct store *s, struct str key, const char *pending, const char *path,
	enum store_condition cond, struct arena *mem, struct error *e)
{
	int failed = cond == STORE_IF_ABSENT ? link(pending, path) : rename(pending, path);

	if (failed && cond == STORE_IF_ABSENT && errno == EEXIST)
		return content_conflict(key, "it exists already", e);
	if (failed)
		return cannot_write(e, errno, path, root_of(s));
	struct str dir = str_make(path, (size_t)(strrchr(path, '/') - path));
	return file_fsync_dir(arena_cstr(mem, dir), e);
}

static enum err has_etag(const char *path, struct str key, const char *match, struct error *e)
{
	char now[ENC_SHA256_TEXT];

	if (!file_exists(path))
		return content_conflict(key, "it does not exist", e);
	TRY(enc_sha256_file(path, now, e));
	if (strcmp(now, match) != 0)
		return content_conflict(key, "it has been changed by another writer", e);
	return OK;
}

static enum err put_locked(struct store *s, struct str key, struct str body,
	enum store_condition cond, const char *match, struct arena *mem, struct error *e)
{
	const char *path = path_of(s, key, mem);
	const char *pending = private_path(s, "pending", mem);

	if (cond == STORE_IF_MATCH)
		TRY(has_etag(path, key, match, e));
	if (cond == STORE_IF_ABSENT && file_exists(path))
		return content_conflict(key, "it exists already", e);
	TRY(make_parents(s, path, mem, e));
	TRY(write_pending(s, pending, body, e));
	enum err rc = place(s, key, pending, path, cond, mem, e);
	if (rc != OK || cond == STORE_IF_ABSENT)
		(void)unlink(pending); /* what stays is removed by the next put */
	return rc;
}

static enum err dir_put(struct store *s, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	struct arena mem = {0};
	int fd = -1;
	enum err rc = lock(s, &fd, &mem, e);

	if (rc == OK) {
		rc = put_locked(s, key, body, cond, match, &mem, e);
		unlock(fd);
	}
	if (rc == OK && etag != NULL)
		enc_sha256(body, etag);
	arena_free(&mem);
	return rc;
}

static enum err get_path(
	const char *path, struct str key, struct buf *body, char *etag, struct error *e)
{
	struct stat st;
	size_t before = body->n;

	bool found = stat(path, &st) == 0;
	if (!found && !absent(errno))
		return FAIL_ERRNO(e, ERR_FAILED, "reading %s", path);
	if (!found || !S_ISREG(st.st_mode))
		return FAIL(e, ERR_NOT_FOUND, "reading %.*s from the store: no such key (%s)",
			STR_ARG(key), path);
	TRY(file_read(path, body, e));
	if (etag != NULL)
		enc_sha256(str_from(buf_str(body), before), etag);
	return OK;
}

static enum err dir_get(
	struct store *s, struct str key, struct buf *body, char *etag, struct error *e)
{
	struct arena mem = {0};
	enum err rc = get_path(path_of(s, key, &mem), key, body, etag, e);

	arena_free(&mem);
	return rc;
}

static enum err dir_list(
	struct store *s, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	return store_walk(root_of(s), prefix, fn, arg, e);
}

/* Directories left empty go too, so that "a" can be a key once "a/b" is gone. */
static enum err remove_locked(struct store *s, struct str key, struct arena *mem, struct error *e)
{
	size_t root = strlen(root_of(s));
	char *path = arena_cstr(mem, str_of(path_of(s, key, mem)));

	if (unlink(path) != 0) {
		if (absent(errno))
			return OK;
		return cannot_write(e, errno, path, root_of(s));
	}
	do
		*strrchr(path, '/') = '\0';
	while (strlen(path) > root && rmdir(path) == 0);
	return file_fsync_dir(path, e);
}

static enum err dir_remove(struct store *s, struct str key, struct error *e)
{
	struct arena mem = {0};
	int fd = -1;
	enum err rc = lock(s, &fd, &mem, e);

	if (rc == OK) {
		rc = remove_locked(s, key, &mem, e);
		unlock(fd);
	}
	arena_free(&mem);
	return rc;
}

static void dir_close(struct store *s)
{
	mem_free(((struct dir_store *)s)->root);
	mem_free(s);
}

static const struct store_ops dir_ops = {
	.scheme = "file",
	.put = dir_put,
	.get = dir_get,
	.list = dir_list,
	.remove = dir_remove,
	.close = dir_close,
};

enum err store_dir_open(struct store **out, const struct store_options *o, const char *path,
	const struct env *env, struct error *e)
{
	struct str root = str_of(path);
	struct stat st;
	(void)o;
	(void)env;

	while (root.n > 1 && root.p[root.n - 1] == '/')
		root.n--;
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return FAIL(e, ERR_USAGE,
			"opening the object store: %s is no directory; set [store] url to "
			"file:///dir",
			path);
	struct dir_store *d = mem_zalloc(sizeof *d);
	d->base.ops = &dir_ops;
	d->root = mem_cstr(root);
	*out = &d->base;
	return OK;
}
