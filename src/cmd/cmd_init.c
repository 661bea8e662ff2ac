/* sluice init: what replication needs, on both sides. */
#include "cmd_all.h"
#include "replicate.h"
#include "replicate_settings.h"
#include "shared.h"
#include "warehouse.h"

static void emit(struct context *c, const struct replicate_init_report *r)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, BUF_MAX_DEFAULT);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "publication", r->publication);
	jo_cstr(&j, "slot", r->slot);
	jo_array(&j, "tables");
	for (size_t i = 0; i < r->ntables; i++)
		jo_cstr(&j, NULL, r->tables[i]);
	jo_end_array(&j);
	jo_bool(&j, "created", r->created);
	jo_cstr(&j, "cannot", r->cannot);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static bool is_insert_only(struct context *c, const char *table)
{
	const struct table_settings *s = settings_table(c->set, table);

	return s != NULL && s->insert_only;
}

static void print(struct context *c, const struct replicate_init_report *r)
{
	char at[LSN_TEXT];

	fprintf(c->out, "Publication %s and slot %s %s, from LSN %s on.\n", r->publication, r->slot,
		r->created ? "made" : "were there already", lsn_format(r->start, at));
	fprintf(c->out, "%zu tables:\n", r->ntables);
	for (size_t i = 0; i < r->ntables; i++)
		fprintf(c->out, "  %s%s\n", r->tables[i],
			is_insert_only(c, r->tables[i]) ? " (insert-only)" : "");
	if (r->cannot != NULL)
		fprintf(c->out, "Not done: %s\n", r->cannot);
	fprintf(c->out, "Next: sluice replicate\n");
	fflush(c->out);
}

/* Where replication runs in this process, tables that are new are copied at once. */
static void refresh_running(struct context *c)
{
	struct replicate *r = shared_replicate(c->shared);

	if (r == NULL)
		return;
	replicate_refresh(r);
	shared_leave_replicate(c->shared);
}

static enum err run_init(struct context *c, const void *args, struct error *e)
{
	struct replicate_options o;
	struct replicate_init_report report;
	struct warehouse *w = NULL;

	(void)args;
	if (c->set->source.url == NULL || c->set->source.url[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"there is no source to replicate from: set [source] url in the "
			"configuration");
	TRY(context_warehouse(c, &w, e));
	replicate_settings_options(c, &o);
	TRY(replicate_init(&o, w, c->env, &report, e));
	refresh_running(c);
	if (c->json)
		emit(c, &report);
	else
		print(c, &report);
	replicate_init_report_free(&report);
	return OK;
}

const struct command cmd_init = {
	.name = "init",
	.summary = "make the publication, the slot, and the tables of the warehouse",
	.details =
		"Looks whether the source is fit for logical replication, and says what to change "
		"when it is not. Then makes the publication of the tables that [source] tables "
		"matches, the replication slot, the journal's identity, and the datasets and "
		"tables "
		"of the warehouse. Running it again makes what is missing, such as tables that are "
		"new, and leaves the rest alone.\n\n"
		"A role that may replicate and read, but not publish, uses the publication that "
		"the owner of the tables has made.\n\n"
		"From here on the source keeps its log for the slot: start sluice replicate soon, "
		"or drop the slot.",
	.examples = "sluice init\n"
		    "sluice init --json | jq .tables",
	.needs = NEEDS_WAREHOUSE,
	.run = run_init,
};
