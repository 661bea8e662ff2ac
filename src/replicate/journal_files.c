#include "journal_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "file.h"
#include "mem.h"

#define LIST_TRIES 10
#define ZSTD_LEVEL 1 /* it must keep up with capture on the same machine */

void segment_path(char out[SEGMENT_PATH], const char *dir, uint64_t number, enum segment_form form)
{
	static const char *const endings[] = {".seg", ".seg.zst", ".seg.tmp"};

	snprintf(out, SEGMENT_PATH, "%s/%016" PRIu64 "%s", dir, number, endings[form]);
}

struct segment_bytes {
	int fd;
	char path[SEGMENT_PATH];
	ZSTD_DStream *z; /* NULL for the raw form */
	char *in;
	ZSTD_inBuffer input;
	size_t frame_left; /* what ZSTD_decompressStream said last; 0 between frames */
};

void segment_bytes_close(struct segment_bytes *b)
{
	if (b == NULL)
		return;
	ZSTD_freeDStream(b->z);
	mem_free(b->in);
	close(b->fd);
	mem_free(b);
}

const char *segment_bytes_path(const struct segment_bytes *b)
{
	return b->path;
}

enum err segment_bytes_open(
	struct segment_bytes **out, const char *dir, uint64_t number, bool *raw, struct error *e)
{
	/* The compressor may put one form in place of the other between two looks. */
	static const enum segment_form order[] = {SEGMENT_RAW, SEGMENT_ZST, SEGMENT_RAW};
	char path[SEGMENT_PATH];

	for (size_t i = 0; i < 3; i++) {
		segment_path(path, dir, number, order[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return FAIL_ERRNO(e, ERR_FAILED, "opening the journal segment %s", path);
		struct segment_bytes *b = mem_zalloc(sizeof(*b));
		b->fd = fd;
		memcpy(b->path, path, sizeof(b->path));
		*raw = order[i] == SEGMENT_RAW;
		if (!*raw) {
			b->z = ZSTD_createDStream();
			b->in = mem_alloc(ZSTD_DStreamInSize());
			b->input.src = b->in;
		}
		*out = b;
		return OK;
	}
	return FAIL(
		e, ERR_NOT_FOUND, "there is no journal segment %016" PRIu64 " in %s", number, dir);
}

static enum err read_some(
	struct segment_bytes *b, char *into, size_t n, size_t *got, struct error *e)
{
	ssize_t k;

	do {
		k = read(b->fd, into, n);
	} while (k < 0 && errno == EINTR);
	if (k < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "reading the journal segment %s", b->path);
	*got = (size_t)k;
	return OK;
}

enum err segment_bytes_read(
	struct segment_bytes *b, char *into, size_t n, size_t *got, struct error *e)
{
	if (b->z == NULL)
		return read_some(b, into, n, got, e);
	ZSTD_outBuffer output = {into, n, 0};
	while (output.pos == 0) {
		if (b->input.pos == b->input.size) {
			TRY(read_some(b, b->in, ZSTD_DStreamInSize(), &b->input.size, e));
			b->input.pos = 0;
			if (b->input.size == 0)
				break;
		}
		b->frame_left = ZSTD_decompressStream(b->z, &output, &b->input);
		if (ZSTD_isError(b->frame_left))
			return FAIL(e, ERR_CHECK,
				"reading the journal segment %s: it is damaged (%s); restore it "
				"from "
				"a copy, or resynchronise the tables",
				b->path, ZSTD_getErrorName(b->frame_left));
	}
	if (output.pos == 0 && b->frame_left != 0)
		return FAIL(e, ERR_CHECK,
			"reading the journal segment %s: it is cut short; restore it from a copy, "
			"or resynchronise the tables",
			b->path);
	*got = output.pos;
	return OK;
}

/* ---- listing ---- */

struct listing {
	const char *dir;
	struct segment_list *out;
	size_t cap;
	uint64_t missing; /* the first number that is not there; 0: none */
};

static bool parse_name(const char *name, uint64_t *number, enum segment_form *form)
{
	struct str s = str_of(name);

	if (s.n < 16 || !str_to_u64((struct str){s.p, 16}, number) || *number == 0)
		return false;
	struct str ending = str_from(s, 16);
	*form = str_eqc(ending, ".seg") ? SEGMENT_RAW : SEGMENT_ZST;
	return str_eqc(ending, ".seg") || str_eqc(ending, ".seg.zst");
}

/* Whichever form stands there by now: the compressor may be at work. */
static bool look_at(const char *dir, struct segment_file *f)
{
	static const enum segment_form order[] = {SEGMENT_RAW, SEGMENT_ZST};
	char path[SEGMENT_PATH];
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		segment_path(path, dir, f->number, order[i]);
		if (stat(path, &st) != 0)
			continue;
		f->form = order[i];
		f->bytes = (uint64_t)st.st_size;
		f->changed_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
		return true;
	}
	return false;
}

static enum err list_one(void *arg, const char *name, struct error *e)
{
	struct listing *l = arg;
	struct segment_list *out = l->out;
	struct segment_file f = {0};

