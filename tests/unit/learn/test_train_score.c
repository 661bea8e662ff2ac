/* Training, what it registers, and scoring with it. */
#include "learn_fixture.h"

#include <math.h>

#include "booster.h"
#include "json.h"
#include "matrix.h"
#include "mem.h"
#include "split.h"

static struct train_result train(struct learn_fixture *f)
{
	struct feature_set set = learn_built_in(f);
	struct train_options o = learn_options();
	struct train_result r;
	struct error e = {0};

	assert_ok(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), &e);
	return r;
}

static struct score_options score_options(void)
{
	return (struct score_options){.workflow = "cancel-risk",
		.model = "cancel_risk",
		.key = "booking_id",
		.threads = 2};
}

static void test_same_data_same_bytes(void **state)
{
	struct learn_fixture *f = *state;
	struct train_result one = train(f), two = train(f), other;
	struct feature_set set = learn_built_in(f);
	struct train_options o = learn_options();
	struct error e = {0};

	assert_string_equal(one.sha256, two.sha256);
	assert_true(one.auc == two.auc && one.logloss == two.logloss);
	assert_int_equal(two.version, one.version + 1);
	o.threads = 2; /* nor do the threads matter */
	assert_ok(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &other, &e), &e);
	assert_string_equal(one.sha256, other.sha256);
	o.depth = 3;
	assert_ok(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &other, &e), &e);
	assert_string_not_equal(one.sha256, other.sha256);
}

static json_t *metadata_of(struct learn_fixture *f, const char *which)
{
	struct model_version v;
	struct error e = {0};
	json_t *o;

	assert_ok(models_get(f->m, STR("cancel_risk"), str_of(which), &f->mem, &v, &e), &e);
	assert_ok(json_read(v.metadata, "metadata", &o, &e), &e);
	return o;
}

static void test_what_is_registered(void **state)
{
	struct learn_fixture *f = *state;
	struct train_result r = train(f);
	struct model_version v;
	struct error e = {0};
	json_t *o;

	/* The labels are drawn by deposit, segment and lead time, so much can be known. */
	assert_true(r.auc > 0.65 && r.auc < 0.95);
	assert_true(r.logloss > 0 && r.logloss < 0.69);
	assert_int_equal(r.rows_train,
		learn_number(f,
			"SELECT count(*) FROM features.cancel_risk WHERE label_at < '2016-06-01' "
			"AND arrives_at < '2016-06-01'"));
	assert_int_equal(r.rows_test,
		learn_number(f,
			"SELECT count(*) FROM features.cancel_risk WHERE booked_at >= '2016-06-01' "
			"AND cancelled IS NOT NULL AND arrives_at <= (SELECT max(label_at) FROM "
			"features.cancel_risk)"));
	assert_ok(models_get(f->m, STR("cancel_risk"), STR(""), &f->mem, &v, &e), &e);
	assert_str(v.aliases, "challenger,default");
	assert_str(v.sha256, r.sha256);
	train(f);
	assert_ok(models_get(f->m, STR("cancel_risk"), STR("challenger"), &f->mem, &v, &e), &e);
	assert_int_equal(v.version, 2);
	o = metadata_of(f, "1");
	assert_str(json_get_str(json_object_get(o, "cut"), "lsn"), "1/2B");
	assert_str(json_get_str(o, "training_cut"), "2016-06-01T00:00:00.000000Z");
	assert_true(json_is_true(json_object_get(json_object_get(o, "leak_proof"), "ok")));
	json_t *evaluation = json_object_get(o, "evaluation");
	assert_true(json_number_value(json_object_get(evaluation, "auc")) == r.auc);
	json_t *segments = json_object_get(json_object_get(evaluation, "slices"), "market_segment");
	assert_int_equal(json_object_size(segments), 3);
	json_decref(o);
}

static void test_training_is_refused(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct train_options o = learn_options();
	struct train_result r;
	struct error e = {0};

	o.cut = "soon";
	assert_err(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "soon");
	o.cut = "2030-01-01";
	assert_err(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "another --cut");
	o = learn_options();
	o.learning_rate = "2";
	assert_err(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), ERR_USAGE, &e);
	set = learn_set(f,
		"SELECT booking_id, occurred_at AS booked_at, 1 AS cancelled, occurred_at AS "
		"label_at, false AS is_open, count(*) OVER () AS all_there_will_be FROM {{versions "
		"public.booking_events}} WHERE kind = 'created'");
	o = learn_options();
	assert_err(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), ERR_CHECK, &e);
	assert_has(e.text, "all_there_will_be");
	struct model_version v;
	assert_err(
		models_get(f->m, STR("cancel_risk"), STR(""), &f->mem, &v, &e), ERR_NOT_FOUND, &e);
}

