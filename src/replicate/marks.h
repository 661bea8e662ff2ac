/*
 * marks: what replication keeps in the warehouse beside the rows, as JSON by name: "position",
 * "snapshot:SCHEMA.NAME", "shape:SCHEMA.NAME" and "table:SCHEMA.NAME" (see table_hold.h).
 */
#ifndef SLUICE_MARKS_H
#define SLUICE_MARKS_H

#include "replicate.h"
#include "table.h"

struct str mark_name(struct arena *mem, const char *what, struct str schema, struct str name);

/* Values, in mem. */
struct str mark_position(struct arena *mem, const struct replicate_position *p);
struct str mark_snapshot(struct arena *mem, const struct replicate_snapshot *s);
struct str mark_shape(struct arena *mem, const struct table *t);

/* The table as its shape mark describes it; NULL when there is none. */
enum err marks_shape(struct warehouse *w, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e) MUST_CHECK;

/* The same from the mark's text. */
enum err mark_read_shape(struct str text, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e) MUST_CHECK;

/* Runs statements whose repetition does no harm; again when another transaction of the warehouse
 * met the same rows. */
enum err script_again(
	struct warehouse *w, const struct env *env, struct str sql, struct error *e) MUST_CHECK;

/* Writes marks alone. */
enum err marks_put(
	struct warehouse *w, const struct mark *marks, size_t n, struct error *e) MUST_CHECK;

#endif
