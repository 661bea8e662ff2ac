#include <math.h>
#include <string.h>

#include "booster.h"
#include "enc.h"
#include "evaluate.h"
#include "feature_build.h"
#include "matrix.h"
#include "mem.h"
#include "model_file.h"
#include "split.h"

#define ARTIFACT_MAX ((size_t)1 << 30)

/* Everything one training holds. */
struct training {
	struct warehouse *w;
	struct models *models;
	const struct feature_set *f;
	const struct train_options *o;
	const struct env *env;
	struct arena *mem;
	struct train_result *r;
	struct features features;
	struct matrix m;
	struct split s;
	struct booster *booster;
	float *score; /* of the test rows */
	struct evaluation evaluation;
};

static enum err check_options(const struct train_options *o, struct error *e)
{
	double rate;

	if (!str_to_double(str_of(o->learning_rate), &rate) || !(rate > 0 && rate <= 1))
		return FAIL(e, ERR_USAGE,
			"[models] learning_rate is \"%s\"; it must be above 0 and at most 1",
			o->learning_rate != NULL ? o->learning_rate : "");
	if (o->trees < 1 || o->trees > 100000 || o->depth < 1 || o->depth > 16 || o->seed < 0 ||
		o->threads < 1)
		return FAIL(e, ERR_USAGE,
			"%lld trees of depth %lld, seed %lld, %lld threads: trees must be 1 to "
			"100000, depth 1 to 16, the seed not negative, threads at least 1",
			(long long)o->trees, (long long)o->depth, (long long)o->seed,
			(long long)o->threads);
	return OK;
}

static enum err prove(struct training *t, struct error *e)
{
	struct leak_report *leak = &t->r->leak;
	struct buf names;

	TRY(leak_check(t->w, t->f, t->env, t->mem, leak, &t->r->built, e));
	if (leak->ok)
		return OK;
	if (leak->rows == 0)
		return FAIL(e, ERR_CHECK,
			"the feature set gives no rows, so nothing is proven; run `sluice "
			"replicate` first");
	buf_init(&names, 4096);
	for (size_t i = 0; i < leak->nleaking; i++)
		buf_putf(&names, "%s%.*s", i > 0 ? ", " : "", STR_ARG(leak->leaking[i]));
	FAIL(e, ERR_CHECK,
		"these columns know the future: %s; mend the SQL until `sluice features check "
		"%.*s` says ok",
		buf_cstr(&names), STR_ARG(t->f->name));
	buf_free(&names);
	return ERR_CHECK;
}

static enum err find_cut(struct training *t, struct error *e)
{
	struct buf sql;
	enum err rc;

