#include "window_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crc32c.h"
#include "file.h"
#include "json.h"
#include "marks.h"

#define CHECK_KEY ",\"crc32c\":\""
#define CHECK_LEN (sizeof(CHECK_KEY) - 1 + 8 + 2) /* ,"crc32c":"01234567"} */
#define REMEDY    "restore the window from a copy, or record it anew"

void window_info_free(struct window_info *w)
{
	arena_free(&w->mem);
	*w = (struct window_info){.name = STR_NONE};
}

void window_digest_all(
	const struct window_info *w, const struct window_sum *sums, char out[ENC_SHA256_TEXT])
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < w->ntables; i++)
		buf_putf(&b, "%.*s.%.*s %" PRIu64 " %s\n", STR_ARG(w->tables[i].schema),
			STR_ARG(w->tables[i].name), sums[i].rows, sums[i].digest);
	enc_sha256(buf_str(&b), out);
	buf_free(&b);
}

/* ---- writing ---- */

static void put_hex64(struct json_out *j, const char *key, uint64_t v)
{
	char text[20];

	snprintf(text, sizeof text, "%016" PRIx64, v);
	jo_cstr(j, key, text);
}

static void put_number(struct json_out *j, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, v);
	jo_cstr(j, key, text);
}

static void put_head(struct json_out *j, const struct window_info *w)
{
	char text[LSN_TEXT], when[CLOCK_TEXT];

	jo_i64(j, "window", WINDOW_FORMAT);
	jo_str(j, "name", w->name);
	jo_cstr(j, "recorded_at", clock_format(w->recorded_us, when, sizeof when));
	put_number(j, "system_id", w->system_id);
	jo_i64(j, "timeline", w->timeline);
	jo_str(j, "slot", w->slot);
	jo_str(j, "publication", w->publication);
	jo_cstr(j, "from", lsn_format(w->from, text));
	jo_cstr(j, "to", lsn_format(w->to, text));
	put_number(j, "xid", w->xid);
	jo_u64(j, "transactions", w->transactions);
	jo_u64(j, "messages", w->messages);
	jo_u64(j, "changes", w->changes);
	put_hex64(j, "chain", w->chain);
	jo_cstr(j, "start_digest", w->start_digest);
	jo_cstr(j, "end_digest", w->end_digest);
	jo_u64(j, "tables", w->ntables);
	jo_u64(j, "files", w->nfiles);
}

static void put_table(struct json_out *j, const struct window_table *t)
{
	jo_str(j, "schema", t->schema);
	jo_str(j, "table", t->name);
	jo_i64(j, "relid", t->relid);
	jo_str(j, "state", t->file);
	jo_u64(j, "start_rows", t->start.rows);
	jo_cstr(j, "start_digest", t->start.digest);
	jo_u64(j, "end_rows", t->end.rows);
	jo_cstr(j, "end_digest", t->end.digest);
	jo_u64(j, "inserts", t->inserts);
	jo_u64(j, "updates", t->updates);
	jo_u64(j, "deletes", t->deletes);
	jo_u64(j, "truncates", t->truncates);
	jo_str(j, "shape", t->shape);
	jo_str(j, "snapshot", t->snapshot);
}

static void put_file(struct json_out *j, const struct window_file *f)
{
	jo_str(j, "file", f->path);
	jo_u64(j, "bytes", f->bytes);
	jo_cstr(j, "sha256", f->sha256);
	jo_str(j, "blocks", f->blocks);
}

static void begin_line(struct json_out *j, struct buf *out)
{
	jo_init(j, out);
	jo_object(j, NULL);
}

/* `from` is where the line begins. */
static void end_line(struct buf *out, size_t from)
{
	buf_putf(out, CHECK_KEY "%08x\"}\n", crc32c(0, out->p + from, out->n - from));
}

