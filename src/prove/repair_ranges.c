#include "repair_ranges.h"

#include <inttypes.h>
#include <stdlib.h>

#include "failpoint.h"
#include "log.h"
#include "mem.h"

/* ---- the session on the source ---- */

static enum err open_source(struct ranging *x, struct error *e)
{
	x->comparing = (struct comparing){
		.o = x->compare, .warehouse = x->warehouse, .env = x->env, .report = &x->scratch};
	return comparing_open(&x->comparing, e);
}

static void close_source(struct ranging *x)
{
	pg_close(x->comparing.source);
	x->comparing.source = NULL;
	reconcile_report_free(&x->scratch);
}

void ranging_free(struct ranging *x)
{
	close_source(x);
	reconcile_report_free(&x->found);
}

static int64_t lock_of(struct str id)
{
	char hash[ENC_SHA256_TEXT];

	enc_sha256(id, hash);
	hash[15] = '\0';
	return (int64_t)strtoull(hash, NULL, 16);
}

/* Whoever repairs holds a lock of that run's own on the source, for as long as its session lives.
 * *free is false when somebody else has it. */
static enum err take_run(struct ranging *x, bool *free, struct error *e)
{
	struct arena mem = {0};
	struct str sql = arena_fmt(
		&mem, "SELECT pg_catalog.pg_try_advisory_lock(%" PRId64 ")", lock_of(x->run.id));
	PGresult *r = NULL;
	enum err rc = pg_query(x->comparing.source, arena_cstr(&mem, sql), 0, NULL,
		"taking hold of the repair", &mem, &r, e);

	*free = rc == OK && PQgetvalue(r, 0, 0)[0] == 't';
	arena_free(&mem);
	return rc;
}

static enum err take_new_run(struct ranging *x, struct error *e)
{
	bool free = false;

	TRY(take_run(x, &free, e));
	return free ? OK : FAIL(e, ERR_BUG, "the repair %.*s is not ours", STR_ARG(x->run.id));
}

/* ---- going on ---- */

static void name_run(struct ranging *x, const struct reconcile_report *r)
{
	struct arena *mem = &x->out->mem;
	struct str *names = arena_array(mem, r->ntables + 1, sizeof *names);
	struct buf b;

	buf_init(&b, 1 << 24);
	buf_putf(&b, "1 %s %zu %d", x->compare->publication, x->max, x->compare->table != NULL);
	for (size_t i = 0; i < r->ntables; i++) {
		names[i] = arena_str(mem, r->tables[i].name);
		buf_putf(&b, "\n%.*s", STR_ARG(names[i]));
	}
	enc_sha256(buf_str(&b), x->run.spec);
	buf_free(&b);
	x->run.names = names;
	x->run.nnames = r->ntables;
}

/* The ranges are conditions on columns as they were. */
static bool same_shapes(const struct ranging *x)
{
	struct arena mem = {0};
	bool same = true;

	for (size_t i = 0; i < x->run.n && same; i++) {
		const struct part *p = &x->run.ranges[i].part;
		same = str_eq(p->shape, parts_shape(x->comparing.tables.tables[p->table], &mem));
	}
	arena_free(&mem);
	return same;
}

static enum err let_go(struct ranging *x, struct error *e)
{
	log_info(x->env->log, "repair", "an earlier repair is not gone on with",
		F_STR("repair_id", x->run.id));
	enum err rc = repair_finish(x->warehouse, x->run.id, e);
	x->run.id = STR_NONE;
	x->run.n = 0;
	return rc;
}

static size_t count_done(const struct repair_run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < run->n; i++)
		n += run->ranges[i].done;
	return n;
}

static enum err find_run(struct ranging *x, struct error *e)
{
	int64_t since = clock_wall(x->env->clock) - x->compare->resume_us;
	bool free = false;

	TRY(open_source(x, e));
	name_run(x, &x->scratch);
	TRY(repair_progress_find(x->warehouse, since, &x->out->mem, &x->run, e));
	if (x->run.id.n == 0)
		return OK;
	TRY(take_run(x, &free, e));
	if (!free)
		return FAIL(e, ERR_CONFLICT,
			"repairing: the repair %.*s is still under way; wait for its end",
			STR_ARG(x->run.id));
	if (x->compare->afresh || !same_shapes(x))
		return let_go(x, e);
	log_info(x->env->log, "repair", "going on with a repair", F_STR("repair_id", x->run.id),
		F_I64("ranges", x->run.n), F_I64("done", count_done(&x->run)));
	return OK;
}

