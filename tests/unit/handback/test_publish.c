/*
 * Publishing from a DuckDB warehouse: whatever fails, HEAD names a whole release.
 */
#include "world.h"

#include <unistd.h>

#include "failpoint.h"
#include "thread.h"
#include "warehouse.h"

struct source {
	struct world w;
	struct warehouse *warehouse;
};

static void run_script(struct source *s, const char *sql)
{
	struct error e = {0};

	assert_ok(warehouse_script(s->warehouse, str_of(sql), &e), &e);
}

#define METADATA                                                                                   \
	"{\"cut\":{\"lsn\":\"0/10\",\"snapshot\":\"5:5:\"},\"evaluation\":{\"auc\":0.8},"          \
	"\"leak_proof\":{\"ok\":true,\"cuts\":5},\"features\":[\"a\"],\"query_sha256\":\""         \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"
#define REPORT(whole) "{\"ok\":true,\"whole\":" whole ",\"tables\":[]}"

static void scoring(
	struct source *s, const char *id, const char *at, int rows, const char *metadata)
{
	char sql[4096];

	snprintf(sql, sizeof sql,
		"INSERT INTO ops.scorings VALUES ('%s', '" WORKFLOW "', '%s', 'cancel_risk', 3, '"
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', '%s', %d, "
		"'0/2000', 8192, 'booking_id'); "
		"INSERT INTO scores.predictions SELECT '%s', CAST(i AS VARCHAR), (i - 0.5) / %d "
		"FROM "
		"range(1, %d) AS t(i);",
		id, at, metadata, rows, id, rows, rows + 1);
	run_script(s, sql);
}

static void keep_report(struct source *s, const char *at, bool ok, int at_lsn, const char *whole,
	const char *report)
{
	char digest[ENC_SHA256_TEXT], sql[1024];

	enc_sha256(str_of(report), digest);
	snprintf(sql, sizeof sql,
		"INSERT INTO ops.reconciliations VALUES ('%s', %s, '0/%X', %d, '9:9:', '%s', "
		"'%s', %s)",
		at, ok ? "true" : "false", (unsigned)at_lsn, at_lsn, report, digest, whole);
	run_script(s, sql);
}

static void reconciliation(struct source *s, const char *at, bool ok, int at_lsn)
{
	keep_report(s, at, ok, at_lsn, "true", REPORT("true"));
}

/* What `sluice reconcile --table T` leaves. */
static void reconciliation_of_one(struct source *s, const char *at, bool ok, int at_lsn)
{
	keep_report(s, at, ok, at_lsn, "false", REPORT("false"));
}

#define SCORED     "2023-11-14 22:00:00+00"
#define LATER      "2023-11-14 22:05:00+00"
#define RECONCILED "2023-11-14 22:10:00+00"

static int setup(void **state)
{
	struct source *s = calloc(1, sizeof *s);
	struct error e = {0};
	char url[256];

	world_open(&s->w);
	snprintf(url, sizeof url, "duckdb://%s/warehouse.duckdb", s->w.dir);
	const struct warehouse_options o = {.url = url, .threads = 1};
	assert_ok(warehouse_open(&s->warehouse, &o, &s->w.env, &e), &e);
	assert_ok(warehouse_ensure_ops(s->warehouse, &e), &e);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct source *s = *state;

	warehouse_close(s->warehouse);
	world_close(&s->w);
	free(s);
	return 0;
}

static enum err publish_to(
	struct source *s, struct store *store, struct publish_result *r, struct error *e)
{
	const struct publish_options o = {.workflow = WORKFLOW,
		.signing_key = s->w.key,
		.person = "publisher",
		.rows_per_file = 40};

	return handback_publish(s->warehouse, store, &o, &s->w.env, r, e);
}

static enum err publish(struct source *s, struct publish_result *r, struct error *e)
{
	return publish_to(s, s->w.store, r, e);
}

/* Everything that needs no database says yes. */
static struct land_result verified(struct source *s)
{
	struct error e = {0};
	struct land_result r;
	const struct land_options o = {.policy = s->w.policy, .offline = true};

	assert_ok(handback_verify(NULL, s->w.store, &o, &s->w.env, &s->w.mem, &r, &e), &e);
	return r;
}

static void test_publish(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;
	struct manifest m;
	struct str bytes;
	char digest[ENC_SHA256_TEXT];

	scoring(s, "older", SCORED, 10, METADATA);
	scoring(s, "newer", LATER, 100, METADATA);
	reconciliation(s, RECONCILED, true, 8192);
	assert_ok(publish(s, &r, &e), &e);
	assert_int_equal(r.version, 1);
	assert_int_equal(r.rows, 100);
	assert_ok(release_get(s->w.store, release_manifest_key(&s->w.mem, WORKFLOW, 1),
			  MANIFEST_MAX, &s->w.mem, &bytes, &e),
		&e);
	enc_sha256(bytes, digest);
	assert_string_equal(r.manifest_sha256, digest);
	assert_ok(manifest_read(bytes, &s->w.mem, &m, &e), &e);
	assert_int_equal(m.nfiles, 3);
	assert_str(m.scoring_id, "newer");
	assert_str(m.scored_at, "2023-11-14T22:05:00.000000Z");
	assert_str(m.training_cut, "{\"lsn\":\"0/10\",\"snapshot\":\"5:5:\"}");
	assert_str(m.report, REPORT("true"));
	assert_str(m.producer, "publisher");
	assert_int_equal(verified(s).rows, 100);

	assert_ok(publish(s, &r, &e), &e);
	assert_int_equal(r.version, 2);
	assert_int_equal(verified(s).version, 2);
}

