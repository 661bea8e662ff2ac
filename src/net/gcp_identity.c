#include "gcp_identity.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "enc.h"
#include "gcp_source.h"
#include "json.h"
#include "log.h"
#include "mem.h"

#define AHEAD_US INT64_C(300000000) /* fetched anew so long before it expires */
#define PAUSE_US INT64_C(30000000)  /* between fetches as long as a token is valid */

struct gcp_identity {
	const struct env *env;
	struct arena mem;
	struct gcp_source source;
	const char *scope, *ca_file;
	char *const *environ;
	struct aws_identity *aws;
	bool owns_aws;

	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t settled;
	bool fetching;   /* one thread uses `fetch`, without the lock */
	unsigned rounds; /* fetches that ended */
	enum err last;   /* how the last one ended, for those who waited for it */
	struct error why;
	struct secret token; /* not set: none */
	int64_t expires_us;  /* mono time: this machine's idea of the date does not matter */
	int64_t next_us;     /* not fetched anew before then, while valid */
	struct gcp_fetch fetch;
};

static const char *look_up(char *const *environ_, const char *name)
{
	size_t n = strlen(name);

	for (; environ_ != NULL && *environ_ != NULL; environ_++)
		if (strncmp(*environ_, name, n) == 0 && (*environ_)[n] == '=')
			return *environ_ + n + 1;
	return NULL;
}

static bool given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static enum err read_source(
	struct gcp_identity *i, const struct gcp_identity_options *o, struct error *e)
{
	const char *named = look_up(i->environ, "GOOGLE_APPLICATION_CREDENTIALS");

	if (given(o->file)) {
		if (gcp_source_read(&i->source, o->file, &i->mem, e) != OK)
			return error_wrap(
				e, "using %s", given(o->setting) ? o->setting : "the option");
		return OK;
	}
	if (given(named)) {
		if (gcp_source_read(&i->source, named, &i->mem, e) != OK)
			return error_wrap(e, "using GOOGLE_APPLICATION_CREDENTIALS");
		return OK;
	}
	return gcp_source_metadata(
		&i->source, look_up(i->environ, "GCE_METADATA_HOST"), &i->mem, e);
}

static enum err make_tools(
	struct gcp_identity *i, const struct gcp_identity_options *o, struct error *e)
{
	const struct http_client_options http = {.ca_file = i->ca_file,
		.connect_timeout_us = i->source.kind == GCP_METADATA ? 2000000 : 0};
	const struct aws_identity_options aws = {.ca_file = i->ca_file, .environ = i->environ};

	TRY(http_client_new(&i->fetch.http, &http, i->env, e));
	i->aws = o->aws;
	i->owns_aws = o->aws == NULL && i->source.kind == GCP_EXTERNAL &&
		i->source.subject == GCP_SUBJECT_AWS;
	if (i->owns_aws)
		TRY(aws_identity_new(&i->aws, &aws, i->env, e));
	i->fetch.source = &i->source;
	i->fetch.scope = i->scope;
	i->fetch.aws = i->aws;
	i->fetch.env = i->env;
	return OK;
}

enum err gcp_identity_open(struct gcp_identity **out, const struct gcp_identity_options *o,
	const struct env *env, struct error *e)
{
	struct gcp_identity *i = mem_zalloc(sizeof *i);

	*out = NULL;
	i->env = env;
	pthread_mutex_init(&i->lock, NULL);
	pthread_cond_init(&i->settled, NULL);
	i->environ = o->environ != NULL ? o->environ : environ;
	i->scope = arena_cstr(&i->mem, str_of(given(o->scope) ? o->scope : GCP_SCOPE));
	i->ca_file = given(o->ca_file) ? arena_cstr(&i->mem, str_of(o->ca_file)) : NULL;
	enum err rc = read_source(i, o, e);
	if (rc == OK)
		rc = make_tools(i, o, e);
	if (rc != OK) {
		gcp_identity_close(i);
		return rc;
	}
	if (i->source.kind == GCP_KEY)
		log_warn(env->log, "gcp",
			"a service-account key is a stored secret that works until somebody "
			"deletes it; use workload identity federation",
			F_CSTR("file", i->source.file));
	*out = i;
	return OK;
}

void gcp_identity_close(struct gcp_identity *i)
{
	if (i == NULL)
		return;
	http_client_free(i->fetch.http);
	if (i->owns_aws)
		aws_identity_free(i->aws);
	secret_free(&i->token);
	secret_free(&i->source.key);
	pthread_cond_destroy(&i->settled);
	pthread_mutex_destroy(&i->lock);
	arena_free(&i->mem);
	mem_free(i);
}

/* Gets the right to use i->fetch. Called and returns with the lock. */
static void claim(struct gcp_identity *i)
{
	while (i->fetching)
		pthread_cond_wait(&i->settled, &i->lock);
	i->fetching = true;
}

static void release(struct gcp_identity *i)
{
	i->fetching = false;
	pthread_cond_broadcast(&i->settled);
}

static bool valid(const struct gcp_identity *i, int64_t now)
{
	return secret_is_set(&i->token) && now < i->expires_us;
}

static bool due(const struct gcp_identity *i, int64_t now)
{
	return !valid(i, now) || (now >= i->expires_us - AHEAD_US && now >= i->next_us);
}

