/* The checks of a release that need the store alone. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lsn.h"
#include "mem.h"
#include "release_report.h"
#include "release_verify.h"

static const char *workflow(const struct verification *v)
{
	return v->policy->workflow;
}

static enum err check_head(struct verification *v, struct buf *saw, struct error *e)
{
	TRY(release_head_read(v->store, workflow(v), v->mem, &v->head, e));
	if (!v->head.exists)
		return FAIL(e, ERR_CHECK,
			"%s has no HEAD: nothing is published; run "
			"`sluice publish %s`",
			workflow(v), workflow(v));
	if (v->version == 0)
		v->version = v->head.version;
	buf_putf(saw, "HEAD names version %" PRId64, v->head.version);
	return OK;
}

enum err release_take_manifest(struct verification *v, struct str bytes, struct error *e)
{
	v->bytes = bytes;
	enc_sha256(bytes, v->sha256);
	TRY(manifest_read(bytes, v->mem, &v->m, e));
	if (!str_eqc(v->m.workflow, workflow(v)) || v->m.version != v->version)
		return FAIL(e, ERR_CHECK,
			"it is that of %.*s version %" PRId64 ", not of %s version %" PRId64,
			STR_ARG(v->m.workflow), v->m.version, workflow(v), v->version);
	return OK;
}

static enum err check_manifest(struct verification *v, struct buf *saw, struct error *e)
{
	struct str key = release_manifest_key(v->mem, workflow(v), v->version), bytes;

	TRY(release_get(v->store, key, MANIFEST_MAX, v->mem, &bytes, e));
	TRY(release_take_manifest(v, bytes, e));
	buf_putf(saw, "format %d, sha256 %s", MANIFEST_FORMAT, v->sha256);
	return OK;
}

enum err release_check_key(struct verification *v, struct buf *saw, struct error *e)
{
	TRY(sign_trust_read(&v->trust, v->policy->trusted_key, e));
	if (!sign_trusts(v->trust, v->m.key_id))
		return FAIL(e, ERR_CHECK, "it is signed with key %.60s, which %s does not hold",
			arena_cstr(v->mem, v->m.key_id), v->policy->trusted_key);
	buf_putf(saw, "key %.*s", STR_ARG(v->m.key_id));
	return OK;
}

enum err release_check_signature(struct verification *v, struct buf *saw, struct error *e)
{
	TRY(sign_verify(v->trust, v->m.key_id, v->m.unsigned_bytes, v->m.signature, e));
	buf_putf(saw, "Ed25519 by %.*s", STR_ARG(v->m.producer));
	return OK;
}

/* The bytes of an older manifest, which must have the digest that its child names. */
static enum err get_named(struct verification *v, int64_t version, struct str sha256,
	struct arena *mem, struct manifest *out, struct error *e)
{
	struct str bytes;
	char digest[ENC_SHA256_TEXT];

	TRY(release_get(v->store, release_manifest_key(mem, workflow(v), version), MANIFEST_MAX,
		mem, &bytes, e));
	enc_sha256(bytes, digest);
	if (!str_eqc(sha256, digest))
		return FAIL(e, ERR_CHECK,
			"the manifest of version %" PRId64
			" is not the one that its successor names",
			version);
	TRY(manifest_read(bytes, mem, out, e));
	if (out->version != version)
		return FAIL(e, ERR_CHECK, "the manifest of version %" PRId64 " says %" PRId64,
			version, out->version);
	return OK;
}

/* From HEAD back to the version, each step by the digest that the newer one names. */
static enum err walk_chain(
	struct verification *v, struct arena *mem, struct buf *saw, struct error *e)
{
	struct str sha256 = v->head.manifest_sha256;
	int64_t at = v->head.version;
	struct manifest m = {.parent = 0};

	while (at > v->version) {
		TRY(env_check(v->env, e));
		TRY(get_named(v, at, sha256, mem, &m, e));
		at = m.parent;
		sha256 = m.parent_sha256;
	}
	if (at != v->version)
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " is no ancestor of HEAD (version %" PRId64
			"): it was never published whole",
			v->version, v->head.version);
	if (!str_eqc(sha256, v->sha256))
		return FAIL(e, ERR_CHECK,
			"the manifest of version %" PRId64 " is not the one that %s names",
			v->version, v->version == v->head.version ? "HEAD" : "its successor");
	if (v->m.parent == 0) {
		buf_puts(saw, "the first of its line");
		return OK;
	}
	TRY(get_named(v, v->m.parent, v->m.parent_sha256, mem, &m, e));
	buf_putf(saw, "parent %" PRId64, v->m.parent);
	return OK;
}

static enum err check_parent(struct verification *v, struct buf *saw, struct error *e)
{
	struct arena mem = {0};
	enum err rc = walk_chain(v, &mem, saw, e);

	arena_free(&mem);
	return rc;
}

static enum err read_file(
	struct verification *v, const struct manifest_file *f, struct arena *mem, struct error *e)
{
	struct str key = release_object_key(mem, workflow(v), f->sha256), bytes;
	char digest[ENC_SHA256_TEXT];
	size_t before = v->rows.n;

