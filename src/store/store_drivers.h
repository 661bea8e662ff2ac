/*
 * store_drivers: what store.c knows of each driver. Private to src/store.
 */
#ifndef SLUICE_STORE_DRIVERS_H
#define SLUICE_STORE_DRIVERS_H

#include "store.h"

/* Keys of this first part are the directory driver's own and refused to callers. */
#define STORE_PRIVATE ".sluice"

/* `path` is a directory. It need not exist: the first put makes it, a get finds nothing in it. */
enum err store_dir_open(struct store **out, const struct store_options *o, const char *path,
	const struct env *env, struct error *e) MUST_CHECK;

/* `rest` is "bucket" or "bucket/prefix"; see gcs_store.h. */
enum err store_gcs_open(struct store **out, const struct store_options *o, const char *rest,
	const struct env *env, struct error *e) MUST_CHECK;

/* `rest` is "bucket[/prefix]". */
enum err store_s3_open(struct store **out, const struct store_options *o, const char *rest,
	const struct env *env, struct error *e) MUST_CHECK;

/* May a key be used? Listings leave out what may not. */
bool store_key_allowed(struct str key);

/* The bucket of "bucket[/prefix]"; *prefix is what follows, without slashes at its end, or empty.
 * Both are views of rest, and neither has been checked. */
struct str store_bucket(const char *rest, struct str *prefix);

#endif