static void put_lines(const struct window_info *w, struct buf *out)
{
	struct json_out j;
	size_t at = out->n;

	begin_line(&j, out);
	put_head(&j, w);
	end_line(out, at);
	for (size_t i = 0; i < w->ntables; i++) {
		at = out->n;
		begin_line(&j, out);
		put_table(&j, &w->tables[i]);
		end_line(out, at);
	}
	for (size_t i = 0; i < w->nfiles; i++) {
		at = out->n;
		begin_line(&j, out);
		put_file(&j, &w->files[i]);
		end_line(out, at);
	}
}

static void manifest_path(char out[WINDOW_PATH], const char *dir)
{
	snprintf(out, WINDOW_PATH, "%s/" WINDOW_MANIFEST, dir);
}

enum err window_manifest_write(const char *dir, struct window_info *w, struct error *e)
{
	char path[WINDOW_PATH];
	struct buf out;
	struct json_out j;

	buf_init(&out, BUF_MAX_DEFAULT);
	put_lines(w, &out);
	enc_sha256(buf_str(&out), w->sha256);
	size_t at = out.n;
	begin_line(&j, &out);
	jo_cstr(&j, "sha256", w->sha256);
	end_line(&out, at);
	manifest_path(path, dir);
	enum err rc = buf_ok(&out)
		? file_write_atomic(path, buf_str(&out), e)
		: FAIL(e, ERR_FAILED,
			  "writing %s: it is longer than 1 GiB; record a shorter window", path);
	buf_free(&out);
	return rc;
}

/* ---- reading: lines ---- */

struct lines {
	const char *path;
	struct str text, rest;
	size_t number, at; /* of the line read last */
};

static enum err bad_line(const struct lines *l, size_t n, const char *why, struct error *e)
{
	return FAIL(e, ERR_CHECK,
		"%s: damaged at byte %zu: line %zu (bytes %zu to %zu) %s; " REMEDY, l->path, l->at,
		l->number, l->at, l->at + n, why);
}

/* The next line as an object without its checksum; *out is NULL at the end. */
static enum err next_line(struct lines *l, json_t **out, struct error *e)
{
	struct str line;
	char want[9];

	*out = NULL;
	l->at = l->text.n - l->rest.n;
	l->number++;
	if (l->rest.n == 0)
		return OK;
	if (!str_cut(&l->rest, '\n', &line))
		return bad_line(l, l->rest.n, "is cut short", e);
	if (line.n < CHECK_LEN)
		return bad_line(l, line.n, "has no checksum", e);
	struct str body = {line.p, line.n - CHECK_LEN};
	snprintf(want, sizeof want, "%08x", crc32c(0, body.p, body.n));
	struct buf b;
	buf_init(&b, 64);
	buf_putf(&b, CHECK_KEY "%s\"}", want);
	bool same = str_eq(buf_str(&b), str_from(line, body.n));
	buf_free(&b);
	if (!same)
		return bad_line(l, line.n, "does not have the checksum that it names", e);
	struct error why = {.kind = OK};
	if (json_read(line, l->path, out, &why) != OK)
		return bad_line(l, line.n, "is not what sluice writes", e);
	return OK;
}

/* ---- reading: members ---- */

static enum err want_u64(const json_t *o, const char *key, uint64_t *out, struct error *e)
{
	int64_t v;

	TRY(json_want_i64(o, key, &v, e));
	if (v < 0)
		return FAIL(e, ERR_INPUT, "%s is negative", key);
	*out = (uint64_t)v;
	return OK;
}

static enum err want_number(const json_t *o, const char *key, uint64_t *out, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, key, &s, e));
	return str_to_u64(s, out) ? OK : FAIL(e, ERR_INPUT, "%s is not a number", key);
}

static enum err want_hex64(const json_t *o, const char *key, uint64_t *out, struct error *e)
{
	struct str s;
	uint8_t raw[8];

	TRY(json_want_str(o, key, &s, e));
	if (s.n != 16 || !enc_unhex(s, raw))
		return FAIL(e, ERR_INPUT, "%s is not 16 hex digits", key);
	*out = 0;
	for (size_t i = 0; i < 8; i++)
		*out = *out << 8 | raw[i];
	return OK;
}

