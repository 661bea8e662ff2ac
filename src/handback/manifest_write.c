#include "release_manifest.h"

#include "enc.h"
#include "json.h"

static void write_files(struct json_out *j, const struct manifest *m)
{
	jo_array(j, "files");
	for (size_t i = 0; i < m->nfiles; i++) {
		jo_object(j, NULL);
		jo_str(j, "sha256", m->files[i].sha256);
		jo_i64(j, "rows", m->files[i].rows);
		jo_i64(j, "bytes", m->files[i].bytes);
		jo_end_object(j);
	}
	jo_end_array(j);
}

static void write_parent(struct json_out *j, const struct manifest *m)
{
	if (m->parent == 0) {
		jo_null(j, "parent");
		return;
	}
	jo_object(j, "parent");
	jo_i64(j, "version", m->parent);
	jo_str(j, "sha256", m->parent_sha256);
	jo_end_object(j);
}

static void write_origin(struct json_out *j, const struct manifest *m)
{
	jo_object(j, "model");
	jo_str(j, "name", m->model);
	jo_i64(j, "version", m->model_version);
	jo_str(j, "sha256", m->model_sha256);
	jo_str(j, "query_sha256", m->query_sha256);
	jo_raw(j, "training_cut", m->training_cut);
	jo_raw(j, "evaluation", m->evaluation);
	jo_raw(j, "leak_proof", m->leak_proof);
	jo_end_object(j);
	jo_object(j, "scoring");
	jo_str(j, "id", m->scoring_id);
	jo_str(j, "at", m->scored_at);
	jo_str(j, "lsn", m->scoring_lsn);
	jo_end_object(j);
	jo_object(j, "reconciliation");
	jo_bool(j, "ok", m->reconciled);
	jo_str(j, "finished_at", m->report_finished_at);
	jo_str(j, "lsn", m->report_lsn);
	jo_str(j, "snapshot", m->report_snapshot);
	jo_str(j, "report", m->report);
	jo_str(j, "sha256", m->report_sha256);
	jo_end_object(j);
}

static void write_stats(struct json_out *j, const struct score_stats *s)
{
	jo_object(j, "distribution");
	jo_i64(j, "count", s->count);
	jo_f64(j, "min", s->min);
	jo_f64(j, "max", s->max);
	jo_f64(j, "mean", s->mean);
	jo_array(j, "deciles");
	for (size_t i = 0; i < STATS_DECILES; i++)
		jo_f64(j, NULL, s->deciles[i]);
	jo_end_array(j);
	jo_array(j, "histogram");
	for (size_t i = 0; i < STATS_BINS; i++)
		jo_i64(j, NULL, s->histogram[i]);
	jo_end_array(j);
	jo_end_object(j);
}

static void write_all(struct json_out *j, const struct manifest *m)
{
	jo_object(j, NULL);
	jo_i64(j, "format", MANIFEST_FORMAT);
	jo_str(j, "workflow", m->workflow);
	jo_i64(j, "version", m->version);
	write_parent(j, m);
	jo_str(j, "created_at", m->created_at);
	jo_raw(j, "columns", m->columns);
	jo_str(j, "key_column", m->key_column);
	write_files(j, m);
	jo_i64(j, "rows", m->rows);
	write_origin(j, m);
	write_stats(j, &m->stats);
	jo_object(j, "producer");
	jo_str(j, "person", m->producer);
	jo_str(j, "program", m->program);
	jo_end_object(j);
	jo_end_object(j);
}

static enum err sign_tree(
	json_t *tree, const struct sign_key *key, struct buf *scratch, struct error *e)
{
	uint8_t raw[SIGN_BYTES];
	json_t *member;

	buf_reset(scratch);
	TRY(json_write(tree, scratch, e));
	TRY(sign_message(key, buf_str(scratch), raw, e));
	buf_reset(scratch);
	enc_base64(str_make(raw, sizeof raw), scratch);
	member = json_pack("{s:s,s:s,s:s%}", "algorithm", "ed25519", "key_id", sign_key_id(key),
		"signature", scratch->p, scratch->n);
	if (member == NULL || json_object_set_new(tree, "signature", member) != 0)
		return FAIL(e, ERR_BUG, "signing a manifest: its signature cannot be added");
	return OK;
}

enum err manifest_write(
	const struct manifest *m, const struct sign_key *key, struct buf *out, struct error *e)
{
	struct buf text;
	struct json_out j;
	json_t *tree = NULL;
	enum err rc = OK;

	buf_init(&text, MANIFEST_MAX);
	jo_init(&j, &text);
	write_all(&j, m);
	if (!buf_ok(&text))
		rc = FAIL(e, ERR_INPUT, "writing a manifest: it would exceed %zu bytes",
			MANIFEST_MAX);
	/* Read back, so that what is signed is what a reader will write again. */
	if (rc == OK)
		rc = json_read(buf_str(&text), "the manifest just written", &tree, e);
	if (rc == OK)
		rc = sign_tree(tree, key, &text, e);
	if (rc == OK)
		rc = json_write(tree, out, e);
	json_decref(tree);
	buf_free(&text);
	return rc;
}
