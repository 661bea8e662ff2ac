#include "release_manifest.h"

#include "clock.h"
#include "enc.h"
#include "json.h"
#include "lsn.h"

/* Every object is read against the list of its members: what we do not know is refused. */
static enum err only(const json_t *o, const char *what, const char *const *members, struct error *e)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)o, key, value) {
		const char *const *m = members;
		while (*m != NULL && !str_eqc(str_of(key), *m))
			m++;
		if (*m == NULL)
			return FAIL(e, ERR_INPUT, "%s has the unknown member \"%.60s\"", what, key);
	}
	return OK;
}

static enum err section(
	const json_t *o, const char *key, const char *const *members, json_t **out, struct error *e)
{
	TRY(json_want_object(o, key, out, e));
	return only(*out, key, members, e);
}

static enum err want_text(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, key, &s, e));
	if (s.n == 0)
		return FAIL(e, ERR_INPUT, "\"%s\" is empty", key);
	*out = arena_str(mem, s);
	return OK;
}

static enum err want_sha256(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	TRY(want_text(o, key, mem, out, e));
	bool good = out->n == ENC_SHA256_TEXT - 1;
	for (size_t i = 0; good && i < out->n; i++)
		good = (out->p[i] >= '0' && out->p[i] <= '9') ||
			(out->p[i] >= 'a' && out->p[i] <= 'f');
	if (!good)
		return FAIL(e, ERR_INPUT, "\"%s\" is no SHA-256 in lower-case hex", key);
	return OK;
}

static enum err want_time(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	int64_t us;

	TRY(want_text(o, key, mem, out, e));
	if (!clock_parse(*out, &us))
		return FAIL(e, ERR_INPUT, "\"%s\" is no time", key);
	return OK;
}

static enum err want_lsn(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	lsn at;

	TRY(want_text(o, key, mem, out, e));
	if (!lsn_parse(*out, &at))
		return FAIL(e, ERR_INPUT, "\"%s\" is no log position", key);
	return OK;
}

static enum err want_count(const json_t *o, const char *key, int64_t least, int64_t most,
	int64_t *out, struct error *e)
{
	TRY(json_want_i64(o, key, out, e));
	if (*out < least || *out > most)
		return FAIL(e, ERR_INPUT, "\"%s\" is out of range", key);
	return OK;
}

static enum err want_raw(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	json_t *value;

	TRY(json_want_object(o, key, &value, e));
	return manifest_canonical(value, mem, out, e);
}

enum err manifest_canonical(const json_t *json, struct arena *mem, struct str *out, struct error *e)
{
	struct buf b;

	buf_init(&b, MANIFEST_MAX);
	enum err rc = json_write(json, &b, e);
	if (rc == OK)
		*out = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return rc;
}

static enum err read_parent(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"version", "sha256", NULL};
	json_t *o = json_object_get(top, "parent");

	if (json_is_null(o))
		return OK;
	TRY(section(top, "parent", members, &o, e));
	TRY(want_count(o, "version", 1, m->version - 1, &m->parent, e));
	return want_sha256(o, "sha256", mem, &m->parent_sha256, e);
}

static enum err read_files(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"sha256", "rows", "bytes", NULL};
	json_t *list;
	int64_t rows = 0;

	TRY(json_want_array(top, "files", &list, e));
	m->nfiles = json_array_size(list);
	if (m->nfiles == 0 || m->nfiles > MANIFEST_MAX_FILES)
		return FAIL(e, ERR_INPUT, "\"files\" has %zu items; 1 to %d are allowed", m->nfiles,
			MANIFEST_MAX_FILES);
	m->files = arena_array(mem, m->nfiles, sizeof *m->files);
	for (size_t i = 0; i < m->nfiles; i++) {
		const json_t *o = json_array_get(list, i);
		struct manifest_file *f = &m->files[i];
		TRY(only(o, "a file", members, e));
		TRY(want_sha256(o, "sha256", mem, &f->sha256, e));
		TRY(want_count(o, "rows", 0, INT32_MAX, &f->rows, e));
		TRY(want_count(o, "bytes", 1, INT32_MAX, &f->bytes, e));
		rows += f->rows;
	}
	TRY(want_count(top, "rows", 0, INT64_MAX, &m->rows, e));
	if (rows != m->rows)
		return FAIL(e, ERR_INPUT, "\"rows\" is not the sum of its files' rows");
	return OK;
}

