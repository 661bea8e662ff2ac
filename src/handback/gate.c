/*
 * The gate of a workflow: closed, requested, open. Which step leads where is a table; what must
 * be proven before the last one is in gate_checks.c.
 */
#include <inttypes.h>

#include "clock.h"
#include "gate_checks.h"
#include "release_gate.h"

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct {
	enum gate_state from;
	enum gate_action action;
	enum gate_state to;
} transitions[] = {
	{STATE_CLOSED, GATE_REQUEST, STATE_REQUESTED},
	{STATE_REQUESTED, GATE_REQUEST, STATE_REQUESTED}, /* for what is live now */
	{STATE_REQUESTED, GATE_APPROVE, STATE_REQUESTED},
	{STATE_REQUESTED, GATE_OPEN, STATE_OPEN},
	{STATE_CLOSED, GATE_CLOSE, STATE_CLOSED},
	{STATE_REQUESTED, GATE_CLOSE, STATE_CLOSED},
	{STATE_OPEN, GATE_CLOSE, STATE_CLOSED},
};

static const char *const action_names[] = {
	[GATE_REQUEST] = "request",
	[GATE_APPROVE] = "approve",
	[GATE_OPEN] = "open",
	[GATE_CLOSE] = "close",
};

static enum err next_state(
	const struct gate_run *g, enum gate_action action, enum gate_state *to, struct error *e)
{
	enum gate_state from = g->row.state;

	for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++) {
		if (transitions[i].from == from && transitions[i].action == action) {
			*to = transitions[i].to;
			return OK;
		}
	}
	return FAIL(e, ERR_CHECK, "the gate is %s, so it cannot be asked to %s; %s",
		gate_state_name(from), action_names[action],
		from == STATE_OPEN ? "close it first" : "begin with `sluice gate request`");
}

static enum err store_row(struct gate_run *g, enum gate_state state, int64_t version,
	struct str manifest_sha256, const char *person, struct error *e)
{
	PGresult *r;

	return pg_query(g->v.pg,
		"INSERT INTO sluice.gates (workflow, state, version, manifest_sha256, changed_by) "
		"VALUES ($1, $2, nullif($3::bigint, 0), nullif($4::text, ''), $5) "
		"ON CONFLICT (workflow) DO UPDATE SET state = excluded.state, "
		"version = excluded.version, manifest_sha256 = excluded.manifest_sha256, "
		"changed_by = excluded.changed_by, changed_at = now()",
		PARAMS(g->v.policy->workflow, gate_state_name(state),
			release_number(g->v.mem, version), arena_cstr(g->v.mem, manifest_sha256),
			person),
		"moving the gate", g->v.mem, &r, e);
}

static enum err do_request(
	struct gate_run *g, const char *person, const char *note, struct error *e)
{
	(void)note;
	if (!g->live.exists)
		return FAIL(e, ERR_CHECK, "no version is live; run `sluice land %s`",
			g->v.policy->workflow);
	return store_row(g, STATE_REQUESTED, g->live.version, g->live.manifest_sha256, person, e);
}

static enum err is_producer(struct gate_run *g, const char *person, bool *yes, struct error *e)
{
	PGresult *r;

	TRY(pg_query(g->v.pg, "SELECT lower($1::text) = lower(btrim($2::text))",
		PARAMS(person, arena_cstr(g->v.mem, g->live.producer)),
		"comparing who approves with who published", g->v.mem, &r, e));
	*yes = pg_cell_bool(r, 0, 0);
	return OK;
}

static enum err do_approve(
	struct gate_run *g, const char *person, const char *note, struct error *e)
{
	const char *workflow = g->v.policy->workflow;
	bool producer = true;
	PGresult *r;

	if (g->row.version != g->live.version ||
		!str_eq(g->row.manifest_sha256, g->live.manifest_sha256))
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " was asked for and version %" PRId64
			" is live: run `sluice gate request %s` again",
			g->row.version, g->live.version, workflow);
	TRY(is_producer(g, person, &producer, e));
	if (producer)
		return FAIL(e, ERR_CHECK,
			"%s has published version %" PRId64 ", so somebody else must approve it",
			person, g->row.version);
	TRY(pg_query(g->v.pg,
		"INSERT INTO sluice.gate_approvals (workflow, version, manifest_sha256, person, "
		"note) "
		"VALUES ($1, $2::bigint, $3, $4, $5) ON CONFLICT DO NOTHING",
		PARAMS(workflow, release_number(g->v.mem, g->row.version),
			arena_cstr(g->v.mem, g->row.manifest_sha256), person, note),
		"recording the approval", g->v.mem, &r, e));
	if (!str_eqc(STR("1"), PQcmdTuples(r)))
		return FAIL(e, ERR_CHECK,
			"%s has approved version %" PRId64 " already; another person must", person,
			g->row.version);
	return OK;
}

static enum err do_open(struct gate_run *g, const char *person, const char *note, struct error *e)
{
	struct checks checks;
	(void)note;

	checks_init(&checks, g->v.mem);
	TRY(gate_check(g, &checks, e));
	TRY(checks_result(&checks, "opening the gate", e));
	return store_row(g, STATE_OPEN, g->row.version, g->row.manifest_sha256, person, e);
}

static enum err do_close(struct gate_run *g, const char *person, const char *note, struct error *e)
{
	(void)note;
	return store_row(g, STATE_CLOSED, 0, STR_NONE, person, e);
}

