#include "window_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "pg_value.h"
#include "reader.h"
#include "rows.h"

#define BATCH_ROWS  8192
#define BATCH_BYTES ((size_t)32 << 20)
#define ROW_MAX     ((size_t)1 << 31)
#define NULL_LENGTH UINT32_MAX

static const char magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'W', '1'};

static void finish_sum(const struct digest *d, struct window_sum *out)
{
	out->rows = d->rows;
	digest_format(d, out->digest);
}

/* ---- from the warehouse ---- */

struct writing {
	const struct subject *subject;
	FILE *out; /* NULL: the rows are only summed */
	const char *path;
	struct digest digest;
	struct buf row, value;
};

static void put_value(struct buf *row, struct str text)
{
	buf_put_be32(row, (uint32_t)text.n);
	buf_put(row, text);
}

static void put_values(struct writing *y, const struct row *r, const json_t *exact)
{
	const struct subject *s = y->subject;

	for (size_t c = 0; c < s->table->ncolumns; c++) {
		buf_reset(&y->value);
		if (!vec_is_null(&r->cols[c], r->at)) {
			type_print(&r->cols[c], r->at, &y->value);
			put_value(&y->row, buf_str(&y->value));
		} else if (exact != NULL && json_object_get(exact, s->names[c]) != NULL) {
			put_value(&y->row, json_get_str(exact, s->names[c]));
		} else
			buf_put_be32(&y->row, NULL_LENGTH);
	}
}

static enum err write_row(struct writing *y, const struct row *r, struct error *e)
{
	json_t *exact = NULL;
	uint8_t length[4];

	if (r->exact.n > 0)
		TRY(json_read(r->exact, "_exact", &exact, e));
	buf_reset(&y->row);
	put_values(y, r, exact);
	json_decref(exact);
	if (!buf_ok(&y->row) || !buf_ok(&y->value))
		return FAIL(e, ERR_INPUT, "writing %s: a row is larger than 2 GiB", y->path);
	for (size_t i = 0; i < 4; i++)
		length[i] = (uint8_t)(y->row.n >> (24 - 8 * i));
	if (fwrite(length, 1, 4, y->out) != 4 || fwrite(y->row.p, 1, y->row.n, y->out) != y->row.n)
		return FAIL_ERRNO(e, ERR_FAILED, "writing %s", y->path);
	return OK;
}

static enum err take_row(void *arg, const struct row *r, struct error *e)
{
	struct writing *y = arg;

	if (r->damaged)
		return FAIL(e, ERR_CHECK,
			"recording the rows of %.*s: the _exact of one is not what sluice writes: "
			"%.*s; reconcile and repair the table, then record",
			STR_ARG(y->subject->name), (int)(r->exact.n < 200 ? r->exact.n : 200),
			r->exact.p);
	digest_add(&y->digest, r->hash);
	return y->out != NULL ? write_row(y, r, e) : OK;
}

/* Every transaction that commits before `at`, whatever its id. */
static struct cut cut_before(lsn at)
{
	return (struct cut){
		.at = {at.v > 0 ? at.v - 1 : 0}, .xmin = UINT64_MAX, .xmax = UINT64_MAX};
}

static enum err read_rows(struct writing *y, struct warehouse *w, const struct table *t, lsn at,
	const struct env *env, struct window_sum *out, struct error *e)
{
	const struct cut cut = cut_before(at);
	const struct sides sides = {.replica = w, .cut = &cut, .env = env};
	struct arena mem = {0};
	struct subject subject;

	subject_of(t, &mem, &subject);
	subject.in_replica = true;
	y->subject = &subject;
	buf_init(&y->row, ROW_MAX);
	buf_init(&y->value, ROW_MAX);
	enum err rc = rows_read(&sides, &subject, SIDE_REPLICA, take_row, y, e);
	finish_sum(&y->digest, out);
	buf_free(&y->row);
	buf_free(&y->value);
	arena_free(&mem);
	return rc;
}

enum err window_sum_rows(struct warehouse *w, const struct table *t, lsn at, const struct env *env,
	struct window_sum *out, struct error *e)
{
	struct writing y = {.out = NULL};

	return read_rows(&y, w, t, at, env, out, e);
}

static enum err write_head(FILE *out, const struct table *t, const char *path, struct error *e)
{
	const uint8_t columns[4] = {0, 0, (uint8_t)(t->ncolumns >> 8), (uint8_t)t->ncolumns};

	if (fwrite(magic, 1, sizeof magic, out) != sizeof magic ||
		fwrite(columns, 1, sizeof columns, out) != sizeof columns)
		return FAIL_ERRNO(e, ERR_FAILED, "writing %s", path);
	return OK;
}

enum err window_state_write(struct warehouse *w, const struct table *t, lsn at, const char *path,
	const struct env *env, struct window_sum *out, struct error *e)
{
	struct writing y = {.path = path, .out = fopen(path, "wbxe")};

	if (y.out == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "creating %s", path);
	enum err rc = write_head(y.out, t, path, e);
	if (rc == OK)
		rc = read_rows(&y, w, t, at, env, out, e);
	if (rc == OK && (fflush(y.out) != 0 || fsync(fileno(y.out)) != 0))
		rc = FAIL_ERRNO(e, ERR_FAILED, "writing %s to disk", path);
	fclose(y.out);
	return rc;
}

