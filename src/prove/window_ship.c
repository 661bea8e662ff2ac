#include "window_ship.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failpoint.h"
#include "file.h"
#include "mem.h"
#include "window_file.h"
#include "window_manifest.h"

#define PART    ((uint64_t)64 << 20)
#define KEY_MAX 512
#define PREFIX  "windows/"
#define OBJECTS "objects"

struct shipping {
	const char *name;
	struct store *store;
	const struct env *env;
	struct window_info *w;
	struct window_shipped *out;
	char dir[WINDOW_PATH];
	struct buf part;
};

static struct str part_key(char out[KEY_MAX], const char *sha256, uint64_t part)
{
	snprintf(out, KEY_MAX, PREFIX OBJECTS "/%s/%06" PRIu64, sha256, part);
	return str_of(out);
}

static struct str manifest_key(char out[KEY_MAX], const char *name)
{
	snprintf(out, KEY_MAX, PREFIX "%s/" WINDOW_MANIFEST, name);
	return str_of(out);
}

/* An empty file is one empty part. */
static uint64_t parts_of(const struct window_file *f)
{
	return f->bytes == 0 ? 1 : (f->bytes + PART - 1) / PART;
}

static uint64_t part_bytes(const struct window_file *f, uint64_t part)
{
	uint64_t left = f->bytes - part * PART;

	return left < PART ? left : PART;
}

/* The store's prefix for parts would be taken for a window of that name. */
static enum err check_name(const char *doing, const char *name, struct error *e)
{
	size_t n = strlen(name);

	if (n > 0 && n <= 128 && name[0] != '.' && strchr(name, '/') == NULL &&
		strcmp(name, OBJECTS) != 0)
		return OK;
	return FAIL(e, ERR_USAGE,
		"%s the window \"%s\": that is no name of a window in a store; see: sluice window "
		"list",
		doing, name);
}

/* ---- pushing ---- */

static enum err read_part(
	struct shipping *s, const struct window_file *f, uint64_t part, FILE *in, struct error *e)
{
	size_t n = (size_t)part_bytes(f, part);
	char *to = NULL;

	buf_reset(&s->part);
	TRY(buf_room(&s->part, n, &to, e));
	if (fread(to, 1, n, in) != n)
		return FAIL_ERRNO(e, ERR_FAILED, "reading %s/%.*s", s->dir, STR_ARG(f->path));
	buf_took(&s->part, n);
	return OK;
}

static enum err push_file(struct shipping *s, const struct window_file *f, struct error *e)
{
	char path[WINDOW_PATH + 64], key[KEY_MAX];
	enum err rc = OK;

	snprintf(path, sizeof path, "%s/%.*s", s->dir, STR_ARG(f->path));
	FILE *in = fopen(path, "rbe");
	if (in == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s", path);
	for (uint64_t part = 0; rc == OK && part < parts_of(f); part++) {
		rc = env_check(s->env, e);
		if (rc == OK)
			rc = read_part(s, f, part, in, e);
		if (rc == OK)
			rc = store_put(s->store, part_key(key, f->sha256, part), buf_str(&s->part),
				STORE_IF_ABSENT, NULL, NULL, e);
		if (rc == OK)
			s->out->moved += s->part.n;
		/* Named by its content: it is there already. */
		if (rc == ERR_CONFLICT) {
			error_clear(e);
			rc = OK;
		}
		if (rc == OK)
			rc = failpoint_hit(s->env, "window.push", e);
	}
	fclose(in);
	return rc;
}

/* What the store has under the name, before anything is sent: nothing, this window, or another. */
static enum err look_at_store(struct shipping *s, struct str mine, struct error *e)
{
	char key[KEY_MAX];
	struct buf theirs;

	buf_init(&theirs, BUF_MAX_DEFAULT);
	enum err rc = store_get(s->store, manifest_key(key, s->name), &theirs, NULL, e);
	s->out->there = rc == OK && str_eq(mine, buf_str(&theirs));
	if (rc == OK && !s->out->there)
		rc = FAIL(e, ERR_CONFLICT,
			"the store has another window of that name; record under another --name");
	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		rc = OK;
	}
	buf_free(&theirs);
	return rc;
}

/* Objects that the store lacks are sent even when the manifest is there. The manifest comes last,
 * so that whoever sees it finds everything that it names. */
static enum err push_all(struct shipping *s, struct error *e)
{
	char path[WINDOW_PATH + 64], key[KEY_MAX];
	struct buf mine;

