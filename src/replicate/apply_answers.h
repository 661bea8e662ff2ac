/*
 * apply_answers: the answers of the source that apply takes on its way (see answers.h): kept when
 * they are given, and used in place of the source where the same change is applied again.
 */
#ifndef SLUICE_APPLY_ANSWERS_H
#define SLUICE_APPLY_ANSWERS_H

#include "answers.h"
#include "apply.h"
#include "backfill.h"

/* Keeps one about the table, at the position where apply is. Nothing in a replay. */
enum err apply_keep_answer(struct apply *a, const struct table *t, const char *kind,
	struct str before, struct str body, struct error *e) MUST_CHECK;

/* In a replay: what was said of the relation when it had these columns; NULL when nothing was. */
const struct answer *apply_recorded_shape(
	struct apply *a, const struct relation *rel, struct arena *mem);

/* The answer to a change from `before`, as it was given the first time: false when it was not. */
enum err apply_known_answer(struct apply *a, const struct relation *rel, const struct table *before,
	struct arena *mem, struct answer *out, bool *found, struct error *e) MUST_CHECK;

/* ---- replaying ---- */

/* Reads what the warehouse has of answers; what stands before `from` has been done. */
enum err apply_answers_open(
	struct apply *a, struct arena *mem, struct answers *out, struct error *e) MUST_CHECK;
/* Does what was found in the catalog up to `commit`, between two transactions; *next is the first
 * that has not been looked at. */
enum err apply_answers_until(struct apply *a, const struct answers *all, lsn commit, size_t *next,
	struct error *e) MUST_CHECK;
/* At the end: the tables get the shapes that they had got by the time of the recording. */
enum err apply_answers_rest(
	struct apply *a, const struct answers *all, size_t next, struct error *e) MUST_CHECK;

#endif
