/*
 * watched: what a process that replicates shows of itself over HTTP: the operator API's readiness
 * and status.
 */
#ifndef SLUICE_WATCHED_H
#define SLUICE_WATCHED_H

#include "command.h"
#include "operator.h"
#include "replicate.h"

/*
 * OK when replication does its work. An idle source is ready; what is not: a replication that has
 * failed, is not connected, has stalled though it has work, or lags by more than
 * [replicate] max_lag. ERR_UNAVAILABLE or ERR_FAILED with the reason.
 */
enum err watched_replicates(
	const struct settings *set, const struct replicate_progress *p, struct error *e) MUST_CHECK;

/* The operator API for a process that only replicates. `c` must outlive the server. */
enum err watched_start(struct operator_server **out, struct context *c, const char *listen,
	struct error *e) MUST_CHECK;

/* Appends the status as `sluice status --json` gives it. From any thread. */
enum err watched_status(const struct context *c, struct buf *out, struct error *e) MUST_CHECK;

#endif
