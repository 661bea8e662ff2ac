#include "release_stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static size_t bin_of(double score)
{
	size_t bin = (size_t)(score * STATS_BINS);

	return bin < STATS_BINS ? bin : STATS_BINS - 1;
}

void stats_compute(const double *scores, size_t n, struct score_stats *out)
{
	double sum = 0;

	memset(out, 0, sizeof *out);
	out->count = (int64_t)n;
	if (n == 0)
		return;
	double *sorted = mem_array(n, sizeof *sorted);
	for (size_t i = 0; i < n; i++) {
		assert(scores[i] >= 0 && scores[i] <= 1);
		sorted[i] = scores[i];
		sum += scores[i];
		out->histogram[bin_of(scores[i])]++;
	}
	qsort(sorted, n, sizeof *sorted, by_value);
	out->min = sorted[0];
	out->max = sorted[n - 1];
	out->mean = sum / (double)n;
	for (size_t d = 0; d < STATS_DECILES; d++) /* the nearest rank below */
		out->deciles[d] = sorted[d * (n - 1) / (STATS_DECILES - 1)];
	mem_free(sorted);
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9;
}

bool stats_same(const struct score_stats *a, const struct score_stats *b)
{
	bool same = a->count == b->count && near(a->min, b->min) && near(a->max, b->max) &&
		near(a->mean, b->mean);

	for (size_t i = 0; i < STATS_DECILES; i++)
		same = same && near(a->deciles[i], b->deciles[i]);
	for (size_t i = 0; i < STATS_BINS; i++)
		same = same && a->histogram[i] == b->histogram[i];
	return same;
}

static double share(const struct score_stats *s, size_t bin)
{
	double p = s->count > 0 ? (double)s->histogram[bin] / (double)s->count : 0;

	return fmax(p, 1e-4); /* an empty bin would make the logarithm infinite */
}

double stats_psi(const struct score_stats *now, const struct score_stats *before)
{
	double psi = 0;

	for (size_t i = 0; i < STATS_BINS; i++) {
		double p = share(now, i), q = share(before, i);
		psi += (p - q) * log(p / q);
	}
	return psi;
}
