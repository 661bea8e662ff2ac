#include "reconcile_report.h"

#include "enc.h"
#include "json.h"

static const char *const names[DIFFERENCES] = {
	[ROW_MISSING] = "missing",
	[ROW_EXTRA] = "extra",
	[ROW_DIFFERENT] = "different",
};

const char *difference_name(enum difference d)
{
	return names[d];
}

static const char *const parties[BLAMES] = {
	[BLAME_UNKNOWN] = "unknown",
	[BLAME_WAREHOUSE] = "warehouse",
	[BLAME_CAPTURE] = "capture",
	[BLAME_APPLY] = "apply",
	[BLAME_CAPTURE_OR_APPLY] = "capture or apply",
};

const char *blame_name(enum blame b)
{
	return parties[b];
}

void reconcile_report_free(struct reconcile_report *r)
{
	buf_free(&r->json);
	arena_free(&r->mem);
	*r = (struct reconcile_report){.ok = false};
}

static void put_key(struct json_out *j, const struct reconcile_key *k)
{
	jo_object(j, NULL);
	jo_raw(j, "key", k->key);
	jo_cstr(j, "kind", names[k->kind]);
	if (k->kind == ROW_DIFFERENT) {
		jo_array(j, "columns");
		for (size_t c = 0; c < k->ncolumns; c++)
			jo_str(j, NULL, k->columns[c]);
		jo_end_array(j);
	}
	jo_cstr(j, "blame", parties[k->blame]);
	if (k->in_history)
		jo_bool(j, "in_history", true);
	jo_end_object(j);
}

/* Who is to blame, listed or not, and for how many keys that was asked. */
static void put_blamed(struct json_out *j, const struct blamed *b)
{
	jo_object(j, "blame");
	for (int i = 0; i < BLAMES; i++)
		if (b->by[i] > 0)
			jo_u64(j, parties[i], b->by[i]);
	jo_end_object(j);
	jo_u64(j, "looked_at", b->keys);
}

static void put_history(struct json_out *j, const struct reconcile_history *h)
{
	char digest[DIGEST_TEXT];

	jo_object(j, "history");
	jo_u64(j, "rows", h->digest.rows);
	for (int d = 0; d < DIFFERENCES; d++)
		jo_u64(j, names[d], h->count[d]);
	jo_cstr(j, "digest", digest_format(&h->digest, digest));
	jo_end_object(j);
}

static void put_table(
	struct json_out *j, const struct reconcile_report *r, const struct reconcile_table *t)
{
	char digest[DIGEST_TEXT];

	jo_object(j, NULL);
	jo_str(j, "table", t->name);
	jo_u64(j, "source_rows", t->source.rows);
	jo_u64(j, "replica_rows", t->replica.rows);
	for (int d = 0; d < DIFFERENCES; d++)
		jo_u64(j, names[d], t->count[d]);
	jo_cstr(j, "source_digest", digest_format(&t->source, digest));
	jo_cstr(j, "replica_digest", digest_format(&t->replica, digest));
	jo_fixed(j, "seconds", t->seconds, 3);
	jo_u64(j, "ranges", t->ranges);
	jo_u64(j, "compared", t->compared);
	if (r->mode == RECONCILE_CHANGED)
		jo_u64(j, "changed", t->changed);
	if (t->history.compared)
		put_history(j, &t->history);
	else if (t->history.keyless)
		jo_cstr(j, "history_not_compared", "its rows have no key of their own");
	if (t->nkeys > 0) {
		jo_array(j, "keys");
		for (size_t k = 0; k < t->nkeys; k++)
			put_key(j, &t->keys[k]);
		jo_end_array(j);
		put_blamed(j, &t->blamed);
	}
	jo_end_object(j);
}

