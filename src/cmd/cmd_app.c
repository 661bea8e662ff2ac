/* sluice app api, sluice app worker: the reservation service. */
#include <stddef.h>

#include "app_settings.h"
#include "cmd_all.h"
#include "log.h"

/* How long a stop may stay unnoticed while the API serves. */
#define LOOK_US 200000

struct api_args {
	const char *listen;
};

struct worker_args {
	bool once;
};

static const struct opt api_opts[] = {
	{.name = "listen",
		.type = OPT_STRING,
		.value = "ADDRESS:PORT",
		.offset = offsetof(struct api_args, listen),
		.help = "where to listen instead of [app] listen; port 0 takes any free one"},
	OPT_END,
};

static const struct opt worker_opts[] = {
	{.name = "once",
		.type = OPT_FLAG,
		.offset = offsetof(struct worker_args, once),
		.help = "work until the outbox is empty, then end"},
	OPT_END,
};

static const struct opt_arg no_arguments[] = {OPT_ARG_END};

static void say_listening(struct context *c, const char *address)
{
	struct buf line;
	struct json_out j;

	if (!c->json)
		return;
	buf_init(&line, 4096);
	jo_init(&j, &line);
	jo_object(&j, NULL);
	jo_cstr(&j, "listening", address);
	jo_end_object(&j);
	context_emit(c, &line);
	(void)fflush(c->out);
	buf_free(&line);
}

static enum err run_api(struct context *c, const void *args, struct error *e)
{
	const struct api_args *a = args;
	struct app_api *api;
	const struct app_api_options o = app_settings_api(c, a->listen);

	TRY(app_api_start(&api, &o, c->env, e));
	say_listening(c, app_api_address(api));
	enum err rc = OK;
	while (rc == OK && !env_stopping(c->env)) {
		env_sleep(c->env, LOOK_US);
		rc = app_api_check(api, e);
	}
	app_api_stop(api);
	log_info(c->env->log, "app", "the reservation API has stopped");
	return rc;
}

static void report(struct context *c, const struct app_worker_result *r)
{
	struct buf line;
	struct json_out j;

	if (!c->json) {
		(void)fprintf(c->out, "%lld tasks, %lld reconfirmations, gate %s\n",
			(long long)r->tasks, (long long)r->reconfirmations, r->gate);
		return;
	}
	buf_init(&line, 4096);
	jo_init(&j, &line);
	jo_object(&j, NULL);
	jo_i64(&j, "tasks", r->tasks);
	jo_i64(&j, "reconfirmations", r->reconfirmations);
	jo_cstr(&j, "gate", r->gate);
	jo_end_object(&j);
	context_emit(c, &line);
	buf_free(&line);
}

static enum err run_worker(struct context *c, const void *args, struct error *e)
{
	const struct worker_args *a = args;
	struct app_worker_result result;
	struct app_worker_options o;

	TRY(app_settings_worker(c, a->once, &o, e));
	enum err rc = app_worker_run(&o, c->env, &result, e);
	if (rc == OK && a->once)
		report(c, &result);
	return rc;
}

const struct command cmd_app_api = {
	.name = "app api",
	.summary = "serve the reservation service's HTTP API",
	.details =
		"Brings the schema up to date, then serves until it is stopped; requests under way "
		"are finished first. With --json it prints {\"listening\":\"ADDRESS:PORT\"} when "
		"it "
		"is ready. While the database is away, at its start too, it serves on with status "
		"503, and brings the schema up to date as soon as the database answers.",
	.examples = "sluice app api                            # where [app] listen says\n"
		    "sluice app api --listen 127.0.0.1:8080    # there\n",
	.opts = api_opts,
	.positional = no_arguments,
	.args_size = sizeof(struct api_args),
	.run = run_api,
};

const struct command cmd_app_worker = {
	.name = "app worker",
	.summary = "turn bookings' events into tasks and act on cancellation risk",
	.details =
		"Takes outbox rows and makes tasks of them. While the gate of [app] workflow is "
		"open "
		"it also asks guests whose live score is at least [app] threshold to reconfirm; a "
		"gate that is closed or cannot be read stops that and nothing else. Several "
		"workers "
		"may run.",
	.examples = "sluice app worker          # until stopped\n"
		    "sluice app worker --once   # until nothing is left to do\n",
	.opts = worker_opts,
	.positional = no_arguments,
	.args_size = sizeof(struct worker_args),
	.run = run_worker,
};