static void test_what_is_not_published(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;

	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "sluice score");
	scoring(s, "one", SCORED, 100, METADATA);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "sluice reconcile");
	reconciliation(s, SCORED, true, 8191); /* before the scores */
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	reconciliation(s, LATER, true, 9000);
	reconciliation(s, RECONCILED, false, 8999); /* the newest counts */
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "differences");
	reconciliation(s, "2023-11-14 22:11:00+00", true, 9001);

	run_script(s, "UPDATE ops.reconciliations SET digest = 'x' WHERE lsn_number = 9001");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	reconciliation(s, "2023-11-14 22:12:00+00", true, 9002);
	run_script(s, "INSERT INTO scores.predictions VALUES ('one', '7', 0.5)");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "\"7\"");
	run_script(s, "DELETE FROM scores.predictions WHERE key = '7'");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "99 stand");
	run_script(s, "INSERT INTO scores.predictions VALUES ('one', '7', 'NaN')");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	run_script(s,
		"DELETE FROM scores.predictions WHERE key = '7'; "
		"INSERT INTO scores.predictions VALUES ('one', '7', -0.1)");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	scoring(s, "two", LATER, 100, "{\"cut\":{},\"evaluation\":{\"auc\":0.8}}");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "leak_proof");

	struct release_head head;
	assert_ok(release_head_read(s->w.store, WORKFLOW, &s->w.mem, &head, &e), &e);
	assert_false(head.exists);
	const struct publish_options no_key = {.workflow = WORKFLOW, .person = "p"};
	assert_err(handback_publish(s->warehouse, s->w.store, &no_key, &s->w.env, &r, &e),
		ERR_USAGE, &e);
}

/* Every call of the store fails once, at every place; afterwards HEAD names a whole release, and
 * publishing again is right. */
static void test_every_store_call_fails_once(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;
	static const char *const ops[] = {"put", "get"};
	int64_t head = 1;

	scoring(s, "one", LATER, 100, METADATA);
	reconciliation(s, RECONCILED, true, 9000);
	assert_ok(publish(s, &r, &e), &e);
	for (size_t op = 0; op < 2; op++) {
		bool failed = true;
		for (unsigned nth = 1; failed; nth++) {
			struct store *inner = NULL;
			char sql[200];
			/* Other bytes each time, so that the objects have to be put. */
			snprintf(sql, sizeof sql,
				"UPDATE scores.predictions SET score = score * 0.999 WHERE key = "
				"'%u'",
				nth);
			run_script(s, sql);
			assert_ok(store_open(&inner, s->w.url, &s->w.env, &e), &e);
			struct store *faulty = store_faulty(inner, ops[op], nth);
			enum err rc = publish_to(s, faulty, &r, &e);
			failed = rc != OK;
			if (failed)
				assert_int_equal(rc, ERR_UNAVAILABLE);
			assert_true(nth < 30);
			assert_int_equal(verified(s).version, failed ? head : r.version);
			assert_ok(publish(s, &r, &e), &e);
			assert_true(r.version > head);
			head = r.version;
			assert_int_equal(verified(s).version, head);
			store_close(faulty);
		}
	}
}

static void test_failpoints(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;
	static const char *const specs[] = {"publish.object=error@2", "publish.manifest=error",
		"publish.head=error", "publish.head=eio"};

	scoring(s, "one", LATER, 100, METADATA);
	reconciliation(s, RECONCILED, true, 9000);
	assert_ok(publish(s, &r, &e), &e);
	for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
		assert_ok(failpoints_parse(&s->w.env.failpoints, str_of(specs[i]), &e), &e);
		assert_true(publish(s, &r, &e) != OK);
		assert_true(e.text[0] != '\0');
		assert_int_equal(verified(s).version, 1);
		failpoints_free(s->w.env.failpoints);
		s->w.env.failpoints = NULL;
	}
	assert_ok(publish(s, &r, &e), &e);
	/* Two manifests stand that HEAD never named. */
	assert_int_equal(r.version, 4);
	assert_int_equal(verified(s).version, 4);
}

struct racer {
	struct source *s;
	struct publish_result r[3];
};

static enum err race(void *arg, struct error *e)
{
	struct racer *racer = arg;

	for (int i = 0; i < 3; i++)
		TRY(publish(racer->s, &racer->r[i], e));
	return OK;
}

