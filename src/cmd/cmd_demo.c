/* sluice demo: the whole loop on this machine. */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "buf.h"
#include "clock.h"
#include "cmd_all.h"
#include "demo.h"
#include "file.h"
#include "learn.h"
#include "mem.h"

struct demo_args {
	const char *data, *dir;
	bool keep_running;
};

static const struct opt demo_opts[] = {
	{.name = "data",
		.type = OPT_STRING,
		.value = "FILE",
		.offset = offsetof(struct demo_args, data),
		.help = "hotel_bookings.csv or .csv.gz to replay; without it bookings are simulated"},
	{.name = "dir",
		.type = OPT_STRING,
		.value = "DIR",
		.initial = ".demo",
		.offset = offsetof(struct demo_args, dir),
		.help = "where everything is put; what an earlier run left there is replaced"},
	{.name = "keep-running",
		.type = OPT_FLAG,
		.offset = offsetof(struct demo_args, keep_running),
		.help = "leave it all running at the end, until interrupted"},
	OPT_END,
};

void demo_say(struct demo *d, const char *fmt, ...)
{
	va_list ap;
	double at = (double)(clock_mono(d->c->env->clock) - d->started_us) / 1e6;
	fprintf(d->c->err, "[%6.1fs] ", at);
	va_start(ap, fmt);
	vfprintf(d->c->err, fmt, ap);
	va_end(ap);
	fputc('\n', d->c->err);
	fflush(d->c->err);
}

static void choose_times(struct demo *d)
{
	d->times.live_from = clock_days(2017, 5, 1) * DAY_US;
	d->times.first_release = clock_days(2017, 7, 1) * DAY_US;
	d->times.second_release = clock_days(2017, 7, 10) * DAY_US;
	d->times.end = clock_days(2017, 8, 31) * DAY_US + 12 * HOUR_US;
}

/* The AUC of the very probabilities that the simulator drew from, on the evaluation's test part:
 * no model can be expected to do better. */
static void best_attainable(struct demo *d)
{
	int64_t cut = clock_days(2017, 3, 1) * DAY_US;
	float *score = mem_array(d->records.n, sizeof *score);
	uint8_t *label = mem_array(d->records.n, sizeof *label);
	size_t n = 0;
	for (size_t i = 0; i < d->records.n; i++) {
		const struct record *r = &d->records.items[i];
		int64_t known = r->outcome == OUTCOME_STAYED ? r->checked_in_us : r->ended_us;
		/* Those still to arrive are left out there too: of them only cancellations are
		 * known. */
		if (r->booked_us < cut || known >= d->times.end ||
			r->arrival_days * DAY_US >= d->times.end)
			continue;
		score[n] = (float)r->cancel_probability;
		label[n++] = r->outcome != OUTCOME_STAYED;
	}
	d->best_auc = auc(score, label, n);
	mem_free(score);
	mem_free(label);
	demo_say(d, "measured AUC %.4f; the best attainable, by the true probabilities, is %.4f",
		d->auc, d->best_auc);
}

/* Everything once, in the order of the picture. */
static enum err go_round(struct demo *d, struct error *e)
{
	TRY(demo_prepare(d, e));
	TRY(demo_load(d, e));
	TRY(demo_replication(d, e));
	TRY(demo_live(d, d->times.live_from, d->times.first_release, e));
	TRY(demo_reconcile(d, e));
	TRY(demo_learn(d, e));
	TRY(demo_release(d, e));
	TRY(demo_decisions(d, e));
	TRY(demo_live(d, d->times.first_release, d->times.second_release, e));
	TRY(demo_release(d, e));
	TRY(demo_decisions(d, e));
	TRY(demo_rollback(d, e));
	TRY(demo_live(d, d->times.second_release, d->times.end, e));
	TRY(demo_reconcile(d, e));
	TRY(demo_learn(d, e));
	if (d->data == NULL)
		best_attainable(d);
	return demo_count(d, e);
}

static bool all_well(const struct demo *d)
{
	return d->reconcile_ok && d->bookings == d->replicated_rows &&
		d->bookings == (int64_t)d->records.n && d->gate != NULL &&
		str_eqc(STR("open"), d->gate) && d->landed_rows == d->scored_rows &&
		d->decisions > 0;
}

