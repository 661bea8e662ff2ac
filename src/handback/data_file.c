#include "release_data.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "mem.h"

#define GZIP     (15 + 16) /* zlib's windowBits for a gzip wrapper */
#define FILE_MAX ((size_t)2 << 30)
#define PIECE    ((size_t)64 << 10)

struct data_writer {
	int64_t rows_per_file;
	data_file_fn *fn;
	void *arg;
	z_stream z;
	gz_header header; /* fixed, so that equal rows give equal bytes on every machine */
	bool open;
	int64_t rows;  /* in the open file */
	int64_t files; /* handed over */
	struct buf csv, gz;
};

struct data_writer *data_writer_new(int64_t rows_per_file, data_file_fn *fn, void *arg)
{
	assert(rows_per_file > 0);
	struct data_writer *w = mem_zalloc(sizeof *w);

	w->rows_per_file = rows_per_file;
	w->fn = fn;
	w->arg = arg;
	buf_init(&w->csv, 4 * PIECE);
	buf_init(&w->gz, FILE_MAX);
	return w;
}

void data_writer_free(struct data_writer *w)
{
	if (w == NULL)
		return;
	if (w->open)
		deflateEnd(&w->z);
	buf_free(&w->csv);
	buf_free(&w->gz);
	mem_free(w);
}

static enum err open_file(struct data_writer *w, struct error *e)
{
	memset(&w->z, 0, sizeof w->z);
	w->header = (gz_header){.time = 0, .os = 255};
	if (deflateInit2(&w->z, 6, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return FAIL(e, ERR_FAILED, "compressing a data file: zlib does not start");
	w->open = true;
	w->rows = 0;
	if (deflateSetHeader(&w->z, &w->header) != Z_OK)
		return FAIL(e, ERR_BUG, "compressing a data file: zlib refuses the header");
	buf_reset(&w->csv);
	buf_reset(&w->gz);
	buf_puts(&w->csv, DATA_HEADER "\n");
	return OK;
}

static enum err compress_csv(struct data_writer *w, int flush, struct error *e)
{
	int rc;

	w->z.next_in = (Bytef *)w->csv.p;
	w->z.avail_in = (uInt)w->csv.n;
	do {
		char *at = NULL;
		TRY(buf_room(&w->gz, PIECE, &at, e));
		w->z.next_out = (Bytef *)at;
		w->z.avail_out = (uInt)PIECE;
		rc = deflate(&w->z, flush);
		if (rc == Z_STREAM_ERROR)
			return FAIL(e, ERR_BUG, "compressing a data file: zlib lost its state");
		buf_took(&w->gz, PIECE - w->z.avail_out);
	} while (w->z.avail_out == 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
	buf_reset(&w->csv);
	return OK;
}

static enum err close_file(struct data_writer *w, struct error *e)
{
	TRY(compress_csv(w, Z_FINISH, e));
	deflateEnd(&w->z);
	w->open = false;
	struct data_file f = {.bytes = buf_str(&w->gz), .rows = w->rows};
	enc_sha256(f.bytes, f.sha256);
	w->files++;
	return w->fn(w->arg, &f, e);
}

static bool needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r')
			return true;
	return s.n == 0; /* "" is the empty text */
}

static void put_field(struct buf *b, struct str s)
{
	if (!needs_quotes(s)) {
		buf_put(b, s);
		return;
	}
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_putc(b, '"');
		buf_putc(b, s.p[i]);
	}
	buf_putc(b, '"');
}

enum err data_writer_add(struct data_writer *w, struct str key, double score, struct error *e)
{
	if (key.n > PIECE)
		return FAIL(
			e, ERR_INPUT, "writing a data file: a key of %zu bytes is too long", key.n);
	if (w->open && w->rows == w->rows_per_file)
		TRY(close_file(w, e));
	if (!w->open)
		TRY(open_file(w, e));
	put_field(&w->csv, key);
	buf_putc(&w->csv, ',');
	buf_put_f64(&w->csv, score);
	buf_putc(&w->csv, '\n');
	assert(buf_ok(&w->csv));
	w->rows++;
	return w->csv.n >= PIECE ? compress_csv(w, Z_NO_FLUSH, e) : OK;
}

enum err data_writer_finish(struct data_writer *w, struct error *e)
{
	if (!w->open && w->files > 0)
		return OK;
	if (!w->open)
		TRY(open_file(w, e));
	return close_file(w, e);
}

static enum err inflate_all(z_stream *z, struct buf *out, struct error *e)
{
	for (;;) {
		char *at = NULL;
		size_t room = out->max - out->n < PIECE ? out->max - out->n : PIECE;
		if (room == 0)
			return FAIL(e, ERR_INPUT, "it unpacks to more than %zu bytes", out->max);
		TRY(buf_room(out, room, &at, e));
		z->next_out = (Bytef *)at;
		z->avail_out = (uInt)room;
		int rc = inflate(z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END)
			return FAIL(e, ERR_INPUT, "it is no whole gzip file (%s)",
				z->msg != NULL ? z->msg : "it ends early");
		buf_took(out, room - z->avail_out);
		if (rc == Z_STREAM_END)
			break;
	}
	if (z->avail_in > 0)
		return FAIL(e, ERR_INPUT, "%u bytes follow the end of the gzip data", z->avail_in);
	return OK;
}

static enum err unpack(struct str gz, struct buf *out, struct error *e)
{
	z_stream z = {0};

