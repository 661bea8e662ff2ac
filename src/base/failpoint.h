/*
 * failpoints: named places where a test makes the program fail. Armed by a text such as
 *   "journal.fsync=error@3;apply.commit=kill"
 * from SLUICE_FAILPOINTS or a test: action[@n] on the n-th pass (1 when not said), action[@n+]
 * on that and every later one.
 * Actions: error (returns ERR_UNAVAILABLE), kill (SIGKILL to this process), enospc, eio
 * (ERR_FAILED with that errno's text), sleep:MS. Unarmed, a failpoint costs one NULL test.
 */
#ifndef SLUICE_FAILPOINT_H
#define SLUICE_FAILPOINT_H

#include "env.h"
#include "err.h"
#include "str.h"

enum err failpoints_parse(struct failpoints **out, struct str spec, struct error *e) MUST_CHECK;
void failpoints_free(struct failpoints *f);

/* Passes a failpoint. Thread-safe. */
enum err failpoint_hit(const struct env *env, const char *name, struct error *e) MUST_CHECK;

#endif
