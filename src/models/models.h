/*
 * models: the registry of models and their versions. One interface, one driver per service:
 * local:///dir (embedded) and vertex://project/region. Endpoint and job verbs join this
 * interface with online serving.
 *
 * The rules are Vertex AI's: a model has versions numbered from 1; an alias points at one
 * version of its model; exactly one version carries "default". A version is immutable but for
 * its aliases. What a version must carry (law 6: cut, query, leak proof, hash) is in `metadata`;
 * register refuses a version without them. Every call may be made from any thread.
 */
#ifndef SLUICE_MODELS_H
#define SLUICE_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "env.h"
#include "err.h"
#include "str.h"

struct model_version {
	struct str model;   /* "cancel_risk" */
	int64_t version;    /* from 1 */
	struct str aliases; /* joined by ',', sorted */
	int64_t created_us;
	struct str sha256;   /* of the artifact */
	struct str metadata; /* JSON object */
};

struct models {
	const struct models_ops *ops;
};

typedef enum err model_version_fn(void *arg, const struct model_version *v, struct error *e);

struct models_ops {
	const char *name; /* "local", "vertex" */
	/* Stores the artifact and its metadata as the next version; *version receives its number.
	 * The first version of a model becomes "default". Atomic. */
	enum err (*add)(struct models *, struct str model, struct str artifact, struct str metadata,
		int64_t *version, struct error *);
	/* `which` is a version number or an alias; empty means "default". Everything returned
	 * lives in mem. ERR_NOT_FOUND names what is missing and what there is. */
	enum err (*get)(struct models *, struct str model, struct str which, struct arena *mem,
		struct model_version *out, struct error *);
	/* The artifact's bytes, checked against its sha256. */
	enum err (*artifact)(struct models *, struct str model, int64_t version, struct buf *out,
		struct error *);
	/* All versions of one model, or of all when `model` is empty; by model, then version. */
	enum err (*list)(
		struct models *, struct str model, model_version_fn *, void *arg, struct error *);
	/* Points the alias at a version; moves it when it pointed elsewhere. */
	enum err (*alias)(struct models *, struct str model, struct str alias, int64_t version,
		struct error *);
	/* Removes an alias; "default" cannot be removed, only moved. */
	enum err (*unalias)(struct models *, struct str model, struct str alias, struct error *);
	/* Refused with ERR_CONFLICT while the version carries "default" and is not the last. */
	enum err (*remove)(struct models *, struct str model, int64_t version, struct error *);
	void (*close)(struct models *);
};

enum err models_open(
	struct models **out, const char *url, const struct env *env, struct error *e) MUST_CHECK;
void models_close(struct models *m); /* NULL is fine */

enum err models_add(struct models *m, struct str model, struct str artifact, struct str metadata,
	int64_t *version, struct error *e) MUST_CHECK;
enum err models_get(struct models *m, struct str model, struct str which, struct arena *mem,
	struct model_version *out, struct error *e) MUST_CHECK;
enum err models_artifact(struct models *m, struct str model, int64_t version, struct buf *out,
	struct error *e) MUST_CHECK;
enum err models_list(struct models *m, struct str model, model_version_fn *fn, void *arg,
	struct error *e) MUST_CHECK;
enum err models_alias(struct models *m, struct str model, struct str alias, int64_t version,
	struct error *e) MUST_CHECK;
enum err models_unalias(
	struct models *m, struct str model, struct str alias, struct error *e) MUST_CHECK;
enum err models_remove(
	struct models *m, struct str model, int64_t version, struct error *e) MUST_CHECK;

#endif
