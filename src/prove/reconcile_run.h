/* reconcile_run: one comparison under way, shared by the files that make it. */
#ifndef SLUICE_RECONCILE_RUN_H
#define SLUICE_RECONCILE_RUN_H

#include "buckets.h"
#include "parts.h"
#include "pg_catalog.h"
#include "reconcile.h"
#include "reconcile_progress.h"
#include "reconcile_visit.h"
#include "rows.h"

struct comparing {
	const struct reconcile_options *o;
	const struct reconcile_visitor *visitor; /* may be NULL */
	struct warehouse *warehouse;
	const struct env *env;
	struct reconcile_report *report;
	struct pg *source;
	struct pg_tables tables; /* parallel to report->tables, as they were at the start */
	struct parts parts;      /* of all of them, by table and number */
	struct progress progress;
	size_t nbuckets;
};

/* ---- reconcile.c ---- */

/* Connects and finds the tables. */
enum err comparing_open(struct comparing *c, struct error *e) MUST_CHECK;

/* Compares these in as many transactions as it takes. */
enum err comparing_groups(struct comparing *c, struct part *const *todo, size_t n, bool history,
	struct error *e) MUST_CHECK;

/* ---- reconcile_tables.c: which tables, and the connection ---- */

enum err comparing_connect(struct comparing *c, struct pg **out, struct error *e) MUST_CHECK;
/* The publication's tables, or the one asked for. */
enum err comparing_tables(
	struct comparing *c, struct arena *mem, struct pg_tables *out, struct error *e) MUST_CHECK;

/* ---- reconcile_group.c: parts that share one transaction ---- */

struct group {
	struct comparing *c;
	struct arena *mem;         /* of the descriptions */
	struct cut cut;            /* in report->mem */
	struct subject **subjects; /* by table; NULL: not in this group */
	struct sides sides;
};

/* Begins the transaction, holds the tables of these parts, takes the cut and waits until the
 * warehouse has reached it. Ends with group_end(), also after a failure. */
enum err group_begin(struct comparing *c, struct part *const *parts, size_t n, struct arena *mem,
	struct group *out, struct error *e) MUST_CHECK;
enum err group_end(struct group *g, struct error *e) MUST_CHECK;
/* Compares them all, and keeps what came of it. */
enum err group_compare(struct comparing *c, struct part *const *parts, size_t n, bool history,
	struct error *e) MUST_CHECK;

/* ---- reconcile_part.c ---- */

enum err part_compare(struct group *g, struct part *p, bool history, struct error *e) MUST_CHECK;

/* ---- reconcile_throttle.c ---- */

/* Returns when the limits are kept; counts the waiting in the report. */
enum err throttle(struct comparing *c, struct error *e) MUST_CHECK;

/* ---- reconcile_changed.c ---- */

enum err changed_compare(struct comparing *c, struct error *e) MUST_CHECK;

/* ---- reconcile_history.c ---- */

/* Folds history inside the cut and holds it against the buckets of the source. */
enum err history_compare(struct group *g, const struct subject *s, const struct buckets *source,
	struct part *p, struct error *e) MUST_CHECK;

#endif