/* The lock is given back while Google is asked. */
static void renew(struct gcp_identity *i)
{
	struct gcp_token fresh = {.lifetime_us = 0};
	struct error why = {.kind = OK};
	int64_t asked = clock_mono(i->env->clock);

	i->fetching = true;
	pthread_mutex_unlock(&i->lock);
	enum err rc = gcp_fetch_access(&i->fetch, &fresh, &why);
	pthread_mutex_lock(&i->lock);
	if (rc == OK) {
		secret_free(&i->token);
		i->token = fresh.text;
		i->expires_us = asked + fresh.lifetime_us;
	} else if (valid(i, clock_mono(i->env->clock))) {
		log_warn(i->env->log, "gcp",
			"the access token could not be renewed; the old one is valid still",
			F_CSTR("why", why.text));
	}
	i->next_us = clock_mono(i->env->clock) + PAUSE_US;
	i->last = rc;
	i->why = why;
	i->rounds++;
	release(i);
}

static void copy_token(struct gcp_identity *i, struct secret *out)
{
	secret_set(out, str_of(secret_reveal(&i->token)));
}

enum err gcp_identity_token(struct gcp_identity *i, struct secret *token, struct error *e)
{
	enum err rc = OK;

	pthread_mutex_lock(&i->lock);
	unsigned seen = i->rounds;
	for (;;) {
		int64_t now = clock_mono(i->env->clock);
		if (!due(i, now) || (i->fetching && valid(i, now)))
			break;
		if (i->rounds != seen && i->last != OK) {
			/* Whoever waited for a fetch that failed does not start its own. */
			rc = valid(i, now) ? OK : i->last;
			break;
		}
		if (i->fetching)
			pthread_cond_wait(&i->settled, &i->lock);
		else
			renew(i);
	}
	if (rc == OK)
		copy_token(i, token);
	else if (e != NULL)
		*e = i->why;
	pthread_mutex_unlock(&i->lock);
	return rc;
}

void gcp_identity_refused(struct gcp_identity *i, const struct secret *token)
{
	pthread_mutex_lock(&i->lock);
	/* Somebody else may have fetched another meanwhile: that one stays. */
	if (strcmp(secret_reveal(&i->token), secret_reveal(token)) == 0)
		secret_free(&i->token);
	pthread_mutex_unlock(&i->lock);
}

enum err gcp_identity_id_token(
	struct gcp_identity *i, const char *audience, struct secret *token, struct error *e)
{
	pthread_mutex_lock(&i->lock);
	claim(i);
	pthread_mutex_unlock(&i->lock);
	enum err rc = gcp_fetch_id(&i->fetch, audience, token, e);
	pthread_mutex_lock(&i->lock);
	release(i);
	pthread_mutex_unlock(&i->lock);
	return rc;
}

enum err gcp_identity_web_token(void *web_identity, struct secret *out, struct error *e)
{
	const struct gcp_web_identity *w = web_identity;

	return gcp_identity_id_token(w->identity, w->audience, out, e);
}

/* The subject that a JWT claims, empty when it is none. Shown as a claim, checked by nobody here.
 */
static struct str claimed_subject(const struct secret *jwt, struct arena *mem)
{
	struct str rest = str_of(secret_reveal(jwt)), part, out = STR_NONE;
	struct error ignored;
	struct buf json;
	json_t *o = NULL;

	if (!str_cut(&rest, '.', &part) || !str_cut(&rest, '.', &part))
		return out;
	buf_init(&json, (size_t)1 << 16);
	if (enc_unbase64(part, &json, &ignored) == OK &&
		json_read(buf_str(&json), "a token", &o, &ignored) == OK)
		out = arena_str(mem, json_get_str(o, "sub"));
	json_decref(o);
	buf_free(&json);
	return out;
}

static enum err who_federated(
	struct gcp_fetch *f, struct arena *mem, struct str *who, struct error *e)
{
	struct secret subject = {.hidden = NULL};
	struct str arn, name;

	if (f->source->subject == GCP_SUBJECT_AWS) {
		TRY(aws_identity_who(f->aws, mem, &arn, e));
		name = arena_fmt(mem, "%.*s", STR_ARG(arn));
	} else {
		TRY(gcp_subject_token(f, &subject, e));
		name = claimed_subject(&subject, mem);
		secret_free(&subject);
	}
	*who = arena_fmt(mem, "%.*s by federation through %s",
		STR_ARG(name.n > 0 ? name : STR("a token without a subject")), f->source->audience);
	return OK;
}

static enum err who_own(struct gcp_fetch *f, struct arena *mem, struct str *who, struct error *e)
{
	struct http_reply reply;

	if (f->source->kind == GCP_EXTERNAL)
		return who_federated(f, mem, who, e);
	if (f->source->kind == GCP_KEY) {
		*who = arena_fmt(mem, "%s by a stored key", f->source->email);
		return OK;
	}
	gcp_reply_init(&reply);
	enum err rc = gcp_metadata_get(f, "email", &reply, e);
	if (rc == OK)
		*who = arena_fmt(mem, "%.*s by the metadata server",
			STR_ARG(str_trim(buf_str(&reply.body))));
	gcp_reply_free(&reply);
	return rc;
}

enum err gcp_identity_who(
	struct gcp_identity *i, struct arena *mem, struct str *who, struct error *e)
{
	struct str email = gcp_source_email(&i->source);

	pthread_mutex_lock(&i->lock);
	claim(i);
	pthread_mutex_unlock(&i->lock);
	enum err rc = who_own(&i->fetch, mem, who, e);
	pthread_mutex_lock(&i->lock);
	release(i);
	pthread_mutex_unlock(&i->lock);
	if (rc == OK && email.n > 0)
		*who = arena_fmt(mem, "%.*s, for whom acts %.*s", STR_ARG(email), STR_ARG(*who));
	return rc;
}
