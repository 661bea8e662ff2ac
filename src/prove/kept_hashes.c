#include "kept_hashes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "enc.h"
#include "file.h"
#include "mem.h"

#define MAGIC      UINT64_C(0x31736873656b6c73) /* changes with the layout */
#define BUCKET_FOR 128                          /* rows of a bucket, about */
#define TAIL_MOST  ((size_t)16 << 20) /* beyond it the file is not used: 400,000 changes */

/* As they stand in the file, in this machine's byte order: it is read where it was written. */
struct head {
	uint64_t magic, rows, bits; /* 2^bits buckets */
	struct digest sum;
	uint64_t buckets_check, check; /* of the list of buckets; of what is before it here */
};
struct bucket {
	uint32_t first, check; /* place of its first row; checksum of its rows */
};
struct kept_row {
	uint64_t key; /* the low half: the bucket has the rest of it */
	struct rowhash row;
};
struct piece {
	uint64_t magic, n;
	struct digest sum;
	uint64_t check; /* of its changes and of what is before it here */
};

/* ---- rows while they are read ---- */

void hash_rows_add(
	struct hash_rows *h, const struct rowhash *keys, const struct rowhash *rows, size_t n)
{
	if (h->over)
		return;
	if (h->n + n > HASH_ROWS_MOST) {
		hash_rows_free(h);
		h->over = true;
		return;
	}
	if (h->n + n > h->cap) {
		h->cap = h->cap * 2 + n + 4096;
		h->list = mem_realloc_array(h->list, h->cap, sizeof *h->list);
	}
	for (size_t i = 0; i < n; i++)
		h->list[h->n++] = (struct hash_row){.key = keys[i], .row = rows[i]};
}

void hash_rows_free(struct hash_rows *h)
{
	mem_free(h->list);
	*h = (struct hash_rows){.n = 0};
}

/* ---- writing ---- */

struct str kept_hashes_path(
	struct str dir, struct str table, uint32_t number, uint32_t of, struct arena *mem)
{
	char hex[65];

	enc_sha256(table, hex);
	return arena_fmt(mem, "%.*s/%.16s-%u-of-%u.hashes", STR_ARG(dir), hex, number, of);
}

static size_t bucket_of_key(struct rowhash key, uint64_t bits)
{
	return bits == 0 ? 0 : (size_t)(key.hi >> (64 - bits));
}

static uint64_t bits_for(size_t rows)
{
	uint64_t bits = 0;

	while ((rows >> bits) > BUCKET_FOR)
		bits++;
	return bits;
}

static uint64_t head_check(const struct head *h)
{
	return XXH3_64bits(h, offsetof(struct head, check));
}

static uint64_t piece_check(const struct piece *p, const struct kept_change *list)
{
	return XXH3_64bits_withSeed(
		list, p->n * sizeof *list, XXH3_64bits(p, offsetof(struct piece, check)));
}

/* Sorts the rows by bucket into `out`, and fills the list of buckets, which has one more. */
static void sort_rows(
	const struct hash_rows *rows, uint64_t bits, struct bucket *buckets, struct kept_row *out)
{
	size_t n = (size_t)1 << bits;
	uint32_t *at = mem_zalloc((n + 1) * sizeof *at);

	for (size_t i = 0; i < rows->n; i++)
		at[bucket_of_key(rows->list[i].key, bits) + 1]++;
	for (size_t b = 0; b < n; b++) {
		at[b + 1] += at[b];
		buckets[b].first = at[b];
	}
	buckets[n] = (struct bucket){.first = (uint32_t)rows->n};
	for (size_t i = 0; i < rows->n; i++) {
		const struct hash_row *r = &rows->list[i];

		out[at[bucket_of_key(r->key, bits)]++] = (struct kept_row){
			.key = r->key.lo, .row = r->row};
	}
	for (size_t b = 0; b < n; b++) {
		size_t first = buckets[b].first, end = buckets[b + 1].first;

		buckets[b].check = (uint32_t)XXH3_64bits(out + first, (end - first) * sizeof *out);
	}
	mem_free(at);
}

static enum err write_all(const char *path, const struct head *head, const struct bucket *buckets,
	const struct kept_row *rows, struct error *e)
{
	struct arena mem = {0};
	const char *tmp = arena_fmt(&mem, "%s.tmp-%ld", path, (long)gettid()).p;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	enum err rc = OK;

	if (fd < 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "keeping the hashes of a range: creating %s", tmp);
	if (rc == OK)
		rc = file_write_all(fd, head, sizeof *head, tmp, e);
	if (rc == OK)
		rc = file_write_all(
			fd, buckets, (((size_t)1 << head->bits) + 1) * sizeof *buckets, tmp, e);
	if (rc == OK)
		rc = file_write_all(fd, rows, head->rows * sizeof *rows, tmp, e);
	if (fd >= 0 && close(fd) != 0 && rc == OK)
		rc = FAIL_ERRNO(e, ERR_FAILED, "keeping the hashes of a range: closing %s", tmp);
	if (rc == OK && rename(tmp, path) != 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "keeping the hashes of a range: renaming %s", tmp);
	if (rc != OK && fd >= 0)
		(void)unlink(tmp); /* what could not be written is of no use; it was said why */
	arena_free(&mem);
	return rc;
}

