/*
 * reconcile_progress: ranges that have been compared, kept in the warehouse: in
 * ops.reconcile_parts, by run, table and number, and what a run has planned in ops.reconcile_runs.
 * An unfinished run is gone on with; of finished ones the newest of each table is what a later
 * check of the changes starts from.
 */
#ifndef SLUICE_RECONCILE_PROGRESS_H
#define SLUICE_RECONCILE_PROGRESS_H

#include "parts.h"
#include "reconcile.h"

struct progress {
	struct warehouse *warehouse;
	struct str run; /* "20170301T120000-3fa2c1"; empty: nothing has been kept yet */
	bool keep;      /* ranges are worth keeping */
	char spec[65];  /* what the options and tables are */
};

/* Makes the tables where they are missing. */
enum err progress_prepare(struct warehouse *w, struct error *e) MUST_CHECK;

/* An unfinished run with the same spec and not older than `since_us`: its plan into *parts with
 * what is done, and p->run. Otherwise p->run stays empty. */
enum err progress_find(struct progress *p, int64_t since_us, const struct reconcile_report *r,
	struct arena *mem, struct parts *parts, struct error *e) MUST_CHECK;

/* A new run, with its plan; a finished one is only kept for later checks of the changes. */
enum err progress_begin(struct progress *p, const struct env *env, const struct reconcile_report *r,
	const struct parts *parts, bool finished, struct arena *mem, struct error *e) MUST_CHECK;

/* Keeps these parts as done: all of them or none. */
enum err progress_keep(const struct progress *p, const struct reconcile_report *r,
	struct part *const *parts, size_t n, struct error *e) MUST_CHECK;

/* Finishes the run and lets go of the tables' earlier ones; of a sample, of its own parts too. */
enum err progress_finish(const struct progress *p, const struct reconcile_report *r, int64_t now_us,
	int64_t resume_us, bool sample, struct error *e) MUST_CHECK;

/* The parts of a table as the last finished run left them, and that run; none: n is 0. */
enum err progress_last(struct warehouse *w, struct str table, size_t index, struct arena *mem,
	struct str *run, struct parts *out, struct error *e) MUST_CHECK;

/* Puts these in their place, in one transaction. */
enum err progress_update(struct warehouse *w, struct str run, const struct reconcile_report *r,
	struct part *const *parts, size_t n, struct error *e) MUST_CHECK;

#endif