	(void)e;
	if (!parse_name(name, &f.number, &f.form) || !look_at(l->dir, &f))
		return OK;
	/* Names come sorted, ".seg" before ".seg.zst": a second form of one number is leftover. */
	if (out->n > 0 && out->items[out->n - 1].number == f.number)
		return OK;
	if (out->n > 0 && out->items[out->n - 1].number + 1 != f.number && l->missing == 0)
		l->missing = out->items[out->n - 1].number + 1;
	if (out->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : l->cap * 2;
		out->items = mem_realloc_array(out->items, l->cap, sizeof(f));
	}
	out->items[out->n++] = f;
	return OK;
}

/* A segment that changes its name while the directory is read may be seen under neither: look
 * again before saying that it is missing. */
static enum err list_names(const char *dir, struct segment_list *out, struct error *e)
{
	struct listing l = {.missing = 1};

	for (unsigned tries = 0; tries < LIST_TRIES && l.missing != 0; tries++) {
		segment_list_free(out);
		l = (struct listing){.dir = dir, .out = out};
		TRY(file_list(dir, list_one, &l, e));
	}
	if (l.missing == 0)
		return OK;
	return FAIL(e, ERR_CHECK,
		"reading the journal %s: segment %016" PRIu64
		" is missing; restore it, or remove the "
		"directory and resynchronise the tables",
		dir, l.missing);
}

/* Reads until n bytes stand in `into`; *wrong when the segment has fewer. */
static enum err read_exactly(
	struct segment_bytes *b, char *into, size_t n, const char **wrong, struct error *e)
{
	size_t have = 0, got = 1;

	while (have < n && got > 0) {
		TRY(segment_bytes_read(b, into + have, n - have, &got, e));
		have += got;
	}
	if (have < n)
		*wrong = "the header is cut short";
	return OK;
}

static enum err read_header(struct segment_bytes *b, struct segment_head *h, struct error *e)
{
	const char *wrong = NULL;
	char fixed[SEGMENT_FIXED];

	TRY(read_exactly(b, fixed, sizeof(fixed), &wrong, e));
	uint32_t length = wrong == NULL ? segment_head_length(fixed) : 0;
	if (length == 0)
		wrong = "it does not begin with a header";
	if (wrong == NULL) {
		char *all = mem_alloc(length);
		memcpy(all, fixed, sizeof(fixed));
		enum err rc = read_exactly(
			b, all + sizeof(fixed), length - sizeof(fixed), &wrong, e);
		if (rc == OK && wrong == NULL)
			wrong = segment_head_read((struct str){all, length}, h);
		mem_free(all);
		if (rc != OK)
			return rc;
	}
	if (wrong == NULL)
		return OK;
	return FAIL(e, ERR_CHECK,
		"reading the journal segment %s: damaged at byte 0: %s; restore it from a copy, or "
		"resynchronise the tables",
		segment_bytes_path(b), wrong);
}

static enum err read_first(const char *dir, struct segment_file *f, struct error *e)
{
	struct segment_bytes *b = NULL;
	struct segment_head h;
	bool raw;