static enum err make_directory(const char *path, struct error *e)
{
	const char *slash = strrchr(path, '/');
	struct arena mem = {0};
	enum err rc = OK;

	if (slash != NULL && slash > path)
		rc = file_mkdirs(arena_cstr(&mem, str_make(path, (size_t)(slash - path))), e);
	arena_free(&mem);
	return rc;
}

enum err kept_hashes_write(
	const char *path, const struct hash_rows *rows, const struct digest *sum, struct error *e)
{
	struct head head = {
		.magic = MAGIC, .rows = rows->n, .bits = bits_for(rows->n), .sum = *sum};
	size_t n = ((size_t)1 << head.bits) + 1;

	if (rows->over || rows->n != sum->rows)
		return OK;
	TRY(make_directory(path, e));
	struct bucket *buckets = mem_zalloc(n * sizeof *buckets);
	struct kept_row *sorted = mem_array(rows->n + 1, sizeof *sorted);
	sort_rows(rows, head.bits, buckets, sorted);
	head.buckets_check = XXH3_64bits(buckets, n * sizeof *buckets);
	head.check = head_check(&head);
	enum err rc = write_all(path, &head, buckets, sorted, e);
	mem_free(buckets);
	mem_free(sorted);
	return rc;
}

/* ---- reading ---- */

struct kept_hashes {
	char *path;
	int fd;
	struct head head;
	struct bucket *buckets;
	struct kept_row *rows; /* of one bucket */
	size_t cap;
	struct kept_change *changes; /* the newest of each key, open addressing; alive 2: free */
	size_t slots, nchanges;
	off_t end; /* of what speaks for the digest: what follows is written over */
};

#define FREE UINT64_C(2)

void kept_hashes_close(struct kept_hashes *k)
{
	if (k == NULL)
		return;
	if (k->fd >= 0)
		(void)close(k->fd); /* nothing is synced: nothing is promised */
	mem_free(k->buckets);
	mem_free(k->rows);
	mem_free(k->changes);
	mem_free(k->path);
	mem_free(k);
}

/* *whole is false where the file ends before. */
static enum err read_at(
	const struct kept_hashes *k, void *out, size_t n, off_t at, bool *whole, struct error *e)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(k->fd, (char *)out + done, n - done, at + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return FAIL_ERRNO(e, ERR_FAILED, "reading %s", k->path);
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*whole = done == n;
	return OK;
}

static off_t rows_at(const struct kept_hashes *k)
{
	size_t n = ((size_t)1 << k->head.bits) + 1;

	return (off_t)(sizeof k->head + n * sizeof *k->buckets);
}

static enum err damaged(const struct kept_hashes *k, struct error *e)
{
	return FAIL(e, ERR_INPUT,
		"reading %s: it is damaged; it can be removed, and is made again by the next "
		"reconciliation",
		k->path);
}

static enum err read_head(struct kept_hashes *k, struct error *e)
{
	bool whole = false;

	TRY(read_at(k, &k->head, sizeof k->head, 0, &whole, e));
	if (!whole || k->head.magic != MAGIC || k->head.check != head_check(&k->head) ||
		k->head.bits > 32 || k->head.rows > HASH_ROWS_MOST)
		return damaged(k, e);
	size_t n = ((size_t)1 << k->head.bits) + 1;
	k->buckets = mem_array(n, sizeof *k->buckets);
	TRY(read_at(k, k->buckets, n * sizeof *k->buckets, sizeof k->head, &whole, e));
	if (!whole || XXH3_64bits(k->buckets, n * sizeof *k->buckets) != k->head.buckets_check)
		return damaged(k, e);
	k->end = rows_at(k) + (off_t)(k->head.rows * sizeof *k->rows);
	return OK;
}

static struct kept_change *change_slot(const struct kept_hashes *k, struct rowhash key)
{
	size_t i = (size_t)key.lo & (k->slots - 1);

	while (k->changes[i].alive != FREE &&
		(k->changes[i].key.lo != key.lo || k->changes[i].key.hi != key.hi))
		i = (i + 1) & (k->slots - 1);
	return &k->changes[i];
}

static void grow_changes(struct kept_hashes *k)
{
	struct kept_change *old = k->changes;
	size_t n = k->slots;

	k->slots = n > 0 ? n * 2 : 1024;
	k->changes = mem_array(k->slots, sizeof *k->changes);
	for (size_t i = 0; i < k->slots; i++)
		k->changes[i].alive = FREE;
	for (size_t i = 0; i < n; i++)
		if (old[i].alive != FREE)
			*change_slot(k, old[i].key) = old[i];
	mem_free(old);
}

