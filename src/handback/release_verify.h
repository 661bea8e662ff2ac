/*
 * release_verify: the checks of a release as tables. Each says what it needs to have been proven
 * before it and what it proves; a check whose needs were not met has failed unrun.
 * Private to src/handback.
 */
#ifndef SLUICE_RELEASE_VERIFY_H
#define SLUICE_RELEASE_VERIFY_H

#include "buf.h"
#include "handback.h"
#include "pg_conn.h"
#include "release_data.h"
#include "release_db.h"
#include "release_manifest.h"
#include "release_store.h"
#include "store.h"

enum {
	HAVE_HEAD = 1,
	HAVE_MANIFEST = 2, /* it can be read */
	HAVE_KEY = 4,      /* its key is trusted */
	HAVE_SIGNED = 8,   /* every word of it is the publisher's */
	HAVE_ROWS = 16,    /* its files are the ones it names */
	HAVE_KEYS = 32,    /* unique texts */
	HAVE_SCORES = 64,  /* numbers within [0, 1] */
	HAVE_STAGED = 128, /* they stand in the staging table */
	HAVE_LIVE = 256,   /* a version is live */
};

struct verification {
	const struct release_policy *policy;
	const struct env *env;
	struct store *store; /* NULL for a gate: the manifest comes from the database */
	struct pg *pg;
	int64_t version; /* asked for; 0: what HEAD names */
	bool landing;    /* not only looking */
	struct arena *mem;

	unsigned have;
	struct release_head head;
	struct str bytes; /* of the manifest */
	char sha256[ENC_SHA256_TEXT];
	struct manifest m;
	struct sign_trust *trust;
	struct data_rows rows;
	struct score_stats stats;
};

void verification_free(struct verification *v);

/* A check: OK with what it saw in `saw`, or the failure. A failure of kind ERR_UNAVAILABLE,
 * ERR_INTERRUPTED or ERR_BUG ends the verification; any other is the check's "no". */
struct release_check {
	const char *name;
	unsigned needs, gives;
	enum err (*run)(struct verification *v, struct buf *saw, struct error *e);
};

enum err verification_run(struct verification *v, const struct release_check *table,
	struct checks *out, struct error *e) MUST_CHECK;

/* Those that need the store alone, and those that need the database; the last has no name. */
extern const struct release_check release_offline_checks[];
extern const struct release_check release_database_checks[];
/* Every check of the table says no: it could not be run, for the reason `why`. */
void verification_not_run(const struct release_check *table, const char *why, struct checks *out);

/* Shared with the gate. */
enum err release_take_manifest(
	struct verification *v, struct str bytes, struct error *e) MUST_CHECK;
enum err release_check_key(struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_signature(
	struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_freshness(
	struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_model(struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_evaluation(
	struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_leak_proof(
	struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_reconciliation(
	struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_keys(struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;
enum err release_check_scores(struct verification *v, struct buf *saw, struct error *e) MUST_CHECK;

#endif
