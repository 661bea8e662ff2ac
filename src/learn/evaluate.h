/*
 * evaluate: how good scores are, held against what came true. Pure.
 */
#ifndef SLUICE_EVALUATE_H
#define SLUICE_EVALUATE_H

#include "arena.h"
#include "json.h"
#include "learn.h"

#define CALIBRATION_BINS 10

struct calibration_bin {
	size_t n, positives;
	double score_sum;
};

struct evaluation {
	size_t n, positives;
	double auc, logloss, brier;
	struct calibration_bin bins[CALIBRATION_BINS]; /* by score, [0, 0.1), ... [0.9, 1] */
};

/* Mean negative log likelihood; scores are held away from 0 and 1 by 1e-15. NaN when n is 0. */
double logloss(const float *score, const uint8_t *label, size_t n);
/* Mean squared distance. NaN when n is 0. */
double brier(const float *score, const uint8_t *label, size_t n);

void evaluate(const float *score, const uint8_t *label, size_t n, struct evaluation *out);

/* AUC over the first row of each group of equal `same`; *rows receives their number. */
double auc_deduplicated(
	const float *score, const uint8_t *label, const uint64_t *same, size_t n, size_t *rows);

/* Writes the members of an evaluation into the object that is open. */
void evaluation_json(struct json_out *j, const struct evaluation *v);

/* Writes {column: {value: {rows, auc, logloss}}}, under a key or alone, for values with at least 50
 * rows, values in byte order. */
void slices_json(struct json_out *j, const char *key, const struct str *columns,
	struct str *const *values, size_t ncolumns, const float *score, const uint8_t *label,
	size_t n);

#endif
