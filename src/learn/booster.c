#include "booster.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "evaluate.h"
#include "mem.h"

#define PATIENCE 50

struct booster {
	BoosterHandle handle;
};

static enum err xgb(int rc, const char *doing, struct error *e)
{
	const char *why;

	if (rc == 0)
		return OK;
	why = XGBGetLastError();
	/* XGBoost appends a stack trace; the first line says what is wrong. */
	return FAIL(e, ERR_FAILED, "%s: XGBoost says: %.*s", doing, (int)strcspn(why, "\n"), why);
}

const char *booster_library(char *out, size_t n)
{
	int major, minor, patch;

	XGBoostVersion(&major, &minor, &patch);
	snprintf(out, n, "xgboost %d.%d.%d", major, minor, patch);
	return out;
}

static enum err set_labels(DMatrixHandle d, const struct samples *s, struct error *e)
{
	float *label = mem_array(s->rows, sizeof *label);
	enum err rc;

	for (size_t i = 0; i < s->rows; i++)
		label[i] = (float)s->label[i];
	rc = xgb(XGDMatrixSetFloatInfo(d, "label", label, s->rows), "setting labels", e);
	mem_free(label);
	return rc;
}

static enum err to_dmatrix(
	const struct samples *s, const char **names, DMatrixHandle *out, struct error *e)
{
	enum err rc;

	*out = NULL;
	if (s->rows == 0)
		return FAIL(e, ERR_INPUT, "making a matrix: there are no rows");
	rc = xgb(XGDMatrixCreateFromMat(s->x, s->rows, s->cols, NAN, out), "making a matrix", e);
	if (rc == OK && names != NULL)
		rc = xgb(XGDMatrixSetStrFeatureInfo(*out, "feature_name", names, s->cols),
			"naming the columns", e);
	if (rc == OK && s->label != NULL)
		rc = set_labels(*out, s, e);
	return rc;
}

static enum err set_integer(BoosterHandle h, const char *name, int64_t value, struct error *e)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)value);
	return xgb(XGBoosterSetParam(h, name, text), name, e);
}

static enum err configure(BoosterHandle h, const struct booster_options *o, struct error *e)
{
	static const struct {
		const char *name, *value;
	} fixed[] = {
		{"objective", "binary:logistic"},
		{"tree_method", "hist"},
		{"verbosity", "0"},
	};

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		TRY(xgb(XGBoosterSetParam(h, fixed[i].name, fixed[i].value), fixed[i].name, e));
	TRY(xgb(XGBoosterSetParam(h, "learning_rate", o->learning_rate), "learning_rate", e));
	TRY(set_integer(h, "max_depth", o->depth, e));
	TRY(set_integer(h, "seed", o->seed, e));
	return set_integer(h, "nthread", o->threads, e);
}

static enum err predict(
	BoosterHandle h, DMatrixHandle d, size_t rows, const float **out, struct error *e)
{
	static const char config[] = "{\"type\": 0, \"training\": false, \"iteration_begin\": 0, "
				     "\"iteration_end\": 0, \"strict_shape\": false}";
	const bst_ulong *shape = NULL;
	bst_ulong dims = 0;

	TRY(xgb(XGBoosterPredictFromDMatrix(h, d, config, &shape, &dims, out), "predicting", e));
	if (dims != 1 || shape[0] != rows)
		return FAIL(e, ERR_BUG, "predicting: %zu rows gave another number of scores", rows);
	return OK;
}

/* What training watches to know when to stop. */
struct watch {
	DMatrixHandle d; /* NULL: nothing is watched */
	const struct samples *s;
	double least;
	int64_t best;
};

static enum err watch_round(BoosterHandle h, struct watch *w, int64_t round, struct error *e)
{
	const float *score;
	double loss;

	if (w->d == NULL) {
		w->best = round;
		return OK;
	}
	TRY(predict(h, w->d, w->s->rows, &score, e));
	loss = logloss(score, w->s->label, w->s->rows);
	if (w->best == 0 || loss < w->least) {
		w->least = loss;
		w->best = round;
	}
	return OK;
}

