/*
 * repair_check: the verdict after a repair, and the end of the one before it. Gates and releases
 * go by the newest report in ops.reconciliations, so a repair is followed by a comparison of what
 * was repaired, and an undo says at once, in its own transaction, that what was proven before it
 * is proven no longer.
 */
#ifndef SLUICE_REPAIR_CHECK_H
#define SLUICE_REPAIR_CHECK_H

#include "buf.h"
#include "repair.h"

/* A statement that adds to ops.reconciliations, as of `now_us`, that the table is not known to be
 * equal since the repair `id` of it was undone; only when rows of it were chosen. */
void repair_put_doubt(struct buf *out, struct str id, struct str table, int64_t now_us);

#endif
