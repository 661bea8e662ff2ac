/*
 * metrics: counters, gauges and histograms, printed in the Prometheus text format 0.0.4.
 * Names have the prefix sluice_, base units and _total for counters. Registering the same
 * name and labels again gives the same metric. All calls are thread-safe; a NULL registry or
 * metric is ignored.
 */
#ifndef SLUICE_METRICS_H
#define SLUICE_METRICS_H

#include <stdint.h>

#include "buf.h"
#include "str.h"

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* labels: NULL, or pairs "key", "value", ..., NULL. Strings are copied. */
struct metric *metrics_counter(
	struct metrics *m, const char *name, const char *help, const char *const *labels);
struct metric *metrics_gauge(
	struct metrics *m, const char *name, const char *help, const char *const *labels);
/* Buckets 1 ms to 60 s, for durations in seconds. */
struct metric *metrics_histogram(
	struct metrics *m, const char *name, const char *help, const char *const *labels);

void metric_add(struct metric *c, uint64_t n);
void metric_set(struct metric *g, double v);
void metric_observe(struct metric *h, double seconds);
double metric_value(const struct metric *c); /* counter or gauge */

void metrics_print(struct metrics *m, struct buf *out);

#endif