	snprintf(path, sizeof path, "%s/" WINDOW_MANIFEST, s->dir);
	buf_init(&mine, BUF_MAX_DEFAULT);
	enum err rc = file_read(path, &mine, e);
	if (rc == OK)
		rc = look_at_store(s, buf_str(&mine), e);
	for (size_t i = 0; rc == OK && i < s->w->nfiles; i++)
		rc = push_file(s, &s->w->files[i], e);
	if (rc == OK && !s->out->there)
		rc = store_put(s->store, manifest_key(key, s->name), buf_str(&mine),
			STORE_IF_ABSENT, NULL, NULL, e);
	/* Somebody was faster. */
	if (rc == ERR_CONFLICT && !s->out->there) {
		error_clear(e);
		rc = look_at_store(s, buf_str(&mine), e);
	}
	buf_free(&mine);
	return rc;
}

static void count(struct shipping *s)
{
	s->out->files = s->w->nfiles + 1;
	s->out->bytes = s->w->bytes;
}

enum err window_push(const char *windows, const char *name, struct store *store,
	const struct env *env, struct window_shipped *out, struct error *e)
{
	struct window_info w = {.name = STR_NONE};
	struct shipping s = {.name = name, .store = store, .env = env, .w = &w, .out = out};

	*out = (struct window_shipped){.files = 0};
	TRY(check_name("pushing", name, e));
	snprintf(s.dir, sizeof s.dir, "%s/%s", windows, name);
	buf_init(&s.part, PART + 1);
	enum err rc = window_verify(s.dir, env, &w, e);
	if (rc == OK)
		rc = push_all(&s, e);
	count(&s);
	buf_free(&s.part);
	window_info_free(&w);
	return rc == OK ? OK : error_wrap(e, "pushing the window %s", name);
}

/* ---- fetching ---- */

static enum err fetch_part(
	struct shipping *s, const struct window_file *f, uint64_t part, FILE *to, struct error *e)
{
	char key[KEY_MAX];
	struct str k = part_key(key, f->sha256, part);

	TRY(env_check(s->env, e));
	buf_reset(&s->part);
	enum err rc = store_get(s->store, k, &s->part, NULL, e);
	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		return FAIL(e, ERR_CHECK,
			"the object %s is missing in the store: push the window again where it was "
			"recorded",
			key);
	}
	if (rc != OK)
		return rc;
	if (s->part.n != part_bytes(f, part))
		return FAIL(e, ERR_CHECK,
			"the object %s has %zu bytes, not %" PRIu64
			": take it out of the store and push the window again where it was "
			"recorded",
			key, s->part.n, part_bytes(f, part));
	if (fwrite(s->part.p, 1, s->part.n, to) != s->part.n)
		return FAIL_ERRNO(e, ERR_FAILED, "writing %s/%.*s", s->dir, STR_ARG(f->path));
	s->out->moved += s->part.n;
	return failpoint_hit(s->env, "window.fetch", e);
}

static enum err make_parent(char *path, struct error *e)
{
	char *slash = strrchr(path, '/');

	*slash = '\0';
	enum err rc = file_mkdirs(path, e);
	*slash = '/';
	return rc;
}

static enum err fetch_file(struct shipping *s, const struct window_file *f, struct error *e)
{
	char path[WINDOW_PATH + 64];
	enum err rc = OK;

	snprintf(path, sizeof path, "%s/%.*s", s->dir, STR_ARG(f->path));
	TRY(make_parent(path, e));
	FILE *to = fopen(path, "wbxe");
	if (to == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "creating %s", path);
	for (uint64_t part = 0; rc == OK && part < parts_of(f); part++)
		rc = fetch_part(s, f, part, to, e);
	if (rc == OK && (fflush(to) != 0 || fsync(fileno(to)) != 0))
		rc = FAIL_ERRNO(e, ERR_FAILED, "writing %s to disk", path);
	fclose(to);
	if (rc != OK)
		return rc;
	/* Named here by its object, since the file goes when it is not right. */
	rc = window_file_check(s->dir, f, e);
	return rc == OK ? OK
			: error_wrap(e,
				  "the object " PREFIX OBJECTS "/%s in the store is not what its "
				  "name says",
				  f->sha256);
}

static enum err fetch_manifest(struct shipping *s, struct error *e)
{
	char key[KEY_MAX], path[WINDOW_PATH + 64];
	struct buf text;

