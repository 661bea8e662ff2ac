/* sluice repair: the rows that differ, and only those, put right; and back again. */
#include <stdio.h>

#include "cmd_all.h"
#include "failpoint.h"
#include "print_table.h"
#include "reconcile_reach.h"
#include "repair.h"
#include "replicate_settings.h"

struct repair_args {
	const char *table, *undo;
	bool dry_run, no_check, afresh;
	int64_t max_rows;
};

static const struct opt repair_opts[] = {
	{.name = "table",
		.type = OPT_STRING,
		.value = "SCHEMA.NAME",
		.offset = offsetof(struct repair_args, table),
		.help = "repair this table only"},
	{.name = "dry-run",
		.type = OPT_FLAG,
		.offset = offsetof(struct repair_args, dry_run),
		.help = "say what would be repaired, and change nothing"},
	{.name = "undo",
		.type = OPT_STRING,
		.value = "REPAIR_ID",
		.offset = offsetof(struct repair_args, undo),
		.help = "put back what that repair replaced"},
	{.name = "no-check",
		.type = OPT_FLAG,
		.offset = offsetof(struct repair_args, no_check),
		.help = "do not compare again afterwards: the report that stands says different"},
	{.name = "afresh",
		.type = OPT_FLAG,
		.offset = offsetof(struct repair_args, afresh),
		.help = "do not go on with a repair that was broken off"},
	{.name = "max-rows",
		.type = OPT_INT,
		.value = "N",
		.min = 1,
		.max = 100000000,
		.initial = "1000000",
		.offset = offsetof(struct repair_args, max_rows),
		.help = "refuse when more than N rows differ: those of a range are held in memory"},
	OPT_END,
};

/* What was done, in the words of the answer. */
struct outcome {
	const struct repair_report *report;
	bool dry_run, undo;
};

/* "ok": what the newest comparison says; null when nothing was compared since. */
static void put_verdict(struct json_out *j, const struct repair_report *r)
{
	char at[LSN_TEXT];

	if (r->verdict == REPAIR_UNCHECKED) {
		jo_null(j, "ok");
		return;
	}
	jo_bool(j, "ok", r->verdict == REPAIR_EQUAL);
	jo_bool(j, "whole", r->whole);
	jo_cstr(j, "checked_lsn", lsn_format(r->checked_at, at));
}

