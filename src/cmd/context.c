/* What commands ask of their context. */
#include <string.h>

#include "buf.h"
#include "command.h"
#include "pg_conn.h"
#include "shared.h"
#include "source_token.h"
#include "str.h"

/* How long another process may hold the embedded warehouse before we give up. */
#define HELD_PATIENCE_US INT64_C(15000000)
#define HELD_RETRY_US    INT64_C(50000)

enum err context_warehouse(struct context *c, struct warehouse **out, struct error *e)
{
	int64_t give_up = clock_mono(c->env->clock) + HELD_PATIENCE_US;
	for (;;) {
		enum err rc = shared_warehouse(c->shared, out, e);
		if (rc != ERR_CONFLICT)
			return rc;
		if (clock_mono(c->env->clock) >= give_up) {
			e->kind = ERR_UNAVAILABLE;
			return ERR_UNAVAILABLE;
		}
		TRY(env_check(c->env, e));
		env_sleep(c->env, HELD_RETRY_US);
	}
}

enum err context_store(struct context *c, struct store **out, struct error *e)
{
	return shared_store(c->shared, out, e);
}

enum err context_models(struct context *c, struct models **out, struct error *e)
{
	return shared_models(c->shared, out, e);
}

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static enum err connect_to(struct context *c, const char *conninfo, const struct secret *password,
	const struct pg_token *token, const char *key, struct pg **out, struct error *e)
{
	if (!is_set(conninfo))
		return FAIL(e, ERR_USAGE,
			"%s is not set: put the PostgreSQL connection string into the configuration "
			"file (--config FILE, default ./sluice.conf) or the environment",
			key);
	const struct pg_options o = {.conninfo = conninfo,
		.password = secret_is_set(password) ? secret_reveal(password) : NULL,
		.password_file = password->file,
		.token = token,
		.application = "sluice"};
	return pg_open(out, &o, c->env, e);
}

enum err context_source(struct context *c, struct pg **out, struct error *e)
{
	const struct source_settings *s = &c->set->source;
	return connect_to(c, s->url, &s->password, source_token_of(shared_token(c->shared)),
		"[source] url", out, e);
}

enum err context_app_database(struct context *c, struct pg **out, struct error *e)
{
	const struct app_settings *a = &c->set->app;
	if (!is_set(a->database))
		return context_source(c, out, e);
	return connect_to(c, a->database, &a->database_password, NULL, "[app] database", out, e);
}

enum err context_workflow(
	struct context *c, const char *name, const struct workflow_settings **out, struct error *e)
{
	*out = settings_workflow(c->set, name);
	if (*out != NULL)
		return OK;

	struct buf names;
	buf_init(&names, 4096);
	const struct workflow_settings *w = c->set->workflows.items;
	for (size_t i = 0; i < c->set->workflows.n; i++)
		buf_putf(&names, "%s%s", i > 0 ? ", " : "", w[i].name);
	enum err rc = names.n == 0
		? FAIL(e, ERR_USAGE,
			  "there is no workflow '%s': the configuration has no [workflow] section; "
			  "add [workflow %s]",
			  name, name)
		: FAIL(e, ERR_USAGE, "there is no workflow '%s': the configuration names %s", name,
			  buf_cstr(&names));
	buf_free(&names);
	return rc;
}

void context_emit(struct context *c, const struct buf *json)
{
	fwrite(json->p, 1, json->n, c->out);
	fputc('\n', c->out);
	fflush(c->out);
}