	snprintf(path, sizeof path, "%s/" WINDOW_MANIFEST, s->dir);
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = store_get(s->store, manifest_key(key, s->name), &text, NULL, e);
	if (rc == ERR_NOT_FOUND) {
		error_clear(e);
		rc = FAIL(e, ERR_NOT_FOUND,
			"the store has no such window; see: sluice window list --store");
	}
	if (rc == OK)
		rc = window_manifest_parse(key, buf_str(&text), s->w, e);
	if (rc == OK)
		rc = file_mkdirs(s->dir, e);
	if (rc == OK)
		rc = file_write_atomic(path, buf_str(&text), e);
	buf_free(&text);
	return rc;
}

/* Whole under another name first: what stands under its name has been verified. */
static enum err fetch_all(
	struct shipping *s, const char *final, const char *windows, struct error *e)
{
	TRY(file_remove_tree(s->dir, e));
	TRY(fetch_manifest(s, e));
	for (size_t i = 0; i < s->w->nfiles; i++)
		TRY(fetch_file(s, &s->w->files[i], e));
	window_info_free(s->w);
	TRY(window_verify(s->dir, s->env, s->w, e));
	count(s);
	TRY(failpoint_hit(s->env, "window.fetched", e));
	if (rename(s->dir, final) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "renaming %s to %s", s->dir, final);
	return file_fsync_dir(windows, e);
}

enum err window_fetch(const char *windows, const char *name, struct store *store,
	const struct env *env, struct window_info *info, struct window_shipped *out,
	struct error *e)
{
	struct shipping s = {.name = name, .store = store, .env = env, .w = info, .out = out};
	struct error ignored = {.kind = OK};
	char final[WINDOW_PATH];

	*out = (struct window_shipped){.files = 0};
	*info = (struct window_info){.name = STR_NONE};
	TRY(check_name("fetching", name, e));
	snprintf(final, sizeof final, "%s/%s", windows, name);
	snprintf(s.dir, sizeof s.dir, "%s/.%s.fetching", windows, name);
	if (file_exists(final))
		return FAIL(e, ERR_CONFLICT,
			"fetching the window %s: %s exists already; remove that directory first",
			name, final);
	buf_init(&s.part, PART + 1);
	enum err rc = fetch_all(&s, final, windows, e);
	buf_free(&s.part);
	if (rc == OK)
		return OK;
	IGNORE(file_remove_tree(s.dir, &ignored));
	window_info_free(info);
	return error_wrap(e, "fetching the window %s", name);
}

/* ---- listing ---- */

struct names {
	struct arena mem;
	const char **list;
	size_t n, cap;
};

static enum err take_name(void *arg, struct str key, size_t bytes, struct error *e)
{
	const struct str tail = STR("/" WINDOW_MANIFEST);
	struct names *l = arg;
	struct str rest = str_from(key, strlen(PREFIX));

	(void)bytes;
	(void)e;
	if (rest.n <= tail.n || !str_eq(str_from(rest, rest.n - tail.n), tail))
		return OK;
	rest.n -= tail.n;
	if (memchr(rest.p, '/', rest.n) != NULL)
		return OK;
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 16;
		l->list = mem_realloc_array(l->list, l->cap, sizeof *l->list);
	}
	l->list[l->n++] = arena_cstr(&l->mem, rest);
	return OK;
}

static enum err list_one(
	struct store *store, const char *name, window_list_fn *fn, void *arg, struct error *e)
{
	char key[KEY_MAX];
	struct buf text;
	struct error why = {.kind = OK};
	struct window_info w = {.name = STR_NONE};

	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = store_get(store, manifest_key(key, name), &text, NULL, &why);
	if (rc == OK)
		rc = window_manifest_parse(key, buf_str(&text), &w, &why);
	enum err said = fn(arg, name, rc == OK ? &w : NULL, &why, e);
	window_info_free(&w);
	buf_free(&text);
	return said;
}

enum err window_list_store(struct store *store, window_list_fn *fn, void *arg, struct error *e)
{
	struct names l = {.n = 0};
	enum err rc = store_list(store, STR(PREFIX), take_name, &l, e);

	for (size_t i = 0; rc == OK && i < l.n; i++)
		rc = list_one(store, l.list[i], fn, arg, e);
	mem_free(l.list);
	arena_free(&l.mem);
	return rc;
}
