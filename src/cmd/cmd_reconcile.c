/* sluice reconcile: is what is in the warehouse what is in the source, at one exact cut? */
#include <stdio.h>
#include <stdlib.h>

#include "cmd_all.h"
#include "counts.h"
#include "reconcile.h"
#include "reconcile_print.h"
#include "reconcile_reach.h"
#include "replicate_settings.h"

struct reconcile_args {
	const char *table, *sample, *by_day;
	int64_t keys, rolling;
	bool changed, history, afresh, counts;
};

static const struct opt reconcile_opts[] = {
	{.name = "table",
		.type = OPT_STRING,
		.value = "SCHEMA.NAME",
		.offset = offsetof(struct reconcile_args, table),
		.help = "compare this table only"},
	{.name = "keys",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 10000,
		.initial = "20",
		.offset = offsetof(struct reconcile_args, keys),
		.help = "list at most N keys of each table and kind of difference"},
	{.name = "sample",
		.type = OPT_STRING,
		.value = "P%",
		.offset = offsetof(struct reconcile_args, sample),
		.help = "compare P percent of each table's key ranges, chosen by chance; it counts "
			"for no release and no gate"},
	{.name = "history",
		.type = OPT_FLAG,
		.offset = offsetof(struct reconcile_args, history),
		.help = "compare history's newest entry of each key as well"},
	{.name = "changed",
		.type = OPT_FLAG,
		.offset = offsetof(struct reconcile_args, changed),
		.help = "check only what has changed since the last reconciliation, in the time that "
			"the changes take"},
	{.name = "rolling",
		.type = OPT_INT,
		.value = "N",
		.min = 0,
		.max = 100000,
		.initial = "0",
		.offset = offsetof(struct reconcile_args, rolling),
		.help = "with --changed: read one in N ranges whole besides, current and history, "
			"other ones each time"},
	{.name = "afresh",
		.type = OPT_FLAG,
		.offset = offsetof(struct reconcile_args, afresh),
		.help = "do not go on with a reconciliation that was broken off"},
	{.name = "counts",
		.type = OPT_FLAG,
		.offset = offsetof(struct reconcile_args, counts),
		.help = "count rows on both sides at one cut, and compare nothing else"},
	{.name = "by-day",
		.type = OPT_STRING,
		.value = "COLUMN",
		.offset = offsetof(struct reconcile_args, by_day),
		.help = "with --counts: for each day of this column (UTC), where a table has it"},
	OPT_END,
};

static enum err verdict(const struct reconcile_report *r, struct error *e)
{
	if (r->ok)
		return OK;
	return FAIL(e, ERR_CHECK,
		"the warehouse differs from the source in %zu of %zu table%s; the keys are listed, "
		"and the report stands in ops.reconciliations",
		reconcile_tables_that_differ(r), r->ntables, r->ntables == 1 ? "" : "s");
}

/* "5", "0.1%" */
static enum err read_sample(const char *text, double *out, struct error *e)
{
	char *end = NULL;

	*out = 0;
	if (text == NULL)
		return OK;
	*out = strtod(text, &end);
	if (end != text && *end == '%')
		end++;
	if (end == text || *end != '\0' || !(*out > 0) || *out > 100)
		return FAIL(e, ERR_USAGE,
			"--sample %s: a percentage above 0 and at most 100 is wanted, such as 5%%",
			text);
	return OK;
}

static enum err check_args(const struct reconcile_args *a, struct error *e)
{
	bool other = a->changed || a->sample != NULL || a->history || a->rolling > 0;

	if (a->counts && other)
		return FAIL(e, ERR_USAGE,
			"--counts compares no rows: leave out --changed, --sample, "
			"--history and --rolling, or --counts");
	if (a->by_day != NULL && !a->counts)
		return FAIL(e, ERR_USAGE, "--by-day says how to count: give --counts too");
	if (a->changed && a->sample != NULL)
		return FAIL(e, ERR_USAGE,
			"--changed and --sample exclude each other: run them one "
			"after the other");
	if (a->rolling > 0 && !a->changed)
		return FAIL(e, ERR_USAGE,
			"--rolling belongs to --changed: a reconciliation without "
			"it reads every range");
	return OK;
}

static enum err run_compare(
	struct context *c, const struct reconcile_options *o, struct warehouse *w, struct error *e)
{
	struct reconcile_report report = {.ok = false};

	TRY(reconcile(o, w, c->env, &report, e));
	if (c->json)
		context_emit(c, &report.json);
	else
		reconcile_print(c, &report);
	enum err rc = verdict(&report, e);
	reconcile_report_free(&report);
	return rc;
}

static enum err run_counts(struct context *c, const struct reconcile_options *o, const char *by_day,
	struct warehouse *w, struct error *e)
{
	struct counts_report report = {.ok = false};

