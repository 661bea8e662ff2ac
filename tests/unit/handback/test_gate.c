/*
 * The gate: who may open it, for what, and when it shuts itself.
 */
#include "world.h"

#include <unistd.h>

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	world_open(w);
	world_bookings(w, 200, 100);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

static void land(struct world *w, double shift)
{
	struct error e = {0};
	struct land_result r;

	world_release(w, &(struct measure){.shift = shift});
	assert_ok(world_land(w, 0, &r, &e), &e);
}

static enum err act(struct world *w, enum gate_action action, const char *person,
	struct gate_status *out, struct error *e)
{
	return handback_gate_act(
		w->pg, &w->policy, action, person, "a note", &w->env, &w->mem, out, e);
}

static struct gate_status status(struct world *w)
{
	struct error e = {0};
	struct gate_status g;

	assert_ok(handback_gate_status(w->pg, &w->policy, &w->env, &w->mem, &g, &e), &e);
	assert_string_equal(g.state, g.stored);
	return g;
}

static void expect_stored(struct world *w, const char *state)
{
	char sql[200];

	snprintf(sql, sizeof sql,
		"SELECT count(*) FROM sluice.gates WHERE workflow = '" WORKFLOW
		"' AND state = '%s'",
		state);
	assert_int_equal(world_count(w, sql), 1);
}

static void open_gate(struct world *w)
{
	struct error e = {0};
	struct gate_status g;

	assert_ok(act(w, GATE_REQUEST, "ada", &g, &e), &e);
	assert_ok(act(w, GATE_APPROVE, "ada", &g, &e), &e);
	assert_ok(act(w, GATE_APPROVE, "bob", &g, &e), &e);
	assert_ok(act(w, GATE_OPEN, "bob", &g, &e), &e);
	assert_string_equal(g.state, "open");
	expect_stored(w, "open");
}

static void test_the_way_to_open(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct gate_status g = status(w);

	assert_string_equal(g.state, "closed");
	assert_int_equal(g.age, -1);
	assert_false(world_check(&g.checks, "live")->ok);
	assert_err(act(w, GATE_REQUEST, "ada", &g, &e), ERR_CHECK, &e);
	assert_has(e.text, "no version is live");
	land(w, 0);
	g = status(w);
	assert_false(world_check(&g.checks, "requested")->ok);
	assert_false(world_check(&g.checks, "approvals")->ok);
	assert_true(world_check(&g.checks, "signature")->ok);
	assert_true(world_check(&g.checks, "release_checks")->ok);
	assert_int_equal(g.live_version, 1);
	assert_int_equal(g.age, 60 * 1000000);
	assert_true(world_check(&g.checks, "freshness")->ok);

	/* Each step only after the one before. */
	assert_err(act(w, GATE_APPROVE, "ada", &g, &e), ERR_CHECK, &e);
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_ok(act(w, GATE_REQUEST, "ada", &g, &e), &e);
	assert_string_equal(g.state, "requested");
	assert_int_equal(g.version, 1);
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_has(e.text, "0 of 2 persons");
	assert_false(world_check(&g.checks, "approvals")->ok);
	assert_string_equal(g.state, "requested");

	assert_ok(act(w, GATE_APPROVE, "ada", &g, &e), &e);
	assert_int_equal(g.napprovals, 1);
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_ok(act(w, GATE_APPROVE, "bob", &g, &e), &e);
	assert_ok(act(w, GATE_OPEN, "ada", &g, &e), &e);
	assert_string_equal(g.state, "open");
	assert_true(checks_ok(&g.checks));
	assert_int_equal(g.napprovals, 2);
	assert_str(g.approvals[0].person, "ada");
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_err(act(w, GATE_REQUEST, "ada", &g, &e), ERR_CHECK, &e);
	assert_string_equal(status(w).state, "open");
	assert_ok(act(w, GATE_CLOSE, "ada", &g, &e), &e);
	assert_string_equal(g.state, "closed");
	assert_ok(act(w, GATE_CLOSE, "ada", &g, &e), &e);
	expect_stored(w, "closed");
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.audit WHERE action LIKE "
				 "'gate_%'"),
		6);
}

