/*
 * gcp_identity: who we are towards Google, and the access tokens that prove it.
 *
 * Where from, the first that is set: the file in the options, the file that
 * GOOGLE_APPLICATION_CREDENTIALS names, the metadata server. A file is what Google's own libraries
 * read, by its "type":
 *
 *   external_account             workload identity federation: a token from a file or a URL (EKS),
 * or a request signed with our AWS identity, exchanged at Google's STS impersonated_service_account
 * one of these, acting for a service account service_account              a private key: works,
 * with a warning, for it is a stored secret
 *
 * authorized_user, a person's own login, is refused; so are other types and members that would
 * change whom we become and are not known here.
 *
 * Tokens are fetched anew five minutes before they expire, by one thread at a time; while that
 * lasts, or fails, the others go on with the old one as long as it is valid. Every function but
 * open and close may be called by any thread.
 *
 * Sources: RFC 8693; Google's IAM documents on workload identity federation; google-auth-library.
 */
#ifndef SLUICE_GCP_IDENTITY_H
#define SLUICE_GCP_IDENTITY_H

#include "arena.h"
#include "aws_identity.h"
#include "env.h"
#include "secret.h"

struct gcp_identity;

/* Strings are copied; NULL and "" are the same. */
struct gcp_identity_options {
	const char *file;         /* credential file; NULL: as above */
	const char *setting;      /* what errors call the option: "[store] credentials" */
	const char *scope;        /* separated by spaces; NULL: cloud-platform */
	const char *ca_file;      /* PEM; NULL: the system's */
	char *const *environ;     /* where variables are looked up; NULL: the process's */
	struct aws_identity *aws; /* for the AWS form, must outlive this; NULL: made when needed */
};

/* Reads the file, asks nobody yet. env must outlive the identity. ERR_USAGE for a file that is
 * not there or is none that may be used. */
enum err gcp_identity_open(struct gcp_identity **out, const struct gcp_identity_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
void gcp_identity_close(struct gcp_identity *i); /* NULL is fine */

/* An access token that is valid now, for "Authorization: Bearer"; the caller frees it. ERR_USAGE
 * when it is refused to us, ERR_UNAVAILABLE when who gives it is away. */
enum err gcp_identity_token(
	struct gcp_identity *i, struct secret *token, struct error *e) MUST_CHECK;

/* A service answered 401 (UNAUTHENTICATED) to this token: it is not given again. Ask for another,
 * and try once more, once. */
void gcp_identity_refused(struct gcp_identity *i, const struct secret *token);

/* A signed statement of who we are, for that audience; the caller frees it. From the metadata
 * server, a service account that is impersonated, or a key. ERR_USAGE for federation without
 * impersonation, to which Google gives none. */
enum err gcp_identity_id_token(struct gcp_identity *i, const char *audience, struct secret *token,
	struct error *e) MUST_CHECK;

/* Makes a Google identity AWS's web identity: aws_identity_options.web_token with a pointer to
 * this. The role's trust policy must pin `sub`, and name the audience as accounts.google.com:oaud
 * (accounts.google.com:aud is the service account's number there). */
struct gcp_web_identity {
	struct gcp_identity *identity;
	const char *audience;
};
enum err gcp_identity_web_token(void *web_identity, struct secret *out, struct error *e) MUST_CHECK;

/* For people: "service account a@b (by federation: ...)". Asks who gives the tokens where the
 * file does not say. In mem. */
enum err gcp_identity_who(
	struct gcp_identity *i, struct arena *mem, struct str *who, struct error *e) MUST_CHECK;

#endif
