/* sluice table retry: rows that the warehouse refused, tried again. */
#include "cmd_all.h"
#include "dead_letters.h"
#include "replicate.h"
#include "shared.h"

#define PATIENCE_US INT64_C(60000000)

struct retry_args {
	const char *table;
};

static const struct opt_arg retry_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct retry_args, table),
		.help = "the table, as SCHEMA.NAME; public when there is no schema"},
	OPT_ARG_END,
};

static void emit(struct context *c, const char *table, const struct dead_letters_retried *r)
{
	struct buf b;
	struct json_out j;

	if (!c->json) {
		fprintf(c->out,
			"%s: %llu tried, %llu applied, %llu superseded by newer rows, %llu refused "
			"again\n",
			table, (unsigned long long)r->tried, (unsigned long long)r->applied,
			(unsigned long long)r->superseded, (unsigned long long)r->refused);
		fflush(c->out);
		return;
	}
	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "table", table);
	jo_u64(&j, "tried", r->tried);
	jo_u64(&j, "applied", r->applied);
	jo_u64(&j, "superseded", r->superseded);
	jo_u64(&j, "refused", r->refused);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

/* Where replication runs in this process, its own thread does it; otherwise nobody may start one
 * meanwhile. */
static enum err retry(struct context *c, struct warehouse *w, struct str schema, struct str name,
	struct dead_letters_retried *out, struct error *e)
{
	struct replicate *running = shared_join_replicate(c->shared);
	enum err rc;

	if (running != NULL) {
		rc = replicate_retry(running, schema, name, PATIENCE_US, out, e);
		shared_leave_replicate(c->shared);
		return rc;
	}
	rc = dead_letters_retry(w, c->env, schema, name, out, e);
	shared_set_replicate(c->shared, NULL);
	return rc;
}

static enum err run_retry(struct context *c, const void *args, struct error *e)
{
	const struct retry_args *a = args;
	struct str name = str_of(a->table), schema = STR("public");
	struct dead_letters_retried out;
	struct warehouse *w = NULL;

	(void)str_cut(&name, '.', &schema);
	TRY(context_warehouse(c, &w, e));
	TRY(retry(c, w, schema, name, &out, e));
	emit(c, a->table, &out);
	return OK;
}

const struct command cmd_table_retry = {
	.name = "table retry",
	.summary = "try the rows again that the warehouse refused",
	.details =
		"A row that the warehouse refuses, for a constraint that somebody put on a table there, "
		"say, is kept in ops.dead_letters with its reason, and `sluice status` shows how many "
		"wait. Mend the cause, then run this: the rows are tried again in their order. A row "
		"whose key has something newer goes into history only. What is refused again stays, "
		"with the reason of this time.",
	.examples = "sluice table retry public.bookings\n"
		    "sluice query \"SELECT table_name, row_key, reason FROM ops.dead_letters WHERE "
		    "settled_at IS NULL\"",
	.positional = retry_positional,
	.args_size = sizeof(struct retry_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_retry,
};
