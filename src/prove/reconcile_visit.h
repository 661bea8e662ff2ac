/*
 * reconcile_visit: reconciling with somebody who takes every difference, not only the listed
 * ones, while the transaction of the cut is still open.
 */
#ifndef SLUICE_RECONCILE_VISIT_H
#define SLUICE_RECONCILE_VISIT_H

#include "differ.h"
#include "reconcile.h"
#include "rows.h"

struct reconcile_visitor {
	void *arg;
	difference_fn *found; /* each difference of one table; NULL: not wanted */
	/* Likewise, what history's newest entry of a key has otherwise than the source, whatever
	 * the current row has; the kind is history's. Only when options say `history`. */
	difference_fn *in_history;
	/* Then that table, when it differs in either: both sides can be read once more. The subject
	 * lives as long as the report, which a failure ends; index is its place in report->tables.
	 */
	enum err (*table)(void *arg, const struct sides *s, const struct subject *subject,
		size_t index, struct error *e);
};

/* As reconcile(). An error of the visitor ends the comparison; nothing is kept then. */
enum err reconcile_visiting(const struct reconcile_options *o,
	const struct reconcile_visitor *visitor, struct warehouse *w, const struct env *env,
	struct reconcile_report *out, struct error *e) MUST_CHECK;

#endif
