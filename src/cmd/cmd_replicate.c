/* sluice replicate: snapshot, then stream. */
#include "cmd_all.h"
#include "replicate.h"
#include "replicate_settings.h"
#include "shared.h"
#include "warehouse.h"
#include "watched.h"

#define SLICE_US    INT64_C(100000)
#define PATIENCE_US INT64_C(1000000)

struct replicate_args {
	const char *until;
	const char *listen;
};

static const struct opt replicate_opts[] = {
	{.name = "until",
		.type = OPT_STRING,
		.value = "caught-up|LSN",
		.offset = offsetof(struct replicate_args, until),
		.help = "end when all that the source has now, or this position, is applied"},
	{.name = "listen",
		.type = OPT_STRING,
		.value = "ADDRESS:PORT",
		.offset = offsetof(struct replicate_args, listen),
		.help = "serve the operator API there while it runs: /livez, /readyz, /metrics, "
			"/status"},
	OPT_END,
};

static enum err parse_until(const char *text, struct replicate_until *out, struct error *e)
{
	*out = (struct replicate_until){.kind = REPLICATE_FOREVER};
	if (text == NULL)
		return OK;
	if (str_eqc(str_of(text), "caught-up")) {
		out->kind = REPLICATE_CAUGHT_UP;
		return OK;
	}
	out->kind = REPLICATE_LSN;
	if (lsn_parse(str_of(text), &out->at))
		return OK;
	return FAIL(e, ERR_USAGE, "--until %s: give caught-up, or a position such as 16/B374D848",
		text);
}

static void emit(struct context *c, const struct replicate_result *r)
{
	struct buf b;
	struct json_out j;
	char at[LSN_TEXT];

	lsn_format(r->at, at);
	if (!c->json) {
		fprintf(c->out, "Applied up to %s: %llu rows in %.1f s.\n", at,
			(unsigned long long)r->rows, r->seconds);
		fflush(c->out);
		return;
	}
	buf_init(&b, 4096);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "lsn", at);
	jo_u64(&j, "rows", r->rows);
	jo_fixed(&j, "seconds", r->seconds, 3);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

/* Where replication runs in this process already, wait for it. */
static enum err wait_here(struct context *c, struct replicate *r, const struct replicate_options *o,
	const struct replicate_until *until, struct error *e)
{
	struct replicate_progress before, p;
	int64_t began = clock_mono(c->env->clock);
	lsn at = until->at;
	enum err rc;

	if (until->kind == REPLICATE_FOREVER)
		return FAIL(e, ERR_CONFLICT,
			"replication runs already, in the process that holds the warehouse; see "
			"sluice status");
	if (until->kind == REPLICATE_CAUGHT_UP)
		TRY(replicate_source_flushed(o, c->env, &at, e));
	replicate_progress(r, &before);
	do {
		TRY(env_check(c->env, e));
		rc = replicate_wait(r, at, PATIENCE_US, e);
		replicate_progress(r, &p);
	} while (rc == ERR_UNAVAILABLE && !p.failed);
	if (rc != OK)
		return rc;
	struct replicate_result result = {.at = p.applied,
		.rows = p.rows - before.rows,
		.seconds = (double)(clock_mono(c->env->clock) - began) / 1e6};
	emit(c, &result);
	return OK;
}

/* As a handle, so that commands that run in this process for others know of it. */
static enum err run_forever(
	struct context *c, const struct replicate_options *o, struct warehouse *w, struct error *e)
{
	struct replicate *r = NULL;
	struct replicate_progress p = {.failed = false};

	enum err rc = replicate_start(&r, o, w, c->env, e);
	shared_set_replicate(c->shared, r);
	if (rc != OK)
		return rc;
	while (!p.failed && !env_stopping(c->env)) {
		env_sleep(c->env, SLICE_US);
		replicate_progress(r, &p);
	}
	shared_take_replicate(c->shared);
	rc = replicate_stop(r, e);
	shared_set_replicate(c->shared, NULL);
	return rc;
}

static enum err run_watched(struct context *c, const struct replicate_options *o,
	struct warehouse *w, const char *listen, struct error *e)
{
	struct operator_server *watch = NULL;
	enum err rc = listen == NULL ? OK : watched_start(&watch, c, listen, e);

	if (rc == OK)
		rc = run_forever(c, o, w, e);
	else
		shared_set_replicate(c->shared, NULL);
	operator_stop(watch);
	return rc;
}

static enum err run_replicate(struct context *c, const void *args, struct error *e)
{
	const struct replicate_args *a = args;
	struct replicate_options o;
	struct replicate_until until;
	struct replicate_result result;
	struct warehouse *w = NULL;

	TRY(parse_until(a->until, &until, e));
	if (a->listen != NULL && a->until != NULL)
		return FAIL(e, ERR_USAGE,
			"--listen is for a replication that goes on; leave out --until");
	if (c->set->source.url == NULL || c->set->source.url[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"there is no source to replicate from: set [source] url in the "
			"configuration");
	TRY(context_warehouse(c, &w, e));
	replicate_settings_options(c, &o);
	struct replicate *running = shared_join_replicate(c->shared);
	if (running != NULL) {
		enum err waited = wait_here(c, running, &o, &until, e);
		shared_leave_replicate(c->shared);
		return waited;
	}
	if (until.kind == REPLICATE_FOREVER && c->served) {
		/* Who holds the warehouse now only passes by; it must not be kept from ending. */
		shared_set_replicate(c->shared, NULL);
		c->not_here = true;
		return OK;
	}
	if (until.kind == REPLICATE_FOREVER)
		return run_watched(c, &o, w, a->listen, e);
	enum err rc = replicate_run(&o, w, c->env, until, &result, e);
	shared_set_replicate(c->shared, NULL);
	if (rc == OK)
		emit(c, &result);
	return rc;
}

const struct command cmd_replicate = {
	.name = "replicate",
	.summary = "copy the tables, then follow their changes",
	.details =
		"Copies each table that has not been copied yet, joined exactly to the stream, "
		"then "
		"writes the stream to the journal and the journal to the warehouse until it is "
		"stopped. The source is told that a change is safe when the journal holding it is "
		"on "
		"disk; a warehouse that is away does not make the source keep its log.\n\n"
		"A source that goes away is waited for, but one that does not answer at the start, "
		"or at any time with --until, is an error (exit 4).\n\n"
		"On SIGTERM or SIGINT it ends after the batch in work and exits with 0. With "
		"--listen it can be watched as `sluice up` can: /readyz fails when it has "
		"stalled, not when the source is idle.",
	.examples = "sluice replicate                       # until it is stopped\n"
		    "sluice replicate --until caught-up     # what is there now, then end\n"
		    "sluice replicate --until 16/B374D848\n"
		    "sluice replicate --listen 127.0.0.1:9187   # with /metrics and /readyz",
	.opts = replicate_opts,
	.args_size = sizeof(struct replicate_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_replicate,
};
