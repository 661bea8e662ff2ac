#include "reconcile_reach.h"

#include "reconcile.h"
#include "replicate_settings.h"
#include "shared.h"

#define PATIENCE_US INT64_C(60000000)

/* The replication of this process, for as long as it moves. */
static enum err wait_here(struct context *c, struct replicate *r, lsn at, struct error *e)
{
	struct replicate_progress before, after;
	enum err rc;

	do {
		TRY(env_check(c->env, e));
		replicate_progress(r, &before);
		rc = replicate_wait(r, at, PATIENCE_US, e);
		replicate_progress(r, &after);
	} while (rc == ERR_UNAVAILABLE && !after.failed &&
		lsn_cmp(after.applied, before.applied) > 0);
	return rc;
}

/* Gives the right to replicate back, which shared_join_replicate() gave. */
static enum err run_until(
	struct reconcile_reach *reach, struct replicate_until until, struct error *e)
{
	struct replicate_options o;
	struct replicate_result result;

	replicate_settings_options(reach->c, &o);
	enum err rc = replicate_run(&o, reach->warehouse, reach->c->env, until, &result, e);
	shared_set_replicate(reach->c->shared, NULL);
	return rc;
}

enum err reconcile_reach(void *arg, lsn at, struct error *e)
{
	struct reconcile_reach *reach = arg;
	const struct replicate_until until = {.kind = REPLICATE_LSN, .at = at};
	struct replicate *running = shared_join_replicate(reach->c->shared);

	if (running == NULL)
		return run_until(reach, until, e);
	enum err rc = wait_here(reach->c, running, at, e);
	shared_leave_replicate(reach->c->shared);
	return rc;
}

/* A copy that was broken off, or has not begun, ends before anything is compared: its cut would lie
 * after the one that is compared. */
static enum err copies_left(struct warehouse *w, bool *left, struct error *e)
{
	struct replicate_position stands = {.found = false};
	int64_t running = 0;

	TRY(replicate_position(w, &stands, e));
	if (stands.found)
		TRY(warehouse_i64(w,
			STR("SELECT count(*) FROM ops.marks WHERE starts_with(name, 'snapshot:') "
			    "AND json_extract_string(value, '$.state') = 'running'"),
			&running, e));
	*left = !stands.found || running > 0;
	return OK;
}

enum err reconcile_first_copy(struct context *c, struct warehouse *w, struct error *e)
{
	struct reconcile_reach reach = {.c = c, .warehouse = w};
	const struct replicate_until until = {.kind = REPLICATE_CAUGHT_UP};
	struct replicate_options o;
	bool left;
	lsn at;

	TRY(copies_left(w, &left, e));
	if (!left)
		return OK;
	struct replicate *running = shared_join_replicate(c->shared);
	if (running == NULL)
		return run_until(&reach, until, e);
	replicate_settings_options(c, &o);
	enum err rc = replicate_source_flushed(&o, c->env, &at, e);
	if (rc == OK)
		rc = wait_here(c, running, at, e);
	shared_leave_replicate(c->shared);
	return rc;
}
