/*
 * gcp_source: where tokens come from, as a credential file says it, and how one is fetched. Private
 * to gcp_*.c.
 */
#ifndef SLUICE_GCP_SOURCE_H
#define SLUICE_GCP_SOURCE_H

#include "gcp_identity.h"
#include "http_client.h"

#define GCP_REPLY_MAX ((size_t)256 << 10) /* Google's STS may answer with 12 KB of token */

#define GCP_SCOPE "https://www.googleapis.com/auth/cloud-platform"

enum gcp_kind { GCP_METADATA, GCP_EXTERNAL, GCP_KEY };
enum gcp_subject { GCP_SUBJECT_FILE, GCP_SUBJECT_URL, GCP_SUBJECT_AWS };

/* Everything lives in the identity's arena. Texts are NUL-terminated. */
struct gcp_source {
	enum gcp_kind kind;
	const char *file; /* that it was read from; NULL: none */

	/* GCP_METADATA */
	const char *metadata; /* "http://metadata.google.internal" */

	/* GCP_EXTERNAL */
	enum gcp_subject subject;
	const char *audience, *subject_type;
	const char *place; /* file or URL of the subject token; AWS: the URL to be signed */
	const char *field; /* the token's member when that holds JSON; NULL: it holds the token */
	struct http_pair *headers; /* to send to the URL */
	size_t nheaders;

	/* GCP_KEY */
	const char *email, *key_id;
	struct secret key; /* PEM */

	/* GCP_EXTERNAL, GCP_KEY */
	const char *token_url;

	/* Acting for a service account; NULL: not. */
	const char *impersonate; /* URL that ends in :generateAccessToken */
	const char *delegates;   /* JSON array; NULL: none */
	int64_t lifetime_s;
};

/* Reads a credential file. ERR_USAGE with the path and what about it will not do; never quotes it.
 */
enum err gcp_source_read(
	struct gcp_source *s, const char *path, struct arena *mem, struct error *e) MUST_CHECK;

/* The metadata server that the environment names. ERR_USAGE when it could be anybody. */
enum err gcp_source_metadata(
	struct gcp_source *s, const char *host, struct arena *mem, struct error *e) MUST_CHECK;

/* A service account's address from an impersonation URL; empty when it has another form. */
struct str gcp_source_email(const struct gcp_source *s);

/* What a fetch needs. One thread at a time. */
struct gcp_fetch {
	const struct gcp_source *source;
	const char *scope;
	struct http_client *http;
	struct aws_identity *aws; /* for GCP_SUBJECT_AWS */
	const struct env *env;
	int64_t skew_us; /* what to add to our wall time to get Google's; learned */
};

struct gcp_token {
	struct secret text;
	int64_t lifetime_us; /* from when it was asked for */
};

enum err gcp_fetch_access(struct gcp_fetch *f, struct gcp_token *out, struct error *e) MUST_CHECK;
enum err gcp_fetch_id(
	struct gcp_fetch *f, const char *audience, struct secret *out, struct error *e) MUST_CHECK;

/* The token that stands for us in federation (gcp_subject.c). */
enum err gcp_subject_token(struct gcp_fetch *f, struct secret *out, struct error *e) MUST_CHECK;

/* GET from the metadata server, which must say that it is one; `path` as of
 * /computeMetadata/v1/instance/service-accounts/default/. */
enum err gcp_metadata_get(struct gcp_fetch *f, const char *path, struct http_reply *reply,
	struct error *e) MUST_CHECK;

/* A JWT signed with the source's key (gcp_jwt.c): for the scope or, when that is NULL, the
 * audience of an ID token. */
enum err gcp_jwt_assertion(const struct gcp_source *s, const char *scope, const char *audience,
	int64_t wall_us, struct secret *out, struct error *e) MUST_CHECK;

/*
 * One exchange with a token service. The reply's memory is wiped by gcp_reply_free(). Anything but
 * 2xx is an error that says what `doing` was and what the service said about it, `hidden` and all
 * that looks like a token left out.
 */
enum err gcp_ask(struct gcp_fetch *f, const struct http_call *call, const char *doing,
	const struct secret *hidden, const char *advice, struct http_reply *reply,
	struct error *e) MUST_CHECK;
void gcp_reply_init(struct http_reply *r);
void gcp_reply_free(struct http_reply *r);

/* A text member of a JSON answer, copied out; ERR_INPUT, quoting nothing, when there is none. */
enum err gcp_reply_secret(const struct http_reply *r, const char *member, const char *doing,
	struct secret *out, struct error *e) MUST_CHECK;

#endif
