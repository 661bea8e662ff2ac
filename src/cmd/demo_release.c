/* The demonstration's way from rows to scores that the application uses. */
#include <math.h>
#include <string.h>

#include "demo.h"

#define WORKFLOW "cancel-risk"

static int64_t member_i64(const json_t *o, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(o, key));
}

static double member_f64(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static int64_t total(const json_t *report, const char *key)
{
	int64_t sum = 0;
	size_t i;
	json_t *table;
	json_array_foreach (json_object_get(report, "tables"), i, table)
		sum += member_i64(table, key);
	return sum;
}

enum err demo_reconcile(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	d->reconcile_ok = false;
	TRY(DEMO_COMMAND(d, &r, e, "reconcile"));
	d->reconcile_ok = json_is_true(json_object_get(r, "ok"));
	demo_say(d,
		"reconciled at %s: %lld source rows, %lld in the warehouse, %lld missing, %lld extra, "
		"%lld different",
		json_string_value(json_object_get(json_object_get(r, "cut"), "lsn")),
		(long long)total(r, "source_rows"), (long long)total(r, "replica_rows"),
		(long long)total(r, "missing"), (long long)total(r, "extra"),
		(long long)total(r, "different"));
	json_decref(r);
	return OK;
}

enum err demo_learn(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(DEMO_COMMAND(d, &r, e, "train", "cancel_risk"));
	d->auc = member_f64(r, "auc");
	d->model_version = member_i64(r, "version");
	demo_say(d,
		"trained cancel_risk version %lld: AUC %.4f on a time split (%lld bookings trained, "
		"%lld tested)",
		(long long)d->model_version, d->auc, (long long)member_i64(r, "rows_train"),
		(long long)member_i64(r, "rows_test"));
	json_decref(r);
	char version[24];
	snprintf(version, sizeof version, "%lld", (long long)d->model_version);
	return DEMO_COMMAND(d, NULL, e, "model", "alias", "cancel_risk", "default", version);
}

static enum err score(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	/* What was booked just now wants a score too, or the coverage will not do. */
	TRY(DEMO_COMMAND(d, NULL, e, "replicate", "--until", "caught-up"));
	TRY(DEMO_COMMAND(d, &r, e, "score", WORKFLOW));
	d->scored_rows = member_i64(r, "rows");
	demo_say(d, "scored %lld open bookings with version %lld", (long long)d->scored_rows,
		(long long)member_i64(r, "model_version"));
	json_decref(r);
	return OK;
}

static enum err publish_and_land(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(DEMO_COMMAND(d, &r, e, "publish", WORKFLOW));
	d->release_version = member_i64(r, "version");
	demo_say(d, "published release %lld, signed", (long long)d->release_version);
	json_decref(r);
	TRY(DEMO_COMMAND(d, &r, e, "land", WORKFLOW));
	d->landed_rows = member_i64(r, "rows");
	demo_say(d, "landed release %lld: %zu checks passed, %lld rows",
		(long long)member_i64(r, "version"), json_array_size(json_object_get(r, "checks")),
		(long long)d->landed_rows);
	json_decref(r);
	return OK;
}

static const char *gate_word(const json_t *status)
{
	const char *state = json_string_value(json_object_get(status, "state"));
	if (state != NULL && strcmp(state, "open") == 0)
		return "open";
	return state != NULL && strcmp(state, "requested") == 0 ? "requested" : "closed";
}

static enum err gate_status(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(DEMO_COMMAND(d, &r, e, "gate", "status", WORKFLOW));
	d->gate = gate_word(r);
	json_decref(r);
	return OK;
}

/* Two persons approve where this is real; here the demonstration plays both, and says so. */
static enum err open_gate(struct demo *d, struct error *e)
{
	TRY(DEMO_COMMAND(d, NULL, e, "gate", "request", WORKFLOW));
	TRY(DEMO_COMMAND(d, NULL, e, "gate", "approve", WORKFLOW, "--person", "demo-data-owner"));
	TRY(DEMO_COMMAND(d, NULL, e, "gate", "approve", WORKFLOW, "--person", "demo-app-owner"));
	TRY(DEMO_COMMAND(d, NULL, e, "gate", "open", WORKFLOW));
	TRY(gate_status(d, e));
	demo_say(d, "gate %s is %s (both approvals were given by the demonstration itself)",
		WORKFLOW, d->gate);
	return OK;
}

enum err demo_release(struct demo *d, struct error *e)
{
	TRY(score(d, e));
	TRY(demo_reconcile(d, e));
	TRY(publish_and_land(d, e));
	return open_gate(d, e);
}

enum err demo_rollback(struct demo *d, struct error *e)
{
	json_t *r = NULL;
	TRY(DEMO_COMMAND(d, &r, e, "release", "rollback", WORKFLOW));
	demo_say(d, "rolled back: release %lld is live again", (long long)member_i64(r, "version"));
	json_decref(r);
	return gate_status(d, e);
}

/* Waits until the worker has acted on every open booking whose live score asks for it. */
enum err demo_decisions(struct demo *d, struct error *e)
{
	static const char due[] =
		"SELECT count(*) FROM bookings b JOIN sluice.live_scores s ON s.key = b.booking_id::text "
		"WHERE b.status = 'booked' AND s.workflow = '" WORKFLOW
		"' AND s.score >= 0.5 AND NOT "
		"EXISTS (SELECT 1 FROM worker_tasks t WHERE t.kind = 'reconfirm' AND t.booking_id = "
		"b.booking_id)";
	for (;;) {
		struct arena mem = {0};
		PGresult *r = NULL;
		enum err rc = pg_query(
			d->pg, due, 0, NULL, "counting what the worker has to do", &mem, &r, e);
		int64_t left = rc == OK ? pg_cell_i64(r, 0, 0) : 0;
		arena_free(&mem);
		if (rc != OK)
			return rc;
		if (left == 0)
			break;
		TRY(demo_children_alive(d, e));
		TRY(env_check(d->c->env, e));
		env_sleep(d->c->env, 50000);
	}
	TRY(demo_count(d, e));
	demo_say(
		d, "the worker has asked %lld guests to reconfirm so far", (long long)d->decisions);
	return OK;
}
