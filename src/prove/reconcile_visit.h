/*
 * reconcile_visit: reconciling for somebody who wants more than the report: every difference, not
 * only the listed ones, while the transaction of the cut is still open; or what became of each
 * range.
 */
#ifndef SLUICE_RECONCILE_VISIT_H
#define SLUICE_RECONCILE_VISIT_H

#include "differ.h"
#include "parts.h"
#include "reconcile.h"
#include "rows.h"

struct reconcile_visitor {
	void *arg;
	difference_fn *found; /* each difference of one table; NULL: not wanted */
	/* Likewise, what history's newest entry of a key has otherwise than the source, whatever
	 * the current row has; the kind is history's. Only when options say `history`. */
	difference_fn *in_history;
	/* Then that range of a table, when it differs in either: both sides can be read once more.
	 * The subject lives during the call; index is the table's place in report->tables. */
	enum err (*table)(void *arg, const struct sides *s, const struct subject *subject,
		size_t index, struct error *e);
};

/*
 * As reconcile(), and hands over every range once the report is kept, before the ranges are let go
 * of: a call that is killed before `then` has returned goes on with them all done. They live as
 * long as the report. An error of `then` is returned; after ERR_USAGE the ranges are let go of all
 * the same.
 */
typedef enum err reconcile_parts_fn(
	void *arg, const struct reconcile_report *r, const struct parts *parts, struct error *e);
enum err reconcile_then(const struct reconcile_options *o, reconcile_parts_fn *then, void *arg,
	struct warehouse *w, const struct env *env, struct reconcile_report *out,
	struct error *e) MUST_CHECK;

#endif