static void test_four_eyes(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct gate_status g;

	land(w, 0);
	assert_ok(act(w, GATE_REQUEST, "publisher", &g, &e), &e);
	assert_err(act(w, GATE_APPROVE, "publisher", &g, &e), ERR_CHECK, &e);
	assert_has(e.text, "somebody else");
	assert_err(act(w, GATE_APPROVE, "  PubLisher ", &g, &e), ERR_CHECK, &e);
	assert_ok(act(w, GATE_APPROVE, "ada", &g, &e), &e);
	assert_err(act(w, GATE_APPROVE, "ada", &g, &e), ERR_CHECK, &e);
	assert_has(e.text, "already");
	assert_err(act(w, GATE_APPROVE, " Ada ", &g, &e), ERR_CHECK, &e);
	assert_err(act(w, GATE_APPROVE, "  ", &g, &e), ERR_USAGE, &e);
	assert_err(act(w, GATE_APPROVE, NULL, &g, &e), ERR_USAGE, &e);
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_int_equal(g.napprovals, 1);

	/* An approval written past the rules does not count either. */
	assert_ok(pg_exec(w->pg,
			  "INSERT INTO sluice.gate_approvals (workflow, version, manifest_sha256, "
			  "person) SELECT workflow, version, manifest_sha256, 'PUBLISHER' FROM "
			  "sluice.releases",
			  "cheating", &e),
		&e);
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_int_equal(g.napprovals, 1);
}

static void test_approvals_are_of_one_manifest(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct gate_status g;

	land(w, 0);
	open_gate(w);
	assert_ok(pg_exec(w->pg, "UPDATE sluice.gate_approvals SET manifest_sha256 = 'other'",
			  "cheating", &e),
		&e);
	assert_err(
		handback_gate_status(w->pg, &w->policy, &w->env, &w->mem, &g, &e), ERR_CHECK, &e);
	assert_string_equal(g.state, "closed");
	assert_string_equal(g.stored, "open");
	assert_has(e.text, "gate close");
}

static void test_landing_closes_it(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result l;
	struct gate_status g;

	land(w, 0);
	open_gate(w);
	world_release(w, &(struct measure){.shift = 0.01});
	assert_ok(world_land(w, 0, &l, &e), &e);
	assert_string_equal(l.gate, "closed");
	assert_string_equal(status(w).state, "closed");
	expect_stored(w, "closed");
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.audit WHERE action = "
				 "'gate_closed' AND detail LIKE '%0 of 2 persons%'"),
		1);

	/* Version 2 is approved in its own right; back at version 1 its old approvals stand. */
	open_gate(w);
	assert_int_equal(status(w).version, 2);
	const struct rollback_options o = {.policy = w->policy, .person = "oncall"};
	struct rollback_result r;
	assert_ok(handback_rollback(w->pg, &o, &w->env, &r, &e), &e);
	assert_string_equal(r.gate, "open");
	g = status(w);
	assert_string_equal(g.state, "open");
	assert_int_equal(g.version, 1);
	assert_int_equal(g.live_version, 1);
}

static void test_rollback_to_what_was_never_approved(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct rollback_result r;
	const struct rollback_options o = {.policy = w->policy, .person = "oncall"};

	land(w, 0);
	land(w, 0.01);
	open_gate(w);
	assert_ok(handback_rollback(w->pg, &o, &w->env, &r, &e), &e);
	assert_string_equal(r.gate, "closed");
	expect_stored(w, "closed");
	assert_string_equal(status(w).state, "closed");
}

