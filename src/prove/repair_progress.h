/*
 * repair_progress: a repair under way, kept in the warehouse: what it has found, range by range, in
 * ops.repair_runs and ops.repair_ranges. A range is done in the transaction that mends it, so a
 * repair that was killed goes on with the range that it was in. Private to repair.
 */
#ifndef SLUICE_REPAIR_PROGRESS_H
#define SLUICE_REPAIR_PROGRESS_H

#include "enc.h"
#include "parts.h"
#include "repair.h"

/* A range that differed when both sides were compared; each is mended at a cut of its own. */
struct repair_range {
	struct part part; /* its table is an index into the names below */
	bool done;
};

struct repair_run {
	struct str id;
	char spec[ENC_SHA256_TEXT]; /* what the options and tables are */
	const struct str *names;    /* the tables', "schema.name" */
	size_t nnames;
	lsn at;     /* of the comparison that found it, its first cut */
	bool whole; /* it compared every table */
	struct repair_range *ranges;
	size_t n;
	/* Of the comparison after it, when it has been made. */
	enum repair_verdict verdict;
	bool checked_whole;
	lsn checked_at;
};

/* CREATE TABLE statements. */
void repair_progress_put_tables(struct buf *out);

/* The newest unfinished run with that spec, not begun before `since_us`, with the id and what
 * follows `names`; in mem. None: id stays empty. */
enum err repair_progress_find(struct warehouse *w, int64_t since_us, struct arena *mem,
	struct repair_run *run, struct error *e) MUST_CHECK;

/* Keeps a new run, whose id is given. */
enum err repair_progress_begin(struct warehouse *w, const struct env *env,
	const struct repair_run *run, struct error *e) MUST_CHECK;

/*
 * For the transaction that mends a range: it is done, with that many differences, of which those in
 * the table of chosen entries are mended (`chosen` false: there is nothing to choose from).
 */
void repair_progress_put_done(struct buf *out, const struct repair_run *run,
	const struct repair_range *range, uint64_t differences, bool chosen);

/* Comparisons that were broken off must not go on: some of what they saw is no longer so. */
void repair_progress_put_void(struct buf *out);

/* What was compared of a table earlier is no base for a check of its changes any more. */
void repair_progress_put_forget(struct buf *out, struct str table);

/* What the comparison after it says; a run that is finished is left as it is. */
enum err repair_progress_check(
	struct warehouse *w, const struct repair_report *checked, struct error *e) MUST_CHECK;

/* What was mended and skipped so far; `tables` is parallel to the names. */
enum err repair_progress_totals(struct warehouse *w, const struct repair_run *run,
	struct repair_table *tables, struct error *e) MUST_CHECK;

/* A statement that lets a run go: nothing of it is gone on with. */
void repair_progress_put_end(struct buf *out, struct str id);

#endif
