#include "aws_identity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aws_parts.h"
#include "http_date.h"
#include "log.h"
#include "mem.h"

#define SECOND       INT64_C(1000000)
#define AHEAD        (5 * 60 * SECOND)
#define BETWEEN      (30 * SECOND) /* two refreshes ahead of expiry */
#define SKEW_NOTICED (60 * SECOND)

static const char *copied(struct arena *mem, const char *s)
{
	return s != NULL && s[0] != '\0' ? arena_cstr(mem, str_of(s)) : NULL;
}

static void copy_options(struct aws_identity *i, const struct aws_identity_options *o)
{
	i->o = *o;
	i->o.region = copied(&i->mem, o->region);
	i->o.profile = copied(&i->mem, o->profile);
	i->o.role_arn = copied(&i->mem, o->role_arn);
	i->o.external_id = copied(&i->mem, o->external_id);
	i->o.session_name = copied(&i->mem, o->session_name);
	i->o.sts_endpoint = copied(&i->mem, o->sts_endpoint);
	i->o.ca_file = copied(&i->mem, o->ca_file);
	if (o->environ == NULL)
		i->o.environ = environ;
}

enum err aws_identity_new(struct aws_identity **out, const struct aws_identity_options *o,
	const struct env *env, struct error *e)
{
	struct aws_identity *i = mem_zalloc(sizeof *i);

	i->env = env;
	copy_options(i, o);
	pthread_mutex_init(&i->lock, NULL);
	pthread_mutex_init(&i->line, NULL);
	pthread_cond_init(&i->changed, NULL);
	const struct http_client_options sts = {.ca_file = i->o.ca_file};
	const struct http_client_options local = {.connect_timeout_us = SECOND};
	enum err rc = http_client_new(&i->sts, &sts, env, e);
	if (rc == OK)
		rc = http_client_new(&i->local, &local, env, e);
	if (rc != OK) {
		aws_identity_free(i);
		return rc;
	}
	*out = i;
	return OK;
}

void aws_identity_free(struct aws_identity *i)
{
	if (i == NULL)
		return;
	http_client_free(i->sts);
	http_client_free(i->local);
	aws_credentials_free(&i->have);
	secret_free(&i->imds_token);
	pthread_mutex_destroy(&i->lock);
	pthread_mutex_destroy(&i->line);
	pthread_cond_destroy(&i->changed);
	arena_free(&i->mem);
	mem_free(i);
}