static enum err act(struct gate_run *g, enum gate_action action, const char *person,
	const char *note, struct error *e)
{
	static enum err (*const steps[])(
		struct gate_run *, const char *, const char *, struct error *) = {
		[GATE_REQUEST] = do_request,
		[GATE_APPROVE] = do_approve,
		[GATE_OPEN] = do_open,
		[GATE_CLOSE] = do_close,
	};
	enum gate_state to = STATE_CLOSED;

	TRY(next_state(g, action, &to, e));
	TRY(steps[action](g, person, note, e));
	int64_t version = to == STATE_CLOSED ? g->row.version : g->live.version;
	return release_db_audit(g->v.pg, g->v.policy->workflow,
		arena_fmt(g->v.mem, "gate_%s", action_names[action]).p, version, person, note, e);
}

static enum err act_alone(struct pg *c, const struct release_policy *p, enum gate_action action,
	const char *person, const char *note, const struct env *env, struct arena *mem,
	struct error *e)
{
	struct gate_run g;

	TRY(release_person(person, mem, &person, e));
	TRY(release_db_begin(c, p->workflow, e));
	enum err rc = gate_load(&g, c, p, env, mem, e);
	if (rc == OK)
		rc = act(&g, action, person, note != NULL ? note : "", e);
	return release_db_end(c, rc, e);
}

static int64_t age_of(const struct verification *v)
{
	int64_t scored = 0, now = clock_wall(v->env->clock);

	if (!(v->have & HAVE_SIGNED) || !clock_parse(v->m.scored_at, &scored))
		return -1;
	return now > scored ? now - scored : 0;
}

static enum err read_status(struct pg *c, const struct release_policy *p, const struct env *env,
	struct arena *mem, struct gate_status *out, struct error *e)
{
	struct gate_run g;

	TRY(gate_load(&g, c, p, env, mem, e));
	TRY(gate_check(&g, &out->checks, e));
	out->stored = gate_state_name(g.row.state);
	bool proven = g.row.state != STATE_OPEN || checks_ok(&out->checks);
	out->state = proven ? out->stored : gate_state_name(STATE_CLOSED);
	out->version = g.row.version;
	out->live_version = g.live.version;
	out->age = age_of(&g.v);
	out->approvals = g.approvals;
	out->napprovals = g.napprovals;
	return OK;
}

static enum err status_alone(struct pg *c, const struct release_policy *p, const struct env *env,
	struct arena *mem, struct gate_status *out, struct error *e)
{
	*out = (struct gate_status){.state = "closed", .stored = "closed", .age = -1};
	checks_init(&out->checks, mem);
	TRY(release_db_begin(c, p->workflow, e)); /* one moment for all that is read */
	return release_db_end(c, read_status(c, p, env, mem, out, e), e);
}

enum err handback_gate_status(struct pg *c, const struct release_policy *p, const struct env *env,
	struct arena *mem, struct gate_status *out, struct error *e)
{
	*out = (struct gate_status){.state = "closed", .stored = "closed", .age = -1};
	TRY(release_check_workflow(p->workflow, e));
	TRY(handback_ensure_schema(c, e));
	TRY(status_alone(c, p, env, mem, out, e));
	if (out->state == out->stored || checks_ok(&out->checks))
		return OK;
	enum err rc = checks_result(&out->checks, "proving that the gate may be open", e);
	error_wrap(e,
		"the gate of %s stands open in the database; if it is not to be, run `sluice "
		"gate close %s`",
		p->workflow, p->workflow);
	return rc;
}

enum err handback_gate_act(struct pg *c, const struct release_policy *p, enum gate_action action,
	const char *person, const char *note, const struct env *env, struct arena *mem,
	struct gate_status *out, struct error *e)
{
	struct error failed = {0};

	*out = (struct gate_status){.state = "closed", .stored = "closed", .age = -1};
	TRY(release_check_workflow(p->workflow, e));
	TRY(handback_ensure_schema(c, e));
	enum err rc = act_alone(c, p, action, person, note, env, mem, e);
	if (rc != OK && rc != ERR_CHECK)
		return error_wrap(e, "gate %s %s", action_names[action], p->workflow);
	if (status_alone(c, p, env, mem, out, &failed) != OK && rc == OK) {
		*e = failed;
		return error_wrap(e, "gate %s %s is done, but its status cannot be read",
			action_names[action], p->workflow);
	}
	return rc == OK ? OK : error_wrap(e, "gate %s %s", action_names[action], p->workflow);
}

enum err gate_follow(struct pg *c, const struct release_policy *p, const struct env *env,
	int64_t version, const char *person, struct arena *mem, const char **state, struct error *e)
{
	struct gate_run g;
	struct checks checks;

	TRY(gate_load(&g, c, p, env, mem, e));
	*state = gate_state_name(g.row.state);
	if (g.row.state != STATE_OPEN)
		return OK;
	/* Would it be opened for this version, had it been asked for? */
	TRY(store_row(&g, STATE_OPEN, g.live.version, g.live.manifest_sha256, person, e));
	TRY(gate_load(&g, c, p, env, mem, e));
	checks_init(&checks, mem);
	TRY(gate_check(&g, &checks, e));
	struct error why = {0};
	if (checks_result(&checks, "the gate cannot stay open", &why) == OK)
		return release_db_audit(c, p->workflow, "gate_follows", version, person, "", e);
	*state = gate_state_name(STATE_CLOSED);
	TRY(store_row(&g, STATE_CLOSED, 0, STR_NONE, person, e));
	return release_db_audit(c, p->workflow, "gate_closed", version, person, why.text, e);
}