	TRY(segment_bytes_open(&b, dir, f->number, &raw, e));
	enum err rc = read_header(b, &h, e);
	if (rc == OK)
		f->first = h.first;
	segment_bytes_close(b);
	return rc;
}

/* The oldest ones may be dropped while we look. */
static void forget_first(struct segment_list *l, size_t n)
{
	memmove(l->items, l->items + n, (l->n - n) * sizeof(*l->items));
	l->n -= n;
}

enum err segment_list_read(const char *dir, struct segment_list *out, struct error *e)
{
	*out = (struct segment_list){0};
	enum err rc = list_names(dir, out, e);
	for (size_t i = 0; rc == OK && i < out->n; i++) {
		rc = read_first(dir, &out->items[i], e);
		if (rc != ERR_NOT_FOUND)
			continue;
		error_clear(e);
		rc = OK;
		forget_first(out, i + 1);
		i = SIZE_MAX; /* begin again */
	}
	if (rc != OK)
		segment_list_free(out);
	return rc;
}

void segment_list_free(struct segment_list *l)
{
	mem_free(l->items);
	*l = (struct segment_list){0};
}

/* ---- compressing ---- */

static enum err compress_into(struct segment_bytes *from, int fd, const char *path, struct error *e)
{
	ZSTD_CStream *z = ZSTD_createCStream();
	size_t nin = ZSTD_CStreamInSize(), nout = ZSTD_CStreamOutSize(), got = 1;
	char *in = mem_alloc(nin), *out = mem_alloc(nout);
	enum err rc = OK;

	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	while (rc == OK && got > 0) {
		rc = segment_bytes_read(from, in, nin, &got, e);
		ZSTD_inBuffer input = {in, got, 0};
		ZSTD_EndDirective how = got > 0 ? ZSTD_e_continue : ZSTD_e_end;
		size_t left = 1;
		while (rc == OK && (how == ZSTD_e_end ? left > 0 : input.pos < input.size)) {
			ZSTD_outBuffer output = {out, nout, 0};
			left = ZSTD_compressStream2(z, &output, &input, how);
			if (ZSTD_isError(left))
				rc = FAIL(e, ERR_BUG, "compressing %s: %s", path,
					ZSTD_getErrorName(left));
			else
				rc = file_write_all(fd, out, output.pos, path, e);
		}
	}
	if (rc == OK && fsync(fd) != 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "syncing %s", path);
	mem_free(in);
	mem_free(out);
	ZSTD_freeCStream(z);
	return rc;
}

static enum err replace_raw(const char *dir, uint64_t number, struct error *e)
{
	char raw[SEGMENT_PATH], zst[SEGMENT_PATH], tmp[SEGMENT_PATH];

	segment_path(raw, dir, number, SEGMENT_RAW);
	segment_path(zst, dir, number, SEGMENT_ZST);
	segment_path(tmp, dir, number, SEGMENT_TMP);
	if (rename(tmp, zst) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "renaming %s", tmp);
	TRY(file_fsync_dir(dir, e));
	if (unlink(raw) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "removing %s", raw);
	return OK;
}

enum err segment_compress(const char *dir, uint64_t number, struct error *e)
{
	char tmp[SEGMENT_PATH];
	struct segment_bytes *from = NULL;
	bool raw = false;

	segment_path(tmp, dir, number, SEGMENT_TMP);
	TRY(segment_bytes_open(&from, dir, number, &raw, e));
	if (!raw) {
		segment_bytes_close(from);
		return OK;
	}
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	enum err rc = fd < 0 ? FAIL_ERRNO(e, ERR_FAILED, "creating %s", tmp)
			     : compress_into(from, fd, tmp, e);
	if (fd >= 0)
		close(fd);
	segment_bytes_close(from);
	if (rc == OK)
		rc = replace_raw(dir, number, e);
	if (rc != OK)
		unlink(tmp);
	return rc;
}
