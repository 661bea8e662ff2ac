/*
 * cut: a point in the source's history, as an LSN and the set of transactions visible there.
 *
 * Commit order in the log and the order in which commits become visible differ, so an LSN alone
 * does not say what a snapshot saw. A snapshot taken first and an LSN read after it do: every
 * transaction the snapshot sees has committed before that LSN, and the ones that committed
 * before it unseen are told apart by their ids (PostgreSQL: pg_current_snapshot(),
 * "xmin:xmax:xip").
 */
#ifndef SLUICE_CUT_H
#define SLUICE_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "lsn.h"

struct cut {
	lsn at;
	uint64_t xmin, xmax;     /* 64-bit transaction ids */
	const uint64_t *running; /* sorted; in progress when the snapshot was taken */
	size_t nrunning;
};

/* From "10:20:10,14,15"; `running` lives in mem. */
enum err cut_parse(struct str snapshot, lsn at, struct arena *mem, struct cut *out,
	struct error *e) MUST_CHECK;
void cut_print_snapshot(const struct cut *c, struct buf *out);
bool cut_sees_xid(const struct cut *c, uint64_t xid);

/* A change is inside the cut when its transaction committed at or before `at` and is seen. */
bool cut_includes(const struct cut *c, uint64_t xid, lsn commit);

/* The 64-bit id nearest to `near` whose low half is xid: pgoutput sends only the low half. */
uint64_t xid_widen(uint32_t xid, uint64_t near);

#endif
