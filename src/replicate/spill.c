#include "spill.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "crc32c.h"
#include "failpoint.h"
#include "file.h"
#include "mem.h"

#define HEAD       20                  /* bytes before each payload */
#define WRITE_SIZE ((size_t)256 << 10) /* of one transaction, collected before a write */
#define READ_SIZE  ((size_t)256 << 10)
#define PATH_SIZE  4096

/* Undone sub-transactions: open addressing, 0 is no transaction's id. */
struct xids {
	uint32_t *slots;
	size_t n, cap;
};

struct spilled {
	uint32_t xid;
	struct buf tail;  /* records that are not in the file yet */
	uint64_t written; /* bytes in the file; 0: there is none */
	struct xids undone;
};

struct spill {
	const struct env *env;
	char *dir;
	size_t memory;
	struct spilled **items;
	size_t n, cap;
	struct spilled *block; /* NULL between blocks */
	size_t waiting;        /* bytes in all tails */
	uint64_t written;      /* bytes in all files */
};

/* ---- sets of ids ---- */

static size_t xids_slot(const struct xids *x, uint32_t xid)
{
	size_t at = (size_t)(xid * UINT32_C(2654435761)) & (x->cap - 1);

	while (x->slots[at] != 0 && x->slots[at] != xid)
		at = (at + 1) & (x->cap - 1);
	return at;
}

static void xids_grow(struct xids *x)
{
	struct xids old = *x;

	x->cap = old.cap == 0 ? 64 : old.cap * 2;
	x->slots = mem_array(x->cap, sizeof(*x->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i] != 0)
			x->slots[xids_slot(x, old.slots[i])] = old.slots[i];
	mem_free(old.slots);
}

static void xids_add(struct xids *x, uint32_t xid)
{
	if ((x->n + 1) * 2 > x->cap)
		xids_grow(x);
	uint32_t *slot = &x->slots[xids_slot(x, xid)];
	x->n += *slot == 0;
	*slot = xid;
}

static bool xids_has(const struct xids *x, uint32_t xid)
{
	return x->n > 0 && x->slots[xids_slot(x, xid)] == xid;
}

/* ---- the transactions ---- */

static void path_of(const struct spill *s, const struct spilled *t, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/%010" PRIu32 ".xact", s->dir, t->xid);
}

static struct spilled *find(const struct spill *s, uint32_t xid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i]->xid == xid)
			return s->items[i];
	return NULL;
}

static struct spilled *add(struct spill *s, uint32_t xid)
{
	struct spilled *t = mem_zalloc(sizeof(*t));

	t->xid = xid;
	buf_init(&t->tail, SIZE_MAX / 2);
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->items = mem_realloc_array(s->items, s->cap, sizeof(*s->items));
	}
	s->items[s->n++] = t;
	return t;
}

static enum err drop(struct spill *s, struct spilled *t, struct error *e)
{
	char path[PATH_SIZE];
	enum err rc = OK;

	path_of(s, t, path);
	if (t->written > 0 && unlink(path) != 0 && errno != ENOENT)
		rc = FAIL_ERRNO(e, ERR_FAILED, "removing the spill file %s", path);
	s->waiting -= t->tail.n;
	s->written -= t->written;
	if (s->block == t)
		s->block = NULL;
	size_t at = 0;
	while (s->items[at] != t)
		at++;
	s->items[at] = s->items[--s->n];
	buf_free(&t->tail);
	mem_free(t->undone.slots);
	mem_free(t);
	return rc;
}

/* A failure before anything of the transaction is in the journal: the session ends with it, and
 * whoever mends the disk gets the transaction again from the source. */
static enum err write_failed(const struct spill *s, struct error *e)
{
	return error_wrap(e,
		"keeping a transaction in progress in %s (nothing of it has been acknowledged; "
		"make room or mend the disk, then start again)",
		s->dir);
}

static enum err write_tail(struct spill *s, struct spilled *t, struct error *e)
{
	char path[PATH_SIZE];

	if (t->tail.n == 0)
		return OK;
	path_of(s, t, path);
	if (failpoint_hit(s->env, "spill.write", e) != OK)
		return write_failed(s, e);
	/* Opened for each write: there may be more transactions than descriptors. */
	int how = t->written == 0 ? O_TRUNC : O_APPEND;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);
	if (fd < 0) {
		(void)FAIL_ERRNO(e, ERR_FAILED, "opening %s", path);
		return write_failed(s, e);
	}
	enum err rc = file_write_all(fd, t->tail.p, t->tail.n, path, e);
	if (close(fd) != 0 && rc == OK)
		rc = FAIL_ERRNO(e, ERR_FAILED, "closing %s", path);
	if (rc != OK)
		return write_failed(s, e);
	t->written += t->tail.n;
	s->written += t->tail.n;
	s->waiting -= t->tail.n;
	/* Many transactions may be open: none keeps memory that it does not use. */
	buf_free(&t->tail);
	buf_init(&t->tail, SIZE_MAX / 2);
	return OK;
}