/* ---- from the file ---- */

struct loading {
	const char *path;
	FILE *in;
	const struct env *env;
	uint64_t at; /* of the row in work */
	struct subject subject;
	struct batch *batch;
	size_t bytes; /* of the batch's texts */
	struct digest digest;
	window_batch_fn *fn;
	void *arg;
	struct buf scratch, exact;
	struct arena mem;
};

static enum err not_ours(const struct loading *l, const char *why, struct error *e)
{
	if (ferror(l->in))
		return FAIL_ERRNO(e, ERR_FAILED, "reading %s", l->path);
	return FAIL(e, ERR_CHECK,
		"%s: damaged at byte %" PRIu64 ": %s; restore the window from a copy, or record it "
		"anew",
		l->path, l->at, why);
}

static enum err sum_batch(struct loading *l, struct error *e)
{
	const struct subject *s = &l->subject;
	struct batch *b = l->batch;
	size_t notes = 0;

	for (size_t row = 0; row < b->rows; row++) {
		struct rowhash hash;
		buf_reset(&l->exact);
		bool noted = batch_exact_json(b, row, &notes, &l->exact);
		TRY(canon_row(b->cols, s->names, s->table->ncolumns, row,
			noted ? buf_str(&l->exact) : STR_NONE, &l->scratch, &hash, e));
		digest_add(&l->digest, hash);
	}
	return OK;
}

static enum err give_batch(struct loading *l, struct error *e)
{
	if (l->batch->rows == 0)
		return OK;
	TRY(env_check(l->env, e));
	TRY(sum_batch(l, e));
	if (l->fn != NULL)
		TRY(l->fn(l->arg, l->batch, e));
	batch_reset(l->batch);
	l->bytes = 0;
	return OK;
}

static enum err take_values(struct loading *l, struct str payload, struct error *e)
{
	struct reader r = reader_of(payload);
	size_t row = batch_add(l->batch);

	for (size_t c = 0; c < l->batch->table->ncolumns && !r.bad; c++) {
		uint32_t n = read_be32(&r);
		if (n == NULL_LENGTH)
			continue;
		struct str text = read_bytes(&r, n);
		if (!r.bad)
			TRY(pg_value_text(l->batch, row, c, text, e));
	}
	if (r.bad || reader_left(&r) > 0)
		return not_ours(l, "the row's values do not fill it", e);
	return OK;
}

/* *more is false at the end of the file. */
static enum err read_row(struct loading *l, uint64_t size, bool *more, struct error *e)
{
	uint8_t head[4];
	size_t got = fread(head, 1, sizeof head, l->in);
	struct reader r = reader_of(str_make(head, sizeof head));

	*more = got > 0;
	if (got == 0 && !ferror(l->in))
		return OK;
	if (got < sizeof head)
		return not_ours(l, "the row is cut short", e);
	uint32_t n = read_be32(&r);
	if (n > size - l->at - sizeof head)
		return not_ours(l, "the row ends after the file", e);
	char *payload = arena_alloc(&l->batch->mem, (size_t)n + 1);
	if (fread(payload, 1, n, l->in) != n)
		return not_ours(l, "the row is cut short", e);
	TRY(take_values(l, str_make(payload, n), e));
	l->at += sizeof head + n;
	l->bytes += n;
	if (l->batch->rows >= BATCH_ROWS || l->bytes >= BATCH_BYTES)
		return give_batch(l, e);
	return OK;
}

static enum err read_head(struct loading *l, uint64_t *size, struct error *e)
{
	char head[12];
	struct reader r = reader_of(str_make(head + 8, 4));

	if (fseek(l->in, 0, SEEK_END) != 0)
		return FAIL_ERRNO(e, ERR_FAILED, "reading %s", l->path);
	*size = (uint64_t)ftell(l->in);
	rewind(l->in);
	if (fread(head, 1, sizeof head, l->in) != sizeof head ||
		memcmp(head, magic, sizeof magic) != 0)
		return not_ours(l, "it does not begin as rows of a window do", e);
	if (read_be32(&r) != l->batch->table->ncolumns)
		return not_ours(l, "it is of a table with another number of columns", e);
	l->at = sizeof head;
	return OK;
}

static enum err read_all(struct loading *l, struct error *e)
{
	uint64_t size = 0;
	bool more = true;

	TRY(read_head(l, &size, e));
	while (more)
		TRY(read_row(l, size, &more, e));
	return give_batch(l, e);
}

enum err window_state_read(const char *path, const struct table *t, const struct env *env,
	window_batch_fn *fn, void *arg, struct window_sum *out, struct error *e)
{
	struct loading l = {
		.path = path, .in = fopen(path, "rbe"), .env = env, .fn = fn, .arg = arg};

	if (l.in == NULL)
		return FAIL_ERRNO(e, ERR_FAILED, "opening %s", path);
	subject_of(t, &l.mem, &l.subject);
	l.batch = batch_new(t);
	buf_init(&l.scratch, BUF_MAX_DEFAULT);
	buf_init(&l.exact, BUF_MAX_DEFAULT);
	enum err rc = read_all(&l, e);
	finish_sum(&l.digest, out);
	fclose(l.in);
	batch_free(l.batch);
	buf_free(&l.scratch);
	buf_free(&l.exact);
	arena_free(&l.mem);
	return rc;
}
