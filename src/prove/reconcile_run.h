/* reconcile_run: one comparison under way, shared by the files that make it. */
#ifndef SLUICE_RECONCILE_RUN_H
#define SLUICE_RECONCILE_RUN_H

#include "buckets.h"
#include "parts.h"
#include "pg_catalog.h"
#include "reconcile.h"
#include "reconcile_progress.h"
#include "reconcile_visit.h"
#include "kept_hashes.h"
#include "rows.h"
#include "thread.h"
#include "suspects.h"

/* The hashes of one range on their way into their file, while the next range is compared. */
struct keeping {
	struct thread thread;
	bool under_way;
	char *path;
	struct hash_rows rows;
	struct digest sum;
};

struct comparing {
	const struct reconcile_options *o;
	const struct reconcile_visitor *visitor; /* may be NULL */
	reconcile_parts_fn *then;                /* likewise */
	void *then_arg;
	struct warehouse *warehouse;
	const struct env *env;
	struct reconcile_report *report;
	struct pg *source;
	struct pg_tables tables; /* parallel to report->tables, as they were at the start */
	struct parts parts;      /* of all of them, by table and number */
	struct progress progress;
	size_t nbuckets;
	struct keeping keeping; /* see part_hashes_wait() */
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
	struct suspects suspects; /* of the part that is being compared */
	bool whole;               /* its parts are those of the plan: their rows' hashes are kept */
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
/* Where the hashes of its rows are kept; NULL: nowhere. */
const char *part_hashes_path(const struct comparing *c, const struct part *p, struct arena *mem);
/* Until the last range's are there. A comparison ends with it, however it has ended. */
void part_hashes_wait(struct comparing *c);

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
