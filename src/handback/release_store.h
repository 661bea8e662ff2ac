/*
 * release_store: where the pieces of a release stand in the object store. Private to
 * src/handback.
 */
#ifndef SLUICE_RELEASE_STORE_H
#define SLUICE_RELEASE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "store.h"
#include "str.h"

/* ERR_USAGE unless it is lower-case letters, digits, '-' and '_', at most 64, letter first. */
enum err release_check_workflow(const char *workflow, struct error *e) MUST_CHECK;

struct str release_object_key(struct arena *mem, const char *workflow, struct str sha256);
struct str release_manifest_key(struct arena *mem, const char *workflow, int64_t version);

struct release_head {
	bool exists;
	int64_t version;
	struct str manifest_sha256;
	char etag[STORE_ETAG];
};

/* Strict: ERR_CHECK, with what to do, when it is not exactly what release_head_write() writes. */
enum err release_head_read(struct store *s, const char *workflow, struct arena *mem,
	struct release_head *out, struct error *e) MUST_CHECK;
/* Moves HEAD from what `from` has seen; ERR_CONFLICT when another publisher did meanwhile. */
enum err release_head_write(struct store *s, const char *workflow, const struct release_head *from,
	int64_t version, struct str manifest_sha256, struct error *e) MUST_CHECK;

/* Makes ERR_INPUT and ERR_NOT_FOUND, of something that must be there whole, a check that says no;
 * any other kind stays. */
enum err release_damaged(enum err rc, struct error *e) MUST_CHECK;

/* The bytes of a key, in mem; ERR_INPUT when there are more than max. */
enum err release_get(struct store *s, struct str key, size_t max, struct arena *mem,
	struct str *out, struct error *e) MUST_CHECK;

#endif
