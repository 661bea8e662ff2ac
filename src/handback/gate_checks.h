/*
 * gate_checks: what must be proven before a gate may be open. Private to src/handback.
 */
#ifndef SLUICE_GATE_CHECKS_H
#define SLUICE_GATE_CHECKS_H

#include "release_verify.h"

enum gate_state { STATE_CLOSED, STATE_REQUESTED, STATE_OPEN };

struct gate_row {
	enum gate_state state;
	int64_t version; /* 0: none */
	struct str manifest_sha256;
};

struct gate_run {
	struct verification v; /* first: checks are given the verification inside */
	struct gate_row row;
	struct landed live;
	struct gate_approval *approvals; /* of the row's version, or of the live one without */
	size_t napprovals;
};

const char *gate_state_name(enum gate_state s);

/* Reads the gate's row, what is live, and the approvals. */
enum err gate_load(struct gate_run *g, struct pg *c, const struct release_policy *p,
	const struct env *env, struct arena *mem, struct error *e) MUST_CHECK;
/* Runs every check; frees what they opened. */
enum err gate_check(struct gate_run *g, struct checks *out, struct error *e) MUST_CHECK;

#endif