	TRY(reconcile_counts(o, by_day, w, c->env, &report, e));
	if (c->json)
		context_emit(c, &report.json);
	else
		counts_print(c, &report);
	enum err rc = report.ok ? OK
				: FAIL(e, ERR_CHECK,
					  "the numbers of rows differ; `sluice reconcile` "
					  "finds the rows");
	counts_report_free(&report);
	return rc;
}

static struct reconcile_limits limits_of(const struct reconcile_settings *s)
{
	return (struct reconcile_limits){.lag_bytes = s->pause_lag,
		.sessions = s->pause_sessions,
		.transaction_us = s->pause_transaction,
		.patience_us = s->pause_limit};
}

static enum err run_reconcile(struct context *c, const void *args, struct error *e)
{
	const struct reconcile_args *a = args;
	const struct source_settings *source = &c->set->source;
	const struct reconcile_settings *set = &c->set->reconcile;
	struct warehouse *w = NULL;
	double sample;

	TRY(check_args(a, e));
	TRY(read_sample(a->sample, &sample, e));
	if (source->url == NULL || source->url[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"there is no source to compare with: set [source] url in the "
			"configuration");
	TRY(context_warehouse(c, &w, e));
	TRY(reconcile_first_copy(c, w, e));
	struct reconcile_reach reach = {.c = c, .warehouse = w};
	struct replicate_options replicate;
	replicate_settings_options(c, &replicate);
	const struct reconcile_options o = {.conninfo = source->url,
		.password = secret_is_set(&source->password) ? secret_reveal(&source->password)
							     : NULL,
		.token = replicate.token,
		.publication = source->publication,
		.guard = replicate.guard,
		.table = a->table,
		.reach = reconcile_reach,
		.reach_arg = &reach,
		.max_keys = (size_t)a->keys,
		.journal = replicate.journal,
		.mode = a->changed ? RECONCILE_CHANGED : RECONCILE_FULL,
		.range_rows = (uint64_t)set->range_rows,
		.sample = sample,
		.history = a->history,
		.rolling = (uint32_t)a->rolling,
		.afresh = a->afresh,
		.hashes = set->hashes[0] != '\0' ? set->hashes : NULL,
		.resume_us = set->resume,
		.limits = limits_of(set)};
	return a->counts ? run_counts(c, &o, a->by_day, w, e) : run_compare(c, &o, w, e);
}

const struct command cmd_reconcile = {
	.name = "reconcile",
	.summary = "compare the warehouse with the source, every row and value, while writes go on",
	.details =
		"Reads every row of the publication's tables on both sides as of exact cuts of the "
		"source and compares them. Nothing is paused and no row is skipped for being new; "
		"a difference is a difference. The report is kept in ops.reconciliations with its "
		"SHA-256.\n\n"
		"No transaction on the source is held for longer than about [reconcile] range_rows "
		"rows take: small tables share one cut, large ones are compared in key ranges, each "
		"at a cut of its own. What has been compared is kept: a reconciliation that was "
		"broken off is gone on with by the next one with the same options, within "
		"[reconcile] resume. Between ranges it waits while the source is busier than "
		"[reconcile] pause_lag, pause_sessions and pause_transaction allow.\n\n"
		"Each difference listed says who is to blame: \"warehouse\" when history has what "
		"the source has and the current table has not (the fold, or a hand on the "
		"warehouse); \"apply\" when the journal has it and history has not; \"capture\" "
		"when the journal has it not; \"capture or apply\" when the journal no longer "
		"says. \"different in history\" is an entry of history that is wrong while the "
		"current row may be right; only --history and --rolling look for it. "
		"Each table's count of the parties is of all keys that differ, listed or not. "
		"`sluice repair` mends what differs in the current tables.\n\n"
		"--changed looks up only the keys that have changed since the last reconciliation; "
		"the digests in its report are those that a full one would give. Rows that were "
		"spoiled without the stream are found by --rolling N, within N checks. Neither "
		"--changed nor --sample counts as a reconciliation of every table for releases and "
		"gates; one that says no stops them.\n\n"
		"Where no replication runs in this process, the journal and the stream are applied "
		"up to the cut first.\n\n"
		"Exit 0: equal. 3: different, after the report. 4: a side could not be read, so "
		"nothing is known.",
	.examples =
		"sluice reconcile                             # every table\n"
		"sluice reconcile --table public.bookings     # one table\n"
		"sluice reconcile --changed --rolling 24      # hourly: all is read within a day\n"
		"sluice reconcile --counts --by-day made_at   # numbers of rows, for auditors\n"
		"sluice reconcile --json | jq .ok             # for a script",
	.opts = reconcile_opts,
	.args_size = sizeof(struct reconcile_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_reconcile,
};
