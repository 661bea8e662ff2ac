/*
 * app_health: what does not work at the moment, told in the log once when it begins and once when
 * it is over, however many requests meet it. One for all threads of the API; every call is
 * thread-safe.
 */
#ifndef SLUICE_APP_HEALTH_H
#define SLUICE_APP_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "log.h"

struct app_health {
	struct log *log;          /* may be NULL: silent */
	atomic_uint bad;          /* one bit for each thing that does not work */
	_Atomic int64_t quiet_us; /* mono: until then a full queue is not told again */
};

/* Things are numbered from 0 to 31. `what` names it in the log: "creating a booking". */
void app_health_fails(struct app_health *h, unsigned thing, const char *what, const char *why);
void app_health_works(struct app_health *h, unsigned thing, const char *what);

/* A request was turned away because too many wait. It has no end that can be seen, so it is told
 * at most every 10 s. */
void app_health_crowded(struct app_health *h, int64_t now_us);

#endif
