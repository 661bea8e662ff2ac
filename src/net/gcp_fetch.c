/* Access and ID tokens: the exchanges with Google's token services, one after the other. */
#include <string.h>

#include "clock.h"
#include "endpoint.h"
#include "gcp_source.h"
#include "http_date.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "sigv4.h"

#define SKEW_LEAST INT64_C(30000000)
#define HOUR       INT64_C(3600000000)

/* Seconds until it expires; a service that does not say is taken to give the usual hour. */
static int64_t lifetime_of(const struct http_reply *r)
{
	struct error ignored;
	json_t *hold = NULL;
	int64_t seconds = 3600;

	if (json_read(buf_str(&r->body), "the answer", &hold, &ignored) == OK)
		IGNORE(json_want_i64(hold, "expires_in", &seconds, &ignored)); /* may be absent */
	json_decref(hold);
	return seconds < 86400 ? seconds * 1000000 : 24 * HOUR;
}

/* Google's time by an answer that refused us. True when ours was wrong, so that trying again
 * makes sense. */
static bool learn_skew(struct gcp_fetch *f, const struct http_reply *reply)
{
	int64_t theirs, ours = clock_wall(f->env->clock) + f->skew_us;
	struct str date = http_reply_header(reply, "date");

	if (f->source->kind == GCP_EXTERNAL && f->source->subject == GCP_SUBJECT_AWS)
		return aws_identity_saw_date(f->aws, date);
	if (!http_date_parse(date, &theirs))
		return false;
	int64_t off = theirs - ours;
	if (off < SKEW_LEAST && off > -SKEW_LEAST)
		return false;
	log_warn(f->env->log, "gcp", "this machine's clock is wrong; going by Google's time",
		F_F64("seconds", (double)off / 1e6));
	f->skew_us += off;
	return true;
}

static void add_field(struct buf *b, const char *name, struct str value)
{
	buf_putf(b, "%s%s=", b->n > 0 ? "&" : "", name);
	sigv4_encode(value, true, b);
}

static void wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}

static enum err post_form(struct gcp_fetch *f, const struct buf *form, const char *doing,
	const struct secret *hidden, const char *advice, struct http_reply *reply, struct error *e)
{
	const struct http_pair headers[] = {
		{STR("Content-Type"), STR("application/x-www-form-urlencoded")},
		{STR("Accept"), STR("application/json")}};
	const struct http_call call = {.method = "POST",
		.url = f->source->token_url,
		.headers = headers,
		.nheaders = 2,
		.body = buf_str(form),
		.max_response = GCP_REPLY_MAX,
		.idempotent = true};

	return gcp_ask(f, &call, doing, hidden, advice, reply, e);
}

/* RFC 8693. No Authorization: the subject token is what we have. */
static enum err exchange(struct gcp_fetch *f, const struct secret *subject,
	struct http_reply *reply, struct error *e)
{
	const struct gcp_source *s = f->source;
	struct buf form;
	char *at;

	buf_init(&form, GCP_REPLY_MAX);
	enum err rc = buf_room(&form, GCP_REPLY_MAX / 2, &at, e);
	add_field(&form, "grant_type", STR("urn:ietf:params:oauth:grant-type:token-exchange"));
	add_field(&form, "requested_token_type",
		STR("urn:ietf:params:oauth:token-type:access_token"));
	add_field(&form, "audience", str_of(s->audience));
	add_field(&form, "scope", str_of(s->impersonate != NULL ? GCP_SCOPE : f->scope));
	add_field(&form, "subject_token_type", str_of(s->subject_type));
	add_field(&form, "subject_token", str_of(secret_reveal(subject)));
	if (rc == OK && !buf_ok(&form))
		rc = FAIL(e, ERR_INPUT,
			"exchanging our token at Google's STS: the token is larger than %zu bytes",
			GCP_REPLY_MAX / 2);
	if (rc == OK)
		rc = post_form(f, &form, "exchanging our token at Google's STS", subject,
			"check the provider's issuer, allowed audiences, attribute mapping and "
			"condition, and that the credential file names that provider",
			reply, e);
	wipe(&form);
	return rc;
}

static enum err federate(struct gcp_fetch *f, struct http_reply *reply, struct error *e)
{
	for (bool again = true;; again = false) {
		struct secret subject = {.hidden = NULL};
		TRY(gcp_subject_token(f, &subject, e));
		enum err rc = exchange(f, &subject, reply, e);
		secret_free(&subject);
		if (rc != ERR_USAGE || !again || !learn_skew(f, reply))
			return rc;
	}
}

