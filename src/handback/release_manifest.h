/*
 * release_manifest: what a release says of itself. On the wire it is one JSON object in canonical
 * form (members sorted, no white space), so the bytes that are signed are defined: the object
 * without its member "signature". Private to src/handback.
 */
#ifndef SLUICE_RELEASE_MANIFEST_H
#define SLUICE_RELEASE_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "json.h"
#include "release_sign.h"
#include "release_stats.h"
#include "str.h"

#define MANIFEST_FORMAT      1
#define MANIFEST_MAX         ((size_t)16 << 20)
#define MANIFEST_MAX_FILES   10000
#define MANIFEST_MAX_VERSION 999999 /* six digits */

struct manifest_file {
	struct str sha256; /* lower-case hex, as every digest here */
	int64_t rows, bytes;
};

struct manifest {
	struct str workflow;
	int64_t version;
	int64_t parent; /* 0: none */
	struct str parent_sha256;
	struct str created_at; /* RFC 3339, as every time here */
	struct str columns;    /* JSON: [{"name","type"},...] */
	struct str key_column;
	struct manifest_file *files;
	size_t nfiles;
	int64_t rows;

	struct str model, model_sha256, query_sha256;
	int64_t model_version;
	struct str training_cut, evaluation,
		leak_proof; /* JSON objects, as the registry had them */
	double auc;         /* evaluation's */
	bool leak_free;     /* leak_proof's "ok" */

	struct str scoring_id, scored_at, scoring_lsn;

	bool reconciled;   /* what the report says */
	struct str report; /* JSON text of the reconciliation, as it was printed */
	struct str report_sha256, report_finished_at, report_lsn, report_snapshot;

	struct score_stats stats;
	struct str producer; /* the person */
	struct str program;  /* "sluice 0.1.0" */

	/* Filled by reading only. */
	struct str key_id, signature; /* raw bytes */
	struct str unsigned_bytes;    /* what was signed */
};

/* The columns that every release has in this version, as canonical JSON. */
#define MANIFEST_COLUMNS                                                                           \
	"[{\"name\":\"key\",\"type\":\"text\"},{\"name\":\"score\",\"type\":\"float8\"}]"

/* Appends the signed manifest. */
enum err manifest_write(const struct manifest *m, const struct sign_key *key, struct buf *out,
	struct error *e) MUST_CHECK;

/* Strict: ERR_INPUT when anything is missing, unknown, of the wrong type or out of range, or the
 * bytes are not in canonical form. Proves nothing about the signature. *out lives in mem. */
enum err manifest_read(
	struct str bytes, struct arena *mem, struct manifest *out, struct error *e) MUST_CHECK;

/* The object of `json`, in canonical form, in mem. */
enum err manifest_canonical(
	const json_t *json, struct arena *mem, struct str *out, struct error *e) MUST_CHECK;

#endif