	if (gz.n > UINT_MAX)
		return FAIL(e, ERR_INPUT, "it has %zu bytes, more than zlib takes at once", gz.n);
	if (inflateInit2(&z, GZIP) != Z_OK)
		return FAIL(e, ERR_FAILED, "zlib does not start");
	union {
		const char *in;
		Bytef *z; /* zlib's type lacks const; it does not write there */
	} from = {.in = gz.p};
	z.next_in = from.z;
	z.avail_in = (uInt)gz.n;
	enum err rc = inflate_all(&z, out, e);
	inflateEnd(&z);
	return rc;
}

static void keep_row(struct data_rows *r, struct str key, double score)
{
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? r->cap * 2 : 1024;
		r->keys = mem_realloc_array(r->keys, r->cap, sizeof *r->keys);
		r->scores = mem_realloc_array(r->scores, r->cap, sizeof *r->scores);
	}
	r->keys[r->n] = key;
	r->scores[r->n++] = score;
}

/* The length of a quoted field with both its quotes, or 0 when it has no end. */
static size_t quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] != '"')
			continue;
		if (i + 1 == s.n || s.p[i + 1] != '"')
			return i + 1;
		i++; /* a doubled quote stands for one */
	}
	return 0;
}

static bool take_quoted(struct str *rest, struct arena *mem, struct str *out)
{
	size_t length = quoted_length(*rest), n = 0;

	if (length == 0)
		return false;
	char *p = arena_alloc(mem, length);
	for (size_t i = 1; i + 1 < length; i++) {
		p[n++] = rest->p[i];
		if (rest->p[i] == '"')
			i++;
	}
	*out = str_make(p, n);
	*rest = str_from(*rest, length);
	return true;
}

static bool take_key(struct str *rest, struct arena *mem, struct str *key)
{
	if (rest->n > 0 && rest->p[0] == '"') {
		if (!take_quoted(rest, mem, key) || rest->n == 0 || rest->p[0] != ',')
			return false;
		*rest = str_from(*rest, 1);
		return true;
	}
	struct str line = *rest, text;
	if (!str_cut(&line, ',', &text) || memchr(text.p, '\n', text.n) != NULL)
		return false;
	*key = arena_str(mem, text);
	*rest = line;
	return true;
}

static enum err read_rows(struct data_rows *r, struct str csv, struct error *e)
{
	struct str header, key, text;
	size_t row = 0;

	if (!str_cut(&csv, '\n', &header))
		return FAIL(e, ERR_INPUT, "its first line has no end");
	r->foreign_headers += !str_eqc(header, DATA_HEADER);
	while (csv.n > 0) {
		double score = 0;
		row++;
		if (!take_key(&csv, &r->mem, &key) || !str_cut(&csv, '\n', &text))
			return FAIL(e, ERR_INPUT, "row %zu is no \"key,score\" line", row);
		if (memchr(text.p, ',', text.n) != NULL)
			return FAIL(e, ERR_INPUT, "row %zu has more than two fields", row);
		keep_row(r, key, str_to_double(text, &score) ? score : NAN);
	}
	return OK;
}

enum err data_rows_read(struct data_rows *r, struct str gz, size_t limit, struct error *e)
{
	struct buf csv;

	buf_init(&csv, limit);
	enum err rc = unpack(gz, &csv, e);
	if (rc == OK)
		rc = read_rows(r, buf_str(&csv), e);
	buf_free(&csv);
	return rc;
}

void data_rows_free(struct data_rows *r)
{
	arena_free(&r->mem);
	mem_free(r->keys);
	mem_free(r->scores);
	*r = (struct data_rows){0};
}