static enum err read_model(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"name", "version", "sha256", "query_sha256",
		"training_cut", "evaluation", "leak_proof", NULL};
	json_t *o, *inner;

	TRY(section(top, "model", members, &o, e));
	TRY(want_text(o, "name", mem, &m->model, e));
	TRY(want_count(o, "version", 1, INT64_MAX, &m->model_version, e));
	TRY(want_sha256(o, "sha256", mem, &m->model_sha256, e));
	TRY(want_sha256(o, "query_sha256", mem, &m->query_sha256, e));
	TRY(want_raw(o, "training_cut", mem, &m->training_cut, e));
	TRY(want_raw(o, "evaluation", mem, &m->evaluation, e));
	TRY(want_raw(o, "leak_proof", mem, &m->leak_proof, e));
	TRY(json_want_object(o, "evaluation", &inner, e));
	TRY(json_want_f64(inner, "auc", &m->auc, e));
	TRY(json_want_object(o, "leak_proof", &inner, e));
	return json_want_bool(inner, "ok", &m->leak_free, e);
}

static enum err read_scoring(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"id", "at", "lsn", NULL};
	json_t *o;

	TRY(section(top, "scoring", members, &o, e));
	TRY(want_text(o, "id", mem, &m->scoring_id, e));
	TRY(want_time(o, "at", mem, &m->scored_at, e));
	return want_lsn(o, "lsn", mem, &m->scoring_lsn, e);
}

static enum err read_reconciliation(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {
		"ok", "finished_at", "lsn", "snapshot", "report", "sha256", NULL};
	json_t *o;

	TRY(section(top, "reconciliation", members, &o, e));
	TRY(json_want_bool(o, "ok", &m->reconciled, e));
	TRY(want_time(o, "finished_at", mem, &m->report_finished_at, e));
	TRY(want_lsn(o, "lsn", mem, &m->report_lsn, e));
	TRY(want_text(o, "snapshot", mem, &m->report_snapshot, e));
	TRY(want_text(o, "report", mem, &m->report, e));
	return want_sha256(o, "sha256", mem, &m->report_sha256, e);
}

static enum err read_numbers(const json_t *o, struct score_stats *s, struct error *e)
{
	json_t *deciles, *histogram;

	TRY(json_want_array(o, "deciles", &deciles, e));
	TRY(json_want_array(o, "histogram", &histogram, e));
	if (json_array_size(deciles) != STATS_DECILES || json_array_size(histogram) != STATS_BINS)
		return FAIL(e, ERR_INPUT, "\"distribution\" wants %d deciles and %d bins",
			STATS_DECILES, STATS_BINS);
	for (size_t i = 0; i < STATS_DECILES; i++) {
		const json_t *v = json_array_get(deciles, i);
		if (!json_is_number(v))
			return FAIL(e, ERR_INPUT, "a decile is no number");
		s->deciles[i] = json_number_value(v);
	}
	for (size_t i = 0; i < STATS_BINS; i++) {
		const json_t *v = json_array_get(histogram, i);
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return FAIL(e, ERR_INPUT, "a bin of the histogram is no count");
		s->histogram[i] = json_integer_value(v);
	}
	return OK;
}

static enum err read_stats(const json_t *top, struct score_stats *s, struct error *e)
{
	static const char *const members[] = {
		"count", "min", "max", "mean", "deciles", "histogram", NULL};
	json_t *o;

