/*
 * aws_parts: what the files of aws_identity share. Private to src/net/aws_*.c.
 */
#ifndef SLUICE_AWS_PARTS_H
#define SLUICE_AWS_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "aws_identity.h"
#include "http_client.h"

#define AWS_SOURCE 256

struct aws_identity {
	const struct env *env;
	struct aws_identity_options o; /* copies in mem; NULL where not given */
	struct arena mem;
	_Atomic int64_t skew_us; /* AWS's clock minus ours */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct aws_credentials have;
	bool fetched;
	bool refused;         /* `have` is no longer taken by a service */
	bool fetching;        /* one thread is at it, without the lock */
	int64_t not_before;   /* mono: no refresh ahead of expiry before this */
	uint64_t rounds;      /* fetches ended */
	struct error failure; /* of the last fetch; kind OK when it went well */
	char refused_id[AWS_KEY_ID];
	char source[AWS_SOURCE];

	pthread_mutex_t line; /* held around the members below: one request at a time */
	struct http_client *sts, *local;
	struct secret imds_token;
	int64_t imds_token_until; /* mono */
};

/* A variable's value; NULL when not set or empty. */
const char *aws_env(const struct aws_identity *i, const char *name);

/* --- the shared files --- */

struct aws_profile_line {
	struct str profile, key, value;
};

struct aws_profiles {
	struct aws_profile_line *lines; /* the credentials file's before the configuration's */
	size_t n, cap;
};

/* Reads both files; one that is not there is empty. Everything lives in mem, wiped with it. */
enum err aws_profiles_read(struct aws_identity *i, struct arena *mem, struct aws_profiles *out,
	struct error *e) MUST_CHECK;
bool aws_profiles_has(const struct aws_profiles *p, struct str profile);
struct str aws_profiles_get(const struct aws_profiles *p, struct str profile, const char *key);

/* The profile to be used, and whether somebody named it. */
struct str aws_profile_name(const struct aws_identity *i, bool *named);

/* --- STS; `line` is held --- */

/* A role to take on. */
struct aws_role {
	struct str arn, external_id, session; /* session empty: AWS_ROLE_SESSION_NAME, "sluice" */
	int64_t seconds;                      /* 0: an hour */
};

enum err aws_sts_assume_role(struct aws_identity *i, const struct aws_credentials *base,
	const struct aws_role *role, struct aws_credentials *out, struct error *e) MUST_CHECK;
enum err aws_sts_web_identity(struct aws_identity *i, const struct secret *token,
	const struct aws_role *role, struct aws_credentials *out, struct error *e) MUST_CHECK;
enum err aws_sts_who(struct aws_identity *i, const struct aws_credentials *c, struct arena *mem,
	struct str *arn, struct error *e) MUST_CHECK;

/* --- what the machine or the container gives; `line` is held --- */

enum err aws_container_credentials(
	struct aws_identity *i, struct aws_credentials *out, struct error *e) MUST_CHECK;
/* ERR_NOT_FOUND when there is no metadata service here, or it has no role. */
enum err aws_imds_credentials(
	struct aws_identity *i, struct aws_credentials *out, struct error *e) MUST_CHECK;

/* --- the chain; `line` is held --- */

/* Fills `source`, AWS_SOURCE bytes, too. */
enum err aws_chain(struct aws_identity *i, struct aws_credentials *out, char *source,
	struct error *e) MUST_CHECK;

/* ERR_INPUT when the id is empty or too long, or there is no key. Copies. */
enum err aws_credentials_set(struct aws_credentials *c, struct str id, struct str key,
	struct str token, int64_t expires_us, const char *from, struct error *e) MUST_CHECK;

#endif
