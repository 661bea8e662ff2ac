/* sluice repair: the rows that differ, and only those, put right; and back again. */
#include <stdio.h>

#include "cmd_all.h"
#include "print_table.h"
#include "reconcile_reach.h"
#include "repair.h"
#include "replicate_settings.h"

struct repair_args {
	const char *table, *undo;
	bool dry_run;
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
	{.name = "max-rows",
		.type = OPT_INT,
		.value = "N",
		.min = 1,
		.max = 100000000,
		.initial = "1000000",
		.offset = offsetof(struct repair_args, max_rows),
		.help = "refuse when more than N rows differ: they are held in memory"},
	OPT_END,
};

/* What was done, in the words of the answer. */
struct outcome {
	const struct repair_report *report;
	bool dry_run, undo;
};

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
	fflush(c->out);
}

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
	return repair_undo(w, c->env, a->undo, a->table, out, e);
}

static enum err run_forward(
	struct context *c, const struct repair_args *a, struct repair_report *out, struct error *e)
{
	const struct source_settings *source = &c->set->source;
	struct replicate_options replicate;
	struct warehouse *w = NULL;

	if (source->url == NULL || source->url[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"there is no source to repair from: set [source] url in the configuration");
	TRY(context_warehouse(c, &w, e));
	TRY(reconcile_first_copy(c, w, e));
	replicate_settings_options(c, &replicate);
	struct reconcile_reach reach = {.c = c, .warehouse = w};
	const struct repair_options o = {.dry_run = a->dry_run,
		.max_rows = (size_t)a->max_rows,
		.reconcile = {.conninfo = source->url,
			.password = replicate.password,
			.publication = source->publication,
			.table = a->table,
			.reach = reconcile_reach,
			.reach_arg = &reach,
			.journal = replicate.journal}};
	return repair(&o, w, c->env, out, e);
}

static enum err run_repair(struct context *c, const void *args, struct error *e)
{
	const struct repair_args *a = args;
	struct repair_report report = {.ntables = 0};
	bool undo = a->undo != NULL;

	enum err rc = undo ? run_undo(c, a, &report, e) : run_forward(c, a, &report, e);
	if (rc != OK)
		return rc;
	const struct outcome outcome = {.report = &report, .dry_run = a->dry_run, .undo = undo};
	if (c->json)
		emit(c, &outcome);
	else
		print_outcome(c, &outcome);
	repair_report_free(&report);
	return OK;
}

const struct command cmd_repair = {
	.name = "repair",
	.summary = "mend just the rows that differ, and take it back if need be",
	.details =
		"Reconciles at one exact cut and writes to the warehouse exactly the rows that "
		"differ, with the source's values as of the cut: what is missing is inserted, what "
		"is extra deleted, what is different replaced. A row that has changed since the "
		"cut is left alone and counted as skipped. History gets an entry too where it "
		"lacks what the source has; its _xid is 1.\n\n"
		"Each table is one transaction, beside the running replication. Every row stands "
		"in ops.repairs with what was there before; --undo puts that back, but for rows "
		"that have changed since.\n\n"
		"Exit 0: done, whatever was skipped. 2: a table cannot be repaired; nothing was "
		"written. 4: a side could not be read.",
	.examples = "sluice repair --dry-run                       # what would be done\n"
		    "sluice repair --table public.bookings         # one table\n"
		    "sluice repair --undo 20170301T120000-3fa2c1   # back again",
	.opts = repair_opts,
	.args_size = sizeof(struct repair_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_repair,
};