static enum err want_lsn(const json_t *o, const char *key, lsn *out, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, key, &s, e));
	return lsn_parse(s, out) ? OK : FAIL(e, ERR_INPUT, "%s is not a position", key);
}

/* A text of at most n - 1 bytes. */
static enum err want_text(const json_t *o, const char *key, char *out, size_t n, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, key, &s, e));
	if (s.n >= n)
		return FAIL(e, ERR_INPUT, "%s is too long", key);
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return OK;
}

static enum err want_kept(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, key, &s, e));
	*out = arena_str(mem, s);
	return OK;
}

static enum err take_head(const json_t *o, struct window_info *w, struct error *e)
{
	int64_t format, timeline;
	struct str when;
	uint64_t tables, files;

	TRY(json_want_i64(o, "window", &format, e));
	if (format != WINDOW_FORMAT)
		return FAIL(e, ERR_INPUT,
			"its format is %" PRId64 ", and this sluice reads %d: use the sluice that "
			"recorded it",
			format, WINDOW_FORMAT);
	TRY(want_kept(o, "name", &w->mem, &w->name, e));
	TRY(json_want_str(o, "recorded_at", &when, e));
	if (!clock_parse(when, &w->recorded_us))
		return FAIL(e, ERR_INPUT, "recorded_at is not a time");
	TRY(want_number(o, "system_id", &w->system_id, e));
	TRY(json_want_i64(o, "timeline", &timeline, e));
	w->timeline = (uint32_t)timeline;
	TRY(want_kept(o, "slot", &w->mem, &w->slot, e));
	TRY(want_kept(o, "publication", &w->mem, &w->publication, e));
	TRY(want_lsn(o, "from", &w->from, e));
	TRY(want_lsn(o, "to", &w->to, e));
	TRY(want_number(o, "xid", &w->xid, e));
	TRY(want_u64(o, "transactions", &w->transactions, e));
	TRY(want_u64(o, "messages", &w->messages, e));
	TRY(want_u64(o, "changes", &w->changes, e));
	TRY(want_hex64(o, "chain", &w->chain, e));
	TRY(want_text(o, "start_digest", w->start_digest, sizeof w->start_digest, e));
	TRY(want_text(o, "end_digest", w->end_digest, sizeof w->end_digest, e));
	TRY(want_u64(o, "tables", &tables, e));
	TRY(want_u64(o, "files", &files, e));
	if (tables > UINT32_MAX || files > UINT32_MAX)
		return FAIL(e, ERR_INPUT, "it has too many tables or files");
	w->ntables = (size_t)tables;
	w->nfiles = (size_t)files;
	return OK;
}

static enum err take_table(
	const json_t *o, struct arena *mem, struct window_table *t, struct error *e)
{
	int64_t relid;

	TRY(want_kept(o, "schema", mem, &t->schema, e));
	TRY(want_kept(o, "table", mem, &t->name, e));
	TRY(json_want_i64(o, "relid", &relid, e));
	t->relid = (uint32_t)relid;
	TRY(want_kept(o, "state", mem, &t->file, e));
	TRY(want_u64(o, "start_rows", &t->start.rows, e));
	TRY(want_text(o, "start_digest", t->start.digest, sizeof t->start.digest, e));
	TRY(want_u64(o, "end_rows", &t->end.rows, e));
	TRY(want_text(o, "end_digest", t->end.digest, sizeof t->end.digest, e));
	TRY(want_u64(o, "inserts", &t->inserts, e));
	TRY(want_u64(o, "updates", &t->updates, e));
	TRY(want_u64(o, "deletes", &t->deletes, e));
	TRY(want_u64(o, "truncates", &t->truncates, e));
	TRY(want_kept(o, "shape", mem, &t->shape, e));
	TRY(want_kept(o, "snapshot", mem, &t->snapshot, e));
	return mark_read_shape(t->shape, t->schema, t->name, mem, &t->table, e);
}

