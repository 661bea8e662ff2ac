/*
 * store_walk: the files below a directory as sorted keys. Private to src/store.
 */
#ifndef SLUICE_STORE_WALK_H
#define SLUICE_STORE_WALK_H

#include "store.h"

/* Calls fn for each regular file below root whose relative path starts with the prefix, sorted
 * bytewise. An absent root has none; ROOT/.sluice is left out. */
enum err store_walk(const char *root, struct str prefix, store_key_fn *fn, void *arg,
	struct error *e) MUST_CHECK;

#endif
