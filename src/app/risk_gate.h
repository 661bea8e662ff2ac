/*
 * risk_gate: what the worker does about cancellation risk. It reads sluice.gates and
 * sluice.live_scores and nothing else of the hand-back side.
 */
#ifndef SLUICE_RISK_GATE_H
#define SLUICE_RISK_GATE_H

#include "app_db.h"
#include "app_worker.h"

struct risk_gate {
	const char *workflow;
	double threshold;
	bool seen; /* a first look was taken */
	bool open;
	char why[200];       /* closed: why */
	int64_t version;     /* of the scores that were acted on; 0: none yet */
	int64_t again_at_us; /* mono: when the same version is looked at once more */
};

/*
 * Looks at the gate and, when it is open and its scores have not been acted on lately, makes the
 * tasks and counts them in *made. Says so in the log when the gate is found in another state than
 * before. ERR_UNAVAILABLE only when the database is away: the gate is closed then.
 */
enum err risk_gate_poll(
	struct risk_gate *g, struct app_db *db, int64_t *made, struct error *e) MUST_CHECK;

#endif
