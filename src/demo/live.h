/*
 * live: the newer part of the stories, lived through the reservation API by several clients at
 * once. Each booking's story keeps its order; bookings overtake each other, as in life.
 */
#ifndef SLUICE_LIVE_H
#define SLUICE_LIVE_H

#include <stdatomic.h>

#include "env.h"
#include "plan.h"

/* Which row of the application a record became. 0: not made yet. */
struct live_ids {
	int64_t *booking, *guest; /* one each for each record */
};

struct live_options {
	const char *url; /* "http://127.0.0.1:41234" */
	const struct records *records;
	const struct plan *plan;
	struct live_ids ids; /* read and filled */
	unsigned clients;
	atomic_ullong *done; /* counts actions as they are answered; may be NULL */
};

/* Sends every action of the plan. Stops at the first answer that is not a success. */
enum err live_run(const struct live_options *o, const struct env *env, struct error *e) MUST_CHECK;

#endif
