/* Where credentials come from: the first place that is set up. */
#include <stdio.h>
#include <string.h>

#include "aws_parts.h"

#define MOST_PROFILES 8 /* that may follow each other by source_profile */

struct chain {
	struct aws_identity *i;
	struct arena *mem;
	struct aws_profiles files;
	char *source; /* AWS_SOURCE bytes */
};

static void says(struct chain *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void says(struct chain *c, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(c->source, AWS_SOURCE, fmt, args);
	va_end(args);
}

enum err aws_credentials_set(struct aws_credentials *c, struct str id, struct str key,
	struct str token, int64_t expires_us, const char *from, struct error *e)
{
	if (id.n == 0 || id.n >= AWS_KEY_ID || key.n == 0)
		return FAIL(e, ERR_INPUT,
			"taking credentials from %s: the access key id or the secret key is missing",
			from);
	aws_credentials_free(c);
	memcpy(c->key_id, id.p, id.n);
	c->key_id[id.n] = '\0';
	secret_set(&c->key, key);
	if (token.n > 0)
		secret_set(&c->token, token);
	c->expires_us = expires_us;
	return OK;
}

static bool environment_has(const struct aws_identity *i)
{
	return aws_env(i, "AWS_ACCESS_KEY_ID") != NULL &&
		aws_env(i, "AWS_SECRET_ACCESS_KEY") != NULL;
}

static enum err from_environment(struct chain *c, struct aws_credentials *out, struct error *e)
{
	if (!environment_has(c->i))
		return FAIL(e, ERR_USAGE,
			"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in the "
			"environment, where the profile looks for them");
	says(c, "the environment");
	return aws_credentials_set(out, str_of(aws_env(c->i, "AWS_ACCESS_KEY_ID")),
		str_of(aws_env(c->i, "AWS_SECRET_ACCESS_KEY")),
		str_of(aws_env(c->i, "AWS_SESSION_TOKEN")), 0, "the environment", e);
}

static enum err from_container(struct chain *c, struct aws_credentials *out, struct error *e)
{
	says(c, "the container's agent");
	if (aws_env(c->i, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL &&
		aws_env(c->i, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL)
		return FAIL(e, ERR_USAGE,
			"the profile wants credentials of the container, and "
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
	return aws_container_credentials(c->i, out, e);
}

static enum err from_instance(struct chain *c, struct aws_credentials *out, struct error *e)
{
	says(c, "the instance metadata service");
	return aws_imds_credentials(c->i, out, e);
}

static enum err from_token_file(struct chain *c, const char *file, const struct aws_role *role,
	struct aws_credentials *out, struct error *e)
{
	struct secret token = {.hidden = NULL};
	enum err rc = secret_read_file(&token, file, e);

	if (rc != OK)
		error_wrap(e, "reading the web identity token");
	else
		rc = aws_sts_web_identity(c->i, &token, role, out, e);
	secret_free(&token);
	says(c, "the web identity token %s", file);
	return rc;
}

/* --- profiles --- */

static struct str value(struct chain *c, struct str profile, const char *key)
{
	return aws_profiles_get(&c->files, profile, key);
}

static bool profile_has(struct chain *c, struct str profile, const char *key)
{
	return value(c, profile, key).n > 0;
}

static enum err profile_role(
	struct chain *c, struct str profile, struct aws_role *out, struct error *e)
{
	struct str seconds = value(c, profile, "duration_seconds");

	*out = (struct aws_role){.arn = value(c, profile, "role_arn"),
		.external_id = value(c, profile, "external_id"),
		.session = value(c, profile, "role_session_name")};
	if (profile_has(c, profile, "mfa_serial"))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s wants a second factor (mfa_serial), which nobody is there to "
			"give; use a role without it",
			STR_ARG(profile));
	if (seconds.n > 0 && (!str_to_i64(seconds, &out->seconds) || out->seconds < 900))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s: duration_seconds is a number from 900 to 43200",
			STR_ARG(profile));
	return OK;
}

static enum err from_source(struct chain *c, struct str profile, struct str source,
	struct aws_credentials *out, struct error *e)
{
	static const struct {
		const char *name;
		enum err (*take)(struct chain *, struct aws_credentials *, struct error *);
	} all[] = {{"Environment", from_environment}, {"EcsContainer", from_container},
		{"Ec2InstanceMetadata", from_instance}};

	for (size_t k = 0; k < sizeof all / sizeof *all; k++)
		if (str_eqc(source, all[k].name))
			return all[k].take(c, out, e);
	return FAIL(e, ERR_USAGE,
		"AWS profile %.*s: credential_source is \"%.*s\"; it is Environment, EcsContainer or "
		"Ec2InstanceMetadata",
		STR_ARG(profile), STR_ARG(source));
}

static enum err from_profile(struct chain *c, struct str profile, unsigned depth,
	struct aws_credentials *out, struct error *e);

static enum err profile_base(struct chain *c, struct str profile, unsigned depth,
	struct aws_credentials *out, struct error *e)
{
	struct str from = value(c, profile, "source_profile");
	struct str source = value(c, profile, "credential_source");

	if ((from.n > 0) == (source.n > 0))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s has a role_arn: it needs one of source_profile, "
			"credential_source and web_identity_token_file",
			STR_ARG(profile));
	if (source.n > 0)
		return from_source(c, profile, source, out, e);
	/* A profile may name itself: its own keys are the base then. */
	if (str_eq(from, profile))
		return aws_credentials_set(out, value(c, profile, "aws_access_key_id"),
			value(c, profile, "aws_secret_access_key"),
			value(c, profile, "aws_session_token"), 0, "the profile", e);
	return from_profile(c, from, depth + 1, out, e);
}

static enum err assume_profile_role(struct chain *c, struct str profile, unsigned depth,
	struct aws_credentials *out, struct error *e)
{
	struct aws_credentials base = {.expires_us = 0};
	struct aws_role role;
	struct str file = value(c, profile, "web_identity_token_file");

	TRY(profile_role(c, profile, &role, e));
	if (file.n > 0)
		return from_token_file(c, arena_cstr(c->mem, file), &role, out, e);
	enum err rc = profile_base(c, profile, depth, &base, e);
	if (rc == OK)
		rc = aws_sts_assume_role(c->i, &base, &role, out, e);
	aws_credentials_free(&base);
	return rc;
}

/* What we do not do, with the reason. */
static enum err refuse_profile(struct chain *c, struct str profile, struct error *e)
{
	if (profile_has(c, profile, "credential_process"))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s gets its credentials from a program (credential_process); "
			"sluice runs no programs named in files: run it yourself and give what it "
			"says as AWS_ACCESS_KEY_ID and so on, or use a role",
			STR_ARG(profile));
	if (profile_has(c, profile, "sso_session") || profile_has(c, profile, "sso_start_url") ||
		profile_has(c, profile, "login_session"))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s signs in as a person (SSO); a service needs a role: or give "
			"what `aws configure export-credentials --format env` prints for a while",
			STR_ARG(profile));
	if (aws_profiles_has(&c->files, profile))
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s has no credentials: it needs aws_access_key_id and "
			"aws_secret_access_key, or a role_arn",
			STR_ARG(profile));
	return FAIL(e, ERR_USAGE,
		"AWS profile %.*s is in neither of the shared files (~/.aws/credentials, "
		"~/.aws/config)",
		STR_ARG(profile));
}

