#include "source_token.h"

#include <pthread.h>

#include "mem.h"
#include "rds_token.h"

struct source_token {
	struct pg_token base; /* first: a struct pg_token * is a struct source_token * */
	const struct settings *set;
	const struct env *env;
	pthread_mutex_t lock; /* around the making of the identity */
	struct aws_identity *identity;
};

static enum err identity_of(struct source_token *t, struct aws_identity **out, struct error *e)
{
	const struct aws_settings *a = &t->set->aws;
	const char *ca = a->ca_file;
	const struct aws_identity_options o = {.region = a->region,
		.profile = a->profile,
		.role_arn = a->role_arn,
		.external_id = a->external_id,
		.sts_endpoint = a->sts_endpoint,
		.ca_file = ca != NULL && ca[0] != '\0' ? ca : t->set->store.ca_file};

	pthread_mutex_lock(&t->lock);
	enum err rc = t->identity == NULL ? aws_identity_new(&t->identity, &o, t->env, e) : OK;
	*out = t->identity;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static enum err make(const struct pg_token *base, const char *host, const char *port,
	const char *user, struct secret *out, struct error *e)
{
	/* Made by source_token_new, and lent as one that may not be changed. */
	struct source_token *t = (struct source_token *)(uintptr_t)base;
	struct aws_identity *identity;

	TRY(identity_of(t, &identity, e));
	return rds_token(identity, t->set->aws.region, host, port, user, out, e);
}

struct source_token *source_token_new(const struct settings *set, const struct env *env)
{
	struct source_token *t = mem_zalloc(sizeof *t);

	t->base.make = make;
	t->set = set;
	t->env = env;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void source_token_free(struct source_token *t)
{
	if (t == NULL)
		return;
	aws_identity_free(t->identity);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

const struct pg_token *source_token_of(const struct source_token *t)
{
	return t->set->source.iam_auth ? &t->base : NULL;
}