static void test_cut_left_to_the_data(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct train_options o = learn_options();
	struct train_result r;
	struct error e = {0};

	o.cut = "";
	assert_ok(learn_train(f->w, f->m, &set, &o, &f->env, &f->mem, &r, &e), &e);
	assert_true(r.rows_test > 0 && r.rows_test < r.rows_train);
}

static void test_dictionary_knows_training_rows_only(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct feature_build built;
	struct features features;
	struct matrix m;
	struct error e = {0};
	size_t segment = 0, rate = 0;

	assert_ok(feature_build(f->w, &set, &f->env, &built, &e), &e);
	learn_script(f,
		"UPDATE features.cancel_risk SET market_segment = NULL WHERE booking_id = 3;"
		"UPDATE features.cancel_risk SET market_segment = 'New' WHERE booking_id = 4");
	assert_ok(features_of(f->w, &set, &f->mem, &features, &e), &e);
	assert_ok(features_learn(f->w, &set, STR("booking_id <> 4"), &f->mem, &features, &e), &e);
	for (size_t i = 0; i < features.n; i++) {
		if (str_eqc(features.items[i].name, "market_segment"))
			segment = i;
		if (str_eqc(features.items[i].name, "daily_rate"))
			rate = i;
		assert_false(feature_set_is_role(&set, features.items[i].name));
	}
	const struct feature *s = &features.items[segment];
	assert_int_equal(s->nvalues, 3);
	assert_str(s->values[0], "Direct");
	assert_str(s->values[2], "Online");
	assert_true(feature_code(s, STR("Groups")) == 1);
	assert_true(isnan(feature_code(s, STR("New"))) && isnan(feature_code(s, STR("direct"))));
	assert_ok(matrix_load(f->w, &set, &features, STR("booking_id IN (3, 4, 90)"), &m, &e), &e);
	assert_int_equal(m.rows, 3);
	assert_str(m.key[2], "90");
	assert_true(isnan(m.x[segment]) && isnan(m.x[m.cols + segment]));
	assert_true(m.x[2 * m.cols + segment] >= 0);
	assert_true(m.x[2 * m.cols + rate] == 50 && m.x[rate] == 53);
	matrix_free(&m);
}

static void test_split_by_hand(void **state)
{
	/* made, known, matured; the last known label is at 190. */
	int64_t as_of[] = {10, 20, 90, 100, 110, 120, 130},
		label_at[] = {50, 99, 95, 105, 190, 125, TIME_UNKNOWN};
	int64_t mature_at[] = {60, 100, 96, 150, 190, 300, 140};
	uint8_t label[] = {0, 1, 1, 0, 1, 1, LABEL_UNKNOWN};
	float x[] = {0, 1, 2, 3, 4, 5, 6};
	struct matrix m = {.rows = 7,
		.cols = 1,
		.x = x,
		.label = label,
		.as_of = as_of,
		.label_at = label_at,
		.mature_at = mature_at};
	struct split s;

	(void)state;
	split_by_time(&m, 100, &s);
	/* 0 and 2 train: 1 was known, but had not matured, before 100. */
	assert_int_equal(s.train.rows, 2);
	assert_int_equal(s.train.at[1], 2);
	assert_int_equal(s.train.positives, 1);
	/* 3 and 4 test: 5 was lost early and would have matured later; 6 is unknown. */
	assert_int_equal(s.test.rows, 2);
	assert_int_equal(s.test.at[0], 3);
	assert_true(s.test.x[1] == 4);
	assert_int_equal(s.watch.rows, 0); /* too few to spare */
	split_free(&s);
}

static void test_score(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct score_options o = score_options();
	struct score_result r;
	struct error e = {0};

	train(f);
	assert_ok(learn_score(f->w, f->m, &set, &o, &f->env, &r, &e), &e);
	assert_int_equal(r.model_version, 1);
	assert_string_equal(r.built.lsn, "1/2B");
	assert_true(r.rows > 0);
	assert_int_equal(
		r.rows, learn_number(f, "SELECT count(*) FROM features.cancel_risk WHERE is_open"));
	assert_int_equal(r.rows,
		learn_number(f,
			"SELECT count(*) FROM scores.predictions p JOIN ops.scorings s USING "
			"(scoring_id) JOIN features.cancel_risk c ON p.key = "
			"CAST(c.booking_id AS VARCHAR) WHERE c.is_open AND score BETWEEN 0 "
			"AND 1"));
	learn_expect_text(f,
		"SELECT concat_ws(' ', workflow, model, model_version, lsn, lsn_number, "
		"key_column, "
		"rows_scored = (SELECT count(*) FROM scores.predictions), "
		"json_valid(model_metadata)) "
		"FROM ops.scorings",
		"cancel-risk cancel_risk 1 1/2B 4294967339 booking_id true true");
	/* Who forfeits the deposit cancels more often, and the model has learned it. */
	assert_int_equal(
		learn_number(f,
			"SELECT CAST(avg(score) FILTER (WHERE deposit_type = 'Non Refund') > 0.2 + "
			"avg(score) FILTER (WHERE deposit_type = 'No Deposit') AS INTEGER) FROM "
			"scores.predictions p JOIN features.cancel_risk c ON p.key = "
			"CAST(c.booking_id AS VARCHAR)"),
		1);
}

