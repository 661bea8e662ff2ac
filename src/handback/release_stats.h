/*
 * release_stats: how scores are distributed. Private to src/handback.
 */
#ifndef SLUICE_RELEASE_STATS_H
#define SLUICE_RELEASE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_BINS    20 /* equal widths over [0, 1]; the last one closed */
#define STATS_DECILES 11 /* minimum, nine deciles, maximum */

struct score_stats {
	int64_t count;
	double min, max, mean; /* 0 when count is 0 */
	double deciles[STATS_DECILES];
	int64_t histogram[STATS_BINS];
};

/* Scores must be finite and within [0, 1]. */
void stats_compute(const double *scores, size_t n, struct score_stats *out);

/* Equal but for the last bits of the floating-point members. */
bool stats_same(const struct score_stats *a, const struct score_stats *b);

/* Population stability index over the bins: sum (p - q) ln (p / q), shares of at least 1e-4. */
double stats_psi(const struct score_stats *now, const struct score_stats *before);

#endif
