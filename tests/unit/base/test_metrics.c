#include "unit.h"

#include <math.h>

#include "metrics.h"
#include "thread.h"

static void test_text_format(void **state)
{
	(void)state;
	struct metrics *m = metrics_new();
	struct buf b;

	struct metric *rows = metrics_counter(m, "sluice_rows_total", "Rows \\ applied.\nAll.",
		(const char *const[]){"table", "a\"b\\c\nd", "op", "insert", NULL});
	struct metric *other = metrics_counter(
		m, "sluice_rows_total", "ignored", (const char *const[]){"table", "x", NULL});
	struct metric *lag = metrics_gauge(m, "sluice_lag_seconds", "Lag.", NULL);
	metric_add(rows, 3);
	metric_add(rows, UINT64_C(9007199254740993));
	metric_add(other, 1);
	metric_set(lag, 0.5);
	buf_init(&b, 10000);
	metrics_print(m, &b);
	assert_string_equal(buf_cstr(&b),
		"# HELP sluice_rows_total Rows \\\\ applied.\\nAll.\n"
		"# TYPE sluice_rows_total counter\n"
		"sluice_rows_total{table=\"a\\\"b\\\\c\\nd\",op=\"insert\"} 9007199254740996\n"
		"sluice_rows_total{table=\"x\"} 1\n"
		"# HELP sluice_lag_seconds Lag.\n"
		"# TYPE sluice_lag_seconds gauge\n"
		"sluice_lag_seconds 0.5\n");
	buf_free(&b);
	metrics_free(m);
}

static void test_same_name_and_labels_is_the_same_metric(void **state)
{
	(void)state;
	struct metrics *m = metrics_new();
	const char *const labels[] = {"a", "1", NULL};

	struct metric *one = metrics_counter(m, "sluice_x_total", "X.", labels);
	assert_ptr_equal(metrics_counter(m, "sluice_x_total", "X.", labels), one);
	assert_ptr_not_equal(metrics_counter(m, "sluice_x_total", "X.", NULL), one);
	metrics_free(m);
}

static void test_histogram_is_cumulative(void **state)
{
	(void)state;
	struct metrics *m = metrics_new();
	struct buf b;

	struct metric *h = metrics_histogram(
		m, "sluice_batch_seconds", "Batches.", (const char *const[]){"t", "x", NULL});
	metric_observe(h, 0.001); /* a bound belongs to its bucket */
	metric_observe(h, 0.002);
	metric_observe(h, 0.75);
	metric_observe(h, 100);
	buf_init(&b, 10000);
	metrics_print(m, &b);
	const char *text = buf_cstr(&b);
	assert_has(text, "# TYPE sluice_batch_seconds histogram\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"0.001\"} 1\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"0.0025\"} 2\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"0.5\"} 2\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"1\"} 3\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"60\"} 3\n");
	assert_has(text, "sluice_batch_seconds_bucket{t=\"x\",le=\"+Inf\"} 4\n");
	assert_has(text, "sluice_batch_seconds_sum{t=\"x\"} 100.753\n");
	assert_has(text, "sluice_batch_seconds_count{t=\"x\"} 4\n");
	buf_free(&b);
	metrics_free(m);
}

static void test_null_is_ignored(void **state)
{
	(void)state;
	assert_null(metrics_counter(NULL, "sluice_x_total", "X.", NULL));
	metric_add(NULL, 1);
	metric_set(NULL, 1);
	metric_observe(NULL, 1);
	assert_true(fabs(metric_value(NULL)) < 1e-9);
	metrics_free(NULL);
}

static enum err count_many(void *arg, struct error *e)
{
	struct metrics *m = arg;

	(void)e;
	for (int i = 0; i < 2000; i++) {
		metric_add(metrics_counter(m, "sluice_n_total", "N.", NULL), 1);
		metric_observe(metrics_histogram(m, "sluice_h_seconds", "H.", NULL), 0.5);
		metric_set(metrics_gauge(m, "sluice_g", "G.", NULL), i);
	}
	return OK;
}

static void test_threads_lose_nothing(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	struct metrics *m = metrics_new();
	struct thread threads[THREADS];
	struct error e = {0};
	struct buf b;

	buf_init(&b, 100000);
	for (size_t i = 0; i < THREADS; i++)
		assert_ok(thread_start(&threads[i], "count", count_many, m, &e), &e);
	for (int i = 0; i < 20; i++)
		metrics_print(m, &b);
	for (size_t i = 0; i < THREADS; i++)
		assert_ok(thread_join(&threads[i], &e), &e);
	buf_reset(&b);
	metrics_print(m, &b);
	assert_has(buf_cstr(&b), "sluice_n_total 8000\n");
	assert_has(buf_cstr(&b), "sluice_h_seconds_count 8000\n");
	assert_has(buf_cstr(&b), "sluice_h_seconds_sum 4000\n");
	assert_has(buf_cstr(&b), "sluice_g 1999\n");
	buf_free(&b);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_format),
		cmocka_unit_test(test_same_name_and_labels_is_the_same_metric),
		cmocka_unit_test(test_histogram_is_cumulative),
		cmocka_unit_test(test_null_is_ignored),
		cmocka_unit_test(test_threads_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