/* RFC 7523: a key's signed assertion, for the scope or for an ID token's audience. */
static enum err assert_key(struct gcp_fetch *f, const char *scope, const char *audience,
	struct http_reply *reply, struct error *e)
{
	for (bool again = true;; again = false) {
		struct secret jwt = {.hidden = NULL};
		struct buf form;
		TRY(gcp_jwt_assertion(f->source, scope, audience,
			clock_wall(f->env->clock) + f->skew_us, &jwt, e));
		buf_init(&form, GCP_REPLY_MAX);
		add_field(&form, "grant_type", STR("urn:ietf:params:oauth:grant-type:jwt-bearer"));
		add_field(&form, "assertion", str_of(secret_reveal(&jwt)));
		enum err rc = post_form(f, &form, "asking for a token with a service-account key",
			&jwt, "check that the key is not deleted or disabled, and the clock", reply,
			e);
		wipe(&form);
		secret_free(&jwt);
		if (rc != ERR_USAGE || !again || !learn_skew(f, reply))
			return rc;
	}
}

enum err gcp_metadata_get(
	struct gcp_fetch *f, const char *path, struct http_reply *reply, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	const struct http_pair flavor = {STR("Metadata-Flavor"), STR("Google")};
	const struct http_call call = {.method = "GET",
		.url = arena_fmt(&mem, "%s/computeMetadata/v1/instance/service-accounts/default/%s",
			f->source->metadata, path)
			       .p,
		.headers = &flavor,
		.nheaders = 1,
		.max_response = GCP_REPLY_MAX,
		.deadline_us = 10000000,
		.attempts = 3,
		.idempotent = true};
	enum err rc = gcp_ask(f, &call, "asking Google's metadata server", NULL,
		"give this machine or pod a service account", reply, e);

	/* So that whatever answers on that address is not taken for it. */
	if (rc == OK && !str_eqc(http_reply_header(reply, "metadata-flavor"), "Google"))
		rc = FAIL(e, ERR_INPUT,
			"asking Google's metadata server: what answered at %s is none; name a "
			"credential file instead",
			f->source->metadata);
	else if (rc == ERR_UNAVAILABLE && reply->status == 0)
		rc = error_wrap(e,
			"no credential file is named (GOOGLE_APPLICATION_CREDENTIALS), so this "
			"must be a machine at Google");
	arena_free(&mem);
	return rc;
}

/* The first token: ours, before acting for a service account. */
static enum err fetch_own(struct gcp_fetch *f, struct gcp_token *out, struct error *e)
{
	struct http_reply reply;
	const char *scope = f->source->impersonate != NULL ? GCP_SCOPE : f->scope;
	enum err rc;

	gcp_reply_init(&reply);
	if (f->source->kind == GCP_METADATA)
		rc = gcp_metadata_get(f, "token", &reply, e);
	else if (f->source->kind == GCP_KEY)
		rc = assert_key(f, scope, NULL, &reply, e);
	else
		rc = federate(f, &reply, e);
	if (rc == OK)
		rc = gcp_reply_secret(
			&reply, "access_token", "asking Google for an access token", &out->text, e);
	if (rc == OK)
		out->lifetime_us = lifetime_of(&reply);
	gcp_reply_free(&reply);
	return rc;
}

static enum err ask_as(struct gcp_fetch *f, const char *url, const struct secret *own,
	struct str body, struct http_reply *reply, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	struct str bearer = arena_fmt(&mem, "Bearer %s", secret_reveal(own));
	const struct http_pair headers[] = {
		{STR("Authorization"), bearer}, {STR("Content-Type"), STR("application/json")}};
	const struct http_call call = {.method = "POST",
		.url = url,
		.headers = headers,
		.nheaders = 2,
		.body = body,
		.max_response = GCP_REPLY_MAX,
		.idempotent = true};

	sigv4_wipe_later(&mem, bearer);
	enum err rc = gcp_ask(f, &call, "acting for a service account", own,
		"grant roles/iam.workloadIdentityUser (from a service account: "
		"roles/iam.serviceAccountTokenCreator) on that account to who we are, and enable "
		"the IAM Service Account Credentials API",
		reply, e);
	arena_free(&mem);
	return rc;
}

static void access_request(const struct gcp_fetch *f, struct buf *body)
{
	struct json_out j;
	struct str scopes = str_of(f->scope), scope;

	jo_init(&j, body);
	jo_object(&j, NULL);
	if (f->source->delegates != NULL)
		jo_raw(&j, "delegates", str_of(f->source->delegates));
	jo_array(&j, "scope");
	while (str_next(&scopes, ' ', &scope))
		jo_str(&j, NULL, scope);
	jo_end_array(&j);
	struct buf lifetime;
	buf_init(&lifetime, 64);
	buf_putf(&lifetime, "%llds", (long long)f->source->lifetime_s);
	jo_str(&j, "lifetime", buf_str(&lifetime));
	buf_free(&lifetime);
	jo_end_object(&j);
}

