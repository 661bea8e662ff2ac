/*
 * scan: one side of a table, or of the part of it that subject->where picks, summed into buckets
 * at the cut.
 */
#ifndef SLUICE_SCAN_H
#define SLUICE_SCAN_H

#include <stdatomic.h>

#include "buckets.h"
#include "kept_hashes.h"
#include "rows.h"

/* Set by whoever fails, so that the other side need not go on: it then gives ERR_INTERRUPTED. */
struct scan {
	const struct sides *sides;
	const struct subject *subject;
	atomic_bool *given_up;
	struct hash_rows *rows; /* scan_source() adds them; NULL: not wanted */
};

/* By COPY in the transaction of the cut. */
enum err scan_source(const struct scan *s, struct buckets *into, struct error *e) MUST_CHECK;

/*
 * Reads current as it stands now, without the join that asks for it as of the cut, and puts right
 * what changes outside the cut have touched. Two statements see two states of the warehouse; what
 * could not be told apart then is in doubt: *sure says whether unequal buckets mean unequal rows,
 * or that scan_replica_exact() must be asked. Equal buckets always mean equal rows.
 */
enum err scan_replica(
	const struct scan *s, struct buckets *into, bool *sure, struct error *e) MUST_CHECK;

/* In one statement. */
enum err scan_replica_exact(const struct scan *s, struct buckets *into, struct error *e) MUST_CHECK;

#endif
