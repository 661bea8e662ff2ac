#include "window_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crc32c.h"
#include "file.h"
#include "mem.h"

#define REMEDY "restore the window from a copy, or record it anew"

/* ---- reading by blocks ---- */

typedef enum err block_fn(
	void *arg, uint64_t at, const char *p, size_t n, bool *more, struct error *e);

static enum err each_block(const char *path, block_fn *fn, void *arg, struct error *e)
{
	FILE *in = fopen(path, "rbe");
	bool more = true;
	uint64_t at = 0;
	enum err rc = OK;

	if (in == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s", path);
	char *block = mem_alloc(WINDOW_BLOCK);
	while (rc == OK && more) {
		size_t n = fread(block, 1, WINDOW_BLOCK, in);
		if (n == 0)
			break;
		rc = fn(arg, at, block, n, &more, e);
		at += n;
	}
	if (rc == OK && ferror(in))
		rc = FAIL_ERRNO(e, ERR_FAILED, "reading %s", path);
	fclose(in);
	mem_free(block);
	return rc;
}

static void full_path(char out[WINDOW_PATH], const char *dir, struct str path)
{
	snprintf(out, WINDOW_PATH, "%s/%.*s", dir, STR_ARG(path));
}

/* ---- summing ---- */

static enum err sum_block(
	void *arg, uint64_t at, const char *p, size_t n, bool *more, struct error *e)
{
	(void)at;
	(void)more;
	return buf_addf(arg, e, "%08x", crc32c(0, p, n));
}

enum err window_file_sum(const char *dir, struct arena *mem, struct window_file *f, struct error *e)
{
	char path[WINDOW_PATH];
	struct stat st;
	struct buf blocks;

	full_path(path, dir, f->path);
	if (stat(path, &st) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "looking at %s", path);
	f->bytes = (uint64_t)st.st_size;
	TRY(enc_sha256_file(path, f->sha256, e));
	buf_init(&blocks, BUF_MAX_DEFAULT);
	enum err rc = each_block(path, sum_block, &blocks, e);
	if (rc == OK)
		f->blocks = arena_str(mem, buf_str(&blocks));
	buf_free(&blocks);
	return rc;
}

/* ---- finding damage ---- */

/* The effect of one more zero byte on a difference between two checksums. */
static uint32_t shifted(uint32_t difference)
{
	static const char zero[1] = {0};

	/* crc32c() inverts before and after; a difference must not be. */
	return ~crc32c(~difference, zero, 1);
}

int64_t window_flipped_byte(const char *p, size_t n, uint32_t was)
{
	uint32_t want = was ^ crc32c(0, p, n), effect[8];

	for (unsigned bit = 0; bit < 8; bit++) {
		char one = (char)(1U << bit), none = 0;
		effect[bit] = crc32c(0, &one, 1) ^ crc32c(0, &none, 1);
	}
	for (size_t at = n; at-- > 0;)
		for (unsigned bit = 0; bit < 8; bit++) {
			if (effect[bit] == want)
				return (int64_t)at;
			effect[bit] = shifted(effect[bit]);
		}
	return -1;
}

struct finding {
	const struct window_file *f;
	bool found;
	uint64_t from, to; /* damaged bytes, the last one included */
};

static bool recorded_crc(const struct window_file *f, uint64_t at, uint32_t *out)
{
	size_t k = (size_t)(at / WINDOW_BLOCK) * 8;
	uint8_t raw[4];

	if (k + 8 > f->blocks.n || !enc_unhex(str_make(f->blocks.p + k, 8), raw))
		return false;
	*out = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
	return true;
}

static enum err look_at_block(
	void *arg, uint64_t at, const char *p, size_t n, bool *more, struct error *e)
{
	struct finding *x = arg;
	uint64_t left = at < x->f->bytes ? x->f->bytes - at : 0;
	size_t had = left < WINDOW_BLOCK ? (size_t)left : WINDOW_BLOCK;
	uint32_t was;

	(void)e;
	x->from = at;
	x->to = at + n - 1;
	if (had == 0 || !recorded_crc(x->f, at, &was)) {
		x->from = at > x->f->bytes ? at : x->f->bytes;
	} else if (n >= had && was == crc32c(0, p, had)) {
		if (n == had)
			return OK;
		/* It goes on after its end. */
		x->from = at + had;
	} else if (n >= had) {
		int64_t byte = window_flipped_byte(p, had, was);
		if (byte >= 0)
			x->from = x->to = at + (uint64_t)byte;
	}
	x->found = true;
	*more = false;
	return OK;
}

static enum err damaged(
	const char *dir, const struct window_file *f, uint64_t bytes, struct error *e)
{
	struct finding x = {.f = f};
	char path[WINDOW_PATH];

	full_path(path, dir, f->path);
	TRY(each_block(path, look_at_block, &x, e));
	if (!x.found && bytes == f->bytes)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte 0: its SHA-256 is not the one "
			"recorded, though its blocks are: it was made to look so; " REMEDY,
			path);
	if (!x.found)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte %" PRIu64 ": it ends there, but had %" PRIu64
			" bytes; " REMEDY,
			path, bytes, f->bytes);
	if (bytes != f->bytes)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte %" PRIu64 " or after: it has %" PRIu64
			" bytes, but had %" PRIu64 "; " REMEDY,
			path, x.from, bytes, f->bytes);
	if (x.from == x.to)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte %" PRIu64 ": one bit of it has flipped; " REMEDY, path,
			x.from);
	return FAIL(e, ERR_CHECK,
		"%s: damaged between byte %" PRIu64 " and byte %" PRIu64 "; " REMEDY, path, x.from,
		x.to);
}

