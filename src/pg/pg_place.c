#include "pg_place.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "file.h"
#include "str.h"

#define SOCKET_PATH_MAX 100 /* sockaddr_un holds 107 bytes */
#define SOCKET_NAME     "/.s.PGSQL.5432"
#define LEFT_FILE       "elsewhere" /* names our directory under /tmp while it exists */

static bool has_programs(const char *bin, struct arena *mem)
{
	return access(arena_fmt(mem, "%s/initdb", bin).p, X_OK) == 0 &&
		access(arena_fmt(mem, "%s/postgres", bin).p, X_OK) == 0;
}

/* The newest of /usr/lib/postgresql/VERSION/bin, where Debian puts it. */
static const char *find_packaged(struct arena *mem)
{
	glob_t found;
	const char *best = NULL;
	long best_version = -1;

	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
		return NULL;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		long version = strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
		if (version > best_version && has_programs(found.gl_pathv[i], mem)) {
			best_version = version;
			best = arena_cstr(mem, str_of(found.gl_pathv[i]));
		}
	}
	globfree(&found);
	return best;
}

static const char *find_on_path(struct arena *mem)
{
	struct str rest = str_of(getenv("PATH")), item;

	while (str_next(&rest, ':', &item)) {
		const char *bin = arena_cstr(mem, item);
		if (item.n > 0 && has_programs(bin, mem))
			return bin;
	}
	return NULL;
}

static enum err find_user(struct pg_place *p, struct error *e)
{
	static const char *const names[] = {"postgres", "nobody"};
	char room[4096];
	struct passwd pw, *found = NULL;

	p->switch_user = geteuid() == 0;
	if (!p->switch_user) {
		p->uid = geteuid();
		p->gid = getegid();
		return OK;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names && found == NULL; i++)
		if (getpwnam_r(names[i], &pw, room, sizeof room, &found) != 0)
			found = NULL;
	if (found == NULL)
		return FAIL(e, ERR_FAILED,
			"choosing a user for the private PostgreSQL: it refuses to run as root and "
			"there is neither a user postgres nor nobody; create one or run as an "
			"ordinary user");
	p->uid = found->pw_uid;
	p->gid = found->pw_gid;
	return OK;
}

static bool can_search(const struct stat *st, uid_t uid, gid_t gid)
{
	if (st->st_uid == uid)
		return (st->st_mode & S_IXUSR) != 0;
	if (st->st_gid == gid)
		return (st->st_mode & S_IXGRP) != 0;
	return (st->st_mode & S_IXOTH) != 0;
}

/* True when the user may enter every directory from / down to and including dir. */
static bool can_reach(const char *dir, uid_t uid, gid_t gid)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (n >= sizeof path)
		return false;
	for (size_t i = 1; i <= n; i++) {
		if (dir[i] != '/' && dir[i] != '\0')
			continue;
		struct stat st;
		memcpy(path, dir, i);
		path[i] = '\0';
		if (stat(path, &st) != 0 || !can_search(&st, uid, gid))
			return false;
	}
	return true;
}

static enum err lock_dir(struct pg_place *p, struct arena *mem, struct error *e)
{
	const char *path = arena_fmt(mem, "%s/lock", p->dir).p;

	p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->lock_fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s for the private PostgreSQL", path);
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return OK;
	close(p->lock_fd);
	p->lock_fd = -1;
	return FAIL(e, ERR_CONFLICT,
		"starting a private PostgreSQL in %s: another process runs one there; stop it or "
		"choose another directory",
		p->dir);
}

static enum err make_tmp(const char **out, struct arena *mem, struct error *e)
{
	char *path = arena_cstr(mem, STR("/tmp/sluice-pg-XXXXXX"));

	if (mkdtemp(path) == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "making a directory for PostgreSQL under /tmp");
	if (chmod(path, 0755) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s to the user of PostgreSQL", path);
	*out = path;
	return OK;
}

/* A directory that an earlier run recorded and could not remove, if it looks like one of ours. */
static const char *find_left(const struct pg_place *p, struct arena *mem)
{
	struct buf text;
	struct error ignored = {.kind = OK};
	const char *left = NULL;

	buf_init(&text, PATH_MAX);
	/* No such file is the usual case: nothing was left. */
	if (file_read(arena_fmt(mem, "%s/" LEFT_FILE, p->dir).p, &text, &ignored) == OK) {
		struct str path = str_trim(buf_str(&text));
		if (str_starts(path, STR("/tmp/sluice-pg-")) && str_find(path, STR("..")) < 0)
			left = arena_cstr(mem, path);
	}
	buf_free(&text);
	return left;
}

static enum err absolute(const char *dir, struct arena *mem, const char **out, struct error *e)
{
	char real[PATH_MAX];

