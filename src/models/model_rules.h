/*
 * model_rules: what the registry accepts, whichever driver keeps it.
 */
#ifndef SLUICE_MODEL_RULES_H
#define SLUICE_MODEL_RULES_H

#include "err.h"
#include "str.h"

/* A letter, then at most 127 letters, digits, '_' or '-'. */
enum err model_name_check(struct str model, struct error *e) MUST_CHECK;

/* Vertex AI's pattern: [a-z][a-zA-Z0-9-]{0,126}[a-z0-9]. */
enum err model_alias_check(struct str alias, struct error *e) MUST_CHECK;

/*
 * Law 6, a model knows its data: metadata must be an object with
 *   cut          {"lsn": "...", "snapshot": "..."}, neither empty
 *   query_sha256 64 hex digits
 *   leak_proof   {"ok": true, ...}
 *   features     an array that is not empty
 * ERR_INPUT names the first that is missing.
 */
enum err model_metadata_check(struct str metadata, struct error *e) MUST_CHECK;

#endif
