#include "watched.h"

#include "shared.h"
#include "status_json.h"

enum err watched_replicates(
	const struct settings *set, const struct replicate_progress *p, struct error *e)
{
	if (p->failed)
		return FAIL(e, ERR_FAILED, "replication has failed: %s",
			p->apply_error.kind != OK ? p->apply_error.text : p->capture_error.text);
	if (p->stalled)
		return FAIL(e, ERR_UNAVAILABLE, "replication stands still: %s", p->stall);
	if (!p->connected)
		return FAIL(e, ERR_UNAVAILABLE, "the source is not connected: %s",
			p->capture_error.text);
	if (p->lag_us > set->replicate.max_lag)
		return FAIL(e, ERR_UNAVAILABLE,
			"the warehouse is %.1f s behind; [replicate] max_lag is %.1f s",
			(double)p->lag_us / 1e6, (double)set->replicate.max_lag / 1e6);
	return OK;
}

enum err watched_status(const struct context *c, struct buf *out, struct error *e)
{
	struct arena mem = {0};
	struct context own = *c; /* several requests at once: each has its own memory */

	own.mem = &mem;
	enum err rc = status_json(&own, out, e);
	arena_free(&mem);
	return rc;
}

static enum err is_ready(void *arg, struct error *e)
{
	struct context *c = arg;
	struct replicate_progress p;
	struct replicate *running = shared_replicate(c->shared);

	if (running == NULL)
		return FAIL(e, ERR_UNAVAILABLE, "replication has not started");
	replicate_progress(running, &p);
	shared_leave_replicate(c->shared);
	return watched_replicates(c->set, &p, e);
}

static enum err status(void *arg, struct buf *out, struct error *e)
{
	return watched_status(arg, out, e);
}

enum err watched_start(
	struct operator_server **out, struct context *c, const char *listen, struct error *e)
{
	const struct operator_options o = {
		.listen = listen, .ready = is_ready, .status = status, .arg = c};

	TRY(operator_start(out, &o, c->env, e));
	log_info(c->env->log, "operator", "listening", F_CSTR("address", operator_address(*out)));
	return OK;
}
