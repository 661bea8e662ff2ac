/*
 * store: versioned files by key. One interface, one driver per kind: file:///dir, s3://bucket/
 * prefix, gs://bucket/prefix.
 *
 * Keys are relative, 1 to 1024 bytes of UTF-8, parts joined by '/', no part empty or "." or "..".
 * A put is whole or absent, and durable when it returns. An etag is opaque and changes with the
 * content. Every call may be made from any thread.
 */
#ifndef SLUICE_STORE_H
#define SLUICE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "env.h"
#include "err.h"
#include "str.h"

#define STORE_ETAG 128

struct store {
	const struct store_ops *ops;
};

enum store_condition {
	STORE_ANY,       /* replace or create */
	STORE_IF_ABSENT, /* ERR_CONFLICT when the key exists */
	STORE_IF_MATCH,  /* ERR_CONFLICT unless the key exists with that etag */
};

typedef enum err store_key_fn(void *arg, struct str key, size_t bytes, struct error *e);

struct store_ops {
	const char *scheme; /* "file", "s3", "gs" */
	/* etag (STORE_ETAG bytes, may be NULL) receives that of the new content. */
	enum err (*put)(struct store *, struct str key, struct str body, enum store_condition,
		const char *match, char *etag, struct error *);
	/* ERR_NOT_FOUND when absent. etag as above. */
	enum err (*get)(
		struct store *, struct str key, struct buf *body, char *etag, struct error *);
	/* Every key that starts with the prefix, sorted bytewise. */
	enum err (*list)(
		struct store *, struct str prefix, store_key_fn *, void *arg, struct error *);
	/* Absent is fine. */
	enum err (*remove)(struct store *, struct str key, struct error *);
	/* Who the store takes us for and what that may do, as a sentence added to *text. ERR_CHECK,
	 * with what is missing, when it may not do what a store needs. NULL: nobody asks. */
	enum err (*who)(struct store *, struct buf *text, struct error *);
	void (*close)(struct store *);
};

/* What a driver may need beside the URL; a member that a driver does not use is ignored. Strings
 * are copied; NULL or empty: the default. */
struct store_options {
	const char *url;
	const char
		*endpoint;   /* "https://host[:port]" instead of the vendor's; http only loopback */
	const char *ca_file; /* PEM certificates to trust instead of the system's */
	const char *credentials; /* gs: credential file instead of GOOGLE_APPLICATION_CREDENTIALS */
	const char *region;      /* s3 */
	bool path_style;         /* s3: the bucket in the path, not in the host's name */
	bool no_checksums;       /* s3: send and ask for none, for servers that know none */
	/* s3: see aws_identity_options. With `credentials`, a Google identity takes the role. */
	const char *profile, *role_arn, *external_id;
	const char *sts_endpoint, *sts_ca_file, *sts_region; /* NULL: as those above */
	int64_t part_size; /* bytes: larger content goes in parts of this size; 0: 8 MiB */
};

enum err store_open(
	struct store **out, const char *url, const struct env *env, struct error *e) MUST_CHECK;
enum err store_open_with(struct store **out, const struct store_options *o, const struct env *env,
	struct error *e) MUST_CHECK;
void store_close(struct store *s); /* NULL is fine */

enum err store_put(struct store *s, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e) MUST_CHECK;
enum err store_get(
	struct store *s, struct str key, struct buf *body, char *etag, struct error *e) MUST_CHECK;
enum err store_list(struct store *s, struct str prefix, store_key_fn *fn, void *arg,
	struct error *e) MUST_CHECK;
enum err store_remove(struct store *s, struct str key, struct error *e) MUST_CHECK;
/* Adds nothing for a driver without identities. */
enum err store_who(struct store *s, struct buf *text, struct error *e) MUST_CHECK;

/* Fails the n-th call of an operation; see warehouse_faulty(). */
struct store *store_faulty(struct store *inner, const char *op, unsigned nth);

#endif
