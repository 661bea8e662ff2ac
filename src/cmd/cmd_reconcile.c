/* sluice reconcile: is what is in the warehouse what is in the source, at one exact cut? */
#include <stdio.h>

#include "cmd_all.h"
#include "print_table.h"
#include "reconcile.h"
#include "reconcile_reach.h"
#include "replicate_settings.h"

struct reconcile_args {
	const char *table;
	int64_t keys;
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
	OPT_END,
};

static void print_counts(struct context *c, const struct reconcile_report *r)
{
	static const struct print_column columns[] = {{"table", false}, {"source rows", true},
		{"replica rows", true}, {"missing", true}, {"extra", true}, {"different", true},
		{"seconds", true}};
	struct print_table *t = print_table_new(c->out, print_colour(c->terminal), columns, 7);

	for (size_t i = 0; i < r->ntables; i++) {
		const struct reconcile_table *x = &r->tables[i];
		const uint64_t numbers[] = {x->source.rows, x->replica.rows, x->count[ROW_MISSING],
			x->count[ROW_EXTRA], x->count[ROW_DIFFERENT]};
		struct str cells[7] = {x->name};
		for (size_t k = 0; k < 5; k++)
			cells[1 + k] = arena_fmt(c->mem, "%llu", (unsigned long long)numbers[k]);
		cells[6] = arena_fmt(c->mem, "%.3f", x->seconds);
		print_table_row(t, cells);
	}
	print_table_end(t);
}

static struct str join_columns(struct context *c, const struct reconcile_key *k)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < k->ncolumns; i++)
		buf_putf(&b, "%s%.*s", i > 0 ? ", " : "", STR_ARG(k->columns[i]));
	struct str s = arena_str(c->mem, buf_str(&b));
	buf_free(&b);
	return s;
}

static void print_keys(struct context *c, const struct reconcile_report *r)
{
	static const struct print_column columns[] = {{"table", false}, {"difference", false},
		{"key", false}, {"columns", false}, {"blame", false}};
	struct print_table *t = NULL;

	for (size_t i = 0; i < r->ntables; i++)
		for (size_t k = 0; k < r->tables[i].nkeys; k++) {
			const struct reconcile_key *key = &r->tables[i].keys[k];
			if (t == NULL) {
				fputc('\n', c->out);
				t = print_table_new(c->out, print_colour(c->terminal), columns, 5);
			}
			const struct str cells[] = {r->tables[i].name,
				str_of(difference_name(key->kind)), key->key, join_columns(c, key),
				str_of(blame_name(key->blame))};
			print_table_row(t, cells);
		}
	print_table_end(t);
}

static size_t tables_that_differ(const struct reconcile_report *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->ntables; i++)
		for (int d = 0; d < DIFFERENCES; d++)
			if (r->tables[i].count[d] > 0) {
				n++;
				break;
			}
	return n;
}

static void print_report(struct context *c, const struct reconcile_report *r)
{
	char at[LSN_TEXT];
	uint64_t rows = 0;

	for (size_t i = 0; i < r->ntables; i++)
		rows += r->tables[i].source.rows;
	print_counts(c, r);
	print_keys(c, r);
	if (r->ok)
		fprintf(c->out, "\nEqual at %s: %llu rows of %zu table%s, every value.\n",
			lsn_format(r->cut.at, at), (unsigned long long)rows, r->ntables,
			r->ntables == 1 ? "" : "s");
	else
		fprintf(c->out, "\nDifferent at %s: %zu of %zu table%s.\n",
			lsn_format(r->cut.at, at), tables_that_differ(r), r->ntables,
			r->ntables == 1 ? "" : "s");
	fflush(c->out);
}

static enum err verdict(const struct reconcile_report *r, struct error *e)
{
	if (r->ok)
		return OK;
	return FAIL(e, ERR_CHECK,
		"the warehouse differs from the source in %zu of %zu table%s; the keys are listed, "
		"and the report stands in ops.reconciliations",
		tables_that_differ(r), r->ntables, r->ntables == 1 ? "" : "s");
}

static enum err run_reconcile(struct context *c, const void *args, struct error *e)
{
	const struct reconcile_args *a = args;
	const struct source_settings *source = &c->set->source;
	struct reconcile_report report = {.ok = false};
	struct warehouse *w = NULL;

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
		.publication = source->publication,
		.table = a->table,
		.reach = reconcile_reach,
		.reach_arg = &reach,
		.max_keys = (size_t)a->keys,
		.journal = replicate.journal};
	TRY(reconcile(&o, w, c->env, &report, e));
	if (c->json)
		context_emit(c, &report.json);
	else
		print_report(c, &report);
	enum err rc = verdict(&report, e);
	reconcile_report_free(&report);
	return rc;
}

const struct command cmd_reconcile = {
	.name = "reconcile",
	.summary = "compare the warehouse with the source, every row and value, while writes go on",
	.details =
		"Takes one exact cut of the source, reads every row of the publication's tables as "
		"of that cut on both sides and compares them. Nothing is paused and no row is "
		"skipped for being new; a difference is a difference. The report is kept in "
		"ops.reconciliations with its SHA-256.\n\n"
		"Each difference listed says who is to blame: \"warehouse\" when history has what "
		"the source has and the current table has not (the fold, or a hand on the "
		"warehouse); \"apply\" when the journal has it and history has not; \"capture\" "
		"when the journal has it not; \"capture or apply\" when the journal no longer "
		"says. "
		"`sluice repair` mends what differs.\n\n"
		"Where no replication runs in this process, the journal and the stream are applied "
		"up to the cut first.\n\n"
		"Exit 0: equal. 3: different, after the report. 4: a side could not be read, so "
		"nothing is known.",
	.examples = "sluice reconcile                          # every table\n"
		    "sluice reconcile --table public.bookings  # one table\n"
		    "sluice reconcile --json | jq .ok          # for a script",
	.opts = reconcile_opts,
	.args_size = sizeof(struct reconcile_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_reconcile,
};
