/*
 * aws_identity: who we are towards AWS. Credentials come from AWS's usual places, in this order:
 *
 *   1. a profile that is named (options, AWS_PROFILE) in AWS's shared files
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   3. the shared files' [default] profile, when it has credentials
 *   4. AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN (IRSA on EKS)
 *   5. the container's address: AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity) or
 *      _RELATIVE_URI (ECS)
 *   6. the instance's metadata service, version 2 only
 *
 * and then, when role_arn is given, from assuming that role with them, or with a web identity
 * token alone. A place that is set up and fails is an error: the next one is not tried.
 *
 * Credentials are fetched anew five minutes before they expire, by one thread at a time; while
 * that lasts, or fails, the others go on with what is still valid. Every function may be called by
 * any thread.
 */
#ifndef SLUICE_AWS_IDENTITY_H
#define SLUICE_AWS_IDENTITY_H

#include "arena.h"
#include "env.h"
#include "sigv4.h"

struct aws_identity;

/* Gives a web identity token (a JWT) for sts:AssumeRoleWithWebIdentity. */
typedef enum err aws_web_token_fn(void *arg, struct secret *out, struct error *e);

/* Strings are copied; NULL and "" are the same. */
struct aws_identity_options {
	const char *region;          /* for STS and whoever asks; NULL: AWS_REGION, the profile */
	const char *profile;         /* of the shared files; NULL: AWS_PROFILE */
	const char *role_arn;        /* to be assumed; NULL: none */
	const char *external_id;     /* that the role's trust policy asks for */
	const char *session_name;    /* NULL: "sluice" */
	const char *sts_endpoint;    /* NULL: https://sts.REGION.amazonaws.com */
	const char *ca_file;         /* PEM, for STS; NULL: the system's */
	aws_web_token_fn *web_token; /* with role_arn: in place of steps 1 to 6 */
	void *web_token_arg;
	char *const *environ; /* where AWS_* is looked up; NULL: the process's */
};

/* Looks nothing up yet. env must outlive it. */
enum err aws_identity_new(struct aws_identity **out, const struct aws_identity_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
void aws_identity_free(struct aws_identity *i); /* NULL is fine */

/*
 * Credentials that are valid now; the caller frees them. When less than `least_us` is left, they
 * are fetched anew first (0: five minutes); what then comes is given, however long it lasts.
 * ERR_USAGE when there are none or they are refused, ERR_UNAVAILABLE when who gives them is away.
 */
enum err aws_identity_get(struct aws_identity *i, int64_t least_us, struct aws_credentials *out,
	struct error *e) MUST_CHECK;

/* The service refused these as expired or unknown: true when fetching anew may help, which the
 * next get does. False the second time for the same credentials. */
bool aws_identity_refused(struct aws_identity *i, const struct aws_credentials *used);

/* The region as the options, AWS_REGION, AWS_DEFAULT_REGION or the profile name it; in mem; empty
 * when none does. */
enum err aws_identity_region(
	struct aws_identity *i, struct arena *mem, struct str *out, struct error *e) MUST_CHECK;

/* AWS's time: this machine's, corrected by what its answers said. For x-amz-date. */
int64_t aws_identity_now(const struct aws_identity *i);
/* Takes the Date header of an answer that called our time wrong. True when it changes anything,
 * so that asking again makes sense. */
bool aws_identity_saw_date(struct aws_identity *i, struct str date);

/* "arn:aws:sts::123456789012:assumed-role/name/session", asked of STS. In mem. */
enum err aws_identity_who(
	struct aws_identity *i, struct arena *mem, struct str *arn, struct error *e) MUST_CHECK;

/* Where the credentials came from: "the environment", "web identity token /path", ... In mem;
 * empty before the first get. */
struct str aws_identity_source(struct aws_identity *i, struct arena *mem);

#endif
