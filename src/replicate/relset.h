/*
 * relset: the relations that a journal segment speaks of: the last Relation message of each, and
 * what has been counted for the segment's footer. Counts are pending until their transaction
 * commits. One thread at a time.
 */
#ifndef SLUICE_RELSET_H
#define SLUICE_RELSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "canon.h"
#include "str.h"

struct rel_count {
	uint64_t inserts, updates, deletes, truncates;
	struct digest digest; /* over the raw messages: XXH3-128, summed */
};

struct rel_item {
	uint32_t relid;
	char *message; /* raw Relation message; NULL when none was seen */
	size_t length;
	struct rel_count settled, pending;
	bool touched; /* pending holds something */
};

struct relset {
	struct rel_item *items;
	size_t n, cap;
	uint32_t *slots; /* index into items + 1 */
	size_t nslots;
	uint32_t *touched; /* indexes of items with pending counts */
	size_t ntouched, captouched;
};

void relset_free(struct relset *s); /* ready when zeroed */

/* Keeps a copy of a Relation message ('R', relid, ...). */
void relset_learn(struct relset *s, struct str message);

/* Counts a change message of kind I, U or D, or for T each of its relations. */
void relset_count(struct relset *s, struct str message);
void relset_commit(struct relset *s);
void relset_rollback(struct relset *s);
void relset_zero(struct relset *s); /* forgets the counts, keeps the messages */

/* "schema" and "name" out of a Relation message; false when it is not one. */
bool relation_name(struct str message, struct str *schema, struct str *name);

#endif