enum err ranging_find(struct ranging *x, struct error *e)
{
	enum err rc = find_run(x, e);

	/* A comparison may take long; no session waits for it. */
	if (rc != OK || x->run.id.n == 0)
		close_source(x);
	return rc;
}

/* ---- what differs ---- */

static uint64_t differences_of(const struct part *p)
{
	uint64_t n = 0;

	for (int d = 0; d < DIFFERENCES; d++)
		n += p->count[d] + p->history.count[d];
	return n;
}

/* Each table that differs can be repaired, and they are not too many. */
static enum err check_fit(struct ranging *x, struct error *e)
{
	struct arena mem = {0};
	uint64_t differences = 0;
	enum err rc = OK;

	for (size_t i = 0; rc == OK && i < x->run.n; i++) {
		const struct part *p = &x->run.ranges[i].part;
		struct subject s;

		differences += differences_of(p);
		subject_of(x->comparing.tables.tables[p->table], &mem, &s);
		rc = subject_look_up(&s, x->warehouse, e);
		if (rc == OK)
			rc = repair_check_fit(&s, differences, x->max, e);
	}
	arena_free(&mem);
	return rc;
}

/* The ranges that differ, as the tables of the second half are numbered. */
static enum err take_ranges(struct ranging *x, const struct reconcile_report *r,
	const struct parts *parts, struct error *e)
{
	struct repair_run *run = &x->run;

	run->ranges = arena_array(&x->out->mem, parts->n + 1, sizeof *run->ranges);
	for (size_t i = 0; i < parts->n; i++) {
		struct part *p = &run->ranges[run->n].part;
		size_t t = 0;

		if (differences_of(&parts->list[i]) == 0)
			continue;
		*p = parts->list[i];
		while (t < run->nnames && !str_eq(run->names[t], r->tables[p->table].name))
			t++;
		if (t == run->nnames)
			return FAIL(e, ERR_UNAVAILABLE,
				"repairing %.*s: it is no longer in the publication; run `sluice "
				"init`, then repair again",
				STR_ARG(r->tables[p->table].name));
		p->table = t;
		run->n++;
	}
	return OK;
}

/* Called before the comparison lets go of what it has kept: a kill loses neither or the one. */
static enum err take_found(
	void *arg, const struct reconcile_report *r, const struct parts *parts, struct error *e)
{
	struct ranging *x = arg;

	if (r->ok)
		return OK;
	TRY(failpoint_hit(x->env, "repair.found", e));
	TRY(open_source(x, e));
	name_run(x, &x->scratch);
	TRY(take_ranges(x, r, parts, e));
	TRY(check_fit(x, e));
	x->run.id = x->out->repair_id;
	x->run.at = r->cut.at;
	x->run.whole = r->whole;
	TRY(take_new_run(x, e));
	if (!x->o->dry_run)
		TRY(repair_progress_begin(x->warehouse, x->env, &x->run, e));
	return failpoint_hit(x->env, "repair.planned", e);
}

enum err ranging_plan(struct ranging *x, struct error *e)
{
	x->out->repair_id = repair_new_id(x->env, &x->out->mem);
	TRY(reconcile_then(x->compare, take_found, x, x->warehouse, x->env, &x->found, e));
	if (x->run.id.n > 0)
		return OK;
	/* Nothing differs: there is a report, and no run. */
	name_run(x, &x->found);
	x->run.at = x->found.cut.at;
	x->run.whole = x->found.whole;
	x->out->verdict = REPAIR_EQUAL;
	return OK;
}

/* ---- mending ---- */

/* As many as one transaction on the source should hold, of those that are not done. */
static size_t next_ranges(const struct ranging *x, size_t *at, struct repair_range **out)
{
	uint64_t most = x->compare->range_rows + x->compare->range_rows / 2, rows = 0;
	size_t n = 0;

	for (; *at < x->run.n; ++*at) {
		struct repair_range *r = &x->run.ranges[*at];

		if (r->done)
			continue;
		if (n > 0 && x->compare->range_rows > 0 && rows + r->part.rows > most)
			break;
		rows += r->part.rows;
		out[n++] = r;
	}
	return n;
}

