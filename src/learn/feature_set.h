/*
 * feature_set: a SQL file that gives one row per entity and moment. Its head says what the
 * columns mean:
 *
 *   -- entity: booking_id       names the row; unique
 *   -- as_of: booked_at         the moment of the question; features may use what was known then
 *   -- label: cancelled         1, 0, or NULL while unknown
 *   -- label_at: label_at       when the label became known
 *   -- open: is_open            true: to be scored
 *   -- mature_at: arrives_at    optional: by when every outcome is known. Without it, rows whose
 *                               outcome comes early would crowd out the others near the cut
 *   -- duplicate: lookalike     optional: rows that share this value count once in a second AUC
 *   -- slices: segment, hotel   optional: columns by whose values the evaluation is broken down
 *
 * and every other column is a feature. Its body is one SELECT whose sources are
 *
 *   {{versions SCHEMA.TABLE}}                    every version, hidden by the leak proof
 *   {{fixed SCHEMA.TABLE by KEY: COL, COL}}      the first known version of each key: columns
 *                                                that never change, which the leak proof checks
 *   {{first SCHEMA.TABLE by KEY: COL, COL}}      the same for columns that may change. Exact for
 *                                                keys whose birth was replicated; of those that
 *                                                came with the first copy it is the state then,
 *                                                which the leak proof reports as assumed
 *
 * and nothing else: a table named directly would escape the leak proof, so it is refused.
 */
#ifndef SLUICE_FEATURE_SET_H
#define SLUICE_FEATURE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "str.h"

enum source_kind { SOURCE_VERSIONS, SOURCE_FIXED, SOURCE_FIRST };

struct feature_source {
	enum source_kind kind;
	size_t at, end; /* of the braces, in the body */
	struct str schema, table;
	struct str key; /* these but for SOURCE_VERSIONS */
	struct str *columns;
	size_t ncolumns;
};

struct feature_set {
	struct str name;
	struct str body; /* the SELECT, without the head */
	struct str entity, as_of, label, label_at, open;
	struct str mature_at, duplicate; /* may be empty */
	struct str *slices;
	size_t nslices;
	struct feature_source *sources;
	size_t nsources;
	char sha256[65]; /* of the whole file */
};

/* Everything in *out lives in mem. ERR_USAGE names the line and what is allowed. */
enum err feature_set_parse(struct str name, struct str text, struct arena *mem,
	struct feature_set *out, struct error *e) MUST_CHECK;

/* DIR/NAME.sql (dir NULL or "": none), else the built-in one. ERR_USAGE names those there are. */
enum err feature_set_find(const char *dir, const char *name, struct arena *mem,
	struct feature_set *out, struct error *e) MUST_CHECK;

/* Appends the body with its sources replaced. `hide_after_us` not NULL: versions that began after
 * that moment are not there, and ones that ended after it have not ended. */
void feature_set_sql(const struct feature_set *f, const int64_t *hide_after_us, struct buf *out);

/* Appends what one source is replaced by; and the versions view that it stands on. */
void feature_source_sql(
	const struct feature_source *s, const int64_t *hide_after_us, struct buf *out);
void feature_source_view(const struct feature_source *s, struct buf *out);

/* Appends "features"."NAME" with the suffix added to the name. */
void feature_table_name(const struct feature_set *f, const char *suffix, struct buf *out);

/* True for the columns that the head names as something else than a feature. */
bool feature_set_is_role(const struct feature_set *f, struct str column);

#endif
