#include "gate_checks.h"

#include <inttypes.h>

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const char *const state_names[] = {
	[STATE_CLOSED] = "closed",
	[STATE_REQUESTED] = "requested",
	[STATE_OPEN] = "open",
};

const char *gate_state_name(enum gate_state s)
{
	return state_names[s];
}

static struct gate_run *run_of(struct verification *v)
{
	return (struct gate_run *)v;
}

static enum err load_row(struct gate_run *g, struct error *e)
{
	PGresult *r;

	g->row = (struct gate_row){.state = STATE_CLOSED};
	TRY(pg_query(g->v.pg,
		"SELECT state, coalesce(version, 0), coalesce(manifest_sha256, '') FROM "
		"sluice.gates "
		"WHERE workflow = $1",
		PARAMS(g->v.policy->workflow), "reading the gate", g->v.mem, &r, e));
	if (PQntuples(r) == 0)
		return OK; /* never asked for */
	for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
		if (str_eqc(pg_cell_str(r, 0, 0), state_names[i]))
			g->row.state = (enum gate_state)i;
	g->row.version = pg_cell_i64(r, 0, 1);
	g->row.manifest_sha256 = pg_cell_str(r, 0, 2);
	return OK;
}

/* Only those of other persons than the producer, one of each. */
static enum err load_approvals(struct gate_run *g, struct error *e)
{
	bool asked = g->row.version > 0;
	int64_t version = asked ? g->row.version : g->live.version;
	struct str sha256 = asked ? g->row.manifest_sha256 : g->live.manifest_sha256;
	PGresult *r;

	TRY(pg_query(g->v.pg,
		"SELECT a.person, to_char(a.at AT TIME ZONE 'UTC', "
		"'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
		"a.note FROM sluice.gate_approvals AS a JOIN sluice.releases AS r "
		"ON r.workflow = a.workflow AND r.version = a.version "
		"AND r.manifest_sha256 = a.manifest_sha256 "
		"WHERE a.workflow = $1 AND a.version = $2::bigint AND a.manifest_sha256 = $3 "
		"AND lower(a.person) <> lower(btrim(r.producer)) ORDER BY a.at, a.person",
		PARAMS(g->v.policy->workflow, release_number(g->v.mem, version),
			arena_cstr(g->v.mem, sha256)),
		"reading the approvals", g->v.mem, &r, e));
	g->napprovals = (size_t)PQntuples(r);
	g->approvals = arena_array(g->v.mem, g->napprovals, sizeof *g->approvals);
	for (int i = 0; i < PQntuples(r); i++)
		g->approvals[i] = (struct gate_approval){
			pg_cell_str(r, i, 0), pg_cell_str(r, i, 1), pg_cell_str(r, i, 2)};
	return OK;
}

enum err gate_load(struct gate_run *g, struct pg *c, const struct release_policy *p,
	const struct env *env, struct arena *mem, struct error *e)
{
	*g = (struct gate_run){.v = {.policy = p, .env = env, .pg = c, .mem = mem}};
	TRY(load_row(g, e));
	TRY(release_db_landed(c, p->workflow, 0, mem, &g->live, e));
	return load_approvals(g, e);
}

static enum err check_live(struct verification *v, struct buf *saw, struct error *e)
{
	const struct landed *live = &run_of(v)->live;
	PGresult *r;

	if (!live->exists)
		return FAIL(e, ERR_CHECK, "no version is live; run `sluice land %s`",
			v->policy->workflow);
	TRY(pg_query(v->pg, "SELECT count(*) FROM sluice.live_scores WHERE workflow = $1",
		PARAMS(v->policy->workflow), "counting the live scores", v->mem, &r, e));
	if (pg_cell_i64(r, 0, 0) != live->rows)
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " was landed with %" PRId64 " rows, but %" PRId64
			" stand",
			live->version, live->rows, pg_cell_i64(r, 0, 0));
	buf_putf(saw, "version %" PRId64 ", %" PRId64 " rows", live->version, live->rows);
	return OK;
}