	TRY(release_get(v->store, key, (size_t)f->bytes + 4096, mem, &bytes, e));
	if (bytes.n != (size_t)f->bytes)
		return FAIL(e, ERR_CHECK, "it has %zu bytes, not %" PRId64, bytes.n, f->bytes);
	enc_sha256(bytes, digest);
	if (!str_eqc(f->sha256, digest))
		return FAIL(e, ERR_CHECK, "its SHA-256 is %s", digest);
	TRY(data_rows_read(&v->rows, bytes, BUF_MAX_DEFAULT, e));
	if (v->rows.n - before != (size_t)f->rows)
		return FAIL(
			e, ERR_CHECK, "it has %zu rows, not %" PRId64, v->rows.n - before, f->rows);
	return OK;
}

static enum err check_files(struct verification *v, struct buf *saw, struct error *e)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < v->m.nfiles; i++) {
		struct arena mem = {0};
		const struct manifest_file *f = &v->m.files[i];
		enum err rc = env_check(v->env, e);
		if (rc == OK)
			rc = read_file(v, f, &mem, e);
		arena_free(&mem);
		if (rc != OK)
			return error_wrap(e, "data file %.*s", STR_ARG(f->sha256));
		bytes += f->bytes;
	}
	buf_putf(saw, "%zu files, %" PRId64 " bytes, %zu rows", v->m.nfiles, bytes, v->rows.n);
	return OK;
}

static enum err check_columns(struct verification *v, struct buf *saw, struct error *e)
{
	const char *key = v->policy->key_column;

	if (!str_eqc(v->m.columns, MANIFEST_COLUMNS))
		return FAIL(e, ERR_CHECK,
			"its columns are %.*s; key text and score float8 are wanted",
			STR_ARG(v->m.columns));
	if (!str_eq(v->m.key_column, str_of(key)))
		return FAIL(e, ERR_CHECK, "its key is %.*s; [workflow %s] key is %s",
			STR_ARG(v->m.key_column), workflow(v), key != NULL ? key : "not set");
	if (v->rows.foreign_headers > 0)
		return FAIL(e, ERR_CHECK, "%zu data files do not begin with \"%s\"",
			v->rows.foreign_headers, DATA_HEADER);
	buf_putf(saw, "key %.*s, score", STR_ARG(v->m.key_column));
	return OK;
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool fit_for_text(struct str key)
{
	return key.n > 0 && str_is_utf8(key) && memchr(key.p, '\0', key.n) == NULL;
}

static enum err find_duplicate(struct str *sorted, size_t n, struct error *e)
{
	qsort(sorted, n, sizeof *sorted, by_text);
	for (size_t i = 1; i < n; i++)
		if (str_eq(sorted[i - 1], sorted[i]))
			return FAIL(e, ERR_CHECK, "the key \"%.*s\" stands there more than once",
				STR_ARG(sorted[i]));
	return OK;
}

enum err release_check_keys(struct verification *v, struct buf *saw, struct error *e)
{
	size_t n = v->rows.n;

	if (n == 0)
		return FAIL(e, ERR_CHECK, "there are no rows");
	for (size_t i = 0; i < n; i++)
		if (!fit_for_text(v->rows.keys[i]))
			return FAIL(e, ERR_CHECK, "the key of row %zu is empty or no text", i + 1);
	struct str *sorted = mem_array(n, sizeof *sorted);
	memcpy(sorted, v->rows.keys, n * sizeof *sorted);
	enum err rc = find_duplicate(sorted, n, e);
	mem_free(sorted);
	if (rc == OK)
		buf_putf(saw, "%zu, each once", n);
	return rc;
}

enum err release_check_scores(struct verification *v, struct buf *saw, struct error *e)
{
	for (size_t i = 0; i < v->rows.n; i++) {
		double s = v->rows.scores[i];
		if (!isfinite(s) || s < 0 || s > 1)
			return FAIL(e, ERR_CHECK,
				"the score of key \"%.*s\" is %g; a number from 0 to 1 is wanted",
				STR_ARG(v->rows.keys[i]), s);
	}
	stats_compute(v->rows.scores, v->rows.n, &v->stats);
	buf_putf(saw, "%g to %g", v->stats.min, v->stats.max);
	return OK;
}

static enum err check_distribution(struct verification *v, struct buf *saw, struct error *e)
{
	if (!stats_same(&v->stats, &v->m.stats))
		return FAIL(e, ERR_CHECK,
			"the scores (%" PRId64 " with mean %g) are not distributed as the manifest "
			"says (%" PRId64 " with mean %g)",
			v->stats.count, v->stats.mean, v->m.stats.count, v->m.stats.mean);
	buf_putf(saw, "mean %g, median %g", v->stats.mean, v->stats.deciles[5]);
	return OK;
}

#define CLOCKS_APART ((int64_t)5 * 60 * 1000000)

enum err release_check_freshness(struct verification *v, struct buf *saw, struct error *e)
{
	int64_t scored = 0, created = 0, now = clock_wall(v->env->clock);

