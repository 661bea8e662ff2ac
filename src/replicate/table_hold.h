/*
 * table_hold: the mark "table:SCHEMA.NAME": whether the table is held back, or catches up after
 * it was, and from where in the journal its changes are missing in the warehouse. While there is
 * such a place the main stream leaves the table's changes out.
 */
#ifndef SLUICE_TABLE_HOLD_H
#define SLUICE_TABLE_HOLD_H

#include "marks.h"

struct table_hold {
	bool paused; /* held back; when false and has_from: it catches up */
	bool has_from;
	uint32_t relid;                 /* whose changes are missing */
	struct replicate_position from; /* they are missing after this */
};

/* Zeroed when there is no mark. */
enum err table_hold_read(struct warehouse *w, struct str schema, struct str name,
	struct table_hold *out, struct error *e) MUST_CHECK;

/* The mark, in mem; NULL: the table is with the others. */
struct mark table_hold_mark(
	struct arena *mem, struct str schema, struct str name, const struct table_hold *h);

/* Whether the main stream leaves it out: paused, or catching up. */
static inline bool table_hold_is(const struct table_hold *h)
{
	return h->paused || h->has_from;
}

/* Bytes on disk of the journal from `from` on; *reaches is false when it begins after that. */
enum err table_hold_journal(
	const char *dir, lsn from, bool *reaches, uint64_t *bytes, struct error *e) MUST_CHECK;

#endif
