/*
 * dead_letters: rows that the warehouse refuses do not stop the stream (law 3). Exactly those are
 * found, and kept in ops.dead_letters with their table, key, position and reason, in the
 * transaction that writes the rest and the position. When the cause is mended they are tried
 * again, each guarded against newer state of its key.
 */
#ifndef SLUICE_DEAD_LETTERS_H
#define SLUICE_DEAD_LETTERS_H

#include <stdint.h>

#include "arena.h"
#include "env.h"
#include "err.h"
#include "str.h"
#include "warehouse.h"

/*
 * As warehouse_apply(). When rows are refused (ERR_INPUT), *refused is their number afterwards,
 * and OK means that the others, the letters and the marks are committed together.
 *
 * Which rows are refused is found as sift.h says: each by itself, as long as there are not so many
 * that the stream would stand still. ERR_INPUT, and nothing written, when the table itself is not
 * fit (it or a column is gone), or when a TRUNCATE is refused.
 */
enum err dead_letters_apply(struct warehouse *w, const struct env *env, const struct change_set *c,
	uint64_t *refused, struct error *e) MUST_CHECK;

/*
 * The same for one table within a transaction: as warehouse_tx_put(). When rows are refused, *tx is
 * given up and begun anew, with the other rows and the letters: nothing else may have been put
 * before. *tx is NULL after a failure.
 */
enum err dead_letters_put(struct warehouse *w, const struct env *env, struct warehouse_tx **tx,
	const struct table_changes *c, struct error *e) MUST_CHECK;

struct dead_letters_retried {
	uint64_t tried;
	uint64_t applied;    /* now in history, and in current where the key has nothing newer */
	uint64_t superseded; /* now in history; current has something newer already */
	uint64_t refused;    /* again: they stay, with the reason of this time */
};

/*
 * Tries a table's letters again, oldest first, each in a transaction of its own with the note of
 * what came of it: a crash loses and doubles nothing. Nobody else may write to the table
 * meanwhile; where replication runs in this process, use replicate_retry().
 * ERR_NOT_FOUND when the warehouse does not know the table.
 */
enum err dead_letters_retry(struct warehouse *w, const struct env *env, struct str schema,
	struct str name, struct dead_letters_retried *out, struct error *e) MUST_CHECK;

struct dead_letters_summary {
	uint64_t waiting, settled;
	struct str table, reason, seen_at; /* of the newest that waits; empty when none does */
};

/* Texts in mem. */
enum err dead_letters_summary(struct warehouse *w, struct arena *mem,
	struct dead_letters_summary *out, struct error *e) MUST_CHECK;

#endif
