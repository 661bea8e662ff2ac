#include "shared.h"

#include <assert.h>
#include <pthread.h>

#include "control.h"
#include "mem.h"
#include "models.h"
#include "replicate.h"
#include "source_token.h"
#include "store.h"
#include "warehouse.h"

struct shared {
	const struct env *env;
	const struct settings *set;
	const char *program, *config_path;
	pthread_mutex_t lock;
	struct warehouse *warehouse;
	struct store *store;
	struct models *models;
	struct source_token *token;
	struct control_server *control;
	pthread_cond_t settled; /* replicate was set, or the right to start one given back */
	struct replicate *replicate;
	bool claimed;   /* somebody has the right to start one */
	unsigned users; /* of replicate: joined or looked, and did not leave yet */
};

struct shared *shared_new(const struct env *env, const struct settings *set, const char *program,
	const char *config_path)
{
	struct shared *s = mem_zalloc(sizeof *s);
	*s = (struct shared){
		.env = env, .set = set, .program = program, .config_path = config_path};
	s->token = source_token_new(set, env);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->settled, NULL);
	return s;
}

void shared_free(struct shared *s)
{
	if (s == NULL)
		return;
	control_server_stop(s->control);
	warehouse_close(s->warehouse);
	store_close(s->store);
	models_close(s->models);
	source_token_free(s->token);
	pthread_cond_destroy(&s->settled);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

static enum err open_warehouse(struct shared *s, struct error *e)
{
	const struct warehouse_options o = {.url = s->set->warehouse.url,
		.memory_limit = s->set->warehouse.memory_limit,
		.threads = s->set->warehouse.threads};
	TRY(warehouse_open(&s->warehouse, &o, s->env, e));
	enum err rc = warehouse_ensure_ops(s->warehouse, e);
	if (rc == OK)
		rc = control_server_start(&s->control, s, s->set->warehouse.url, e);
	if (rc != OK) {
		warehouse_close(s->warehouse);
		s->warehouse = NULL;
	}
	return rc;
}

enum err shared_warehouse(struct shared *s, struct warehouse **out, struct error *e)
{
	pthread_mutex_lock(&s->lock);
	enum err rc = s->warehouse == NULL ? open_warehouse(s, e) : OK;
	*out = s->warehouse;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static enum err open_store(struct shared *s, struct error *e)
{
	const struct store_settings *set = &s->set->store;
	const struct store_options o = {.url = set->url,
		.endpoint = set->endpoint,
		.ca_file = set->ca_file,
		.credentials = set->credentials,
		.region = set->region,
		.path_style = set->path_style,
		.no_checksums = !set->checksums,
		.profile = s->set->aws.profile,
		.role_arn = s->set->aws.role_arn,
		.external_id = s->set->aws.external_id,
		.sts_endpoint = s->set->aws.sts_endpoint,
		.sts_ca_file = s->set->aws.ca_file,
		.sts_region = s->set->aws.region,
		.part_size = set->part_size};
	return store_open_with(&s->store, &o, s->env, e);
}

enum err shared_store(struct shared *s, struct store **out, struct error *e)
{
	pthread_mutex_lock(&s->lock);
	enum err rc = s->store == NULL ? open_store(s, e) : OK;
	*out = s->store;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

enum err shared_models(struct shared *s, struct models **out, struct error *e)
{
	pthread_mutex_lock(&s->lock);
	enum err rc = s->models == NULL ? models_open(&s->models, s->set->models.url, s->env, e)
					: OK;
	*out = s->models;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

struct replicate *shared_join_replicate(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->claimed)
		pthread_cond_wait(&s->settled, &s->lock);
	struct replicate *r = s->replicate;
	s->claimed = r == NULL;
	s->users += r != NULL;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void shared_set_replicate(struct shared *s, struct replicate *r)
{
	pthread_mutex_lock(&s->lock);
	s->replicate = r;
	s->claimed = false;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
}

struct replicate *shared_replicate(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	struct replicate *r = s->replicate;
	s->users += r != NULL;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void shared_leave_replicate(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	assert(s->users > 0);
	s->users--;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
}

void shared_take_replicate(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->replicate != NULL)
		replicate_ask_stop(s->replicate);
	s->replicate = NULL;
	s->claimed = true;
	while (s->users > 0)
		pthread_cond_wait(&s->settled, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

const struct source_token *shared_token(const struct shared *s)
{
	return s->token;
}

const struct env *shared_env(const struct shared *s)
{
	return s->env;
}

const struct settings *shared_settings(const struct shared *s)
{
	return s->set;
}

const char *shared_program(const struct shared *s)
{
	return s->program;
}

const char *shared_config_path(const struct shared *s)
{
	return s->config_path;
}