	TRY(section(top, "distribution", members, &o, e));
	TRY(want_count(o, "count", 0, INT64_MAX, &s->count, e));
	TRY(json_want_f64(o, "min", &s->min, e));
	TRY(json_want_f64(o, "max", &s->max, e));
	TRY(json_want_f64(o, "mean", &s->mean, e));
	return read_numbers(o, s, e);
}

static enum err read_producer(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"person", "program", NULL};
	json_t *o;

	TRY(section(top, "producer", members, &o, e));
	TRY(want_text(o, "person", mem, &m->producer, e));
	return want_text(o, "program", mem, &m->program, e);
}

static enum err read_signature(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"algorithm", "key_id", "signature", NULL};
	json_t *o;
	struct str algorithm = STR_NONE, text = STR_NONE;
	struct buf raw;

	TRY(section(top, "signature", members, &o, e));
	TRY(want_text(o, "key_id", mem, &m->key_id, e));
	TRY(want_text(o, "algorithm", mem, &algorithm, e));
	if (!str_eqc(algorithm, "ed25519"))
		return FAIL(e, ERR_INPUT, "the signature's algorithm is \"%.*s\", not \"ed25519\"",
			STR_ARG(algorithm));
	TRY(want_text(o, "signature", mem, &text, e));
	buf_init(&raw, 1024);
	enum err rc = enc_unbase64(text, &raw, e);
	if (rc == OK)
		m->signature = arena_str(mem, buf_str(&raw));
	buf_free(&raw);
	return rc;
}

static enum err read_columns(
	const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	json_t *list;

	TRY(json_want_array(top, "columns", &list, e));
	TRY(manifest_canonical(list, mem, &m->columns, e));
	return want_text(top, "key_column", mem, &m->key_column, e);
}

static enum err read_top(const json_t *top, struct arena *mem, struct manifest *m, struct error *e)
{
	static const char *const members[] = {"format", "workflow", "version", "parent",
		"created_at", "columns", "key_column", "files", "rows", "model", "scoring",
		"reconciliation", "distribution", "producer", "signature", NULL};
	int64_t format;

	TRY(json_want_i64(top, "format", &format, e));
	if (format != MANIFEST_FORMAT)
		return FAIL(e, ERR_INPUT, "its format is %lld; this program reads format %d",
			(long long)format, MANIFEST_FORMAT);
	TRY(only(top, "it", members, e));
	TRY(want_text(top, "workflow", mem, &m->workflow, e));
	TRY(want_count(top, "version", 1, MANIFEST_MAX_VERSION, &m->version, e));
	TRY(want_time(top, "created_at", mem, &m->created_at, e));
	TRY(read_parent(top, mem, m, e));
	TRY(read_columns(top, mem, m, e));
	TRY(read_files(top, mem, m, e));
	TRY(read_model(top, mem, m, e));
	TRY(read_scoring(top, mem, m, e));
	TRY(read_reconciliation(top, mem, m, e));
	TRY(read_stats(top, &m->stats, e));
	TRY(read_producer(top, mem, m, e));
	return read_signature(top, mem, m, e);
}

/* Only one text stands for one manifest: what was signed cannot be written in another way. */
static enum err split(
	json_t *top, struct str bytes, struct arena *mem, struct manifest *m, struct error *e)
{
	struct str again;

	TRY(manifest_canonical(top, mem, &again, e));
	if (!str_eq(again, bytes))
		return FAIL(e, ERR_INPUT, "it is not in canonical form");
	if (json_object_del(top, "signature") != 0)
		return FAIL(e, ERR_INPUT, "it carries no signature");
	return manifest_canonical(top, mem, &m->unsigned_bytes, e);
}

enum err manifest_read(struct str bytes, struct arena *mem, struct manifest *out, struct error *e)
{
	json_t *top = NULL;

	*out = (struct manifest){.version = 0};
	TRY(json_read(bytes, "a manifest", &top, e));
	enum err rc = read_top(top, mem, out, e);
	if (rc == OK)
		rc = split(top, bytes, mem, out, e);
	json_decref(top);
	return rc;
}