	if (t->o->cut != NULL && t->o->cut[0] != '\0') {
		if (clock_parse(str_of(t->o->cut), &t->r->cut_us))
			return OK;
		return FAIL(e, ERR_USAGE,
			"the evaluation cut \"%s\" is neither a date (2017-03-01) nor an RFC 3339 "
			"time",
			t->o->cut);
	}
	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT epoch_us(quantile_disc(");
	sql_name(&sql, t->f->as_of);
	buf_puts(&sql, ", 0.8)) FROM ");
	feature_table_name(t->f, "", &sql);
	buf_puts(&sql, " WHERE ");
	sql_name(&sql, t->f->label);
	buf_puts(&sql, " IS NOT NULL");
	rc = query_integers(t->w, buf_str(&sql), &t->r->cut_us, 1, e);
	buf_free(&sql);
	return rc;
}

static void put_before(struct buf *sql, struct str column, int64_t us)
{
	if (column.n == 0)
		return;
	buf_puts(sql, " AND epoch_us(");
	sql_name(sql, column);
	buf_putf(sql, ") < %lld", (long long)us);
}

static enum err load(struct training *t, struct error *e)
{
	struct buf known, before;
	enum err rc;

	buf_init(&known, 1 << 16);
	buf_init(&before, 1 << 16);
	sql_name(&known, t->f->label);
	buf_puts(&known, " IS NOT NULL");
	buf_put(&before, buf_str(&known));
	put_before(&before, t->f->label_at, t->r->cut_us);
	put_before(&before, t->f->mature_at, t->r->cut_us);
	rc = features_of(t->w, t->f, t->mem, &t->features, e);
	if (rc == OK)
		rc = features_learn(t->w, t->f, buf_str(&before), t->mem, &t->features, e);
	if (rc == OK)
		rc = matrix_load(t->w, t->f, &t->features, buf_str(&known), &t->m, e);
	buf_free(&known);
	buf_free(&before);
	return rc;
}

static enum err divide(struct training *t, struct error *e)
{
	char at[CLOCK_TEXT];
	const struct split *s = &t->s;

	split_by_time(&t->m, t->r->cut_us, &t->s);
	t->r->rows_train = (int64_t)s->train.rows;
	t->r->rows_test = (int64_t)s->test.rows;
	if (part_has_both(&s->train) && part_has_both(&s->test))
		return OK;
	return FAIL(e, ERR_USAGE,
		"before the cut %s there are %zu rows with a known label, %zu of them positive, "
		"and "
		"from it on %zu, %zu of them positive; each side needs both; choose another --cut",
		clock_format(t->r->cut_us, at, sizeof at), s->train.rows, s->train.positives,
		s->test.rows, s->test.positives);
}

/* The number of rounds is chosen inside the training rows: the test rows are for judging only. */
static enum err fit(struct training *t, struct error *e)
{
	size_t cols = t->features.n;
	struct samples train = part_samples(&t->s.train, cols);
	struct samples early = part_samples(&t->s.fit, cols);
	struct samples late = part_samples(&t->s.watch, cols);
	const char **names = arena_array(t->mem, cols, sizeof *names);
	struct booster_options o = {.rounds = t->o->trees,
		.depth = t->o->depth,
		.seed = t->o->seed,
		.threads = t->o->threads,
		.learning_rate = t->o->learning_rate,
		.names = names};

	for (size_t i = 0; i < cols; i++)
		names[i] = arena_cstr(t->mem, t->features.items[i].name);
	if (part_has_both(&t->s.fit) && part_has_both(&t->s.watch)) {
		TRY(booster_train(&o, &early, &late, t->env, &t->booster, &o.rounds, e));
		booster_free(t->booster);
		t->booster = NULL;
	}
	return booster_train(&o, &train, NULL, t->env, &t->booster, &t->r->rounds, e);
}

static enum err judge(struct training *t, size_t *rows_deduplicated, struct error *e)
{
	const struct part *p = &t->s.test;
	struct samples s = part_samples(p, t->features.n);
	uint64_t *same = mem_array(p->rows, sizeof *same);
	enum err rc;

	t->score = mem_array(p->rows, sizeof *t->score);
	rc = booster_predict(t->booster, &s, t->score, e);
	if (rc == OK) {
		evaluate(t->score, p->label, p->rows, &t->evaluation);
		for (size_t i = 0; i < p->rows; i++)
			same[i] = t->m.duplicate[p->at[i]];
		t->r->auc_deduplicated = auc_deduplicated(
			t->score, p->label, same, p->rows, rows_deduplicated);
		t->r->auc = t->evaluation.auc;
		t->r->logloss = t->evaluation.logloss;
		t->r->brier = t->evaluation.brier;
	}
	if (t->f->duplicate.n == 0)
		t->r->auc_deduplicated = NAN;
	mem_free(same);
	return rc;
}

/* "slices" of the test rows as one JSON object. */
static void write_slices(struct training *t, struct buf *out)
{
	const struct part *p = &t->s.test;
	struct str **values = mem_array(t->f->nslices + 1, sizeof(struct str *));
	struct json_out j;

	for (size_t k = 0; k < t->f->nslices; k++) {
		values[k] = mem_array(p->rows, sizeof **values);
		for (size_t i = 0; i < p->rows; i++)
			values[k][i] = t->m.slices[k][p->at[i]];
	}
	jo_init(&j, out);
	slices_json(&j, NULL, t->f->slices, values, t->f->nslices, t->score, p->label, p->rows);
	for (size_t k = 0; k < t->f->nslices; k++)
		mem_free(values[k]);
	mem_free(values);
}

static enum err put_in_registry(
	struct training *t, struct str artifact, struct str metadata, struct error *e)
{
	TRY(models_add(t->models, t->f->name, artifact, metadata, &t->r->version, e));
	return models_alias(t->models, t->f->name, STR("challenger"), t->r->version, e);
}

static enum err enroll(struct training *t, size_t rows_deduplicated, struct error *e)
{
	struct buf artifact, metadata, slices;
	enum err rc;

	buf_init(&artifact, ARTIFACT_MAX);
	buf_init(&metadata, ARTIFACT_MAX);
	buf_init(&slices, ARTIFACT_MAX);
	write_slices(t, &slices);
	struct model_facts facts = {.set = t->f,
		.features = &t->features,
		.options = t->o,
		.result = t->r,
		.evaluation = &t->evaluation,
		.slices = buf_str(&slices),
		.rows_deduplicated = rows_deduplicated};
	model_file_write(&facts, &metadata);
	rc = booster_save(t->booster, &artifact, e);
	enc_sha256(buf_str(&artifact), t->r->sha256);
	if (rc == OK && (!buf_ok(&metadata) || !buf_ok(&slices)))
		rc = FAIL(e, ERR_FAILED, "its metadata is larger than %zu bytes", ARTIFACT_MAX);
	if (rc == OK)
		rc = put_in_registry(t, buf_str(&artifact), buf_str(&metadata), e);
	buf_free(&artifact);
	buf_free(&metadata);
	buf_free(&slices);
	return rc;
}

static enum err run(struct training *t, struct error *e)
{
	size_t rows_deduplicated = 0;

	TRY(check_options(t->o, e));
	TRY(prove(t, e));
	TRY(find_cut(t, e));
	TRY(load(t, e));
	TRY(divide(t, e));
	TRY(fit(t, e));
	TRY(judge(t, &rows_deduplicated, e));
	return enroll(t, rows_deduplicated, e);
}

enum err learn_train(struct warehouse *w, struct models *m, const struct feature_set *f,
	const struct train_options *o, const struct env *env, struct arena *mem,
	struct train_result *out, struct error *e)
{
	struct training t = {.w = w, .models = m, .f = f, .o = o, .env = env, .mem = mem, .r = out};
	enum err rc;

	*out = (struct train_result){0};
	rc = run(&t, e);
	booster_free(t.booster);
	mem_free(t.score);
	split_free(&t.s);
	matrix_free(&t.m);
	if (rc != OK)
		return error_wrap(e, "training model \"%.*s\"", STR_ARG(f->name));
	log_info(env->log, "learn", "model registered", F_STR("model", f->name),
		F_I64("version", out->version), F_F64("auc", out->auc));
	return OK;
}
