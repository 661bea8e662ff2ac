/*
 * Landing against a real PostgreSQL: what is good goes live whole, what is not leaves no row.
 */
#include "world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failpoint.h"
#include "thread.h"

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

#define LIVE_VERSION "SELECT coalesce(max(live_version), 0) FROM sluice.workflows"
#define LIVE_ROWS    "SELECT count(*) FROM sluice.live_scores WHERE workflow = '" WORKFLOW "'"
#define ALL_ROWS     "SELECT count(*) FROM sluice.scores"

static void land_good(struct world *w, int64_t want)
{
	struct error e = {0};
	struct land_result r;

	assert_int_equal(world_release(w, &(struct measure){0}), want);
	assert_ok(world_land(w, 0, &r, &e), &e);
	assert_int_equal(r.version, want);
}

static void test_good_release(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;

	world_release(w, &(struct measure){0});
	assert_ok(world_land(w, 0, &r, &e), &e);
	assert_true(r.ok && !r.already_live);
	assert_int_equal(r.version, 1);
	assert_int_equal(r.rows, 100);
	assert_string_equal(r.gate, "closed");
	assert_true(checks_ok(&r.checks));
	assert_true(r.checks.n >= 20);
	assert_int_equal(world_count(w, LIVE_VERSION), 1);
	assert_int_equal(world_count(w, LIVE_ROWS), 100);
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.live_scores WHERE workflow = "
				 "'" WORKFLOW "' AND key = '7' AND score = 6.5 / 100"),
		1);
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.audit WHERE action = 'landed' "
				 "AND person = 'lander' AND version = 1"),
		1);

	assert_ok(world_land(w, 0, &r, &e), &e);
	assert_true(r.ok && r.already_live);
	assert_int_equal(r.rows, 100);
	assert_true(r.checks.n >= 20);
	assert_int_equal(world_count(w, "SELECT count(*) FROM sluice.audit"), 1);
}

/* --- versions --- */

static void test_versions(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;

	land_good(w, 1);
	land_good(w, 2);
	assert_err(world_land(w, 1, &r, &e), ERR_CHECK, &e);
	assert_has(world_check(&r.checks, "version")->detail.p, "rollback");
	assert_int_equal(world_count(w, LIVE_VERSION), 2);

	/* A HEAD that was put back to an old version is a downgrade too. */
	struct error ignored = {0};
	assert_ok(store_remove(w->store, STR("releases/" WORKFLOW "/HEAD"), &e), &e);
	struct str bytes;
	char digest[ENC_SHA256_TEXT];
	assert_ok(release_get(w->store, release_manifest_key(&w->mem, WORKFLOW, 1), MANIFEST_MAX,
			  &w->mem, &bytes, &e),
		&e);
	enc_sha256(bytes, digest);
	assert_ok(release_head_write(w->store, WORKFLOW, &(struct release_head){.exists = false}, 1,
			  str_of(digest), &ignored),
		&ignored);
	assert_err(world_land(w, 0, &r, &e), ERR_CHECK, &e);
	assert_false(world_check(&r.checks, "version")->ok);

	/* A release that HEAD does not descend from was never published. */
	world_release(w, &(struct measure){.version = 3, .keep_head = true});
	assert_err(world_land(w, 3, &r, &e), ERR_CHECK, &e);
	assert_false(world_check(&r.checks, "parent")->ok);
	assert_int_equal(world_count(w, LIVE_VERSION), 2);
}

static void test_other_release_under_a_landed_number(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;

	land_good(w, 1);
	assert_ok(store_remove(w->store, STR("releases/" WORKFLOW "/HEAD"), &e), &e);
	world_release(w, &(struct measure){.version = 1, .shift = 0.01});
	assert_err(world_land(w, 0, &r, &e), ERR_CHECK, &e);
	assert_has(world_check(&r.checks, "version")->detail.p, "another release");
	assert_int_equal(world_count(w, LIVE_ROWS), 100);
}

