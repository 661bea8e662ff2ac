/*
 * reconcile_reach: how a command brings the warehouse up to a cut: by the replication that runs
 * in this process, by waiting for another process's, or by replicating until there itself.
 */
#ifndef SLUICE_RECONCILE_REACH_H
#define SLUICE_RECONCILE_REACH_H

#include "command.h"
#include "lsn.h"

struct reconcile_reach {
	struct context *c;
	struct warehouse *warehouse;
};

/* A reconcile_reach_fn; arg is a struct reconcile_reach. */
enum err reconcile_reach(void *arg, lsn at, struct error *e);

/* Copies the tables first where nothing has been replicated yet: a cut taken before the copy
 * could not be compared. Nothing where replication runs already. */
enum err reconcile_first_copy(struct context *c, struct warehouse *w, struct error *e) MUST_CHECK;

#endif