static void test_a_request_is_for_what_was_live(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct gate_status g;

	land(w, 0);
	assert_ok(act(w, GATE_REQUEST, "ada", &g, &e), &e);
	land(w, 0.01);
	assert_err(act(w, GATE_APPROVE, "ada", &g, &e), ERR_CHECK, &e);
	assert_has(e.text, "version 2 is live");
	assert_err(act(w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
	assert_false(world_check(&g.checks, "requested")->ok);
	assert_ok(act(w, GATE_REQUEST, "ada", &g, &e), &e);
	assert_int_equal(g.version, 2);
}

/* What makes an open gate unproven; each is undone by closing the world. */
static void lose_key(struct world *w)
{
	assert_int_equal(unlink(w->pub), 0);
}

static void distrust(struct world *w)
{
	w->policy.trusted_key = w->other_pub;
}

static void ask_more_auc(struct world *w)
{
	w->policy.min_auc = 0.9;
}

static void ask_more_approvals(struct world *w)
{
	w->policy.approvals = 3;
}

static void run(struct world *w, const char *sql)
{
	struct error e = {0};

	assert_ok(pg_exec(w->pg, sql, "damaging", &e), &e);
}

static void lose_scores(struct world *w)
{
	run(w, "DELETE FROM sluice.scores WHERE key = '1'");
}

static void change_manifest(struct world *w)
{
	run(w, "UPDATE sluice.releases SET manifest = replace(manifest, 'publisher', 'publishes')");
}

static void change_manifest_and_digest(struct world *w)
{
	run(w,
		"UPDATE sluice.releases SET manifest = replace(manifest, '\"auc\":0.8', "
		"'\"auc\":0.9')");
	run(w,
		"UPDATE sluice.releases SET manifest_sha256 = encode(sha256(convert_to(manifest, "
		"'UTF8')), "
		"'hex')");
	run(w,
		"UPDATE sluice.gates SET manifest_sha256 = r.manifest_sha256 FROM sluice.releases "
		"r");
	run(w,
		"UPDATE sluice.gate_approvals SET manifest_sha256 = r.manifest_sha256 FROM "
		"sluice.releases r");
}

static void fail_a_check(struct world *w)
{
	run(w, "UPDATE sluice.releases SET checks = jsonb_set(checks, '{3,ok}', 'false')");
}

static void lose_checks(struct world *w)
{
	run(w, "UPDATE sluice.releases SET checks = '[]'");
}

static void grow_old(struct world *w)
{
	w->clock.now_us += w->policy.max_age;
}

static const struct {
	const char *what;
	void (*damage)(struct world *w);
	const char *check;
} unknowns[] = {
	{"the trusted key is gone", lose_key, "key_trusted"},
	{"another key is trusted", distrust, "key_trusted"},
	{"more AUC is asked for", ask_more_auc, "evaluation"},
	{"more approvals are asked for", ask_more_approvals, "approvals"},
	{"a score is gone", lose_scores, "live"},
	{"the stored manifest was changed", change_manifest, "manifest"},
	{"and every digest with it", change_manifest_and_digest, "signature"},
	{"a check of the landing says no", fail_a_check, "release_checks"},
	{"the checks of the landing are gone", lose_checks, "release_checks"},
	{"the scores are too old", grow_old, "freshness"},
};

static void test_unknown_is_never_open(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof unknowns / sizeof unknowns[0]; i++) {
		struct world w;
		struct error e = {0};
		struct gate_status g;

		print_message("%s\n", unknowns[i].what);
		world_open(&w);
		world_bookings(&w, 200, 100);
		land(&w, 0);
		open_gate(&w);
		unknowns[i].damage(&w);
		assert_err(handback_gate_status(w.pg, &w.policy, &w.env, &w.mem, &g, &e), ERR_CHECK,
			&e);
		assert_string_equal(g.state, "closed");
		assert_false(world_check(&g.checks, unknowns[i].check)->ok);

		/* Nor is it opened again. */
		assert_ok(act(&w, GATE_CLOSE, "ada", &g, &e), &e);
		assert_ok(act(&w, GATE_REQUEST, "ada", &g, &e), &e);
		assert_err(act(&w, GATE_OPEN, "ada", &g, &e), ERR_CHECK, &e);
		assert_false(world_check(&g.checks, unknowns[i].check)->ok);
		expect_stored(&w, "requested");
		world_close(&w);
	}
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_way_to_open),
		CASE(test_four_eyes),
		CASE(test_approvals_are_of_one_manifest),
		CASE(test_landing_closes_it),
		CASE(test_rollback_to_what_was_never_approved),
		CASE(test_a_request_is_for_what_was_live),
		cmocka_unit_test(test_unknown_is_never_open),
	};
	return cmocka_run_group_tests(tests, world_pg_start, world_pg_stop);
}
