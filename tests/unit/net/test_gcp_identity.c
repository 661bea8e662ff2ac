/* Google identities against token services that check everything (tests/fakes). */
#include "fake_google.h"

#include <fcntl.h>

#include "gcp_identity.h"
#include "http_date.h"
#include "log.h"
#include "thread.h"

struct fixture {
	struct fake_google google;
	struct env env; /* with a clock and a log of its own */
	struct clock_manual clock;
	struct log *log;
	char log_path[200];
	int log_fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	fake_google_start(&f->google);
	f->env = f->google.env;
	snprintf(f->log_path, sizeof f->log_path, "%s/log", f->google.dir);
	f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND, 0600);
	f->log = log_open(f->log_fd, LOG_JSON, LOG_DEBUG, clock_system());
	f->env.log = f->log;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_close(f->log);
	close(f->log_fd);
	fake_google_stop(&f->google);
	free(f);
	return 0;
}

static const char *in_dir(struct fixture *f, const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", f->google.dir, name);
	return path;
}

static struct gcp_identity *open_file(struct fixture *f, const char *name)
{
	struct gcp_identity *i;
	struct error e = {0};
	char *none[] = {NULL};
	const struct gcp_identity_options o = {.file = in_dir(f, name), .environ = none};

	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	return i;
}

static void expect_token(struct gcp_identity *i, char *out, size_t n)
{
	struct secret token = {0};
	struct error e = {0};

	assert_ok(gcp_identity_token(i, &token, &e), &e);
	assert_true(str_starts(str_of(secret_reveal(&token)), STR("ya29.")));
	if (out != NULL)
		snprintf(out, n, "%s", secret_reveal(&token));
	secret_free(&token);
}

static void expect_who(struct gcp_identity *i, const char *part)
{
	struct arena mem = {0};
	struct error e = {0};
	struct str who;

	assert_ok(gcp_identity_who(i, &mem, &who, &e), &e);
	assert_has(who.p, part);
	arena_free(&mem);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *file, *who;
	} cases[] = {
		{"direct.json", "system:serviceaccount:sluice:writer by federation"},
		{"federated.json", "writer@sluice-test.iam.gserviceaccount.com"},
		{"url.json", "system:serviceaccount:sluice:writer by federation"},
		{"key.json", "key@sluice-test.iam.gserviceaccount.com by a stored key"},
		{"impersonating.json", "writer@sluice-test.iam.gserviceaccount.com"},
	};

	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct gcp_identity *i = open_file(f, cases[k].file);
		expect_token(i, NULL, 0);
		expect_who(i, cases[k].who);
		gcp_identity_close(i);
	}
}

static void test_metadata(void **state)
{
	struct fixture *f = *state;
	char host[128];
	char *environment[] = {host, NULL};
	struct gcp_identity *i;
	struct error e = {0};
	struct secret token = {0};
	const struct gcp_identity_options o = {.environ = environment};

	snprintf(host, sizeof host, "GCE_METADATA_HOST=%s", f->google.metadata + strlen("http://"));
	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	fake_google_set(&f->google, f->google.metadata, "faults",
		"{\"op\":\"metadata\",\"kind\":\"impostor\"}");
	assert_err(gcp_identity_token(i, &token, &e), ERR_INPUT, &e);
	expect_token(i, NULL, 0);
	expect_who(i, "machine@sluice-test.iam.gserviceaccount.com");
	assert_ok(gcp_identity_id_token(i, "sts.amazonaws.com", &token, &e), &e);
	assert_true(str_starts(str_of(secret_reveal(&token)), STR("eyJ")));
	secret_free(&token);
	gcp_identity_close(i);

	snprintf(host, sizeof host, "GCE_METADATA_HOST=attacker.example");
	assert_err(gcp_identity_open(&i, &o, &f->env, &e), ERR_USAGE, &e);
}

/* Variables of AWS: its key id, and what else a test gives. */
static char key_id[] = "AWS_ACCESS_KEY_ID=AKIDFEDERATED";
static char good_key[] = "AWS_SECRET_ACCESS_KEY=federated-aws-secret";
static char bad_key[] = "AWS_SECRET_ACCESS_KEY=planted-wrong";
static char region[] = "AWS_REGION=eu-west-1";
static char no_home[] = "HOME=/nonexistent";

/* The form of sluice on AWS with no token file: the fake computes the signature anew. */
static void test_aws_form(void **state)
{
	struct fixture *f = *state;
	char *environment[] = {key_id, good_key, region, no_home, NULL};
	char *nowhere[] = {key_id, good_key, no_home, NULL};
	char *wrong[] = {key_id, bad_key, region, no_home, NULL};
	struct gcp_identity_options o = {.file = in_dir(f, "aws.json"), .environ = environment};
	struct gcp_identity *i;
	struct error e = {0};
	struct secret token = {0};
	struct http_reply reply;

	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	expect_token(i, NULL, 0);
	gcp_identity_close(i);
	fake_google_tell(&f->google, f->google.sts, "state", NULL, &reply);
	assert_true(str_find(buf_str(&reply.body), STR("\"targetSigned\":true")) >= 0);
	http_reply_free(&reply);

	o.environ = nowhere;
	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "AWS_REGION");
	gcp_identity_close(i);

	o.environ = wrong;
	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "SignatureDoesNotMatch");
	assert_null(strstr(e.text, "planted-wrong"));
	gcp_identity_close(i);
}

