/*
 * snapshot: the rows that a table has before the stream speaks of it, joined by the exact cut:
 * changes of transactions that the cut includes are left out of the stream for this table.
 */
#ifndef SLUICE_SNAPSHOT_H
#define SLUICE_SNAPSHOT_H

#include "engine.h"
#include "pg_catalog.h"

/* Copies each table of the publication whose mark does not say that it was done, then sets the
 * mark "position" when there is none. */
enum err snapshot_all(struct replicate *r, struct error *e) MUST_CHECK;

/* The same for one table that joined the publication while the stream runs; nothing when done. */
enum err snapshot_one(struct replicate *r, struct str schema, struct str name, uint32_t relid,
	struct error *e) MUST_CHECK;

#endif
