#include "copy_rows.h"

#include <endian.h>
#include <string.h>

#include "guard.h"
#include "pg_value.h"
#include "reader.h"

#define NULL_LENGTH UINT32_MAX
#define TRAILER     UINT16_MAX
#define ROW_MAX     ((size_t)1 << 31)

/* Signature, flags, length of the header's extension. */
#define SIGNATURE "PGCOPY\n\377\r\n"

/* True when the values of a column point into the bytes they came from. */
static bool points(enum type_kind kind)
{
	return kind == T_TEXT || kind == T_JSON || kind == T_BYTES;
}

static bool any_points(const struct batch *b)
{
	for (size_t i = 0; i < b->table->ncolumns; i++)
		if (points(b->cols[i].type.kind))
			return true;
	return false;
}

void copy_rows_init(struct copy_rows *c, struct batch *b)
{
	*c = (struct copy_rows){.batch = b, .points = any_points(b)};
	buf_init(&c->carry, ROW_MAX);
}

void copy_rows_free(struct copy_rows *c)
{
	buf_free(&c->carry);
}

static enum err damaged(const struct copy_rows *c, const char *what, struct error *e)
{
	const struct table *t = c->batch->table;

	return FAIL(e, ERR_INPUT, "copying %.*s.%.*s: %s; the stream is damaged",
		STR_ARG(t->schema), STR_ARG(t->name), what);
}

/* The bytes of the header, or 0 when it is not whole yet. */
static enum err header_length(
	const struct copy_rows *c, struct str bytes, size_t *n, struct error *e)
{
	struct reader r = reader_of(bytes);
	struct str signature = read_bytes(&r, sizeof SIGNATURE); /* its NUL belongs to it */
	uint32_t flags = read_be32(&r);
	uint32_t extension = read_be32(&r);

	*n = 0;
	if (r.bad)
		return OK;
	if (memcmp(signature.p, SIGNATURE, sizeof SIGNATURE) != 0)
		return damaged(c, "it does not begin as a binary COPY does", e);
	if (flags != 0 || extension > 1 << 20)
		return damaged(c, "its header has flags or an extension that are not known", e);
	if (extension <= reader_left(&r))
		*n = bytes.n - reader_left(&r) + extension;
	return OK;
}

static inline uint16_t load16(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return be16toh(v);
}

static inline uint32_t load32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

/* The bytes of the row (or trailer) at the front, or 0 when it is not whole yet. */
static enum err row_length(const struct copy_rows *c, struct str bytes, size_t *n, struct error *e)
{
	size_t at = 2;

	*n = 0;
	if (bytes.n < at)
		return OK;
	uint16_t fields = load16(bytes.p);
	if (fields == TRAILER) {
		*n = at;
		return OK;
	}
	if (fields != c->batch->table->ncolumns)
		return damaged(c, "a row has another number of fields than the table", e);
	for (uint16_t i = 0; i < fields; i++) {
		if (bytes.n - at < 4)
			return OK;
		uint32_t length = load32(bytes.p + at);
		at += 4;
		if (length == NULL_LENGTH)
			continue;
		if (length > INT32_MAX)
			return damaged(c, "a field has a negative length", e);
		if (bytes.n - at < length)
			return OK;
		at += length;
	}
	*n = at;
	return OK;
}

/* The value that may be kept, in the batch's memory. */
static enum err add_guarded(
	struct copy_rows *c, size_t row, size_t col, struct str text, struct error *e)
{
	struct batch *b = c->batch;
	struct buf kept;

	buf_init(&kept, ROW_MAX);
	guard_value(b->table->columns[col].guard, text, &kept);
	enum err rc = buf_ok(&kept)
		? pg_value_text(b, row, col, arena_str(&b->mem, buf_str(&kept)), e)
		: damaged(c, "a value is too long to be masked", e);
	buf_free(&kept);
	return rc;
}

/* One row, known to be whole; its bytes are copied once when a value points into them. */
static enum err add_row(struct copy_rows *c, struct str bytes, struct error *e)
{
	struct batch *b = c->batch;
	size_t ncolumns = b->table->ncolumns, row = batch_add(b);

	if (c->points) {
		char *kept = batch_room(b, bytes.n);
		memcpy(kept, bytes.p, bytes.n);
		bytes.p = kept;
	}
	const char *at = bytes.p + 2;
	b->op[row] = OP_SNAPSHOT;
	for (size_t i = 0; i < ncolumns; i++) {
		uint32_t length = load32(at);
		at += 4;
		if (length == NULL_LENGTH)
			continue;
		struct str bytes_of = {at, length};
		enum err rc = b->table->columns[i].guard != NULL
			? add_guarded(c, row, i, bytes_of, e)
			: pg_value_binary(b, row, i, bytes_of, e);
		if (rc != OK) {
			batch_unadd(b);
			return rc;
		}
		at += length;
	}
	return OK;
}

/* Takes what stands whole at the front: the header, a row, the trailer. *n is 0 for none. */
static enum err take(struct copy_rows *c, struct str bytes, size_t *n, struct error *e)
{
	if (c->ended) {
		*n = 0;
		return bytes.n > 0 ? damaged(c, "bytes follow its end", e) : OK;
	}
	if (!c->started) {
		TRY(header_length(c, bytes, n, e));
		c->started = *n > 0;
		return OK;
	}
	TRY(row_length(c, bytes, n, e));
	if (*n == 0)
		return OK;
	if ((uint8_t)bytes.p[0] == 0xff && (uint8_t)bytes.p[1] == 0xff) {
		c->ended = true;
		return OK;
	}
	return add_row(c, (struct str){bytes.p, *n}, e);
}

/* Takes what is whole from the front of *bytes, until the batch is full. */
static enum err take_all(struct copy_rows *c, struct str *bytes, size_t most, struct error *e)
{
	size_t n = 1;

	while (n > 0 && bytes->n > 0 && c->batch->rows < most) {
		TRY(take(c, *bytes, &n, e));
		*bytes = (struct str){bytes->p + n, bytes->n - n};
	}
	return OK;
}

enum err copy_rows_feed(struct copy_rows *c, struct str *piece, size_t most, struct error *e)
{
	if (c->carry.n > 0) {
		TRY(buf_add(&c->carry, *piece, e));
		*piece = STR_NONE;
		struct str rest = buf_str(&c->carry);
		TRY(take_all(c, &rest, most, e));
		buf_drop_front(&c->carry, c->carry.n - rest.n);
		return OK;
	}
	TRY(take_all(c, piece, most, e));
	if (c->batch->rows >= most)
		return OK; /* the caller holds on to the rest, and gives it again */
	enum err rc = buf_add(&c->carry, *piece, e);
	*piece = STR_NONE;
	return rc;
}

enum err copy_rows_finish(const struct copy_rows *c, struct error *e)
{
	if (!c->ended || c->carry.n > 0)
		return damaged(c, "it ends before its trailer", e);
	return OK;
}