	if (!clock_parse(v->m.scored_at, &scored) || !clock_parse(v->m.created_at, &created))
		return FAIL(e, ERR_CHECK, "its times cannot be read");
	if (scored > now + CLOCKS_APART || created > now + CLOCKS_APART)
		return FAIL(e, ERR_CHECK, "it is from the future: scored at %.*s, made at %.*s",
			STR_ARG(v->m.scored_at), STR_ARG(v->m.created_at));
	if (now - scored > v->policy->max_age)
		return FAIL(e, ERR_CHECK,
			"it was scored at %.*s, %" PRId64 " s ago; [workflow %s] max_age allows "
			"%" PRId64 " s: score and publish again",
			STR_ARG(v->m.scored_at), (now - scored) / 1000000, workflow(v),
			v->policy->max_age / 1000000);
	buf_putf(saw, "scored at %.*s, %" PRId64 " s ago; max_age allows %" PRId64 " s",
		STR_ARG(v->m.scored_at), now > scored ? (now - scored) / 1000000 : 0,
		v->policy->max_age / 1000000);
	return OK;
}

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

enum err release_check_model(struct verification *v, struct buf *saw, struct error *e)
{
	const char *want = v->policy->model;

	if (is_set(want) && !str_eqc(v->m.model, want))
		return FAIL(e, ERR_CHECK, "it was scored by model %.*s; [workflow %s] model is %s",
			STR_ARG(v->m.model), workflow(v), want);
	buf_putf(saw, "%.*s version %" PRId64 ", sha256 %.*s, trained at %.*s", STR_ARG(v->m.model),
		v->m.model_version, STR_ARG(v->m.model_sha256), STR_ARG(v->m.training_cut));
	return OK;
}

enum err release_check_evaluation(struct verification *v, struct buf *saw, struct error *e)
{
	if (!(v->m.auc >= v->policy->min_auc) || v->m.auc > 1)
		return FAIL(e, ERR_CHECK, "the model's AUC is %g; [workflow %s] min_auc is %g",
			v->m.auc, workflow(v), v->policy->min_auc);
	buf_putf(saw, "AUC %g, at least %g is wanted", v->m.auc, v->policy->min_auc);
	return OK;
}

enum err release_check_leak_proof(struct verification *v, struct buf *saw, struct error *e)
{
	if (!v->m.leak_free)
		return FAIL(e, ERR_CHECK, "the model's leak proof does not say ok: %.*s",
			STR_ARG(v->m.leak_proof));
	buf_putf(saw, "query %.*s", STR_ARG(v->m.query_sha256));
	return OK;
}

enum err release_check_reconciliation(struct verification *v, struct buf *saw, struct error *e)
{
	char digest[ENC_SHA256_TEXT];
	lsn compared, scored;

	enc_sha256(v->m.report, digest);
	if (!str_eqc(v->m.report_sha256, digest))
		return FAIL(e, ERR_CHECK, "the report does not have the digest given for it");
	TRY(release_report_check(v->m.report, v->m.report_lsn, e));
	if (!v->m.reconciled)
		return FAIL(e, ERR_CHECK,
			"the manifest says that the reconciliation at %.*s is not ok: run `sluice "
			"reconcile`, then publish again",
			STR_ARG(v->m.report_lsn));
	if (!lsn_parse(v->m.report_lsn, &compared) || !lsn_parse(v->m.scoring_lsn, &scored) ||
		lsn_cmp(compared, scored) < 0)
		return FAIL(e, ERR_CHECK,
			"it was made at %.*s, before what was scored at %.*s: run `sluice "
			"reconcile`, "
			"then publish again",
			STR_ARG(v->m.report_lsn), STR_ARG(v->m.scoring_lsn));
	buf_putf(saw, "every table exact at %.*s, scored at %.*s", STR_ARG(v->m.report_lsn),
		STR_ARG(v->m.scoring_lsn));
	return OK;
}

const struct release_check release_offline_checks[] = {
	{"head", 0, HAVE_HEAD, check_head},
	{"manifest", HAVE_HEAD, HAVE_MANIFEST, check_manifest},
	{"key_trusted", HAVE_MANIFEST, HAVE_KEY, release_check_key},
	{"signature", HAVE_MANIFEST | HAVE_KEY, HAVE_SIGNED, release_check_signature},
	{"parent", HAVE_SIGNED, 0, check_parent},
	{"files", HAVE_SIGNED, HAVE_ROWS, check_files},
	{"columns", HAVE_ROWS, 0, check_columns},
	{"keys", HAVE_ROWS, HAVE_KEYS, release_check_keys},
	{"scores", HAVE_ROWS, HAVE_SCORES, release_check_scores},
	{"distribution", HAVE_SCORES, 0, check_distribution},
	{"freshness", HAVE_SIGNED, 0, release_check_freshness},
	{"model", HAVE_SIGNED, 0, release_check_model},
	{"evaluation", HAVE_SIGNED, 0, release_check_evaluation},
	{"leak_proof", HAVE_SIGNED, 0, release_check_leak_proof},
	{"reconciliation", HAVE_SIGNED, 0, release_check_reconciliation},
	{.name = NULL},
};
