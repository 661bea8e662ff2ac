/*
 * fold: the newest change of each key within a batch, found before the SQL. Its memory is kept
 * from batch to batch. (TOASTed values that were not sent are the warehouse driver's to fill in:
 * it has the versions before the batch.)
 */
#ifndef SLUICE_FOLD_H
#define SLUICE_FOLD_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "buf.h"
#include "warehouse.h"

#define FOLD_NONE UINT32_MAX

struct fold_entry {
	uint64_t hash;
	size_t key;              /* offset into keys */
	uint32_t length, newest; /* of a bag: on top of the rows that nothing has cancelled */
};

struct fold {
	uint32_t *slots; /* entry index + 1 */
	size_t nslots, capslots;
	struct fold_entry *entries;
	size_t nentries, capentries;
	struct buf keys; /* canonical bytes, one key after the other */
	uint32_t *newest;
	size_t capnewest;
	uint8_t *flags;  /* per row: is the newest of its key */
	uint32_t *below; /* of a bag, per row: the one under it, or FOLD_NONE */
	size_t capbelow;
	size_t capflags;
	bool ready;
};
void fold_free(struct fold *f); /* ready when zeroed */

/* Fills out->newest, nnewest and truncated; the array lives until the next fold_run. */
void fold_run(struct fold *f, const struct batch *rows, struct table_changes *out);

#endif