static enum err take_file(
	const json_t *o, struct arena *mem, struct window_file *f, struct error *e)
{
	TRY(want_kept(o, "file", mem, &f->path, e));
	TRY(want_u64(o, "bytes", &f->bytes, e));
	TRY(want_text(o, "sha256", f->sha256, sizeof f->sha256, e));
	TRY(want_kept(o, "blocks", mem, &f->blocks, e));
	/* A path of ours stays within the window. */
	if (f->path.n == 0 || f->path.p[0] == '/' || str_find(f->path, STR("..")) >= 0)
		return FAIL(e, ERR_INPUT, "the file's name leads out of the window");
	return OK;
}

/* ---- reading: the whole ---- */

/* One more line, which must be there; n counts those of its kind. */
static enum err take_line(struct lines *l, struct window_info *w, size_t i, struct error *e)
{
	struct error why = {.kind = OK};
	json_t *o;
	enum err rc;

	TRY(next_line(l, &o, e));
	if (o == NULL)
		return bad_line(l, 0, "is missing", e);
	if (i == 0)
		rc = take_head(o, w, &why);
	else if (i <= w->ntables)
		rc = take_table(o, &w->mem, &w->tables[i - 1], &why);
	else
		rc = take_file(o, &w->mem, &w->files[i - 1 - w->ntables], &why);
	json_decref(o);
	return rc == OK ? OK : bad_line(l, 0, why.text, e);
}

static enum err take_last(struct lines *l, struct window_info *w, struct error *e)
{
	char sha256[ENC_SHA256_TEXT];
	json_t *o;

	enc_sha256((struct str){l->text.p, l->text.n - l->rest.n}, w->sha256);
	TRY(next_line(l, &o, e));
	struct error why = {.kind = OK};
	bool same = o != NULL && want_text(o, "sha256", sha256, sizeof sha256, &why) == OK &&
		strcmp(sha256, w->sha256) == 0;
	json_decref(o);
	if (!same)
		return bad_line(l, 0, "does not have the SHA-256 of the lines before it", e);
	if (l->rest.n > 0)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte %zu: it goes on after its end; " REMEDY, l->path,
			l->text.n - l->rest.n);
	return OK;
}

static enum err take_lines(struct lines *l, struct window_info *w, struct error *e)
{
	TRY(take_line(l, w, 0, e));
	/* Every line has at least its checksum: no more room is taken than the file can fill. */
	if (w->ntables + w->nfiles > l->text.n / CHECK_LEN)
		return bad_line(l, 0, "counts more lines than there are", e);
	w->tables = arena_array(&w->mem, w->ntables + 1, sizeof *w->tables);
	w->files = arena_array(&w->mem, w->nfiles + 1, sizeof *w->files);
	for (size_t i = 1; i <= w->ntables + w->nfiles; i++)
		TRY(take_line(l, w, i, e));
	for (size_t i = 0; i < w->nfiles; i++)
		w->bytes += w->files[i].bytes;
	return take_last(l, w, e);
}

enum err window_manifest_parse(
	const char *path, struct str text, struct window_info *out, struct error *e)
{
	struct lines l = {.path = path, .text = text, .rest = text};

	*out = (struct window_info){.name = STR_NONE};
	enum err rc = take_lines(&l, out, e);
	if (rc != OK)
		window_info_free(out);
	return rc;
}

enum err window_read(const char *dir, struct window_info *out, struct error *e)
{
	char path[WINDOW_PATH];
	struct buf text;

	*out = (struct window_info){.name = STR_NONE};
	manifest_path(path, dir);
	if (!file_exists(dir))
		return FAIL(
			e, ERR_NOT_FOUND, "there is no window %s; see: sluice window list", dir);
	if (!file_exists(path))
		return FAIL(e, ERR_CHECK, "%s: missing from byte 0 on; " REMEDY, path);
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = file_read(path, &text, e);
	if (rc == OK)
		rc = window_manifest_parse(path, buf_str(&text), out, e);
	buf_free(&text);
	return rc;
}