static void test_aws_clock_is_wrong(void **state)
{
	struct fixture *f = *state;
	char *environment[] = {key_id, good_key, region, no_home, NULL};
	const struct gcp_identity_options o = {
		.file = in_dir(f, "aws.json"), .environ = environment};
	struct gcp_identity *i;
	struct error e = {0};

	fake_google_set(&f->google, f->google.sts, "set", "{\"skew\":7200}");
	assert_ok(gcp_identity_open(&i, &o, &f->env, &e), &e);
	expect_token(i, NULL, 0);
	gcp_identity_close(i);
	fake_google_set(&f->google, f->google.sts, "set", "{\"skew\":0}");
}

/* Two hours' difference: the JWT is made anew by Google's time, the lifetime counts from it. */
static void test_key_clock_is_wrong(void **state)
{
	struct fixture *f = *state;

	fake_google_set(&f->google, f->google.sts, "set", "{\"skew\":-7200}");
	struct gcp_identity *i = open_file(f, "impersonating.json");
	char one[512], two[512];
	expect_token(i, one, sizeof one);
	expect_token(i, two, sizeof two);
	assert_string_equal(one, two);
	gcp_identity_close(i);
	fake_google_set(&f->google, f->google.sts, "set", "{\"skew\":0}");
}

static void test_renewal(void **state)
{
	struct fixture *f = *state;
	struct env env = f->env;
	char one[512], two[512];
	struct error e = {0};
	struct secret token = {0};
	char *none[] = {NULL};
	struct gcp_identity *i;
	const struct gcp_identity_options o = {.file = in_dir(f, "direct.json"), .environ = none};

	clock_manual_init(&f->clock, clock_wall(clock_system()));
	env.clock = &f->clock.base;
	assert_ok(gcp_identity_open(&i, &o, &env, &e), &e);
	expect_token(i, one, sizeof one);
	f->clock.now_us += INT64_C(3200000000);
	expect_token(i, two, sizeof two);
	assert_string_equal(one, two); /* 6 minutes 40 are left */

	/* Four minutes are left and Google is away: the old one will do, and is not tried for again
	 * at once. (Twice, for the moved clock makes us ask again by Google's time.) */
	fake_google_set(
		&f->google, f->google.sts, "faults", "{\"op\":\"sts\",\"status\":400,\"times\":2}");
	f->clock.now_us += INT64_C(160000000);
	expect_token(i, two, sizeof two);
	assert_string_equal(one, two);
	expect_token(i, two, sizeof two);
	assert_string_equal(one, two);
	f->clock.now_us += INT64_C(31000000);
	expect_token(i, two, sizeof two);
	assert_string_not_equal(one, two);

	/* Refused: fetched anew, once for all who held it. */
	secret_set(&token, str_of(two));
	gcp_identity_refused(i, &token);
	expect_token(i, one, sizeof one);
	assert_string_not_equal(one, two);
	gcp_identity_refused(i, &token);
	expect_token(i, two, sizeof two);
	assert_string_equal(one, two);
	secret_free(&token);

	/* Expired, and Google says no: then there is none. */
	fake_google_set(
		&f->google, f->google.sts, "faults", "{\"op\":\"sts\",\"status\":400,\"times\":2}");
	f->clock.now_us += INT64_C(3700000000);
	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	gcp_identity_close(i);
}

static enum err ask_many(void *arg, struct error *e)
{
	for (int k = 0; k < 50; k++) {
		struct secret token = {0};
		TRY(gcp_identity_token(arg, &token, e));
		secret_free(&token);
	}
	return OK;
}

static void test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct gcp_identity *i = open_file(f, "federated.json");
	struct thread threads[8] = {{0}};
	struct error e = {0};
	int64_t before = fake_google_count(&f->google, f->google.sts, "log", "log", NULL);

	for (size_t k = 0; k < 8; k++)
		assert_ok(thread_start(&threads[k], "ask", ask_many, i, &e), &e);
	for (size_t k = 0; k < 8; k++)
		assert_ok(thread_join(&threads[k], &e), &e);
	assert_int_equal(
		fake_google_count(&f->google, f->google.sts, "log", "log", NULL), before + 2);
	gcp_identity_close(i);
}

