/*
 * booster: gradient-boosted trees by XGBoost's C interface, for a yes or a no. Deterministic: the
 * same rows in the same order, options and library version give the same bytes, whatever the
 * number of threads.
 */
#ifndef SLUICE_BOOSTER_H
#define SLUICE_BOOSTER_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "env.h"
#include "err.h"
#include "str.h"

struct booster;

/* Rows to learn from or to be judged by; x is row by row, NaN is missing. */
struct samples {
	const float *x;
	const uint8_t *label; /* NULL when only to be scored */
	size_t rows, cols;
};

struct booster_options {
	int64_t rounds, depth, seed, threads;
	const char *learning_rate;
	const char **names; /* of the columns, kept in the model */
};

/*
 * Trains o->rounds rounds. With `watch`, judges it by the log loss on those rows after each round,
 * stops early when 50 rounds brought nothing, and *best receives the round that was best (from 1).
 */
enum err booster_train(const struct booster_options *o, const struct samples *fit,
	const struct samples *watch, const struct env *env, struct booster **out, int64_t *best,
	struct error *e) MUST_CHECK;

enum err booster_load(
	struct str artifact, int64_t threads, struct booster **out, struct error *e) MUST_CHECK;
void booster_free(struct booster *b); /* NULL is fine */

/* The model as UBJSON. */
enum err booster_save(struct booster *b, struct buf *out, struct error *e) MUST_CHECK;

/* One probability a row. ERR_CONFLICT when the model has another number of columns; ERR_CHECK
 * when a score is not a number between 0 and 1. */
enum err booster_predict(
	struct booster *b, const struct samples *s, float *out, struct error *e) MUST_CHECK;

/* "xgboost 1.7.4"; out holds at least 40 bytes. */
const char *booster_library(char *out, size_t n);

#endif
