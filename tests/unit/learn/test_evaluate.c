/* The measures, against what they are by definition. */
#include "unit.h"

#include <math.h>

#include "evaluate.h"
#include "mem.h"
#include "rnd.h"

static double auc_by_pairs(const float *score, const uint8_t *label, size_t n)
{
	double won = 0, pairs = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			if (label[i] != 1 || label[k] != 0)
				continue;
			pairs++;
			won += score[i] > score[k] ? 1 : score[i] < score[k] ? 0 : 0.5;
		}
	return won / pairs;
}

static void test_auc_is_the_share_of_pairs(void **state)
{
	struct rnd rnd;
	float score[300];
	uint8_t label[300];

	(void)state;
	rnd_seed(&rnd, unit_seed());
	for (int round = 0; round < 200; round++) {
		size_t n = 2 + rnd_below(&rnd, 298);
		uint64_t levels = 1 + rnd_below(&rnd, 20); /* few levels: many ties */
		for (size_t i = 0; i < n; i++) {
			score[i] = (float)rnd_below(&rnd, levels) / (float)levels;
			label[i] = rnd_unit(&rnd) < 0.3;
		}
		label[0] = 0;
		label[1] = 1;
		/* Exact counts on both sides, so exactly equal. */
		assert_true(auc(score, label, n) == auc_by_pairs(score, label, n));
	}
}

static void test_auc_of_the_edges(void **state)
{
	const float score[] = {0.1F, 0.2F, 0.8F, 0.9F}, bad[] = {0.1F, NAN, 0.8F, 0.9F};
	const uint8_t right[] = {0, 0, 1, 1}, wrong[] = {1, 1, 0, 0}, one[] = {1, 1, 1, 1};

	(void)state;
	assert_true(auc(score, right, 4) == 1);
	assert_true(auc(score, wrong, 4) == 0);
	assert_true(isnan(auc(score, one, 4)));
	assert_true(isnan(auc(score, right, 0)));
	assert_true(isnan(auc(bad, right, 4)));
}

static void test_losses(void **state)
{
	const float score[] = {0.25F, 0.5F, 1, 0};
	const uint8_t label[] = {0, 1, 1, 0}, wrong[] = {0, 1, 0, 0};

	(void)state;
	assert_float_equal(logloss(score, label, 4), (-log(0.75) - log(0.5)) / 4, 1e-12);
	assert_float_equal(brier(score, label, 4), (0.0625 + 0.25) / 4, 1e-12);
	/* Being certain and wrong costs much, not without end. */
	assert_true(isfinite(logloss(score, wrong, 4)) && logloss(score, wrong, 4) > 8);
	assert_true(isnan(logloss(score, label, 0)) && isnan(brier(score, label, 0)));
}

static void test_deduplicated(void **state)
{
	const float score[] = {0.1F, 0.9F, 0.9F, 0.9F, 0.5F, 0.2F};
	const uint8_t label[] = {0, 1, 1, 1, 1, 1};
	const uint64_t same[] = {1, 2, 2, 2, 3, 1};
	size_t rows = 0;

	(void)state;
	/* Left are 0.1 (negative), 0.9 and 0.5; the second of group 1 is gone. */
	assert_true(auc_deduplicated(score, label, same, 6, &rows) == 1);
	assert_int_equal(rows, 3);
}

static void test_calibration_and_slices(void **state)
{
	enum { N = 200 };
	float score[N];
	uint8_t label[N];
	struct str values[N], *columns[] = {values}, names[] = {STR("hotel")};
	struct evaluation v;
	struct json_out j;
	struct error e = {0};
	struct buf b;
	json_t *o;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		score[i] = i % 2 == 0 ? 0.25F : 1.0F;
		label[i] = i % 4 == 1 || i % 4 == 3;
		values[i] = i < 120 ? STR("city") : i < 180 ? STR("") : STR("few");
	}
	evaluate(score, label, N, &v);
	assert_int_equal(v.bins[2].n, 100);
	assert_int_equal(v.bins[2].positives, 0);
	assert_int_equal(v.bins[9].n, 100);
	assert_int_equal(v.bins[9].positives, 100);
	assert_true(v.auc == 1);
	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	evaluation_json(&j, &v);
	slices_json(&j, "slices", names, columns, 1, score, label, N);
	jo_end_object(&j);
	assert_ok(json_read(buf_str(&b), "evaluation", &o, &e), &e);
	json_t *hotel = json_object_get(json_object_get(o, "slices"), "hotel");
	assert_int_equal(json_object_size(hotel), 2); /* "few" has too few rows */
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(hotel, "city"), "rows")), 120);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(hotel, "(none)"), "rows")), 60);
	assert_int_equal(json_array_size(json_object_get(o, "calibration")), CALIBRATION_BINS);
	json_decref(o);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auc_is_the_share_of_pairs),
		cmocka_unit_test(test_auc_of_the_edges),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_deduplicated),
		cmocka_unit_test(test_calibration_and_slices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
