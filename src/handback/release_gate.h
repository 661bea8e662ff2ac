/*
 * release_gate: what landing and rolling back ask of the gate. Private to src/handback.
 */
#ifndef SLUICE_RELEASE_GATE_H
#define SLUICE_RELEASE_GATE_H

#include "handback.h"
#include "pg_conn.h"

/*
 * Called in the transaction that made `version` live, after it. An open gate stays open for the
 * new version only when every check of the gate says yes to it, its own approvals included;
 * otherwise it closes here. *state receives what the gate is then (static).
 */
enum err gate_follow(struct pg *c, const struct release_policy *p, const struct env *env,
	int64_t version, const char *person, struct arena *mem, const char **state,
	struct error *e) MUST_CHECK;

#endif
