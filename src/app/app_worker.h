/*
 * app_worker: turns the outbox into tasks, and asks guests at risk of cancelling to reconfirm, as
 * long as the gate of its workflow is open. A gate that cannot be read is closed.
 */
#ifndef SLUICE_APP_WORKER_H
#define SLUICE_APP_WORKER_H

#include "env.h"
#include "pg_conn.h"

struct app_worker_options {
	struct pg_options database;
	const char *workflow;     /* whose gate and scores; empty or NULL: none, always closed */
	double threshold;         /* score at and above which a guest is asked */
	int64_t poll_interval_us; /* between two looks at an empty outbox; 0: 1 s */
	bool once;                /* end when there is nothing left to do */
	bool migrate;             /* bring the schema up to date first; otherwise it is */
};

struct app_worker_result {
	int64_t events;          /* outbox rows taken */
	int64_t tasks;           /* confirmations and cancellation notices made */
	int64_t reconfirmations; /* made */
	char gate[16];           /* "open" or "closed", as last seen */
};

/*
 * Runs until env asks to stop, which is OK and not an error, or with `once` until the outbox is
 * empty. Several may run at a time. A round that fails, because the database is away or for
 * whatever other reason, is said once for each change and tried again, at most 5 s (or
 * poll_interval_us) later; with `once` it is what this returns. With `migrate` the schema comes
 * first; what keeps it from being brought up to date, other than that the database is away, ends
 * it.
 */
enum err app_worker_run(const struct app_worker_options *o, const struct env *env,
	struct app_worker_result *result, struct error *e) MUST_CHECK;

#endif