static enum err rounds(BoosterHandle h, DMatrixHandle d, const struct booster_options *o,
	struct watch *w, const struct env *env, struct error *e)
{
	for (int64_t i = 1; i <= o->rounds && i <= w->best + PATIENCE; i++) {
		TRY(env_check(env, e));
		TRY(xgb(XGBoosterUpdateOneIter(h, (int)(i - 1), d), "growing a tree", e));
		TRY(watch_round(h, w, i, e));
	}
	return OK;
}

enum err booster_train(const struct booster_options *o, const struct samples *fit,
	const struct samples *watch, const struct env *env, struct booster **out, int64_t *best,
	struct error *e)
{
	struct booster *b = mem_zalloc(sizeof *b);
	struct watch w = {.s = watch};
	DMatrixHandle d = NULL;
	enum err rc = to_dmatrix(fit, o->names, &d, e);

	if (rc == OK && watch != NULL)
		rc = to_dmatrix(watch, o->names, &w.d, e);
	if (rc == OK) {
		DMatrixHandle both[2] = {d, w.d};
		rc = xgb(XGBoosterCreate(both, watch != NULL ? 2 : 1, &b->handle), "making a model",
			e);
	}
	if (rc == OK)
		rc = configure(b->handle, o, e);
	if (rc == OK)
		rc = rounds(b->handle, d, o, &w, env, e);
	if (d != NULL)
		XGDMatrixFree(d);
	if (w.d != NULL)
		XGDMatrixFree(w.d);
	if (rc != OK) {
		booster_free(b);
		return error_wrap(e, "training on %zu rows", fit->rows);
	}
	*best = w.best;
	*out = b;
	return OK;
}

enum err booster_load(struct str artifact, int64_t threads, struct booster **out, struct error *e)
{
	struct booster *b = mem_zalloc(sizeof *b);
	enum err rc = xgb(XGBoosterCreate(NULL, 0, &b->handle), "making a model", e);

	if (rc == OK)
		rc = xgb(XGBoosterLoadModelFromBuffer(b->handle, artifact.p, artifact.n),
			"loading a model", e);
	if (rc == OK)
		rc = set_integer(b->handle, "nthread", threads, e);
	if (rc != OK) {
		booster_free(b);
		return rc;
	}
	*out = b;
	return OK;
}

void booster_free(struct booster *b)
{
	if (b == NULL)
		return;
	if (b->handle != NULL)
		XGBoosterFree(b->handle);
	mem_free(b);
}

enum err booster_save(struct booster *b, struct buf *out, struct error *e)
{
	bst_ulong n = 0;
	const char *p = NULL;

	TRY(xgb(XGBoosterSaveModelToBuffer(b->handle, "{\"format\": \"ubj\"}", &n, &p),
		"saving a model", e));
	return buf_add(out, str_make(p, n), e);
}

static enum err check_scores(const float *score, size_t n, struct error *e)
{
	for (size_t i = 0; i < n; i++)
		if (!(score[i] >= 0 && score[i] <= 1))
			return FAIL(e, ERR_CHECK,
				"scoring: row %zu got %g, which is no probability; the model is "
				"damaged, use another version",
				i, (double)score[i]);
	return OK;
}

/* XGBoost scores a row with too few columns without a word, so we count. */
static enum err check_columns(struct booster *b, const struct samples *s, struct error *e)
{
	bst_ulong cols = 0;

	TRY(xgb(XGBoosterGetNumFeature(b->handle, &cols), "counting the model's columns", e));
	if (cols != s->cols)
		return FAIL(e, ERR_CONFLICT,
			"scoring: the model takes %llu columns and the rows have %zu",
			(unsigned long long)cols, s->cols);
	return OK;
}

enum err booster_predict(struct booster *b, const struct samples *s, float *out, struct error *e)
{
	const float *score;
	DMatrixHandle d = NULL;
	enum err rc = check_columns(b, s, e);

	if (rc == OK)
		rc = to_dmatrix(s, NULL, &d, e);
	if (rc == OK)
		rc = predict(b->handle, d, s->rows, &score, e);
	if (rc == OK)
		rc = check_scores(score, s->rows, e);
	if (rc == OK)
		memcpy(out, score, s->rows * sizeof *out);
	if (d != NULL)
		XGDMatrixFree(d);
	return rc;
}
