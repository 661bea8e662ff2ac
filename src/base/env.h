/*
 * env: what every running part gets from outside: where to log, what time it is, chance,
 * counters, when to stop, and which faults to play. Made once by main (or a test) and passed
 * down; nothing here is global.
 */
#ifndef SLUICE_ENV_H
#define SLUICE_ENV_H

#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "rnd.h"

struct metrics;
struct failpoints;

struct env {
	struct log *log;               /* may be NULL: silent */
	struct clock *clock;           /* never NULL */
	struct rnd *rnd;               /* never NULL; one thread at a time */
	struct metrics *metrics;       /* may be NULL */
	struct failpoints *failpoints; /* may be NULL: none armed */
	atomic_bool *stop;             /* may be NULL: never asked to stop */
};

bool env_stopping(const struct env *env);

/* ERR_INTERRUPTED once a stop was asked for, otherwise OK. */
enum err env_check(const struct env *env, struct error *e) MUST_CHECK;

/* Sleeps at most us microseconds in short pieces, returning early when asked to stop. */
void env_sleep(const struct env *env, int64_t us);

#endif
