/*
 * learn: from history in the warehouse to scores in the warehouse, by way of a model whose making
 * can be accounted for: feature sets, the leak proof, training, evaluation, batch scoring.
 *
 * Every function may be called from any thread; two runs on the same feature set at once are
 * safe but the later build replaces the earlier one's table.
 */
#ifndef SLUICE_LEARN_H
#define SLUICE_LEARN_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "env.h"
#include "err.h"
#include "feature_set.h"
#include "json.h"
#include "lsn.h"
#include "models.h"
#include "str.h"
#include "warehouse.h"

/* What the warehouse held when a feature table was built: all that committed up to `at`. */
struct feature_build {
	int64_t rows;
	lsn at;
	char lsn[LSN_TEXT];
};

/*
 * Builds features.NAME anew and records it in ops.feature_builds, in one transaction. Refused
 * (ERR_INPUT) when an entity stands in two rows or a row has no entity or moment; ERR_USAGE when
 * nothing has been replicated yet.
 */
enum err feature_build(struct warehouse *w, const struct feature_set *f, const struct env *env,
	struct feature_build *out, struct error *e) MUST_CHECK;

/* "cut": {"lsn", "snapshot"}: a warehouse holds whole transactions in commit order, so what it
 * saw at an LSN is everything that had committed up to it. */
void build_cut_json(struct json_out *j, const char *key, const struct feature_build *b);

#define LEAK_CUTS 5

/* What the leak proof found. Names live in the arena given. */
struct leak_report {
	bool ok;
	size_t cuts;
	int64_t cut_us[LEAK_CUTS]; /* the moments after which everything was hidden */
	int64_t rows;              /* rows compared, over all cuts */
	struct str *leaking; /* columns, in the order found; a source's as "schema.table.column" */
	size_t nleaking;
	struct str *assumed; /* columns of {{first}} sources, which no proof covers in full */
	size_t nassumed;
};

/*
 * The leak proof. Builds the feature table once with all history and once for each of several
 * moments T with every version after T hidden, all in one transaction, and compares the rows
 * whose moment is at or before T: every feature must be the same, and a label must not be known
 * before its time. A column of a {{fixed}} source leaks when any later version differs from the
 * first. OK also when something leaks: look at report->ok.
 */
enum err leak_check(struct warehouse *w, const struct feature_set *f, const struct env *env,
	struct arena *mem, struct leak_report *report, struct feature_build *built,
	struct error *e) MUST_CHECK;

/* Area under the ROC curve, exact, ties counting half. NaN when a class is absent or a score is
 * NaN. `label` is 0 or 1. */
double auc(const float *score, const uint8_t *label, size_t n);

struct train_options {
	const char *cut; /* date or time; NULL or "": the latest fifth tests */
	int64_t trees;   /* most boosting rounds */
	int64_t depth;
	const char *learning_rate; /* decimal text, above 0 and at most 1 */
	int64_t seed, threads;
};

struct train_result {
	int64_t version;
	double auc, auc_deduplicated, logloss, brier; /* deduplicated: NaN when not asked for */
	int64_t rows_train, rows_test, rounds;
	int64_t cut_us;
	struct feature_build built;
	struct leak_report leak;
	char sha256[65]; /* of the artifact */
};

/*
 * Features, leak proof, training, evaluation, registration as the next version of model
 * f->name, alias "challenger". The model that was evaluated is the one that is registered: it has
 * seen only rows whose label was known (and which had matured, where the set says when) before
 * the cut. Rows made at or after the cut test it. ERR_CHECK when a feature leaks, naming it.
 * report->leaking lives in mem.
 */
enum err learn_train(struct warehouse *w, struct models *m, const struct feature_set *f,
	const struct train_options *o, const struct env *env, struct arena *mem,
	struct train_result *out, struct error *e) MUST_CHECK;

struct score_options {
	const char *workflow;
	const char *model; /* in the registry */
	const char *which; /* version number or alias; NULL or "": default */
	const char *key;   /* the column that names what is scored; must be the set's entity */
	int64_t threads;
};

struct score_result {
	int64_t model_version, rows;
	struct feature_build built;
	char scoring_id[64];
};

/*
 * Builds the features anew, scores every open row and stores the scores in scores.predictions,
 * then their row in ops.scorings: only scorings that have that row are whole. ERR_CONFLICT when
 * the feature set is not the one that the model was trained on, ERR_CHECK when a score is NaN.
 */
enum err learn_score(struct warehouse *w, struct models *m, const struct feature_set *f,
	const struct score_options *o, const struct env *env, struct score_result *out,
	struct error *e) MUST_CHECK;

#endif