static void test_two_publishers(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct racer r[2] = {{.s = s}, {.s = s}};
	struct thread t[2] = {0};
	struct release_head head;
	int64_t highest = 0;

	scoring(s, "one", LATER, 100, METADATA);
	reconciliation(s, RECONCILED, true, 9000);
	for (int i = 0; i < 2; i++)
		assert_ok(thread_start(&t[i], "publisher", race, &r[i], &e), &e);
	for (int i = 0; i < 2; i++)
		assert_ok(thread_join(&t[i], &e), &e);
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 3; j++) {
			for (int k = 0; k < 3; k++)
				assert_int_not_equal(r[0].r[j].version, r[1].r[k].version);
			assert_true(j == 0 || r[i].r[j].version > r[i].r[j - 1].version);
			if (r[i].r[j].version > highest)
				highest = r[i].r[j].version;
		}
	}
	assert_ok(release_head_read(s->w.store, WORKFLOW, &s->w.mem, &head, &e), &e);
	assert_int_equal(head.version, highest);
	verified(s);

	/* All six are ancestors of HEAD: none was lost. */
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 3; j++) {
			struct land_result one;
			const struct land_options o = {.policy = s->w.policy,
				.version = r[i].r[j].version,
				.offline = true};
			assert_ok(handback_verify(
					  NULL, s->w.store, &o, &s->w.env, &s->w.mem, &one, &e),
				&e);
		}
	}
}

static void test_damaged_store_is_not_built_on(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;
	struct release_list list;

	scoring(s, "one", LATER, 30, METADATA);
	reconciliation(s, RECONCILED, true, 9000);
	assert_ok(publish(s, &r, &e), &e);
	struct str key = release_manifest_key(&s->w.mem, WORKFLOW, 1);
	assert_ok(store_put(s->w.store, key, STR("{}"), STORE_ANY, NULL, NULL, &e), &e);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_ok(store_put(s->w.store, STR("releases/" WORKFLOW "/HEAD"), STR("{}"), STORE_ANY,
			  NULL, NULL, &e),
		&e);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "put it back");
	assert_err(handback_list(NULL, s->w.store, WORKFLOW, &s->w.mem, &list, &e), ERR_CHECK, &e);
	assert_has(e.text, "releases/" WORKFLOW "/HEAD");
	assert_int_equal(list.n, 1); /* what is needed to mend it */
}

static void test_lost_parent_is_not_built_on(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;

	scoring(s, "one", LATER, 30, METADATA);
	reconciliation(s, RECONCILED, true, 9000);
	assert_ok(publish(s, &r, &e), &e);
	assert_ok(store_remove(s->w.store, release_manifest_key(&s->w.mem, WORKFLOW, 1), &e), &e);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "HEAD names version 1");
}

/* One good table proves nothing of the others; one bad table is enough. */
static void test_a_single_table_is_not_enough(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;

	scoring(s, "one", SCORED, 100, METADATA);
	reconciliation_of_one(s, LATER, true, 9000);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "without --table");
	reconciliation(s, "2023-11-14 22:06:00+00", false, 9001);
	reconciliation_of_one(s, "2023-11-14 22:07:00+00", true, 9002);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "differences");
	reconciliation(s, "2023-11-14 22:08:00+00", true, 9003);
	reconciliation_of_one(s, "2023-11-14 22:09:00+00", false, 9004);
	reconciliation_of_one(s, "2023-11-14 22:09:01+00", true, 9005);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "differences");
	reconciliation(s, "2023-11-14 22:10:00+00", true, 9006);
	reconciliation_of_one(s, "2023-11-14 22:11:00+00", true, 9007);
	assert_ok(publish(s, &r, &e), &e);
	verified(s);
	/* The column is not believed against the report. */
	keep_report(s, "2023-11-14 22:12:00+00", true, 9008, "true", REPORT("false"));
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	keep_report(s, "2023-11-14 22:13:00+00", true, 9009, "true",
		"{\"ok\":false,\"whole\":true,\"tables\":[]}");
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
}

/* A warehouse of an earlier version: its reports do not say what they cover. */
static void test_reports_of_earlier_versions(void **state)
{
	struct source *s = *state;
	struct error e = {0};
	struct publish_result r;

	scoring(s, "one", SCORED, 100, METADATA);
	reconciliation(s, LATER, true, 9000);
	run_script(s, "ALTER TABLE ops.reconciliations DROP COLUMN whole");
	assert_ok(warehouse_ensure_ops(s->warehouse, &e), &e);
	assert_err(publish(s, &r, &e), ERR_CHECK, &e);
	reconciliation(s, RECONCILED, true, 9001);
	assert_ok(warehouse_ensure_ops(s->warehouse, &e), &e); /* changes nothing */
	assert_ok(publish(s, &r, &e), &e);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_publish),
		CASE(test_what_is_not_published),
		CASE(test_every_store_call_fails_once),
		CASE(test_failpoints),
		CASE(test_two_publishers),
		CASE(test_damaged_store_is_not_built_on),
		CASE(test_lost_parent_is_not_built_on),
		CASE(test_a_single_table_is_not_enough),
		CASE(test_reports_of_earlier_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