static void emit(struct context *c, const struct outcome *o)
{
	struct buf b;
	struct json_out j;
	char at[LSN_TEXT];

	buf_init(&b, BUF_MAX_DEFAULT);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_array(&j, "tables");
	for (size_t i = 0; i < o->report->ntables; i++) {
		const struct repair_table *t = &o->report->tables[i];
		jo_object(&j, NULL);
		jo_str(&j, "table", t->name);
		jo_u64(&j, "repaired", o->undo ? 0 : t->repaired);
		if (o->undo)
			jo_u64(&j, "undone", t->repaired);
		jo_u64(&j, "skipped", t->skipped);
		jo_end_object(&j);
	}
	jo_end_array(&j);
	if (!o->dry_run)
		jo_str(&j, "repair_id", o->report->repair_id);
	if (!o->undo)
		jo_cstr(&j, "lsn", lsn_format(o->report->at, at));
	jo_bool(&j, "dry_run", o->dry_run);
	put_verdict(&j, o->report);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void print_tables(struct context *c, const struct outcome *o)
{
	const char *done = o->undo ? "undone" : o->dry_run ? "would be repaired" : "repaired";
	const struct print_column columns[] = {{"table", false}, {done, true}, {"skipped", true}};
	struct print_table *t = print_table_new(c->out, print_colour(c->terminal), columns, 3);

	for (size_t i = 0; i < o->report->ntables; i++) {
		const struct repair_table *x = &o->report->tables[i];
		const struct str cells[] = {x->name,
			arena_fmt(c->mem, "%llu", (unsigned long long)x->repaired),
			arena_fmt(c->mem, "%llu", (unsigned long long)x->skipped)};
		print_table_row(t, cells);
	}
	print_table_end(t);
}

static void print_verdict(struct context *c, const struct repair_report *r)
{
	char at[LSN_TEXT];

	if (r->verdict == REPAIR_UNCHECKED)
		return;
	fprintf(c->out, "\n%s at %s, compared again%s.\n",
		r->verdict == REPAIR_EQUAL ? "Equal" : "Different", lsn_format(r->checked_at, at),
		r->whole ? "" : ", this table alone: gates wait for `sluice reconcile` of all");
}

static void print_outcome(struct context *c, const struct outcome *o)
{
	const struct repair_report *r = o->report;
	uint64_t repaired = 0, skipped = 0;

	print_tables(c, o);
	for (size_t i = 0; i < r->ntables; i++) {
		repaired += r->tables[i].repaired;
		skipped += r->tables[i].skipped;
	}
	if (skipped > 0)
		fprintf(c->out, "\n%llu skipped: they have changed %s; see `sluice reconcile`.\n",
			(unsigned long long)skipped,
			o->undo ? "since they were repaired" : "since the cut");
	if (!o->undo && !o->dry_run && repaired > 0)
		fprintf(c->out, "\nTo take it back: sluice repair --undo %.*s\n",
			STR_ARG(r->repair_id));
	if (!o->undo && repaired + skipped == 0)
		fprintf(c->out, "\nNothing differs.\n");
	else
		print_verdict(c, r);
	fflush(c->out);
}

/* ---- running ---- */

/* What both directions compare with. */
static bool has_source(const struct context *c)
{
	const char *url = c->set->source.url;

	return url != NULL && url[0] != '\0';
}

static struct reconcile_options comparing(
	struct context *c, const struct repair_args *a, struct reconcile_reach *reach)
{
	struct replicate_options replicate;

	const struct reconcile_settings *set = &c->set->reconcile;

	replicate_settings_options(c, &replicate);
	return (struct reconcile_options){.conninfo = c->set->source.url,
		.password = replicate.password,
		.token = replicate.token,
		.publication = c->set->source.publication,
		.guard = replicate.guard,
		.table = a->table,
		.reach = reconcile_reach,
		.reach_arg = reach,
		.journal = replicate.journal,
		.range_rows = (uint64_t)set->range_rows,
		.afresh = a->afresh,
		.resume_us = set->resume,
		.limits = {.lag_bytes = set->pause_lag,
			.sessions = set->pause_sessions,
			.transaction_us = set->pause_transaction,
			.patience_us = set->pause_limit}};
}

/* Without a source the report that the undo itself has kept says no. */
static enum err run_undo(
	struct context *c, const struct repair_args *a, struct repair_report *out, struct error *e)
{
	struct warehouse *w = NULL;

	if (a->dry_run)
		return FAIL(e, ERR_USAGE,
			"an undo cannot be tried: leave out --dry-run; `sluice query \"SELECT * "
			"FROM ops.repairs WHERE repair_id = '%s'\"` shows what it would put back",
			a->undo);
	TRY(context_warehouse(c, &w, e));
	TRY(repair_undo(w, c->env, a->undo, a->table, out, e));
	if (a->no_check || !has_source(c))
		return OK;
	struct reconcile_reach reach = {.c = c, .warehouse = w};
	const struct reconcile_options o = comparing(c, a, &reach);
	return repair_check(&o, w, c->env, out, e);
}

static enum err run_forward(
	struct context *c, const struct repair_args *a, struct repair_report *out, struct error *e)
{
	struct warehouse *w = NULL;

	if (!has_source(c))
		return FAIL(e, ERR_USAGE,
			"there is no source to repair from: set [source] url in the configuration");
	TRY(context_warehouse(c, &w, e));
	TRY(reconcile_first_copy(c, w, e));
	struct reconcile_reach reach = {.c = c, .warehouse = w};
	const struct repair_options o = {.dry_run = a->dry_run,
		.max_rows = (size_t)a->max_rows,
		.reconcile = comparing(c, a, &reach)};
	TRY(repair(&o, w, c->env, out, e));
	if (a->dry_run || a->no_check || out->verdict != REPAIR_UNCHECKED)
		return OK;
	return repair_check(&o.reconcile, w, c->env, out, e);
}

/* Once its report has been told: killed before that, the next repair tells it. */
static enum err finish(struct context *c, const struct repair_args *a,
	const struct repair_report *r, struct error *e)
{
	struct warehouse *w = NULL;

	if (a->dry_run)
		return OK;
	TRY(failpoint_hit(c->env, "repair.told", e));
	TRY(context_warehouse(c, &w, e));
	return repair_finish(w, r->repair_id, e);
}

/* What was written is told whatever came of the comparison after it. */
static enum err run_repair(struct context *c, const void *args, struct error *e)
{
	const struct repair_args *a = args;
	struct repair_report report = {.ntables = 0};
	bool undo = a->undo != NULL;

	enum err rc = undo ? run_undo(c, a, &report, e) : run_forward(c, a, &report, e);
	const struct outcome outcome = {.report = &report, .dry_run = a->dry_run, .undo = undo};
	if (report.repair_id.n > 0 && c->json)
		emit(c, &outcome);
	else if (report.repair_id.n > 0)
		print_outcome(c, &outcome);
	if (rc == OK && !undo)
		rc = finish(c, a, &report, e);
	if (rc == OK && !undo && report.verdict == REPAIR_DIFFERENT)
		rc = FAIL(e, ERR_CHECK,
			"the warehouse still differs from the source after the repair %.*s: rows "
			"have changed since its cut; run `sluice repair` again, and if that does "
			"not help find out who writes to the warehouse",
			STR_ARG(report.repair_id));
	repair_report_free(&report);
	return rc;
}

const struct command cmd_repair = {
	.name = "repair",
	.summary = "mend just the rows that differ, and take it back if need be",
	.details =
		"Reconciles, then compares each key range that differs once more, at an exact cut "
		"of its own, and writes to the warehouse exactly the rows that differ, with the "
		"source's values as of the cut: what is missing is inserted, what is extra "
		"deleted, what is different replaced. A row that has changed since the cut is "
		"left alone and counted as skipped. History gets an entry too where it lacks what "
		"the source has; its _xid is 1.\n\n"
		"Each range is one transaction, beside the running replication. A repair that was "
		"broken off is gone on with by the next one of the same tables, within [reconcile] "
		"resume, under the same id, with the range it was in; its report is then that of "
		"the whole. Every row stands in ops.repairs with what was there before; --undo "
		"puts that back, but for rows that have changed since.\n\n"
		"Afterwards both sides are compared once more and the report is kept in "
		"ops.reconciliations, which gates and releases go by; after an undo it says no "
		"until a comparison of all tables says otherwise.\n\n"
		"Exit 0: done, and equal but for a dry run or with --no-check; an undo: done. 2: a "
		"table cannot be repaired; nothing was written. 3: repaired, and yet different. 4: "
		"a side could not be read, before or after.",
	.examples = "sluice repair --dry-run                       # what would be done\n"
		    "sluice repair --table public.bookings         # one table\n"
		    "sluice repair --undo 20170301T120000-3fa2c1   # back again",
	.opts = repair_opts,
	.args_size = sizeof(struct repair_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_repair,
};
