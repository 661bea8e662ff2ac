#include "store_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "arena.h"
#include "file.h"
#include "mem.h"
#include "store_drivers.h"

struct found {
	struct str key;
	size_t bytes;
};

struct walk {
	struct arena mem;
	const char *root;
	struct str prefix;
	struct str dir; /* being read: "" or "a/b/" */
	struct found *found;
	size_t n, cap;
};

/* Could a key below this directory start with the prefix? */
static bool leads_to(struct str dir, struct str prefix)
{
	return dir.n < prefix.n ? str_starts(prefix, dir) : str_starts(dir, prefix);
}

static void keep(struct walk *w, struct str key, size_t bytes)
{
	if (w->n == w->cap) {
		w->cap = w->cap > 0 ? w->cap * 2 : 64;
		w->found = mem_realloc_array(w->found, w->cap, sizeof *w->found);
	}
	w->found[w->n++] = (struct found){key, bytes};
}

static enum err visit(void *arg, const char *name, struct error *e);

static enum err read_dir(struct walk *w, struct str dir, struct error *e)
{
	struct str outer = w->dir;
	const char *path = arena_fmt(&w->mem, "%s/%.*s", w->root, STR_ARG(dir)).p;

	w->dir = dir;
	enum err rc = file_list(path, visit, w, e);
	w->dir = outer;
	return rc;
}

static enum err visit(void *arg, const char *name, struct error *e)
{
	struct walk *w = arg;
	struct stat st;
	struct str key = arena_fmt(&w->mem, "%.*s%s", STR_ARG(w->dir), name);
	const char *path = arena_fmt(&w->mem, "%s/%s", w->root, key.p).p;

	if (str_eqc(key, STORE_PRIVATE))
		return OK;
	if (lstat(path, &st) != 0) {
		if (errno == ENOENT) /* removed meanwhile */
			return OK;
		return FAIL_ERRNO(e, ERR_FAILED, "listing the store at %s", path);
	}
	if (S_ISREG(st.st_mode) && str_starts(key, w->prefix))
		keep(w, key, (size_t)st.st_size);
	if (!S_ISDIR(st.st_mode))
		return OK;
	struct str below = arena_fmt(&w->mem, "%.*s/", STR_ARG(key));
	return leads_to(below, w->prefix) ? read_dir(w, below, e) : OK;
}

/* By name alone "a" stands before "a-b"; as keys "a-b" stands before "a/c". So sort whole keys. */
static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct found *)a)->key, ((const struct found *)b)->key);
}

enum err store_walk(
	const char *root, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	struct walk w = {.root = root, .prefix = prefix};
	enum err rc = read_dir(&w, STR(""), e);

	if (rc == OK && w.n > 1)
		qsort(w.found, w.n, sizeof *w.found, by_key);
	for (size_t i = 0; rc == OK && i < w.n; i++)
		rc = fn(arg, w.found[i].key, w.found[i].bytes, e);
	mem_free(w.found);
	arena_free(&w.mem);
	return rc;
}