static void test_nothing_published(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;

	assert_err(world_land(w, 0, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "sluice publish");
	w->policy.workflow = "../x";
	assert_err(world_land(w, 0, &r, &e), ERR_USAGE, &e);
}

/* --- crashes and races --- */

static void arm(struct world *w, const char *spec)
{
	struct error e = {0};

	failpoints_free(w->env.failpoints);
	w->env.failpoints = NULL;
	if (spec != NULL)
		assert_ok(failpoints_parse(&w->env.failpoints, str_of(spec), &e), &e);
}

static void test_failures_leave_the_old_version(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;
	static const char *const specs[] = {"land.load=error", "land.flip=error"};

	land_good(w, 1);
	world_release(w, &(struct measure){.shift = 0.01});
	for (size_t i = 0; i < 2; i++) {
		arm(w, specs[i]);
		assert_err(world_land(w, 0, &r, &e), ERR_UNAVAILABLE, &e);
		assert_int_equal(world_count(w, LIVE_VERSION), 1);
		assert_int_equal(world_count(w, ALL_ROWS), 100);
	}
	arm(w, NULL);
	assert_ok(world_land(w, 0, &r, &e), &e);
	assert_int_equal(world_count(w, LIVE_VERSION), 2);
}

static void test_killed_before_the_flip(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_result r;
	int status = 0;

	land_good(w, 1);
	world_release(w, &(struct measure){.shift = 0.01});
	arm(w, "land.flip=kill");
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		w->pg = world_pg_connect(w); /* the parent's stays its own */
		_exit(world_land(w, 0, &r, &e) == OK ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(world_count(w, LIVE_VERSION), 1);
	assert_int_equal(world_count(w, LIVE_ROWS), 100);
	arm(w, NULL);
	assert_ok(world_land(w, 0, &r, &e), &e); /* waits for the dead one's lock to go */
	assert_int_equal(world_count(w, LIVE_VERSION), 2);
	assert_int_equal(world_count(w, ALL_ROWS), 200);
}

struct lander {
	struct world *w;
	struct pg *pg;
	struct arena mem;
	struct land_result r;
};

static enum err land_thread(void *arg, struct error *e)
{
	struct lander *l = arg;
	const struct land_options o = {.policy = l->w->policy, .person = "lander"};

	return handback_land(l->pg, l->w->store, &o, &l->w->env, &l->mem, &l->r, e);
}

/* Of two that land the same release one does, and the other finds it done. */
static void test_two_land_at_once(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct lander l[2] = {{.w = w}, {.w = w}};
	struct thread t[2] = {0};

	world_release(w, &(struct measure){0});
	for (int i = 0; i < 2; i++) {
		l[i].pg = world_pg_connect(w);
		assert_ok(thread_start(&t[i], "lander", land_thread, &l[i], &e), &e);
	}
	for (int i = 0; i < 2; i++) {
		assert_ok(thread_join(&t[i], &e), &e);
		assert_int_equal(l[i].r.version, 1);
		pg_close(l[i].pg);
	}
	assert_int_equal(l[0].r.already_live + l[1].r.already_live, 1);
	assert_int_equal(world_count(w, ALL_ROWS), 100);
	arena_free(&l[0].mem);
	arena_free(&l[1].mem);
}

struct reader {
	struct pg *pg;
	atomic_bool stop;
	uint64_t reads;
};

/* Each version has its own constant score and number of rows: a mixture shows. */
static enum err read_thread(void *arg, struct error *e)
{
	struct reader *r = arg;
	enum err rc = OK;

	while (rc == OK && !atomic_load(&r->stop)) {
		struct arena mem = {0};
		PGresult *res;
		rc = pg_query(r->pg,
			"SELECT count(*), count(DISTINCT version), min(version) FROM "
			"sluice.live_scores WHERE workflow = '" WORKFLOW "'",
			0, NULL, "reading", &mem, &res, e);
		if (rc == OK && (pg_cell_i64(res, 0, 0) != 100 || pg_cell_i64(res, 0, 1) != 1))
			rc = FAIL(e, ERR_FAILED, "%lld rows of %lld versions",
				(long long)pg_cell_i64(res, 0, 0),
				(long long)pg_cell_i64(res, 0, 1));
		r->reads++;
		arena_free(&mem);
	}
	return rc;
}

static void test_readers_see_one_version(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct reader r = {.pg = NULL};
	struct thread t = {0};

	land_good(w, 1);
	r.pg = world_pg_connect(w);
	atomic_init(&r.stop, false);
	assert_ok(thread_start(&t, "reader", read_thread, &r, &e), &e);
	for (int64_t v = 2; v <= 9; v++)
		land_good(w, v);
	atomic_store(&r.stop, true);
	assert_ok(thread_join(&t, &e), &e);
	assert_true(r.reads > 0);
	pg_close(r.pg);

	/* The last five are kept, the others are not. */
	assert_int_equal(world_count(w, ALL_ROWS), 500);
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.releases WHERE dropped_at IS "
				 "NULL AND version BETWEEN 5 AND 9"),
		5);
}

/* --- back --- */

static enum err roll_back(struct world *w, int64_t to, struct rollback_result *r, struct error *e)
{
	const struct rollback_options o = {.policy = w->policy, .to = to, .person = "oncall"};

	return handback_rollback(w->pg, &o, &w->env, r, e);
}