static void note_changes(struct kept_hashes *k, const struct kept_change *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (2 * (k->nchanges + 1) > k->slots)
			grow_changes(k);
		struct kept_change *to = change_slot(k, list[i].key);
		k->nchanges += to->alive == FREE;
		*to = list[i];
	}
}

/* The pieces up to the one that speaks for the digest. */
static bool read_pieces(struct kept_hashes *k, const struct digest *sum, const char *p, size_t n)
{
	const char *from = p;
	off_t start = k->end;

	while (!digest_eq(&k->head.sum, sum)) {
		struct piece piece;

		if (n < sizeof piece)
			return false;
		memcpy(&piece, p, sizeof piece);
		const struct kept_change *list = (const void *)(p + sizeof piece);
		if (piece.magic != MAGIC || piece.n > (n - sizeof piece) / sizeof *list ||
			piece_check(&piece, list) != piece.check)
			return false;
		note_changes(k, list, piece.n);
		k->head.sum = piece.sum;
		p += sizeof piece + piece.n * sizeof *list;
		n -= sizeof piece + piece.n * sizeof *list;
		k->end = start + (p - from);
	}
	return true;
}

static enum err read_tail(
	struct kept_hashes *k, const struct digest *sum, bool *speaks, struct error *e)
{
	struct stat st;
	bool whole = false;

	if (fstat(k->fd, &st) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "reading %s", k->path);
	if (st.st_size < k->end)
		return damaged(k, e);
	size_t n = (size_t)(st.st_size - k->end);
	if (n > TAIL_MOST)
		return OK;
	char *tail = mem_alloc(n + 1);
	enum err rc = read_at(k, tail, n, k->end, &whole, e);
	*speaks = rc == OK && whole && read_pieces(k, sum, tail, n);
	mem_free(tail);
	return rc;
}

enum err kept_hashes_open(
	const char *path, const struct digest *sum, struct kept_hashes **out, struct error *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool speaks = false;

	*out = NULL;
	if (fd < 0 && errno == ENOENT)
		return OK;
	if (fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s", path);
	struct kept_hashes *k = mem_zalloc(sizeof *k);
	k->path = mem_strdup(path);
	k->fd = fd;
	enum err rc = read_head(k, e);
	if (rc == OK)
		rc = read_tail(k, sum, &speaks, e);
	if (rc == OK && speaks) {
		*out = k;
		return OK;
	}
	kept_hashes_close(k);
	return rc;
}

static enum err read_bucket(
	struct kept_hashes *k, const struct bucket *b, size_t n, struct error *e)
{
	bool whole = false;

	if (n > k->cap) {
		k->cap = n;
		k->rows = mem_realloc_array(k->rows, n, sizeof *k->rows);
	}
	TRY(read_at(k, k->rows, n * sizeof *k->rows,
		rows_at(k) + (off_t)(b->first * sizeof *k->rows), &whole, e));
	if (!whole || (uint32_t)XXH3_64bits(k->rows, n * sizeof *k->rows) != b->check)
		return damaged(k, e);
	return OK;
}

enum err kept_hashes_find(struct kept_hashes *k, struct rowhash key, bool *found,
	struct rowhash *row, struct error *e)
{
	const struct kept_change *c = k->slots > 0 ? change_slot(k, key) : NULL;
	const struct bucket *b = &k->buckets[bucket_of_key(key, k->head.bits)];
	size_t n = b[1].first - b[0].first, times = 0;

	if (c != NULL && c->alive != FREE) {
		*found = c->alive == 1;
		*row = c->row;
		return OK;
	}
	if (n > 0)
		TRY(read_bucket(k, b, n, e));
	for (size_t i = 0; i < n; i++)
		if (k->rows[i].key == key.lo) {
			*row = k->rows[i].row;
			times++;
		}
	*found = times == 1;
	if (times > 1)
		return FAIL(e, ERR_INPUT, "reading %s: two keys look alike in it", k->path);
	return OK;
}

enum err kept_hashes_append(struct kept_hashes *k, const struct kept_change *list, size_t n,
	const struct digest *sum, struct error *e)
{
	struct piece piece = {.magic = MAGIC, .n = n, .sum = *sum};
	char *text = mem_alloc(sizeof piece + n * sizeof *list);

	piece.check = piece_check(&piece, list);
	memcpy(text, &piece, sizeof piece);
	if (n > 0)
		memcpy(text + sizeof piece, list, n * sizeof *list);
	enum err rc = OK;
	if (ftruncate(k->fd, k->end) != 0 || lseek(k->fd, k->end, SEEK_SET) < 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "adding to %s", k->path);
	if (rc == OK)
		rc = file_write_all(k->fd, text, sizeof piece + n * sizeof *list, k->path, e);
	mem_free(text);
	return rc;
}