static void test_id_tokens(void **state)
{
	struct fixture *f = *state;
	static const char *const can[] = {"federated.json", "key.json", "impersonating.json"};
	struct error e = {0};

	for (size_t k = 0; k < 3; k++) {
		struct gcp_identity *i = open_file(f, can[k]);
		struct gcp_web_identity w = {i, "https://sts.amazonaws.com"};
		struct secret token = {0};
		assert_ok(gcp_identity_web_token(&w, &token, &e), &e);
		assert_true(str_starts(str_of(secret_reveal(&token)), STR("eyJ")));
		secret_free(&token);
		gcp_identity_close(i);
	}
	struct gcp_identity *i = open_file(f, "direct.json");
	struct secret token = {0};
	assert_err(gcp_identity_id_token(i, "x", &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "service_account_impersonation_url");
	gcp_identity_close(i);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct secret token = {0};
	char planted[4096];
	struct gcp_identity *i = open_file(f, "stranger.json");

	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "roles/iam.workloadIdentityUser");
	gcp_identity_close(i);

	/* A token that Google quotes in its refusal appears nowhere. */
	i = open_file(f, "direct.json");
	snprintf(planted, sizeof planted, "eyJhbGciOiJSUzI1NiJ9.planted-%s", "subject-token.x");
	char saved[256], token_path[256];
	snprintf(token_path, sizeof token_path, "%s", in_dir(f, "token.jwt"));
	snprintf(saved, sizeof saved, "%s", in_dir(f, "token.jwt.saved"));
	assert_int_equal(rename(token_path, saved), 0);
	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "projected token");
	assert_ok(file_write_atomic(token_path, str_of(planted), &e), &e);
	assert_err(gcp_identity_token(i, &token, &e), ERR_USAGE, &e);
	assert_has(e.text, "invalid_grant");
	assert_null(strstr(e.text, "planted"));
	assert_int_equal(rename(saved, token_path), 0);
	expect_token(i, NULL, 0);
	gcp_identity_close(i);
}

struct bad_file {
	const char *json, *says;
};

static void test_files_refused(void **state)
{
	struct fixture *f = *state;
	static const struct bad_file bad[] = {
		{"{\"type\":\"authorized_user\",\"refresh_token\":\"planted\"}", "authorized_user"},
		{"{\"type\":\"other\"}", "\"type\""},
		{"planted, no JSON", "no JSON"},
		{"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
		 "\"token_url\":\"http://sts.example/v1/token\",\"credential_source\":"
		 "{\"file\":\"x\"}}",
			"not https"},
		{"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
		 "\"token_url\":\"https://sts.example/v1/token\",\"credential_source\":"
		 "{\"executable\":{\"command\":\"x\"}}}",
			"runs no programs"},
		{"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
		 "\"token_url\":\"https://sts.example/v1/token\",\"credential_source\":"
		 "{\"environment_id\":\"aws1\",\"regional_cred_verification_url\":"
		 "\"https://sts.attacker.example/.amazonaws.com?Action=GetCallerIdentity\"}}",
			"not AWS's STS"},
		{"{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
		 "\"token_url\":\"https://sts.example/v1/token\",\"credential_source\":"
		 "{\"file\":\"x\",\"url\":\"https://y\"}}",
			"one of them"},
		{"{\"type\":\"external_account\",\"universe_domain\":\"other.example\"}",
			"universe_domain"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b\",\"token_uri\":"
		 "\"https://x/token\"}",
			"private_key"},
	};
	char path[256];
	char *none[] = {NULL};
	const struct gcp_identity_options o = {.file = path, .environ = none};
	struct gcp_identity *i;
	struct error e = {0};

	snprintf(path, sizeof path, "%s", in_dir(f, "bad.json"));
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		assert_ok(file_write_atomic(path, str_of(bad[k].json), &e), &e);
		assert_err(gcp_identity_open(&i, &o, &f->env, &e), ERR_USAGE, &e);
		assert_has(e.text, bad[k].says);
		assert_has(e.text, "bad.json");
		assert_null(strstr(e.text, "planted"));
		assert_null(i);
	}
	assert_int_equal(unlink(path), 0);
	assert_err(gcp_identity_open(&i, &o, &f->env, &e), ERR_USAGE, &e);
}

/* Runs last: nothing that was secret in the tests above has been logged. */
static void test_log_is_clean(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	struct error e = {0};

	buf_init(&b, 1 << 22);
	assert_ok(file_read(f->log_path, &b, &e), &e);
	assert_true(str_find(buf_str(&b), STR("stored secret")) >= 0); /* the warning about keys */
	assert_true(str_find(buf_str(&b), STR("planted")) < 0);
	assert_true(str_find(buf_str(&b), STR("eyJ")) < 0);
	assert_true(str_find(buf_str(&b), STR("BEGIN PRIVATE")) < 0);
	buf_free(&b);
}

static void test_http_date(void **state)
{
	int64_t us;

	(void)state;
	assert_true(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &us));
	assert_int_equal(us, INT64_C(784111777000000));
	assert_false(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 UTC"), &us));
	assert_false(http_date_parse(STR("Sun, 06 Nox 1994 08:49:37 GMT"), &us));
	assert_false(http_date_parse(STR("Sun, 06 Nov 1994 24:49:37 GMT"), &us));
	assert_false(http_date_parse(STR(""), &us));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_aws_form),
		cmocka_unit_test(test_aws_clock_is_wrong),
		cmocka_unit_test(test_key_clock_is_wrong),
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_id_tokens),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_files_refused),
		cmocka_unit_test(test_log_is_clean),
		cmocka_unit_test(test_http_date),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