/* expireTime is by Google's clock, and so is the answer's Date: their difference needs none of
 * ours. */
static int64_t lifetime_until(
	const struct gcp_fetch *f, const struct http_reply *reply, struct str expires)
{
	int64_t end, now;

	if (!clock_parse(expires, &end))
		return f->source->lifetime_s * 1000000;
	if (!http_date_parse(http_reply_header(reply, "date"), &now))
		now = clock_wall(f->env->clock);
	return end - now;
}

static enum err impersonate(struct gcp_fetch *f, struct gcp_token *token, struct error *e)
{
	struct http_reply reply;
	struct buf body;
	struct secret expires = {.hidden = NULL};

	gcp_reply_init(&reply);
	buf_init(&body, 1 << 20);
	access_request(f, &body);
	enum err rc = ask_as(f, f->source->impersonate, &token->text, buf_str(&body), &reply, e);
	if (rc == OK)
		rc = gcp_reply_secret(
			&reply, "accessToken", "acting for a service account", &token->text, e);
	if (rc == OK)
		rc = gcp_reply_secret(
			&reply, "expireTime", "acting for a service account", &expires, e);
	if (rc == OK)
		token->lifetime_us = lifetime_until(f, &reply, str_of(secret_reveal(&expires)));
	secret_free(&expires);
	buf_free(&body);
	gcp_reply_free(&reply);
	return rc;
}

enum err gcp_fetch_access(struct gcp_fetch *f, struct gcp_token *out, struct error *e)
{
	*out = (struct gcp_token){.lifetime_us = 0};
	enum err rc = fetch_own(f, out, e);
	if (rc == OK && f->source->impersonate != NULL)
		rc = impersonate(f, out, e);
	if (rc == OK && out->lifetime_us <= 0)
		rc = FAIL(
			e, ERR_FAILED, "asking Google for an access token: it has expired already");
	if (rc != OK)
		secret_free(&out->text);
	return rc;
}

static enum err id_by_impersonation(
	struct gcp_fetch *f, const char *audience, struct http_reply *reply, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	struct gcp_token own = {.lifetime_us = 0};
	struct str url = str_of(f->source->impersonate);
	struct buf body;
	struct json_out j;

	url.n -= strlen("generateAccessToken");
	buf_init(&body, 1 << 20);
	jo_init(&j, &body);
	jo_object(&j, NULL);
	jo_cstr(&j, "audience", audience);
	if (f->source->delegates != NULL)
		jo_raw(&j, "delegates", str_of(f->source->delegates));
	jo_bool(&j, "includeEmail", true);
	jo_end_object(&j);
	enum err rc = fetch_own(f, &own, e);
	if (rc == OK)
		rc = ask_as(f, arena_fmt(&mem, "%.*sgenerateIdToken", STR_ARG(url)).p, &own.text,
			buf_str(&body), reply, e);
	secret_free(&own.text);
	buf_free(&body);
	arena_free(&mem);
	return rc;
}

static enum err id_by_metadata(
	struct gcp_fetch *f, const char *audience, struct http_reply *reply, struct error *e)
{
	struct buf path;

	buf_init(&path, 1 << 16);
	buf_puts(&path, "identity?format=full&audience=");
	sigv4_encode(str_of(audience), true, &path);
	enum err rc = gcp_metadata_get(f, buf_cstr(&path), reply, e);
	buf_free(&path);
	return rc;
}

enum err gcp_fetch_id(
	struct gcp_fetch *f, const char *audience, struct secret *out, struct error *e)
{
	static const char doing[] = "asking Google for an ID token";
	const struct gcp_source *s = f->source;
	struct http_reply reply;
	enum err rc;

	if (s->kind == GCP_EXTERNAL && s->impersonate == NULL)
		return FAIL(e, ERR_USAGE,
			"%s: a federated identity has none of its own; let it act for a service "
			"account (service_account_impersonation_url in %s)",
			doing, s->file);
	gcp_reply_init(&reply);
	if (s->impersonate != NULL) {
		rc = id_by_impersonation(f, audience, &reply, e);
		if (rc == OK)
			rc = gcp_reply_secret(&reply, "token", doing, out, e);
	} else if (s->kind == GCP_KEY) {
		rc = assert_key(f, NULL, audience, &reply, e);
		if (rc == OK)
			rc = gcp_reply_secret(&reply, "id_token", doing, out, e);
	} else {
		rc = id_by_metadata(f, audience, &reply, e);
		if (rc == OK)
			secret_set(out, str_trim(buf_str(&reply.body)));
	}
	gcp_reply_free(&reply);
	return rc;
}
