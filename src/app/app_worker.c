#include "app_worker.h"

#include <stdio.h>
#include <string.h>

#include "app_db.h"
#include "app_schema.h"
#include "log.h"
#include "metrics.h"
#include "risk_gate.h"

#define BATCH     "500"
#define EXPIRE_US (600 * 1000000LL)

/* The longest pause after failures, unless the usual one is longer. */
#define BACKOFF_US (5 * 1000000LL)

struct worker {
	const struct env *env;
	struct app_worker_result *result;
	struct app_db db;
	struct risk_gate gate;
	struct metric *events, *tasks, *reconfirmations;
	int64_t expire_at_us; /* mono */
	bool migrate;         /* not done yet */
	enum err last;        /* how the last round ended */
	struct error said;    /* of the failure that was told last */
};

static void worker_init(struct worker *w, const struct app_worker_options *o, const struct env *env,
	struct app_worker_result *result)
{
	*w = (struct worker){.env = env, .result = result, .migrate = o->migrate};
	w->gate = (struct risk_gate){.workflow = o->workflow, .threshold = o->threshold};
	app_db_init(&w->db, &o->database, env);
	w->events = metrics_counter(
		env->metrics, "sluice_worker_events_total", "Outbox rows taken.", NULL);
	w->tasks = metrics_counter(
		env->metrics, "sluice_worker_tasks_total", "Tasks made from outbox rows.", NULL);
	w->reconfirmations = metrics_counter(env->metrics, "sluice_worker_reconfirmations_total",
		"Guests at risk asked to reconfirm.", NULL);
}

/* One batch, whole or not at all. */
static enum err take_batch(struct worker *w, int64_t *taken, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	const char *params[] = {BATCH};
	PGresult *r;
	enum err rc = app_db_run(&w->db, STMT_OUTBOX_TAKE, params, &mem, &r, e);

	*taken = 0;
	if (rc == OK) {
		*taken = pg_cell_i64(r, 0, 0);
		int64_t made = pg_cell_i64(r, 0, 1);
		w->result->events += *taken;
		w->result->tasks += made;
		metric_add(w->events, (uint64_t)*taken);
		metric_add(w->tasks, (uint64_t)made);
	}
	arena_free(&mem);
	return rc;
}

static enum err drain(struct worker *w, struct error *e)
{
	int64_t taken = 1;

	while (taken > 0 && !env_stopping(w->env))
		TRY(take_batch(w, &taken, e));
	return OK;
}

static enum err poll_gate(struct worker *w, struct error *e)
{
	int64_t made = 0;
	enum err rc = risk_gate_poll(&w->gate, &w->db, &made, e);

	w->result->reconfirmations += made;
	metric_add(w->reconfirmations, (uint64_t)made);
	(void)snprintf(
		w->result->gate, sizeof w->result->gate, "%s", w->gate.open ? "open" : "closed");
	if (made > 0)
		log_info(w->env->log, "worker", "asked guests to reconfirm", F_I64("tasks", made),
			F_I64("version", w->gate.version));
	return rc;
}

static enum err expire_keys(struct worker *w, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	PGresult *r;

	if (clock_mono(w->env->clock) < w->expire_at_us)
		return OK;
	enum err rc = app_db_run(&w->db, STMT_KEYS_EXPIRE, NULL, &mem, &r, e);
	arena_free(&mem);
	if (rc == OK)
		w->expire_at_us = clock_mono(w->env->clock) + EXPIRE_US;
	return rc;
}

static enum err round_once(struct worker *w, struct error *e)
{
	if (w->migrate)
		TRY(app_schema_apply(&w->db.o, w->env, e));
	w->migrate = false;
	TRY(drain(w, e));
	if (env_stopping(w->env))
		return OK;
	TRY(poll_gate(w, e));
	return expire_keys(w, e);
}

/* Tells once what is wrong, again when it is something else, and once that it is over. That the
 * database is away is one thing, in whatever words. */
static void note(struct worker *w, enum err rc, const struct error *e)
{
	bool same = rc == w->last &&
		(rc == OK || rc == ERR_UNAVAILABLE || strcmp(w->said.text, e->text) == 0);

	w->last = rc;
	if (same)
		return;
	if (rc == OK) {
		log_info(w->env->log, "worker", "the worker works again");
		return;
	}
	w->said = *e;
	if (rc == ERR_UNAVAILABLE)
		log_warn(w->env->log, "worker", "waiting for the database", F_CSTR("why", e->text));
	else
		log_error(w->env->log, "worker",
			"a round of work failed; the worker goes on trying: mend what is named",
			F_CSTR("why", e->text), F_CSTR("kind", error_kind_name(rc)));
}

/* Doubles while rounds fail. */
static int64_t pause_after(enum err rc, int64_t pause, int64_t usual)
{
	int64_t most = usual > BACKOFF_US ? usual : BACKOFF_US;

	if (rc == OK)
		return usual;
	return pause * 2 < most ? pause * 2 : most;
}

enum err app_worker_run(const struct app_worker_options *o, const struct env *env,
	struct app_worker_result *result, struct error *e)
{
	struct worker w;
	enum err rc = OK;
	int64_t usual = o->poll_interval_us > 0 ? o->poll_interval_us : 1000000, pause = usual;

	*result = (struct app_worker_result){.gate = "closed"};
	worker_init(&w, o, env, result);
	do {
		rc = round_once(&w, e);
		if (o->once || (w.migrate && rc != ERR_UNAVAILABLE))
			break;
		note(&w, rc, e);
		pause = pause_after(rc, pause, usual);
		rc = OK;
		env_sleep(env, pause);
	} while (!env_stopping(env));
	app_db_close(&w.db);
	return rc;
}
