#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct scored {
	float score;
	uint8_t label;
};

static int by_score(const void *a, const void *b)
{
	float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;

	return (x > y) - (x < y);
}

/* The Mann-Whitney count: pairs in which the positive scores higher, ties half. All counts are
 * whole or half and below 2^53, so the sum is exact. */
static double pairs_won(const struct scored *s, size_t n)
{
	double won = 0, negatives_below = 0;

	for (size_t i = 0, end; i < n; i = end) {
		double positives = 0, negatives = 0;
		for (end = i; end < n && by_score(&s[i], &s[end]) == 0; end++) {
			positives += s[end].label;
			negatives += 1 - s[end].label;
		}
		won += positives * (negatives_below + negatives / 2);
		negatives_below += negatives;
	}
	return won;
}

double auc(const float *score, const uint8_t *label, size_t n)
{
	struct scored *s = mem_array(n + 1, sizeof *s);
	double positives = 0, won, pairs;

	for (size_t i = 0; i < n; i++) {
		if (isnan(score[i])) {
			mem_free(s);
			return NAN;
		}
		s[i] = (struct scored){score[i], label[i] != 0};
		positives += s[i].label;
	}
	qsort(s, n, sizeof *s, by_score);
	won = pairs_won(s, n);
	pairs = positives * ((double)n - positives);
	mem_free(s);
	return pairs > 0 ? won / pairs : NAN;
}

double logloss(const float *score, const uint8_t *label, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double p = fmin(fmax((double)score[i], 1e-15), 1 - 1e-15);
		sum -= label[i] != 0 ? log(p) : log1p(-p);
	}
	return n > 0 ? sum / (double)n : NAN;
}

double brier(const float *score, const uint8_t *label, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double d = (double)score[i] - (label[i] != 0 ? 1 : 0);
		sum += d * d;
	}
	return n > 0 ? sum / (double)n : NAN;
}

void evaluate(const float *score, const uint8_t *label, size_t n, struct evaluation *out)
{
	*out = (struct evaluation){.n = n,
		.auc = auc(score, label, n),
		.logloss = logloss(score, label, n),
		.brier = brier(score, label, n)};
	for (size_t i = 0; i < n; i++) {
		double place = (double)score[i] * CALIBRATION_BINS;
		size_t bin = place < CALIBRATION_BINS - 1 ? (size_t)place : CALIBRATION_BINS - 1;
		out->positives += label[i] != 0;
		out->bins[bin].n++;
		out->bins[bin].positives += label[i] != 0;
		out->bins[bin].score_sum += (double)score[i];
	}
}

struct group {
	uint64_t same;
	size_t row;
};

static int by_group(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->same != y->same)
		return x->same > y->same ? 1 : -1;
	return (x->row > y->row) - (x->row < y->row);
}

double auc_deduplicated(
	const float *score, const uint8_t *label, const uint64_t *same, size_t n, size_t *rows)
{
	struct group *g = mem_array(n + 1, sizeof *g);
	float *s = mem_array(n + 1, sizeof *s);
	uint8_t *l = mem_array(n + 1, sizeof *l);
	size_t kept = 0;
	double v;

	for (size_t i = 0; i < n; i++)
		g[i] = (struct group){same[i], i};
	qsort(g, n, sizeof *g, by_group);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && g[i].same == g[i - 1].same)
			continue;
		s[kept] = score[g[i].row];
		l[kept++] = label[g[i].row];
	}
	v = auc(s, l, kept);
	*rows = kept;
	mem_free(g);
	mem_free(s);
	mem_free(l);
	return v;
}

void evaluation_json(struct json_out *j, const struct evaluation *v)
{
	jo_u64(j, "rows", v->n);
	jo_u64(j, "positives", v->positives);
	jo_f64(j, "auc", v->auc);
	jo_f64(j, "logloss", v->logloss);
	jo_f64(j, "brier", v->brier);
	jo_array(j, "calibration");
	for (size_t i = 0; i < CALIBRATION_BINS; i++) {
		const struct calibration_bin *b = &v->bins[i];
		jo_object(j, NULL);
		jo_u64(j, "rows", b->n);
		jo_f64(j, "mean_score", b->score_sum / (double)b->n); /* no rows: null */
		jo_f64(j, "share_positive", (double)b->positives / (double)b->n);
		jo_end_object(j);
	}
	jo_end_array(j);
}

#define SLICE_MIN 50

struct slice_row {
	struct str value;
	float score;
	uint8_t label;
};

static int by_value(const void *a, const void *b)
{
	return str_cmp(((const struct slice_row *)a)->value, ((const struct slice_row *)b)->value);
}

/* One value's rows, which stand together. */
static void slice_json(struct json_out *j, const struct slice_row *rows, size_t n)
{
	float *score = mem_array(n, sizeof *score);
	uint8_t *label = mem_array(n, sizeof *label);
	char *name = mem_cstr(rows[0].value.n > 0 ? rows[0].value : STR("(none)"));

	for (size_t i = 0; i < n; i++) {
		score[i] = rows[i].score;
		label[i] = rows[i].label;
	}
	jo_object(j, name);
	jo_u64(j, "rows", n);
	jo_f64(j, "auc", auc(score, label, n));
	jo_f64(j, "logloss", logloss(score, label, n));
	jo_end_object(j);
	mem_free(name);
	mem_free(score);
	mem_free(label);
}

static void column_json(struct json_out *j, const struct str *values, const float *score,
	const uint8_t *label, size_t n)
{
	struct slice_row *rows = mem_array(n + 1, sizeof *rows);

	for (size_t i = 0; i < n; i++)
		rows[i] = (struct slice_row){values[i], score[i], label[i]};
	qsort(rows, n, sizeof *rows, by_value);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && by_value(&rows[i], &rows[end]) == 0; end++)
			;
		if (end - i >= SLICE_MIN)
			slice_json(j, rows + i, end - i);
	}
	mem_free(rows);
}

void slices_json(struct json_out *j, const char *key, const struct str *columns,
	struct str *const *values, size_t ncolumns, const float *score, const uint8_t *label,
	size_t n)
{
	jo_object(j, key);
	for (size_t i = 0; i < ncolumns; i++) {
		char *name = mem_cstr(columns[i]);
		jo_object(j, name);
		column_json(j, values[i], score, label, n);
		jo_end_object(j);
		mem_free(name);
	}
	jo_end_object(j);
}