const char *aws_env(const struct aws_identity *i, const char *name)
{
	size_t n = strlen(name);

	for (char *const *v = i->o.environ; *v != NULL; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
			return (*v)[n + 1] != '\0' ? *v + n + 1 : NULL;
	return NULL;
}

/* --- the clock --- */

int64_t aws_identity_now(const struct aws_identity *i)
{
	return clock_wall(i->env->clock) + atomic_load(&i->skew_us);
}

bool aws_identity_saw_date(struct aws_identity *i, struct str date)
{
	int64_t theirs;

	if (!http_date_parse(date, &theirs))
		return false;
	int64_t off = theirs - aws_identity_now(i);
	if (off < SKEW_NOTICED && off > -SKEW_NOTICED)
		return false;
	int64_t skew = theirs - clock_wall(i->env->clock);
	atomic_store(&i->skew_us, skew);
	log_warn(i->env->log, "aws",
		"this machine's clock differs from AWS's; AWS's is used: set up time "
		"synchronisation",
		F_I64("seconds", skew / SECOND));
	return true;
}

/* --- credentials --- */

static int64_t left_of(const struct aws_identity *i)
{
	return i->have.expires_us == 0 ? INT64_MAX : i->have.expires_us - aws_identity_now(i);
}

static bool usable(const struct aws_identity *i)
{
	return i->fetched && !i->refused && left_of(i) > 0;
}

/* Without the lock, but with `fetching` set, so by one thread at a time. */
static enum err fetch(
	struct aws_identity *i, struct aws_credentials *out, char *source, struct error *e)
{
	pthread_mutex_lock(&i->line);
	enum err rc = aws_chain(i, out, source, e);
	pthread_mutex_unlock(&i->line);
	/* What is missing is a file or a role, and never what the caller asked a service for. */
	if (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT)
		rc = e->kind = ERR_USAGE;
	if (rc == OK && out->expires_us != 0 && out->expires_us <= aws_identity_now(i))
		rc = FAIL(e, ERR_UNAVAILABLE,
			"taking AWS credentials from %s: they have expired already; check the clock "
			"of this machine and of who gives them",
			source);
	return rc;
}

/* The lock is held on entry and on return. */
static void refresh(struct aws_identity *i)
{
	struct aws_credentials fresh = {.expires_us = 0};
	struct error e = {.kind = OK};
	char source[AWS_SOURCE] = "";

	i->fetching = true;
	pthread_mutex_unlock(&i->lock);
	enum err rc = fetch(i, &fresh, source, &e);
	pthread_mutex_lock(&i->lock);
	i->fetching = false;
	i->rounds++;
	i->not_before = clock_mono(i->env->clock) + BETWEEN;
	i->failure = e;
	if (rc == OK) {
		i->failure.kind = OK;
		aws_credentials_copy(&i->have, &fresh);
		memcpy(i->source, source, sizeof source);
		i->fetched = true;
		i->refused = false;
	} else if (usable(i)) {
		log_warn(i->env->log, "aws",
			"credentials could not be renewed; the old ones are used",
			F_CSTR("error", e.text), F_I64("seconds_left", left_of(i) / SECOND));
	}
	aws_credentials_free(&fresh);
	pthread_cond_broadcast(&i->changed);
}

/* The lock is held. */
static enum err get_locked(struct aws_identity *i, int64_t least_us, struct error *e)
{
	for (;;) {
		uint64_t round = i->rounds;
		bool good = usable(i);
		if (good &&
			(left_of(i) >= least_us || i->fetching ||
				clock_mono(i->env->clock) < i->not_before))
			return OK;
		if (i->fetching)
			while (i->rounds == round)
				pthread_cond_wait(&i->changed, &i->lock);
		else
			refresh(i);
		if (usable(i))
			return OK;
		if (i->failure.kind != OK) {
			*e = i->failure;
			return e->kind;
		}
	}
}

enum err aws_identity_get(
	struct aws_identity *i, int64_t least_us, struct aws_credentials *out, struct error *e)
{
	struct error own = {.kind = OK};

	pthread_mutex_lock(&i->lock);
	enum err rc = get_locked(i, least_us > 0 ? least_us : AHEAD, &own);
	if (rc == OK)
		aws_credentials_copy(out, &i->have);
	pthread_mutex_unlock(&i->lock);
	if (rc != OK && e != NULL)
		*e = own;
	return rc;
}

bool aws_identity_refused(struct aws_identity *i, const struct aws_credentials *used)
{
	pthread_mutex_lock(&i->lock);
	/* Somebody may have fetched anew since; then the new ones are worth a try. */
	bool same = strcmp(i->have.key_id, used->key_id) == 0;
	bool again = !same || strcmp(i->refused_id, used->key_id) != 0;
	if (same && again) {
		i->refused = true;
		memcpy(i->refused_id, used->key_id, sizeof i->refused_id);
	}
	pthread_mutex_unlock(&i->lock);
	return again;
}

enum err aws_identity_who(
	struct aws_identity *i, struct arena *mem, struct str *arn, struct error *e)
{
	struct aws_credentials c = {.expires_us = 0};

	TRY(aws_identity_get(i, 0, &c, e));
	pthread_mutex_lock(&i->line);
	enum err rc = aws_sts_who(i, &c, mem, arn, e);
	pthread_mutex_unlock(&i->line);
	aws_credentials_free(&c);
	return rc;
}

struct str aws_identity_source(struct aws_identity *i, struct arena *mem)
{
	pthread_mutex_lock(&i->lock);
	struct str s = arena_str(mem, str_of(i->source));
	pthread_mutex_unlock(&i->lock);
	return s;
}

enum err aws_identity_region(
	struct aws_identity *i, struct arena *mem, struct str *out, struct error *e)
{
	const char *given = i->o.region;
	struct aws_profiles files;
	bool named;

	if (given == NULL)
		given = aws_env(i, "AWS_REGION");
	if (given == NULL)
		given = aws_env(i, "AWS_DEFAULT_REGION");
	*out = str_of(given);
	if (given != NULL)
		return OK;
	TRY(aws_profiles_read(i, mem, &files, e));
	*out = aws_profiles_get(&files, aws_profile_name(i, &named), "region");
	return OK;
}