static void test_scores_are_the_models(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct score_options o = score_options();
	struct score_result one, two;
	struct error e = {0};

	train(f);
	assert_ok(learn_score(f->w, f->m, &set, &o, &f->env, &one, &e), &e);
	o.which = "1";
	o.threads = 1;
	assert_ok(learn_score(f->w, f->m, &set, &o, &f->env, &two, &e), &e);
	assert_string_not_equal(one.scoring_id, two.scoring_id);
	assert_int_equal(
		learn_number(f,
			"SELECT count(*) FROM (SELECT key FROM scores.predictions GROUP BY "
			"key HAVING count(*) <> 2 OR min(score) <> max(score))"),
		0);
}

static void expect_no_scoring(struct learn_fixture *f)
{
	assert_int_equal(learn_number(f, "SELECT count(*) FROM ops.scorings"), 0);
}

static void test_score_refuses_mismatches(void **state)
{
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f), other;
	struct score_options o = score_options();
	struct score_result r;
	struct error e = {0};

	assert_err(learn_score(f->w, f->m, &set, &o, &f->env, &r, &e), ERR_NOT_FOUND, &e);
	train(f);
	o.key = "guest_id";
	assert_err(learn_score(f->w, f->m, &set, &o, &f->env, &r, &e), ERR_USAGE, &e);
	o = score_options();
	o.which = "99";
	assert_err(learn_score(f->w, f->m, &set, &o, &f->env, &r, &e), ERR_NOT_FOUND, &e);
	/* The same name, another text. */
	other = set;
	memset(other.sha256, '0', 64);
	o = score_options();
	assert_err(learn_score(f->w, f->m, &other, &o, &f->env, &r, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "train again");
	/* The same text, but the table behind it gives another type. */
	learn_script(f,
		"ALTER TABLE public_history.bookings_versions ALTER meal TYPE INTEGER USING "
		"length(meal)");
	assert_err(learn_score(f->w, f->m, &set, &o, &f->env, &r, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "meal");
	expect_no_scoring(f);
}

/* Scorings that readers trust; every one of them must have all its rows. */
static int64_t count_whole(struct learn_fixture *f)
{
	int64_t all = learn_number(f, "SELECT count(*) FROM ops.scorings");

	assert_int_equal(all,
		learn_number(f,
			"SELECT count(*) FROM ops.scorings s WHERE rows_scored = (SELECT "
			"count(*) FROM scores.predictions p WHERE p.scoring_id = "
			"s.scoring_id)"));
	return all;
}

static void test_score_fails_whole(void **state)
{
	static const char *const ops[] = {"query", "script", "insert"};
	struct learn_fixture *f = *state;
	struct feature_set set = learn_built_in(f);
	struct score_options o = score_options();
	struct score_result r;
	struct error e = {0};

	train(f);
	/* Every call fails once; nothing counts until all have been made, and then all of it does.
	 */
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		enum err rc = ERR_UNAVAILABLE;
		for (unsigned nth = 1; rc != OK; nth++) {
			int64_t before = count_whole(f);
			assert_true(nth < 50);
			f->w = warehouse_faulty(f->w, ops[i], nth);
			rc = learn_score(f->w, f->m, &set, &o, &f->env, &r, &e);
			learn_reopen(f);
			assert_in_range(count_whole(f), before + (rc == OK), before + 1);
			f->clock.now_us++;
		}
	}
}

#define LEARN_TEST(fn) cmocka_unit_test_setup_teardown(fn, learn_setup, learn_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEARN_TEST(test_same_data_same_bytes),
		LEARN_TEST(test_what_is_registered),
		LEARN_TEST(test_training_is_refused),
		LEARN_TEST(test_cut_left_to_the_data),
		LEARN_TEST(test_dictionary_knows_training_rows_only),
		cmocka_unit_test(test_split_by_hand),
		LEARN_TEST(test_score),
		LEARN_TEST(test_scores_are_the_models),
		LEARN_TEST(test_score_refuses_mismatches),
		LEARN_TEST(test_score_fails_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
