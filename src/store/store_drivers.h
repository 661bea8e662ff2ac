/*
 * store_drivers: what store.c knows of each driver. Private to src/store.
 */
#ifndef SLUICE_STORE_DRIVERS_H
#define SLUICE_STORE_DRIVERS_H

#include "store.h"

/* Keys of this first part are the directory driver's own and refused to callers. */
#define STORE_PRIVATE ".sluice"

/* `path` is a directory. It need not exist: the first put makes it, a get finds nothing in it. */
enum err store_dir_open(
	struct store **out, const char *path, const struct env *env, struct error *e) MUST_CHECK;

#endif