/* Both sides once more, with every difference taken down. */
static enum err compare_ranges(struct ranging *x, struct repair_range **ranges, size_t n,
	struct arena *mem, struct group *g, struct repair_plans *plans, struct error *e)
{
	const struct reconcile_visitor visitor = repair_plans_visitor(plans);
	struct part **parts = arena_array(mem, n + 1, sizeof(struct part *));

	for (size_t i = 0; i < n; i++)
		parts[i] = &ranges[i]->part;
	x->comparing.visitor = &visitor;
	enum err rc = group_begin(&x->comparing, parts, n, mem, g, e);
	for (size_t i = 0; rc == OK && i < n; i++) {
		plans->range = i;
		rc = part_compare(g, parts[i], true, e);
	}
	x->comparing.visitor = NULL;
	return rc == OK ? group_end(g, e) : rc;
}

static struct repair_plan *plan_of(const struct repair_plans *plans, size_t range)
{
	for (size_t i = 0; i < plans->n; i++)
		if (plans->list[i].range == range)
			return &plans->list[i];
	return NULL;
}

static void log_range(const struct ranging *x, const struct repair_range *r)
{
	log_info(x->env->log, "repair", x->o->dry_run ? "range looked at" : "range repaired",
		F_STR("table", x->run.names[r->part.table]), F_I64("range", r->part.number),
		F_I64("ranges", r->part.of), F_STR("repair_id", x->run.id));
}

static enum err write_range(struct ranging *x, const struct group *g, struct repair_range *r,
	struct repair_plan *plan, size_t number, struct error *e)
{
	const struct repair_writing writing = {.warehouse = x->warehouse,
		.env = x->env,
		.cut = &g->cut,
		.run = &x->run,
		.range = r,
		.number = number,
		.dry_run = x->o->dry_run};

	TRY(repair_write(&writing, plan, &x->out->tables[r->part.table], e));
	r->done = true;
	log_range(x, r);
	return failpoint_hit(x->env, "repair.range", e);
}

static enum err mend_ranges(
	struct ranging *x, struct repair_range **ranges, size_t n, struct error *e)
{
	struct repair_plans plans = {.max = x->max};
	struct arena mem = {0};
	struct group g;
	enum err rc = compare_ranges(x, ranges, n, &mem, &g, &plans, e);

	for (size_t i = 0; rc == OK && i < n; i++)
		rc = write_range(x, &g, ranges[i], plan_of(&plans, i),
			(size_t)(ranges[i] - x->run.ranges), e);
	repair_plans_free(&plans);
	arena_free(&mem);
	return rc;
}

static enum err mend_all(struct ranging *x, struct error *e)
{
	struct repair_range **some = mem_array(x->run.n + 1, sizeof(struct repair_range *));
	enum err rc = OK;
	size_t at = 0, n;

	while (rc == OK && (n = next_ranges(x, &at, some)) > 0) {
		rc = mend_ranges(x, some, n, e);
		if (rc == OK && at < x->run.n)
			rc = throttle(&x->comparing, e);
	}
	mem_free(some);
	return rc;
}

static void list_tables(struct ranging *x)
{
	struct repair_report *out = x->out;

	out->at = x->run.at;
	out->whole = x->run.whole;
	out->checked_at = x->run.at;
	if (x->run.verdict != REPAIR_UNCHECKED) {
		out->verdict = x->run.verdict;
		out->whole = x->run.checked_whole;
		out->checked_at = x->run.checked_at;
	}
	out->ntables = x->run.nnames;
	out->tables = arena_array(&out->mem, out->ntables + 1, sizeof *out->tables);
	for (size_t i = 0; i < out->ntables; i++)
		out->tables[i].name = x->run.names[i];
}

enum err ranging_mend(struct ranging *x, struct error *e)
{
	list_tables(x);
	if (x->run.id.n == 0)
		return OK;
	x->out->repair_id = x->run.id;
	enum err rc = mend_all(x, e);
	if (rc == OK && !x->o->dry_run)
		rc = repair_progress_totals(x->warehouse, &x->run, x->out->tables, e);
	if (rc != OK && !x->o->dry_run)
		error_wrap(e, "the repair %.*s, with which the next `sluice repair` goes on",
			STR_ARG(x->run.id));
	return rc;
}