enum err window_file_check(const char *dir, const struct window_file *f, struct error *e)
{
	char path[WINDOW_PATH], sha256[ENC_SHA256_TEXT];
	struct stat st;

	full_path(path, dir, f->path);
	if (stat(path, &st) != 0)
		return errno == ENOENT
			? FAIL(e, ERR_CHECK,
				  "%s: missing from byte 0 on; it had %" PRIu64 " bytes; " REMEDY,
				  path, f->bytes)
			: FAIL_ERRNO(e, ERR_FAILED, "looking at %s", path);
	TRY(enc_sha256_file(path, sha256, e));
	if ((uint64_t)st.st_size == f->bytes && strcmp(sha256, f->sha256) == 0)
		return OK;
	return damaged(dir, f, (uint64_t)st.st_size, e);
}

/* ---- which files there are ---- */

struct walk {
	const char *dir;
	struct str below; /* "" or "journal/" */
	struct arena *mem;
	struct window_file *files;
	size_t n, cap;
};

static enum err walk_name(void *arg, const char *name, struct error *e);

static enum err walk_below(struct walk *w, struct str below, struct error *e)
{
	struct str outer = w->below;
	char path[WINDOW_PATH];

	full_path(path, w->dir, below);
	w->below = below;
	enum err rc = file_list(path, walk_name, w, e);
	w->below = outer;
	return rc;
}

static enum err walk_name(void *arg, const char *name, struct error *e)
{
	struct walk *w = arg;
	struct str within = arena_fmt(w->mem, "%.*s%s", STR_ARG(w->below), name);
	char path[WINDOW_PATH];
	struct stat st;

	if (str_eqc(within, WINDOW_MANIFEST))
		return OK;
	full_path(path, w->dir, within);
	if (lstat(path, &st) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "looking at %s", path);
	if (S_ISDIR(st.st_mode))
		return walk_below(w, arena_fmt(w->mem, "%.*s/", STR_ARG(within)), e);
	if (w->n == w->cap) {
		w->cap = w->cap > 0 ? w->cap * 2 : 32;
		w->files = mem_realloc_array(w->files, w->cap, sizeof *w->files);
	}
	w->files[w->n++] = (struct window_file){.path = within};
	return OK;
}

enum err window_files(
	const char *dir, struct arena *mem, struct window_file **out, size_t *n, struct error *e)
{
	struct walk w = {.dir = dir, .mem = mem};
	enum err rc = walk_below(&w, STR_NONE, e);

	*n = w.n;
	*out = arena_array(mem, w.n + 1, sizeof **out);
	if (w.n > 0)
		memcpy(*out, w.files, w.n * sizeof **out);
	mem_free(w.files);
	return rc;
}