	TRY(file_mkdirs(dir, e));
	if (realpath(dir, real) == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "finding the directory %s", dir);
	*out = arena_cstr(mem, str_of(real));
	return OK;
}

enum err pg_place_find(
	struct pg_place *p, const char *dir, struct arena *mem, const char **left, struct error *e)
{
	*p = (struct pg_place){.lock_fd = -1};
	p->bin = find_packaged(mem);
	if (p->bin == NULL)
		p->bin = find_on_path(mem);
	if (p->bin == NULL)
		return FAIL(e, ERR_FAILED,
			"looking for PostgreSQL: no initdb and postgres under "
			"/usr/lib/postgresql/*/bin or on PATH; install the package postgresql");
	TRY(find_user(p, e));
	TRY(absolute(dir, mem, &p->dir, e));
	TRY(lock_dir(p, mem, e));
	*left = find_left(p, mem);
	return OK;
}

static enum err make_owned(const struct pg_place *p, const char *path, struct error *e)
{
	TRY(file_mkdirs(path, e));
	if (chmod(path, 0700) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "setting the mode of %s", path);
	if (p->switch_user && chown(path, p->uid, p->gid) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "giving %s to the user of PostgreSQL", path);
	return OK;
}

/* Under /tmp what does not work in dir: data the user cannot reach, a socket path too long. */
static enum err choose(struct pg_place *p, struct arena *mem, struct error *e)
{
	bool reach = !p->switch_user || can_reach(p->dir, p->uid, p->gid);
	bool fits = strlen(p->dir) + strlen("/run" SOCKET_NAME) <= SOCKET_PATH_MAX;

	if (!reach || !fits)
		TRY(make_tmp(&p->own_tmp, mem, e));
	p->data = arena_fmt(mem, "%s/data", reach ? p->dir : p->own_tmp).p;
	p->socket = arena_fmt(mem, "%s/run", reach && fits ? p->dir : p->own_tmp).p;
	p->log = arena_fmt(mem, "%s/log", p->dir).p;
	if (p->own_tmp == NULL)
		return OK;
	return file_write_atomic(arena_fmt(mem, "%s/" LEFT_FILE, p->dir).p, str_of(p->own_tmp), e);
}

enum err pg_place_make(struct pg_place *p, bool keep_data, struct arena *mem, struct error *e)
{
	TRY(choose(p, mem, e));
	if (!keep_data)
		TRY(file_remove_tree(p->data, e));
	TRY(make_owned(p, p->data, e));
	return make_owned(p, p->socket, e);
}

bool pg_place_is_tmp(const struct pg_place *p)
{
	return p->own_tmp != NULL && p->data != NULL &&
		str_starts(str_of(p->data), str_of(p->own_tmp));
}

static void remove_under(const char *dir, const char *name)
{
	struct arena mem = {0};
	struct error ignored = {.kind = OK};
	/* What cannot be removed is found and removed by the next start in this directory. */
	enum err rc = file_remove_tree(arena_fmt(&mem, "%s/%s", dir, name).p, &ignored);

	(void)rc;
	arena_free(&mem);
}

void pg_place_leave(struct pg_place *p, bool remove_data)
{
	if (p->own_tmp != NULL) {
		remove_under(p->own_tmp, "");
		remove_under(p->dir, LEFT_FILE);
	}
	if (p->dir != NULL && p->lock_fd >= 0) {
		remove_under(p->dir, "run");
		if (remove_data) {
			remove_under(p->dir, "data");
			remove_under(p->dir, "log");
			remove_under(p->dir, "lock");
		}
		close(p->lock_fd);
	}
	if (p->dir != NULL && remove_data)
		rmdir(p->dir); /* stays when the caller keeps other things in it */
	p->lock_fd = -1;
	p->own_tmp = NULL;
}

struct process_options pg_place_process(const struct pg_place *p, char *const *argv, int fd)
{
	return (struct process_options){
		.argv = argv,
		.cwd = "/", /* ours may be closed to the server's user */
		.out_fd = fd,
		.err_fd = fd,
		.uid = p->uid,
		.gid = p->gid,
		.switch_user = p->switch_user,
		.die_with_parent = true,
	};
}
