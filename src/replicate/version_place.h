/*
 * version_place: where versions of rows stand in history that no change of the stream brings: the
 * values that a changed table gives to its rows, the new name of an enum's value.
 */
#ifndef SLUICE_VERSION_PLACE_H
#define SLUICE_VERSION_PLACE_H

#include "arena.h"
#include "buf.h"
#include "lsn.h"
#include "table.h"

/*
 * Append an SQL expression each: `_lsn` and `_seq` of versions that come behind everything which
 * is applied at position `at` and before everything that follows, and stand where nothing else
 * does. `alias` names the rows of current among which they are numbered, in the order of the key.
 */
void version_put_lsn(struct buf *sql, const struct table *t, lsn at, struct arena *mem);
void version_put_seq(
	struct buf *sql, const struct table *t, lsn at, const char *alias, struct arena *mem);

#endif
