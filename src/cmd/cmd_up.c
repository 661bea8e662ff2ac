/* sluice up: every role the configuration names, in one process. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app_api.h"
#include "app_settings.h"
#include "app_worker.h"
#include "cmd_all.h"
#include "operator.h"
#include "replicate.h"
#include "replicate_settings.h"
#include "shared.h"
#include "thread.h"
#include "watched.h"

#define LOOK_US      INT64_C(100000)
#define RETRY_US     INT64_C(200000) /* the first pause before a role is tried again */
#define RETRY_MAX_US INT64_C(10000000)

enum { ROLE_OPERATOR, ROLE_REPLICATE, ROLE_API, ROLE_WORKER, NROLES };

struct up {
	struct context *c;
	bool wanted[NROLES], running[NROLES]; /* this thread's */
	pthread_mutex_t lock;
	char waits_for[1200]; /* under lock: why not every role runs; empty when each does */
	struct replicate_options options;
	struct replicate *replicate;
	bool held_elsewhere; /* the warehouse could not be opened */
	struct operator_server *operator;
	struct app_api *api;
	struct thread worker;
	atomic_bool worker_ended;
	struct app_worker_options worker_options;
	struct app_worker_result worker_result;
};

/* --- replicate --- */

/* A client that runs here may have begun to replicate while we could not. */
static enum err claim(struct up *u, struct error *e)
{
	if (shared_join_replicate(u->c->shared) == NULL)
		return OK;
	shared_leave_replicate(u->c->shared);
	return FAIL(e, ERR_UNAVAILABLE, "a command replicates in this process; it is waited for");
}

static enum err start_replicate(struct up *u, struct error *e)
{
	struct warehouse *w;
	/* Before the warehouse is open, and commands of others come in. */
	TRY(claim(u, e));
	enum err rc = context_warehouse(u->c, &w, e);
	u->held_elsewhere = rc != OK;
	if (rc == OK)
		rc = replicate_start(&u->replicate, &u->options, w, u->c->env, e);
	shared_set_replicate(u->c->shared, u->replicate);
	return rc;
}

static enum err stop_replicate(struct up *u, struct error *e)
{
	if (u->replicate == NULL)
		return OK;
	shared_take_replicate(u->c->shared);
	enum err rc = replicate_stop(u->replicate, e);
	u->replicate = NULL;
	shared_set_replicate(u->c->shared, NULL);
	return rc;
}

/* --- operator --- */

/* From threads of the operator API. */
static enum err is_ready(void *arg, struct error *e)
{
	struct up *u = arg;
	struct replicate_progress p;
	enum err rc = OK;
	pthread_mutex_lock(&u->lock);
	if (u->waits_for[0] != '\0')
		rc = FAIL(e, ERR_UNAVAILABLE, "%s", u->waits_for);
	pthread_mutex_unlock(&u->lock);
	TRY(rc);
	if (atomic_load(&u->worker_ended))
		return FAIL(e, ERR_FAILED, "the worker has ended");
	struct replicate *running = shared_replicate(u->c->shared);
	if (running == NULL)
		return OK;
	replicate_progress(running, &p);
	shared_leave_replicate(u->c->shared);
	return watched_replicates(u->c->set, &p, e);
}

static enum err status(void *arg, struct buf *out, struct error *e)
{
	struct up *u = arg;
	return watched_status(u->c, out, e);
}

static enum err start_operator(struct up *u, struct error *e)
{
	const struct operator_options o = {
		.listen = u->c->set->serve.listen, .ready = is_ready, .status = status, .arg = u};
	TRY(operator_start(&u->operator, & o, u->c->env, e));
	log_info(u->c->env->log, "operator", "listening",
		F_CSTR("address", operator_address(u->operator)));
	return OK;
}

/* --- api and worker: both bring the schema up to date, and wait for the database, themselves ---
 */

static enum err start_api(struct up *u, struct error *e)
{
	TRY(app_settings_migrate(u->c, e)); /* a schema that cannot be is known at once */
	const struct app_api_options o = app_settings_api(u->c, NULL);
	TRY(app_api_start(&u->api, &o, u->c->env, e));
	log_info(u->c->env->log, "app", "listening", F_CSTR("address", app_api_address(u->api)));
	return OK;
}

static enum err worker_main(void *arg, struct error *e)
{
	struct up *u = arg;
	enum err rc = app_worker_run(&u->worker_options, u->c->env, &u->worker_result, e);
	if (rc == OK && !env_stopping(u->c->env))
		rc = FAIL(e, ERR_BUG, "the worker ended though nobody had asked it to");
	atomic_store(&u->worker_ended, true);
	return rc;
}

static enum err start_worker(struct up *u, struct error *e)
{
	TRY(app_settings_worker(u->c, false, &u->worker_options, e));
	return thread_start(&u->worker, "worker", worker_main, u, e);
}

/* --- all of them --- */

/* In the order in which they start: first what says how the others fare. */
static const struct role {
	const char *name;
	enum err (*start)(struct up *u, struct error *e);
} roles[NROLES] = {
	[ROLE_OPERATOR] = {"operator", start_operator},
	[ROLE_REPLICATE] = {"replicate", start_replicate},
	[ROLE_API] = {"api", start_api},
	[ROLE_WORKER] = {"worker", start_worker},
};