static enum err check_requested(struct verification *v, struct buf *saw, struct error *e)
{
	const struct gate_run *g = run_of(v);

	if (g->row.state == STATE_CLOSED)
		return FAIL(e, ERR_CHECK, "nobody has asked for it: run `sluice gate request %s`",
			v->policy->workflow);
	if (g->row.version != g->live.version ||
		!str_eq(g->row.manifest_sha256, g->live.manifest_sha256))
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " was asked for and version %" PRId64
			" is live: run `sluice gate request %s` again",
			g->row.version, g->live.version, v->policy->workflow);
	buf_putf(saw, "version %" PRId64, g->row.version);
	return OK;
}

static enum err check_manifest(struct verification *v, struct buf *saw, struct error *e)
{
	const struct landed *live = &run_of(v)->live;

	v->version = live->version;
	TRY(release_take_manifest(v, live->manifest, e));
	if (!str_eqc(live->manifest_sha256, v->sha256))
		return FAIL(
			e, ERR_CHECK, "the stored manifest does not have the digest stored for it");
	buf_putf(saw, "sha256 %s", v->sha256);
	return OK;
}

static enum err all_said_yes(struct verification *v, const json_t *array, struct error *e)
{
	struct checks then;

	checks_init(&then, v->mem);
	TRY(checks_read(&then, array, e));
	return checks_result(&then, "when it was landed", e);
}

static enum err check_release_checks(struct verification *v, struct buf *saw, struct error *e)
{
	const struct landed *live = &run_of(v)->live;
	json_t *array = NULL;

	TRY(json_read(live->checks, "the checks of the landing", &array, e));
	enum err rc = all_said_yes(v, array, e);
	if (rc == OK && !live->checks_ok)
		rc = FAIL(e, ERR_CHECK, "the landing was not recorded as good");
	if (rc == OK)
		buf_putf(saw, "%zu checks at %.*s", json_array_size(array),
			STR_ARG(live->landed_at));
	json_decref(array);
	return rc;
}

static enum err check_approvals(struct verification *v, struct buf *saw, struct error *e)
{
	const struct gate_run *g = run_of(v);
	int64_t want = v->policy->approvals > 0 ? v->policy->approvals : 1;

	for (size_t i = 0; i < g->napprovals; i++)
		buf_putf(saw, "%s%.*s", i > 0 ? ", " : "", STR_ARG(g->approvals[i].person));
	if ((int64_t)g->napprovals < want)
		return FAIL(e, ERR_CHECK,
			"%zu of %" PRId64
			" persons have approved%s%.*s; the producer %.*s may not: run "
			"`sluice gate approve %s --person NAME`",
			g->napprovals, want, g->napprovals > 0 ? ": " : "", STR_ARG(buf_str(saw)),
			STR_ARG(v->m.producer), v->policy->workflow);
	return OK;
}

static const struct release_check gate_table[] = {
	{"live", 0, HAVE_LIVE, check_live},
	{"requested", HAVE_LIVE, 0, check_requested},
	{"manifest", HAVE_LIVE, HAVE_MANIFEST, check_manifest},
	{"key_trusted", HAVE_MANIFEST, HAVE_KEY, release_check_key},
	{"signature", HAVE_MANIFEST | HAVE_KEY, HAVE_SIGNED, release_check_signature},
	{"release_checks", HAVE_LIVE, 0, check_release_checks},
	{"freshness", HAVE_SIGNED, 0, release_check_freshness},
	{"model", HAVE_SIGNED, 0, release_check_model},
	{"evaluation", HAVE_SIGNED, 0, release_check_evaluation},
	{"leak_proof", HAVE_SIGNED, 0, release_check_leak_proof},
	{"reconciliation", HAVE_SIGNED, 0, release_check_reconciliation},
	{"approvals", HAVE_SIGNED, 0, check_approvals},
	{.name = NULL},
};

enum err gate_check(struct gate_run *g, struct checks *out, struct error *e)
{
	enum err rc = verification_run(&g->v, gate_table, out, e);

	verification_free(&g->v);
	return rc;
}
