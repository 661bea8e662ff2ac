/* feature_build: the SQL that builds a feature table, shared with the leak proof. */
#ifndef SLUICE_FEATURE_BUILD_H
#define SLUICE_FEATURE_BUILD_H

#include "learn.h"

/* Appends the statements that make features.NAME and its row in ops.feature_builds. */
void feature_build_script(const struct feature_set *f, const char *built_at, struct buf *out);

/* After the script ran: checks the table and reads the row that `built_at` names. */
enum err feature_build_result(struct warehouse *w, const struct feature_set *f,
	const char *built_at, struct feature_build *out, struct error *e) MUST_CHECK;

/* Runs a query that gives one row of integers; n of them into out. NULL gives 0. */
enum err query_integers(
	struct warehouse *w, struct str sql, int64_t *out, size_t n, struct error *e) MUST_CHECK;

#endif