static enum err wanted_roles(struct context *c, bool wanted[NROLES], struct error *e)
{
	struct str rest = str_of(c->set->serve.roles), word;
	bool any = false;
	while (str_next(&rest, ',', &word)) {
		size_t i = 0;
		word = str_trim(word);
		while (i < NROLES && !str_eqc(word, roles[i].name))
			i++;
		if (i == NROLES)
			return FAIL(e, ERR_USAGE,
				"[serve] roles names '%.*s'; the roles are replicate, operator, api and worker",
				STR_ARG(word));
		wanted[i] = any = true;
	}
	if (!any)
		return FAIL(e, ERR_USAGE, "[serve] roles is empty: there is nothing to run");
	return OK;
}

static void wait_for(struct up *u, const char *role, const char *why)
{
	pthread_mutex_lock(&u->lock);
	if (role == NULL)
		u->waits_for[0] = '\0';
	else
		snprintf(u->waits_for, sizeof u->waits_for, "the role %s has not started: %s", role,
			why);
	pthread_mutex_unlock(&u->lock);
}

/* Starts what does not run yet. A role whose database is away holds up no other; it is tried again
 * later. Any other error is the end. */
static enum err start_roles(struct up *u, bool first, bool *all, struct error *e)
{
	*all = true;
	for (size_t i = 0; i < NROLES; i++) {
		struct error why = {0};
		if (!u->wanted[i] || u->running[i])
			continue;
		enum err rc = roles[i].start(u, &why);
		u->running[i] = rc == OK;
		if (rc == OK)
			continue;
		if (env_stopping(u->c->env))
			return OK;
		if (rc != ERR_UNAVAILABLE || u->held_elsewhere) {
			*e = why;
			return rc;
		}
		if (first)
			log_warn(u->c->env->log, "up", "a role waits for what it needs",
				F_CSTR("role", roles[i].name), F_CSTR("why", why.text));
		wait_for(u, roles[i].name, why.text);
		*all = false;
	}
	if (*all)
		wait_for(u, NULL, NULL);
	return OK;
}

/* Whether a role has ended for good: then we end too, and a supervisor starts us again. */
static bool one_has_ended(struct up *u)
{
	struct replicate_progress p = {.failed = false};
	if (u->replicate != NULL)
		replicate_progress(u->replicate, &p);
	struct error ignored; /* stop_roles asks again */
	bool api_failed = u->api != NULL && app_api_check(u->api, &ignored) != OK;
	return p.failed || api_failed || atomic_load(&u->worker_ended);
}

/* Until asked to stop, or a role has ended. */
static enum err run_roles(struct up *u, struct error *e)
{
	const struct env *env = u->c->env;
	int64_t pause = RETRY_US, next = 0;
	bool all = false, first = true;
	while (!env_stopping(env) && !one_has_ended(u)) {
		if (!all && clock_mono(env->clock) >= next) {
			TRY(start_roles(u, first, &all, e));
			if (all)
				log_info(env->log, "up", "running",
					F_CSTR("roles", u->c->set->serve.roles));
			first = false;
			next = clock_mono(env->clock) + pause;
			pause = pause * 2 < RETRY_MAX_US ? pause * 2 : RETRY_MAX_US;
		}
		env_sleep(env, LOOK_US);
	}
	return OK;
}

static enum err stop_roles(struct up *u, enum err rc, struct error *e)
{
	struct error second = {0};
	/* Whatever ended us: the worker and the commands that run here for others end too. */
	if (u->c->env->stop != NULL)
		atomic_store(u->c->env->stop, true);
	if (rc == OK && u->api != NULL)
		rc = app_api_check(u->api, e);
	app_api_stop(u->api);
	enum err ended = thread_join(&u->worker, &second);
	operator_stop(u->operator);
	if (rc == OK && ended != OK) {
		*e = second;
		rc = ended;
	}
	ended = stop_replicate(u, &second);
	if (rc == OK && ended != OK) {
		*e = second;
		rc = ended;
	}
	return rc;
}

static enum err run_up(struct context *c, const void *args, struct error *e)
{
	(void)args;
	struct up *u = arena_alloc(c->mem, sizeof *u);
	u->c = c;
	TRY(wanted_roles(c, u->wanted, e));
	replicate_settings_options(c, &u->options);
	pthread_mutex_init(&u->lock, NULL);
	snprintf(u->waits_for, sizeof u->waits_for, "the roles are being started");
	enum err rc = run_roles(u, e);
	rc = stop_roles(u, rc, e);
	pthread_mutex_destroy(&u->lock);
	log_info(c->env->log, "up", "stopped");
	return rc;
}

const struct command cmd_up = {
	.name = "up",
	.summary = "run every role the configuration names, in one process",
	.details =
		"The roles are those of [serve] roles. Other commands that need the embedded warehouse "
		"run inside\nthis process, through its control socket; a user does not notice. "
		"Ends gracefully on SIGTERM or\nSIGINT; a second signal ends it at once. "
		"A database that is away is waited for, at the start as later: /readyz says which.",
	.examples = "sluice up                                   # replicate and watch\n"
		    "SLUICE_SERVE_ROLES=api,worker sluice up     # the application's side only",
	.args_size = 1,
	.run = run_up,
};