static void test_rollback(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct rollback_result r;
	struct land_result l;

	assert_err(roll_back(w, 0, &r, &e), ERR_CHECK, &e);
	land_good(w, 1);
	assert_err(roll_back(w, 0, &r, &e), ERR_CHECK, &e);
	land_good(w, 2);
	land_good(w, 3);
	assert_ok(roll_back(w, 0, &r, &e), &e);
	assert_true(r.from == 3 && r.version == 2 && r.rows == 100);
	assert_int_equal(world_count(w, LIVE_VERSION), 2);
	assert_err(roll_back(w, 2, &r, &e), ERR_CHECK, &e);
	assert_err(roll_back(w, 77, &r, &e), ERR_CHECK, &e);

	/* What was rolled back does not come again by itself. */
	assert_err(world_land(w, 0, &l, &e), ERR_CHECK, &e);
	assert_has(world_check(&l.checks, "version")->detail.p, "rolled back");
	assert_int_equal(world_count(w, LIVE_VERSION), 2);
	assert_ok(roll_back(w, 0, &r, &e), &e);
	assert_int_equal(r.version, 1);
	assert_ok(roll_back(w, 3, &r, &e), &e);
	assert_int_equal(world_count(w, LIVE_VERSION), 3);
	land_good(w, 4);
	assert_int_equal(world_count(w,
				 "SELECT count(*) FROM sluice.audit WHERE action = "
				 "'rolled_back' AND person = 'oncall'"),
		3);

	/* Scores that are not whole any more are not gone back to. */
	assert_ok(pg_exec(w->pg, "DELETE FROM sluice.scores WHERE version = 3 AND key = '5'",
			  "damaging", &e),
		&e);
	assert_err(roll_back(w, 3, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "99 of 100");
	assert_int_equal(world_count(w, LIVE_VERSION), 4);
}

static void test_verify_and_list(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct land_options o = {.policy = w->policy};
	struct land_result r;
	struct release_list list;

	assert_ok(handback_list(w->pg, w->store, WORKFLOW, &w->mem, &list, &e), &e);
	assert_int_equal(list.n, 0);
	land_good(w, 1);
	world_release(w, &(struct measure){0});
	assert_ok(handback_verify(w->pg, w->store, &o, &w->env, &w->mem, &r, &e), &e);
	assert_int_equal(r.version, 2);
	size_t all = r.checks.n;
	o.offline = true; /* asked for: the database is not looked at */
	assert_ok(handback_verify(w->pg, w->store, &o, &w->env, &w->mem, &r, &e), &e);
	assert_true(r.ok && r.checks.n < all);
	o.offline = false; /* not asked for: what could not be checked is not good */
	assert_err(handback_verify(NULL, w->store, &o, &w->env, &w->mem, &r, &e), ERR_CHECK, &e);
	assert_true(!r.ok && r.checks.n == all);
	assert_true(world_check(&r.checks, "signature")->ok);
	assert_false(world_check(&r.checks, "coverage")->ok);
	assert_has(arena_cstr(&w->mem, world_check(&r.checks, "coverage")->detail), "unreachable");
	assert_int_equal(world_count(w, LIVE_VERSION), 1);
	o.version = 1;
	assert_ok(handback_verify(w->pg, w->store, &o, &w->env, &w->mem, &r, &e), &e);
	assert_int_equal(r.version, 1);

	world_flip_byte(w, release_manifest_key(&w->mem, WORKFLOW, 2), 0);
	assert_ok(handback_list(w->pg, w->store, WORKFLOW, &w->mem, &list, &e), &e);
	assert_int_equal(list.n, 2);
	assert_true(list.items[0].live && list.items[0].landed && !list.items[0].head);
	assert_true(list.items[1].head && !list.items[1].landed && list.items[1].problem.n > 0);
	o.version = 0;
	assert_err(handback_verify(NULL, w->store, &o, &w->env, &w->mem, &r, &e), ERR_CHECK, &e);
	assert_ok(handback_list(NULL, w->store, WORKFLOW, &w->mem, &list, &e), &e);
	assert_false(list.items[0].live);
}

static enum err schema_thread(void *arg, struct error *e)
{
	return handback_ensure_schema(arg, e);
}

static void test_schema_made_by_many(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct pg *c[4];
	struct thread t[4] = {0};

	for (int i = 0; i < 4; i++) {
		c[i] = world_pg_connect(w);
		assert_ok(thread_start(&t[i], "schema", schema_thread, c[i], &e), &e);
	}
	for (int i = 0; i < 4; i++) {
		assert_ok(thread_join(&t[i], &e), &e);
		pg_close(c[i]);
	}
	assert_int_equal(world_count(w, "SELECT count(*) FROM sluice.schema_migrations"), 1);

	/* One that was applied with another content is not taken for ours. */
	const char *sql = "UPDATE sluice.schema_migrations SET sha256 = 'x'";
	assert_ok(pg_exec(w->pg, sql, "damaging", &e), &e);
	assert_err(handback_ensure_schema(w->pg, &e), ERR_FAILED, &e);
	assert_has(e.text, "another content");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_good_release),
		CASE(test_versions),
		CASE(test_other_release_under_a_landed_number),
		CASE(test_nothing_published),
		CASE(test_failures_leave_the_old_version),
		CASE(test_killed_before_the_flip),
		CASE(test_two_land_at_once),
		CASE(test_readers_see_one_version),
		CASE(test_rollback),
		CASE(test_verify_and_list),
		CASE(test_schema_made_by_many),
	};
	return cmocka_run_group_tests(tests, world_pg_start, world_pg_stop);
}