static enum err from_profile(struct chain *c, struct str profile, unsigned depth,
	struct aws_credentials *out, struct error *e)
{
	enum err rc;

	if (depth >= MOST_PROFILES)
		return FAIL(e, ERR_USAGE,
			"AWS profile %.*s: the profiles name each other as source_profile in a circle",
			STR_ARG(profile));
	bool keys = profile_has(c, profile, "aws_access_key_id");
	/* In the middle of a chain of profiles keys come first, as AWS's clients have it. */
	if (profile_has(c, profile, "role_arn") && !(keys && depth > 0))
		rc = assume_profile_role(c, profile, depth, out, e);
	else if (keys)
		rc = aws_credentials_set(out, value(c, profile, "aws_access_key_id"),
			value(c, profile, "aws_secret_access_key"),
			value(c, profile, "aws_session_token"), 0, "the profile", e);
	else
		return refuse_profile(c, profile, e);
	says(c, "the profile %.*s", STR_ARG(profile));
	return rc == OK ? OK : error_wrap(e, "AWS profile %.*s", STR_ARG(profile));
}

/* [default] may only hold a region: then it is no place of credentials. */
static bool default_profile_has(struct chain *c)
{
	static const char *const keys[] = {"aws_access_key_id", "role_arn", "credential_process",
		"sso_session", "sso_start_url", "login_session"};

	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		if (profile_has(c, STR("default"), keys[k]))
			return true;
	return false;
}