static enum err write_all(struct spill *s, struct error *e)
{
	for (size_t i = 0; i < s->n; i++)
		TRY(write_tail(s, s->items[i], e));
	return OK;
}

/* ---- opening ---- */

static enum err remove_one(void *arg, const char *name, struct error *e)
{
	const struct spill *s = arg;
	struct str rest = str_of(name);
	char path[PATH_SIZE];

	if (rest.n != 15 || !str_eqc(str_from(rest, 10), ".xact"))
		return OK;
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	if (unlink(path) != 0 && errno != ENOENT)
		return FAIL_ERRNO(e, ERR_FAILED, "removing the spill file %s", path);
	return OK;
}

enum err spill_open(
	struct spill **out, const char *dir, size_t memory, const struct env *env, struct error *e)
{
	*out = NULL;
	TRY(file_mkdirs(dir, e));
	struct spill *s = mem_zalloc(sizeof(*s));
	*s = (struct spill){.env = env, .dir = mem_strdup(dir), .memory = memory};
	/* What a killed process, or a write that failed half-way, has left. */
	enum err rc = file_list(s->dir, remove_one, s, e);
	if (rc != OK) {
		spill_close(s);
		return rc;
	}
	*out = s;
	return OK;
}

void spill_close(struct spill *s)
{
	struct error ignored = {0};

	if (s == NULL)
		return;
	/* What cannot be removed now is removed by the next start. */
	while (s->n > 0)
		(void)drop(s, s->items[s->n - 1], &ignored);
	mem_free(s->items);
	mem_free(s->dir);
	mem_free(s);
}

/* ---- taking ---- */

enum err spill_begin(struct spill *s, uint32_t xid, struct error *e)
{
	if (s->block != NULL || xid == 0)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a block of transaction %" PRIu32
			" begins inside another block; the stream is damaged",
			xid);
	s->block = find(s, xid);
	if (s->block == NULL)
		s->block = add(s, xid);
	return OK;
}

enum err spill_end(struct spill *s, struct error *e)
{
	if (s->block == NULL)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a block ends that has not begun; the "
			"stream is damaged");
	s->block = NULL;
	return OK;
}

bool spill_in_block(const struct spill *s)
{
	return s->block != NULL;
}

static void put32(char *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const char *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint32_t crc_of(const char *head, struct str payload)
{
	return crc32c(crc32c(0, head + 8, HEAD - 8), payload.p, payload.n);
}

enum err spill_add(struct spill *s, uint32_t subxid, lsn start, struct str payload, struct error *e)
{
	struct spilled *t = s->block;
	char head[HEAD];
	uint64_t at = htole64(start.v);

	if (t == NULL || payload.n == 0 || payload.n > INT32_MAX)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a change of %zu bytes outside a block; the "
			"stream is damaged",
			payload.n);
	put32(head, (uint32_t)payload.n);
	put32(head + 8, subxid);
	memcpy(head + 12, &at, sizeof(at));
	put32(head + 4, crc_of(head, payload));
	TRY(buf_add(&t->tail, str_make(head, sizeof(head)), e));
	TRY(buf_add(&t->tail, payload, e));
	s->waiting += sizeof(head) + payload.n;
	if (t->tail.n >= WRITE_SIZE)
		TRY(write_tail(s, t, e));
	return s->waiting > s->memory ? write_all(s, e) : OK;
}

enum err spill_abort(struct spill *s, uint32_t xid, uint32_t subxid, struct error *e)
{
	struct spilled *t = find(s, xid);

	if (t == NULL)
		return OK;
	if (subxid == xid)
		return drop(s, t, e);
	xids_add(&t->undone, subxid);
	return OK;
}

/* ---- giving back ---- */

struct replaying {
	const struct spill *s;
	const struct spilled *t;
	char path[PATH_SIZE];
	int fd; /* -1: nothing is in a file */
	struct buf bytes;
	size_t at;          /* in bytes: the next record */
	uint64_t from_file; /* bytes read */
	spill_fn *fn;
	void *arg;
};

