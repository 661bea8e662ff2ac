/*
 * repair_plan: what is to be written, collected while the transaction of the cut is open: every
 * key that differs, the source's rows under it, and what the warehouse had there at the cut.
 * Memory grows with the differences, not with the table. Private to repair.
 */
#ifndef SLUICE_REPAIR_PLAN_H
#define SLUICE_REPAIR_PLAN_H

#include "batch.h"
#include "reconcile_visit.h"

/* One key that differs. */
struct repair_entry {
	struct rowhash key;
	struct str text; /* the key as JSON */
	uint32_t count[DIFFERENCES];
	bool in_history;      /* its newest entry there is wrong; the current row may be right */
	uint8_t history_kind; /* enum difference */
	uint32_t nsource, nreplica; /* rows under it at the cut */
	struct digest replica;      /* of the warehouse's */
	/* Filled by repair_write: what stands there now. */
	struct digest now;
	struct str *images;
	uint32_t nimages, capimages;
};

/* One range that differs. */
struct repair_plan {
	size_t range; /* which one, see repair_plans */
	const struct subject *subject;
	struct repair_entry *entries; /* by key */
	size_t n;
	int64_t cut_us; /* the source's clock at the cut */
	/* Rows to be staged: the source's, and one of the warehouse's where the source has none, so
	 * that every entry has one whose key can be asked for. */
	struct batch *rows;
	uint32_t *entry, *copy; /* of each: its entry, and the how many-th it is there */
	uint8_t *from_source;
	struct str *exact;
	size_t caprows;
	struct arena mem;
};

struct repair_plans {
	size_t max; /* differences, of all ranges */
	uint64_t differences;
	size_t range; /* the one that is being compared, as the caller counts them */
	struct repair_plan *list;
	size_t n, cap;
	/* Of the range that is being compared. */
	struct repair_entry *found;
	size_t nfound, capfound;
};

/* The visitor that fills *p. A table that cannot be repaired ends the comparison. */
struct reconcile_visitor repair_plans_visitor(struct repair_plans *p);

/* ERR_USAGE when that many differences are too many, or the table is one that cannot be repaired.
 */
enum err repair_check_fit(
	const struct subject *s, uint64_t differences, size_t max, struct error *e) MUST_CHECK;
void repair_plans_free(struct repair_plans *p); /* zeroed is fine */

struct repair_entry *repair_plan_find(const struct repair_plan *p, struct rowhash key);
uint64_t repair_entry_differences(const struct repair_entry *x);
/* The kind that the repair is recorded under. */
enum difference repair_entry_kind(const struct repair_entry *x);

#endif