void reconcile_put_cut(struct json_out *j, const struct cut *cut)
{
	char at[LSN_TEXT];
	struct buf snapshot;

	buf_init(&snapshot, BUF_MAX_DEFAULT);
	cut_print_snapshot(cut, &snapshot);
	jo_object(j, "cut");
	jo_cstr(j, "lsn", lsn_format(cut->at, at));
	jo_str(j, "snapshot", buf_str(&snapshot));
	jo_end_object(j);
	buf_free(&snapshot);
}

static const char *const modes[RECONCILE_MODES] = {
	[RECONCILE_FULL] = "full",
	[RECONCILE_CHANGED] = "changed",
};

/* How it went: in one transaction or many, at once or not. */
static void put_course(struct json_out *j, const struct reconcile_report *r)
{
	char at[LSN_TEXT];

	jo_u64(j, "cuts", r->cuts);
	if (r->cuts > 1)
		jo_cstr(j, "last_cut", lsn_format(r->last_cut, at));
	if (r->pauses.us == 0)
		return;
	jo_object(j, "paused");
	jo_fixed(j, "seconds", (double)r->pauses.us / 1e6, 3);
	jo_u64(j, "lag", r->pauses.lag);
	jo_u64(j, "sessions", r->pauses.sessions);
	jo_u64(j, "transactions", r->pauses.transactions);
	jo_end_object(j);
}

enum err reconcile_report_write(struct reconcile_report *r, struct error *e)
{
	struct json_out j;

	buf_init(&r->json, BUF_MAX_DEFAULT);
	jo_init(&j, &r->json);
	jo_object(&j, NULL);
	jo_bool(&j, "ok", r->ok);
	jo_bool(&j, "whole", r->whole);
	jo_cstr(&j, "mode", modes[r->mode]);
	if (r->sample > 0)
		jo_f64(&j, "sample", r->sample);
	reconcile_put_cut(&j, &r->cut);
	put_course(&j, r);
	jo_array(&j, "tables");
	for (size_t t = 0; t < r->ntables; t++)
		put_table(&j, r, &r->tables[t]);
	jo_end_array(&j);
	jo_end_object(&j);
	if (!buf_ok(&r->json))
		return FAIL(e, ERR_FAILED,
			"writing the report of the reconciliation: it is longer than 1 GiB; list "
			"fewer keys");
	enc_sha256(buf_str(&r->json), r->sha256);
	return OK;
}

enum err reconcile_report_keep(
	const struct reconcile_report *r, struct warehouse *w, struct error *e)
{
	char at[LSN_TEXT];
	struct buf snapshot;
	uint8_t ok = r->ok, whole = r->whole;
	int64_t finished = r->finished_us, number = (int64_t)r->cut.at.v;
	struct str report = buf_str(&r->json), digest = str_of(r->sha256);
	struct str lsn_text = str_of(lsn_format(r->cut.at, at)), seen;
	const char *const columns[] = {
		"finished_at", "ok", "lsn", "lsn_number", "snapshot", "report", "digest", "whole"};
	const struct vec cols[] = {
		{.type = {.kind = T_TIMESTAMPTZ}, .data = &finished},
		{.type = {.kind = T_BOOL}, .data = &ok},
		{.type = {.kind = T_TEXT}, .data = &lsn_text},
		{.type = {.kind = T_INT8}, .data = &number},
		{.type = {.kind = T_TEXT}, .data = &seen},
		{.type = {.kind = T_TEXT}, .data = &report},
		{.type = {.kind = T_TEXT}, .data = &digest},
		{.type = {.kind = T_BOOL}, .data = &whole},
	};
	const struct chunk row = {.rows = 1, .ncols = 8, .names = columns, .cols = cols};

	buf_init(&snapshot, BUF_MAX_DEFAULT);
	cut_print_snapshot(&r->cut, &snapshot);
	seen = buf_str(&snapshot);
	enum err rc = warehouse_insert(w, STR("ops"), STR("reconciliations"), &row, e);
	if (rc != OK)
		error_wrap(e, "keeping the report of the reconciliation");
	buf_free(&snapshot);
	return rc;
}
