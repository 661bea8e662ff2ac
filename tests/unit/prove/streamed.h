/* The fixture of proving with real replication under it: rows of the first copy, rows that the
 * stream has brought since, and a journal that remembers them. */
#ifndef SLUICE_STREAMED_H
#define SLUICE_STREAMED_H

#include "prove_fixture.h"

#include "repair.h"
#include "replicate.h"

#define STREAMED_FROM  151 /* items from here on were updated by the stream */
#define DELETED_FROM   241 /* these were deleted by it */
#define DELETED_TO     260
#define STREAMED_ADDED 320 /* ids ITEMS+1..here were inserted by it */

struct streamed {
	struct fixture f;
	char journal[160];
	struct replicate_options options;
	const char *only;   /* the one table that is compared and repaired; NULL: all */
	const char *hashes; /* as reconcile_options has it, where a test says so */
};

void streamed_open(struct streamed *s);
void streamed_close(struct streamed *s);

/* Applies all that the source has. */
void streamed_catch_up(struct streamed *s);

/* Keeps what all tables of the warehouse hold, and puts it back. */
void streamed_save(struct streamed *s);
void streamed_restore(struct streamed *s);

/* A digest of everything in current and history of the publication's tables; in a static buffer
 * of the caller's, 64 bytes. */
const char *streamed_state(struct streamed *s, char out[64]);

/* Nothing is applied meanwhile. journal NULL: the real one. */
void streamed_reconcile(
	struct streamed *s, const char *journal, size_t max_keys, struct reconcile_report *out);
enum err streamed_repair(
	struct streamed *s, bool dry_run, struct repair_report *out, struct error *e);

/* The listed key of items, or of the table named; the test fails when it is not listed. */
const struct reconcile_key *streamed_key(
	const struct reconcile_report *r, const char *table, const char *key);

#endif
