#include "publish_input.h"

#include <inttypes.h>

#include "clock.h"
#include "enc.h"
#include "json.h"
#include "release_report.h"

/* One row of an answer, copied out of the driver's memory. */
struct row {
	struct arena *mem;
	size_t rows, ncols;
	struct str text[12];
	int64_t number[12];
};

static int64_t number_of(const struct vec *v)
{
	int64_t n = 0;

	if (v->type.kind == T_TIMESTAMP || v->type.kind == T_TIMESTAMPTZ)
		return vec_is_null(v, 0) ? 0 : VEC_AT(v, int64_t, 0);
	if (v->type.kind == T_BOOL)
		return vec_is_null(v, 0) ? 0 : VEC_AT(v, uint8_t, 0);
	return vec_integer(v, 0, &n) ? n : 0;
}

static enum err take_row(void *arg, const struct chunk *c, struct error *e)
{
	struct row *r = arg;

	if (c->rows == 0)
		return OK;
	if (c->ncols > sizeof r->text / sizeof r->text[0] || r->rows + c->rows > 1)
		return FAIL(e, ERR_BUG, "one row of at most 12 columns was asked for");
	r->rows = 1;
	r->ncols = c->ncols;
	for (size_t i = 0; i < c->ncols; i++) {
		r->text[i] = arena_str(r->mem, vec_text(&c->cols[i], 0));
		r->number[i] = number_of(&c->cols[i]);
	}
	return OK;
}

static enum err ask(struct warehouse *w, const struct buf *sql, const char *doing,
	struct arena *mem, struct row *out, struct error *e)
{
	*out = (struct row){.mem = mem};
	if (warehouse_query(w, buf_str(sql), take_row, out, e) != OK)
		return error_wrap(e, "%s in the warehouse", doing);
	return OK;
}

static struct str time_text(int64_t us, struct arena *mem)
{
	char text[CLOCK_TEXT];

	return arena_str(mem, str_of(clock_format(us, text, sizeof text)));
}

static enum err read_scoring(struct warehouse *w, const char *workflow, struct arena *mem,
	struct row *r, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql,
		"SELECT scoring_id, scored_at, model, model_version, model_sha256, "
		"model_metadata, rows_scored, lsn, lsn_number, key_column FROM ops.scorings "
		"WHERE workflow = ");
	sql_text(&sql, str_of(workflow));
	buf_puts(&sql, " ORDER BY scored_at DESC, scoring_id DESC LIMIT 1");
	enum err rc = ask(w, &sql, "finding the newest scoring", mem, r, e);
	buf_free(&sql);
	if (rc == OK && r->rows == 0)
		rc = FAIL(e, ERR_CHECK, "%s was never scored: run `sluice score %s`", workflow,
			workflow);
	return rc;
}

static enum err want_object(
	const json_t *o, const char *key, struct arena *mem, struct str *out, struct error *e)
{
	json_t *value;

	TRY(json_want_object(o, key, &value, e));
	return manifest_canonical(value, mem, out, e);
}

static enum err take_metadata(
	const json_t *o, struct arena *mem, struct manifest *m, struct error *e)
{
	json_t *evaluation, *proof;
	struct str query;

	TRY(want_object(o, "cut", mem, &m->training_cut, e));
	TRY(want_object(o, "evaluation", mem, &m->evaluation, e));
	TRY(want_object(o, "leak_proof", mem, &m->leak_proof, e));
	TRY(json_want_str(o, "query_sha256", &query, e));
	m->query_sha256 = arena_str(mem, query);
	TRY(json_want_object(o, "evaluation", &evaluation, e));
	TRY(json_want_f64(evaluation, "auc", &m->auc, e));
	TRY(json_want_object(o, "leak_proof", &proof, e));
	return json_want_bool(proof, "ok", &m->leak_free, e);
}

static enum err take_scoring(
	const struct row *r, struct arena *mem, struct manifest *m, struct error *e)
{
	json_t *metadata = NULL;

	m->scoring_id = r->text[0];
	m->scored_at = time_text(r->number[1], mem);
	m->model = r->text[2];
	m->model_version = r->number[3];
	m->model_sha256 = r->text[4];
	m->scoring_lsn = r->text[7];
	m->key_column = r->text[9];
	enum err rc = json_read(r->text[5], "the model's metadata", &metadata, e);
	if (rc == OK)
		rc = take_metadata(metadata, mem, m, e);
	json_decref(metadata);
	if (rc != OK) {
		error_wrap(e,
			"model %.*s version %" PRId64 " lacks what a release must carry; train it "
			"again",
			STR_ARG(m->model), m->model_version);
		return e->kind = ERR_CHECK;
	}
	return OK;
}

/*
 * The newest that compared every table, and whether a later one, even of a single table, says no:
 * one good table proves nothing of the others, one bad table is enough.
 */
static enum err read_reconciliation(
	struct warehouse *w, int64_t lsn_number, struct arena *mem, struct row *r, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 4096);
	buf_putf(&sql,
		"SELECT r.ok, r.lsn, r.snapshot, r.report, r.digest, r.finished_at, "
		"(SELECT coalesce(max(n.lsn), '') FROM ops.reconciliations AS n "
		"WHERE NOT n.ok AND n.finished_at >= r.finished_at) "
		"FROM ops.reconciliations AS r WHERE r.whole AND r.lsn_number >= %" PRId64
		" ORDER BY r.finished_at DESC, r.ok LIMIT 1",
		lsn_number);
	enum err rc = ask(w, &sql, "finding the newest reconciliation", mem, r, e);
	buf_free(&sql);
	return rc;
}

static enum err take_reconciliation(struct warehouse *w, int64_t lsn_number, struct arena *mem,
	struct manifest *m, struct error *e)
{
	struct row r;
	char digest[ENC_SHA256_TEXT];

	TRY(read_reconciliation(w, lsn_number, mem, &r, e));
	if (r.rows == 0)
		return FAIL(e, ERR_CHECK,
			"no reconciliation of every table was made since %.*s was scored: run "
			"`sluice reconcile` without --table",
			STR_ARG(m->scoring_lsn));
	if (r.number[0] != 1 || r.text[6].n > 0)
		return FAIL(e, ERR_CHECK,
			"the newest reconciliation, at %.*s, found differences: mend the "
			"tables that its report names, then run `sluice reconcile`",
			STR_ARG(r.text[6].n > 0 ? r.text[6] : r.text[1]));
	enc_sha256(r.text[3], digest);
	if (!str_eqc(r.text[4], digest))
		return FAIL(e, ERR_CHECK,
			"the report of the newest reconciliation, at %.*s, was changed since it "
			"was "
			"written: run `sluice reconcile`",
			STR_ARG(r.text[1]));
	TRY(release_report_check(r.text[3], r.text[1], e));
	m->reconciled = true;
	m->report_lsn = r.text[1];
	m->report_snapshot = r.text[2];
	m->report = r.text[3];
	m->report_sha256 = r.text[4];
	m->report_finished_at = time_text(r.number[5], mem);
	return OK;
}

enum err publish_input(struct warehouse *w, const char *workflow, struct arena *mem,
	struct manifest *m, int64_t *rows, struct error *e)
{
	struct row scoring;

	TRY(read_scoring(w, workflow, mem, &scoring, e));
	*rows = scoring.number[6];
	TRY(take_scoring(&scoring, mem, m, e));
	return take_reconciliation(w, scoring.number[8], mem, m, e);
}
