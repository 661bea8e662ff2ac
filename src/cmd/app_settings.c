#include "app_settings.h"

#include "app_schema.h"
#include "pg_conn.h"
#include "shared.h"
#include "source_token.h"

/* As context_app_database(), for those who open connections of their own. */
static struct pg_options database_of(const struct context *c, const char *application)
{
	const struct app_settings *a = &c->set->app;
	bool own = a->database != NULL && a->database[0] != '\0';
	const struct secret *password = own ? &a->database_password : &c->set->source.password;

	return (struct pg_options){
		.conninfo = own ? a->database : c->set->source.url,
		.password = secret_is_set(password) ? secret_reveal(password) : NULL,
		.password_file = password->file,
		.token = own ? NULL : source_token_of(shared_token(c->shared)),
		.application = application,
	};
}

struct app_api_options app_settings_api(struct context *c, const char *listen)
{
	return (struct app_api_options){
		.listen = listen != NULL ? listen : c->set->app.listen,
		.database = database_of(c, "sluice app api"),
		.threads = (unsigned)c->set->app.threads,
		.import_mode = c->set->app.import_mode,
		.migrate = true,
	};
}

enum err app_settings_worker(
	struct context *c, bool once, struct app_worker_options *out, struct error *e)
{
	*out = (struct app_worker_options){
		.database = database_of(c, "sluice app worker"),
		.workflow = c->set->app.workflow,
		.poll_interval_us = c->set->app.poll_interval,
		.once = once,
		.migrate = true,
	};
	if (!str_to_double(str_of(c->set->app.threshold), &out->threshold) ||
		!(out->threshold >= 0 && out->threshold <= 1))
		return FAIL(e, ERR_USAGE,
			"starting the worker: [app] threshold is \"%s\"; write a number from 0 to 1",
			c->set->app.threshold != NULL ? c->set->app.threshold : "");
	return OK;
}

enum err app_settings_migrate(struct context *c, struct error *e)
{
	const struct pg_options database = database_of(c, "sluice app");
	enum err rc = app_schema_apply(&database, c->env, e);

	return rc == ERR_UNAVAILABLE ? OK : rc;
}
