/*
 * repair_write: one table's plan into the warehouse. Private to repair.
 */
#ifndef SLUICE_REPAIR_WRITE_H
#define SLUICE_REPAIR_WRITE_H

#include "repair.h"
#include "repair_plan.h"
#include "repair_progress.h"
#include "repair_sql.h"

struct repair_writing {
	struct warehouse *warehouse;
	const struct env *env;
	const struct cut *cut;
	const struct repair_run *run;
	const struct repair_range *range;
	size_t number; /* of the range, for the names of staging tables */
	bool dry_run;
};

/* Writes what still may be written, and that the range is done, in one transaction. A dry run adds
 * to *out what it would do. `p` NULL: nothing differs any more. */
enum err repair_write(const struct repair_writing *w, struct repair_plan *p,
	struct repair_table *out, struct error *e) MUST_CHECK;

/* Makes the script for one more try at a transaction; with token_first the stream is made to
 * wait rather than us. */
typedef void repair_script_fn(void *arg, bool token_first, struct buf *out);

/* Runs it, again when another transaction of the warehouse got in between. */
enum err repair_transaction(struct warehouse *w, const struct env *env, repair_script_fn *make,
	void *arg, struct error *e) MUST_CHECK;

/* Drops the staging tables that repairs which were killed have left, an hour after. */
enum err repair_clear_old_stages(
	struct warehouse *w, const struct env *env, struct error *e) MUST_CHECK;

/* "20170301T120000" and an end that no other repair has. */
struct str repair_new_id(const struct env *env, struct arena *mem);

#endif