static void summary(struct demo *d, bool ok)
{
	struct buf b;
	struct json_out j;
	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_bool(&j, "ok", ok);
	jo_i64(&j, "bookings", d->bookings);
	jo_i64(&j, "replicated_rows", d->replicated_rows);
	jo_bool(&j, "reconcile_ok", d->reconcile_ok);
	jo_fixed(&j, "auc", d->auc, 4);
	if (!isnan(d->best_auc))
		jo_fixed(&j, "best_attainable_auc", d->best_auc, 4);
	jo_i64(&j, "model_version", d->model_version);
	jo_i64(&j, "release_version", d->release_version);
	jo_i64(&j, "scored_rows", d->scored_rows);
	jo_i64(&j, "landed_rows", d->landed_rows);
	jo_cstr(&j, "gate", d->gate);
	jo_i64(&j, "decisions", d->decisions);
	jo_fixed(&j, "seconds", (double)(clock_mono(d->c->env->clock) - d->started_us) / 1e6, 1);
	jo_end_object(&j);
	if (d->c->json)
		context_emit(d->c, &b);
	else
		demo_say(d, "%s", buf_cstr(&b));
	buf_free(&b);
}

static void keep_running(struct demo *d)
{
	demo_say(d, "running on: API %s, configuration %s; interrupt to stop", d->api_url,
		d->config);
	while (!env_stopping(d->c->env))
		env_sleep(d->c->env, 200000);
}

static void shut_down(struct demo *d)
{
	demo_stop_children(d);
	pg_close(d->pg);
	pg_server_stop(d->server, true);
}

static enum err resolve_paths(struct demo *d, const struct demo_args *a, struct error *e)
{
	char real[PATH_MAX];
	TRY(file_mkdirs(a->dir, e));
	if (realpath(a->dir, real) == NULL)
		return FAIL(e, ERR_USAGE, "finding the directory %s", a->dir);
	d->dir = arena_cstr(d->c->mem, str_of(real));
	d->data = a->data;
	if (a->data != NULL && !file_exists(a->data))
		return FAIL(e, ERR_USAGE,
			"there is no file %s; without --data bookings are simulated", a->data);
	return OK;
}

static enum err run_demo(struct context *c, const void *args, struct error *e)
{
	const struct demo_args *a = args;
	struct demo *d = arena_alloc(c->mem, sizeof *d);
	d->c = c;
	d->quiet = *c->env;
	d->quiet.log = NULL;
	d->gate = "closed";
	d->best_auc = NAN;
	d->started_us = clock_mono(c->env->clock);
	choose_times(d);
	TRY(resolve_paths(d, a, e));
	/* Training beside everything else on few cores: waiting threads must not spin. */
	if (setenv("OMP_WAIT_POLICY", "passive", 0) != 0)
		return FAIL(e, ERR_FAILED, "setting OMP_WAIT_POLICY for the processes to come");
	enum err rc = go_round(d, e);
	bool ok = rc == OK && all_well(d);
	if (rc == OK && a->keep_running)
		keep_running(d);
	shut_down(d);
	summary(d, ok);
	if (rc == OK && !ok)
		rc = FAIL(e, ERR_FAILED,
			"the loop ran, but what came out is not what went in; see %s/logs", d->dir);
	return rc;
}

const struct command cmd_demo = {
	.name = "demo",
	.summary = "the whole loop on this machine, from an empty directory",
	.examples = "sluice demo                                    # simulated guests\n"
		    "sluice demo --data hotel_bookings.csv.gz --json  # real bookings\n"
		    "sluice demo --keep-running                     # and leave it for looking at",
	.details =
		"Starts a private PostgreSQL, loads the older bookings in bulk, replicates them, "
		"sends the newer ones\nthrough the reservation API while replication runs, trains, "
		"scores, releases, lands, opens the gate,\nlets the worker act, releases again and rolls "
		"back, lives on to the end,\nand trains once more with all that is known then.\n"
		"Both approvals of the gate are given by the demonstration itself, and erasures of "
		"guests are made up.",
	.opts = demo_opts,
	.args_size = sizeof(struct demo_args),
	.run = run_demo,
};