static enum err damaged(const struct replaying *r, const char *wrong, struct error *e)
{
	return FAIL(e, ERR_FAILED,
		"reading the spill file %s: %s; nothing of its transaction has been acknowledged: "
		"mend the disk, then start again",
		r->path, wrong);
}

static enum err read_more(struct replaying *r, size_t want, struct error *e)
{
	char *to;
	ssize_t n;

	if (failpoint_hit(r->s->env, "spill.read", e) != OK)
		return error_wrap(e, "reading the spill file %s", r->path);
	TRY(buf_room(&r->bytes, want, &to, e));
	do {
		n = read(r->fd, to, want);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		(void)FAIL_ERRNO(e, ERR_FAILED, "read");
		return error_wrap(e, "reading the spill file %s", r->path);
	}
	if (n == 0)
		return damaged(r, "it is cut short", e);
	buf_took(&r->bytes, (size_t)n);
	r->from_file += (uint64_t)n;
	return OK;
}

/* Makes `want` bytes stand at r->at; false when nothing at all is left. */
static enum err load(struct replaying *r, size_t want, bool *there, struct error *e)
{
	size_t have = r->bytes.n - r->at;

	*there = have > 0 || r->from_file < r->t->written;
	if (have >= want || !*there)
		return OK;
	buf_drop_front(&r->bytes, r->at);
	r->at = 0;
	while (r->bytes.n < want) {
		uint64_t left = r->t->written - r->from_file;
		size_t more = want - r->bytes.n > READ_SIZE ? want - r->bytes.n : READ_SIZE;
		if (left == 0)
			return damaged(r, "a record is cut short", e);
		TRY(read_more(r, left < more ? (size_t)left : more, e));
	}
	return OK;
}

/* Descriptions count for the transactions that follow, whatever became of this one. */
static bool wanted(const struct spilled *t, uint32_t subxid, char kind)
{
	return kind == 'R' || kind == 'Y' || !xids_has(&t->undone, subxid);
}

static enum err hand_out(struct replaying *r, size_t *n, struct error *e)
{
	const char *head = r->bytes.p + r->at;
	struct str payload = {head + HEAD, get32(head)};
	uint64_t start;

	*n = HEAD + payload.n;
	if (get32(head + 4) != crc_of(head, payload))
		return damaged(r, "a record's checksum does not match", e);
	memcpy(&start, head + 12, sizeof(start));
	if (!wanted(r->t, get32(head + 8), payload.p[0]))
		return OK;
	return r->fn(r->arg, (lsn){le64toh(start)}, payload, e);
}

static enum err replay_bytes(struct replaying *r, struct error *e)
{
	bool there;

	for (;;) {
		TRY(load(r, HEAD, &there, e));
		if (!there)
			return OK;
		uint32_t length = get32(r->bytes.p + r->at);
		if (length == 0 || length > INT32_MAX)
			return damaged(r, "a record's length is impossible", e);
		TRY(load(r, HEAD + (size_t)length, &there, e));
		size_t n;
		TRY(hand_out(r, &n, e));
		r->at += n;
	}
}

static enum err replay_file(struct replaying *r, struct error *e)
{
	if (r->t->written == 0)
		return OK;
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening the spill file %s", r->path);
	buf_init(&r->bytes, SIZE_MAX / 2);
	enum err rc = replay_bytes(r, e);
	buf_free(&r->bytes);
	close(r->fd);
	return rc;
}

/* What has stayed in memory is read as if it were a file that has been read already. */
static enum err replay_tail(struct replaying *r, struct error *e)
{
	r->bytes = r->t->tail;
	r->at = 0;
	return replay_bytes(r, e);
}

enum err spill_replay(struct spill *s, uint32_t xid, spill_fn *fn, void *arg, struct error *e)
{
	struct spilled *t = find(s, xid);
	struct replaying r = {.s = s, .t = t, .fd = -1, .fn = fn, .arg = arg};

	if (t == NULL || s->block != NULL)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: transaction %" PRIu32
			" ends, but %s; the stream is damaged",
			xid, t == NULL ? "nothing of it was streamed" : "a block has not ended");
	path_of(s, t, r.path);
	TRY(replay_file(&r, e));
	TRY(replay_tail(&r, e));
	return drop(s, t, e);
}

size_t spill_transactions(const struct spill *s)
{
	return s->n;
}

uint64_t spill_bytes(const struct spill *s)
{
	return s->written + s->waiting;
}
