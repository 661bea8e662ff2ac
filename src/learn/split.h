/*
 * split: which rows train, which test, and which of the training rows choose the number of
 * rounds. By time only: a row trains when its label was known (and it had matured) before the
 * cut, and tests when it was made at or after it. Pure.
 */
#ifndef SLUICE_SPLIT_H
#define SLUICE_SPLIT_H

#include "booster.h"
#include "matrix.h"

/* Some of a matrix's rows, copied together. */
struct part {
	size_t rows, positives;
	float *x;
	uint8_t *label;
	size_t *at; /* their numbers in the matrix, ascending */
};

struct split {
	struct part train, test;
	/* The earlier part of train, and the later whose labels came after it; no rows when train
	 * is too small to spare any. */
	struct part fit, watch;
};

void split_by_time(const struct matrix *m, int64_t cut_us, struct split *out);
void split_free(struct split *s);

struct samples part_samples(const struct part *p, size_t cols);
bool part_has_both(const struct part *p); /* a positive and a negative */

#endif