/* --- the order --- */

static enum err instance_or_nothing(struct chain *c, struct aws_credentials *out, struct error *e)
{
	const char *off = aws_env(c->i, "AWS_EC2_METADATA_DISABLED");
	static const char advice[] =
		"no AWS credentials: there are none in the environment (AWS_ACCESS_KEY_ID), in a "
		"profile, in a web identity token (AWS_WEB_IDENTITY_TOKEN_FILE) or from a container's "
		"agent";

	if (off != NULL && !str_ieq(str_of(off), STR("false")))
		return FAIL(e, ERR_USAGE, "%s, and AWS_EC2_METADATA_DISABLED is set", advice);
	enum err rc = from_instance(c, out, e);
	if (rc != ERR_NOT_FOUND)
		return rc;
	char said[256];
	(void)snprintf(said, sizeof said, "%.255s", e->text);
	return FAIL(e, ERR_USAGE, "%s; and %s", advice, said);
}

static enum err base_credentials(struct chain *c, struct aws_credentials *out, struct error *e)
{
	struct aws_identity *i = c->i;
	const char *file = aws_env(i, "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *arn = aws_env(i, "AWS_ROLE_ARN");
	bool named;
	struct str profile = aws_profile_name(i, &named);

	TRY(aws_profiles_read(i, c->mem, &c->files, e));
	if (named)
		return from_profile(c, profile, 0, out, e);
	if (environment_has(i))
		return from_environment(c, out, e);
	if (default_profile_has(c))
		return from_profile(c, STR("default"), 0, out, e);
	if (file != NULL && arn != NULL)
		return from_token_file(c, file, &(struct aws_role){.arn = str_of(arn)}, out, e);
	if (aws_env(i, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
		aws_env(i, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL)
		return from_container(c, out, e);
	return instance_or_nothing(c, out, e);
}

static enum err from_web_token(
	struct chain *c, const struct aws_role *role, struct aws_credentials *out, struct error *e)
{
	struct secret token = {.hidden = NULL};
	enum err rc = c->i->o.web_token(c->i->o.web_token_arg, &token, e);

	if (rc == OK)
		rc = aws_sts_web_identity(c->i, &token, role, out, e);
	secret_free(&token);
	says(c, "a web identity token of the other cloud");
	return rc;
}

static enum err find(struct chain *c, struct aws_credentials *out, struct error *e)
{
	const struct aws_identity_options *o = &c->i->o;
	struct aws_credentials base = {.expires_us = 0};
	char first[AWS_SOURCE];

	if (o->role_arn == NULL)
		return base_credentials(c, out, e);
	const struct aws_role role = {
		.arn = str_of(o->role_arn), .external_id = str_of(o->external_id)};
	if (o->web_token != NULL)
		return from_web_token(c, &role, out, e);
	enum err rc = base_credentials(c, &base, e);
	if (rc == OK)
		rc = aws_sts_assume_role(c->i, &base, &role, out, e);
	aws_credentials_free(&base);
	(void)snprintf(first, sizeof first, "%.120s", c->source);
	says(c, "a role assumed with credentials of %s", first);
	return rc;
}

enum err aws_chain(
	struct aws_identity *i, struct aws_credentials *out, char *source, struct error *e)
{
	struct arena mem = {0};
	struct chain c = {.i = i, .mem = &mem, .source = source};
	enum err rc = find(&c, out, e);

	arena_free(&mem);
	return rc;
}
