/*
 * repair_ranges: the two halves of a repair. First both sides are compared, as a reconciliation,
 * and what differs is kept range by range. Then each of those ranges is compared once more, at a
 * cut of its own, and mended. Private to repair.
 */
#ifndef SLUICE_REPAIR_RANGES_H
#define SLUICE_REPAIR_RANGES_H

#include "reconcile_run.h"
#include "repair_progress.h"
#include "repair_write.h"

struct ranging {
	const struct repair_options *o;
	const struct reconcile_options *compare; /* what both halves compare with */
	struct warehouse *warehouse;
	const struct env *env;
	struct repair_report *out;
	struct repair_run run;
	struct comparing comparing;      /* of the second half */
	struct reconcile_report scratch; /* its tables */
	struct reconcile_report found;   /* of the first half */
	size_t max;                      /* differences */
};

/* Goes on with a run that was broken off, if there is one: x->run.id says so. ERR_CONFLICT while
 * somebody else is at it. */
enum err ranging_find(struct ranging *x, struct error *e) MUST_CHECK;

/* Compares, and makes a run of what differs; nothing is written when it cannot be repaired. */
enum err ranging_plan(struct ranging *x, struct error *e) MUST_CHECK;

/* Mends what is not done, and counts what is. */
enum err ranging_mend(struct ranging *x, struct error *e) MUST_CHECK;

void ranging_free(struct ranging *x);

#endif
