/* Who we become towards AWS, from each place where credentials may come from; against the fakes. */
#include "fake.h"

#include "aws_identity.h"
#include "file.h"
#include "rds_token.h"
#include "thread.h"

#define MINUTE INT64_C(60000000)
#define ROLE   "arn:aws:iam::123456789012:role/"
#define STS    "arn:aws:sts::123456789012:assumed-role/"

struct fixture {
	char dir[128];
	struct fake fake;
	const char *sts, *imds, *container;
	char text[40][256]; /* the environment of a test */
	char *environ[41];
	size_t n;
};

static int group_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	unit_tmpdir(f->dir, sizeof f->dir);
	fake_start(&f->fake, "aws.mjs", f->dir);
	f->sts = fake_says(&f->fake, "sts");
	f->imds = fake_says(&f->fake, "imds");
	f->container = fake_says(&f->fake, "container");
	*state = f;
	return 0;
}

static int group_teardown(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	fake_stop(&f->fake);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	free(f);
	return 0;
}

static void var(struct fixture *f, const char *name, const char *value)
{
	snprintf(f->text[f->n], sizeof f->text[0], "%s=%s", name, value);
	f->environ[f->n] = f->text[f->n];
	f->environ[++f->n] = NULL;
}

static int setup(void **state)
{
	struct fixture *f = *state;

	f->n = 0;
	f->environ[0] = NULL;
	f->fake.clock.ahead_us = 0;
	fake_set(&f->fake, f->sts, "{\"skewSeconds\":0,\"sessionSeconds\":null}");
	var(f, "AWS_REGION", "eu-west-1");
	var(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
	return 0;
}

static void keys(struct fixture *f)
{
	var(f, "AWS_ACCESS_KEY_ID", fake_says(&f->fake, "keyId"));
	var(f, "AWS_SECRET_ACCESS_KEY", fake_says(&f->fake, "secret"));
}

static void in_file(struct fixture *f, const char *variable, const char *name, const char *text)
{
	char path[200];
	struct error e = {0};

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	assert_ok(file_write_atomic(path, str_of(text), &e), &e);
	var(f, variable, path);
}

static struct aws_identity *open_as(struct fixture *f, const char *role, const char *external)
{
	struct aws_identity *i = NULL;
	struct error e = {0};

	assert_ok(aws_identity_new(&i,
			  &(struct aws_identity_options){.role_arn = role,
				  .external_id = external,
				  .sts_endpoint = f->sts,
				  .environ = f->environ},
			  &f->fake.env, &e),
		&e);
	return i;
}

/* Becomes that, and STS agrees. */
static void is(struct fixture *f, struct aws_identity *i, const char *arn, const char *source)
{
	struct arena mem = {0};
	struct error e = {0};
	struct str who;

	(void)f;
	assert_ok(aws_identity_who(i, &mem, &who, &e), &e);
	assert_str(who, arn);
	assert_has(arena_cstr(&mem, aws_identity_source(i, &mem)), source);
	arena_free(&mem);
}

static void becomes(struct fixture *f, const char *arn, const char *source)
{
	struct aws_identity *i = open_as(f, NULL, NULL);

	is(f, i, arn, source);
	aws_identity_free(i);
}

static void fails_as(struct fixture *f, const char *role, enum err kind, const char *says)
{
	struct aws_identity *i = open_as(f, role, NULL);
	struct aws_credentials c = {.expires_us = 0};
	struct error e = {0};

	assert_err(aws_identity_get(i, 0, &c, &e), kind, &e);
	assert_has(e.text, says);
	assert_null(strstr(e.text, "PLANTED"));
	aws_identity_free(i);
}

static void fails(struct fixture *f, enum err kind, const char *says)
{
	fails_as(f, NULL, kind, says);
}

static void test_environment(void **state)
{
	struct fixture *f = *state;

	fails(f, ERR_USAGE, "no AWS credentials");
	keys(f);
	becomes(f, "arn:aws:iam::123456789012:user/tester", "the environment");
}

static void test_profiles(void **state)
{
	struct fixture *f = *state;
	char text[2048];

	/* Both files, both forms of a section, comments, settings below a setting. */
	snprintf(text, sizeof text,
		"# keys\n[default]\naws_access_key_id = nothing\n\n[base]\n"
		"aws_access_key_id=%s ; a comment\n  nested = aws_secret_access_key\n"
		"aws_secret_access_key = %s\n",
		fake_says(&f->fake, "keyId"), fake_says(&f->fake, "secret"));
	in_file(f, "AWS_SHARED_CREDENTIALS_FILE", "credentials", text);
	in_file(f, "AWS_CONFIG_FILE", "config",
		"[default]\nregion = us-east-1\n"
		"[profile releases]\nrole_arn = " ROLE "releases\nsource_profile = base\n"
		"external_id = agreed\nrole_session_name = by-profile\ns3 =\n  a = b\n"
		"[profile \"second\"]\nrole_arn = " ROLE "releases\nsource_profile = base\n"
		"[profile run]\ncredential_process = /bin/echo PLANTED\n"
		"[profile person]\nsso_session = x\n"
		"[profile mfa]\nrole_arn = " ROLE
		"releases\nsource_profile = base\nmfa_serial = m\n"
		"[profile one]\nrole_arn = " ROLE "a\nsource_profile = two\n"
		"[profile two]\nrole_arn = " ROLE "b\nsource_profile = one\n"
		"[profile empty]\nregion = x\n"
		"[profile half]\nrole_arn = " ROLE "a\n"
		"[profile env]\nrole_arn = " ROLE "releases\ncredential_source = Environment\n"
		"external_id = agreed\n");
	size_t here = f->n;
	static const struct {
		const char *profile, *says;
	} bad[] = {
		{"second", "external id"},
		{"run", "credential_process"},
		{"person", "SSO"},
		{"mfa", "second factor"},
		{"one", "in a circle"},
		{"empty", "no credentials"},
		{"half", "source_profile"},
		{"nobody", "neither of the shared files"},
		{"env", "AWS_ACCESS_KEY_ID"},
		{"default", "secret key is missing"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		f->n = here;
		var(f, "AWS_PROFILE", bad[i].profile);
		fails(f, str_eqc(str_of(bad[i].profile), "default") ? ERR_INPUT : ERR_USAGE,
			bad[i].says);
	}
	f->n = here;
	var(f, "AWS_PROFILE", "releases");
	becomes(f, STS "releases/by-profile", "the profile releases");
	/* A profile that is named comes before keys in the environment. */
	keys(f);
	becomes(f, STS "releases/by-profile", "the profile releases");
	f->n = here;
	keys(f);
	var(f, "AWS_PROFILE", "env");
	becomes(f, STS "releases/sluice", "the profile env");
}

static void test_role(void **state)
{
	struct fixture *f = *state;

	keys(f);
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	is(f, i, STS "releases/sluice", "a role assumed with credentials of the environment");
	aws_identity_free(i);
	fails_as(f, ROLE "releases", ERR_USAGE, "external id");
	fails_as(f, ROLE "unknown", ERR_USAGE, "role/unknown");
}

static void test_web_identity(void **state)
{
	struct fixture *f = *state;
	char path[200];

	snprintf(path, sizeof path, "%s/web-token", f->dir);
	var(f, "AWS_ROLE_ARN", ROLE "web");
	size_t here = f->n;
	var(f, "AWS_WEB_IDENTITY_TOKEN_FILE", path);
	var(f, "AWS_ROLE_SESSION_NAME", "from-eks");
	becomes(f, STS "web/from-eks", "the web identity token");
	f->n = here;
	in_file(f, "AWS_WEB_IDENTITY_TOKEN_FILE", "forged", "PLANTED.PLANTED.PLANTED");
	fails(f, ERR_USAGE, "InvalidIdentityToken");
	f->n = here;
	var(f, "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
	fails(f, ERR_USAGE, "/nowhere/token");
}

static enum err give_token(void *arg, struct secret *out, struct error *e)
{
	return secret_read_file(out, arg, e);
}

static void test_web_token_function(void **state)
{
	struct fixture *f = *state;
	struct aws_identity *i = NULL;
	struct error e = {0};
	char path[200];

	snprintf(path, sizeof path, "%s/web-token", f->dir);
	assert_ok(aws_identity_new(&i,
			  &(struct aws_identity_options){.role_arn = ROLE "web",
				  .region = "eu-west-1",
				  .sts_endpoint = f->sts,
				  .web_token = give_token,
				  .web_token_arg = path,
				  .environ = f->environ},
			  &f->fake.env, &e),
		&e);
	is(f, i, STS "web/sluice", "the other cloud");
	aws_identity_free(i);
}

static void test_container(void **state)
{
	struct fixture *f = *state;
	char path[200];

	snprintf(path, sizeof path, "%s/pod-token", f->dir);
	size_t here = f->n;
	var(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI", f->container);
	fails(f, ERR_USAGE, "401");
	var(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
	becomes(f, STS "pod/eks-cluster", "the container's agent");
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	is(f, i, STS "releases/sluice", "credentials of the container's agent");
	aws_identity_free(i);
	/* What breaks off in the middle of a secret is not shown. */
	char agent[200];
	snprintf(agent, sizeof agent, "%.*s",
		(int)(strlen(f->container) - strlen("/v1/credentials")), f->container);
	fake_fault(&f->fake, agent, "{\"op\":\"credentials\",\"kind\":\"broken\",\"times\":1}");
	fails(f, ERR_INPUT, "no JSON object");
	f->n = here;
	in_file(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "split", "a\r\nHost: PLANTED");
	var(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI", f->container);
	fails(f, ERR_USAGE, "line break");
	static const char *const elsewhere[] = {"http://169.254.170.3/x", "http://example.com/x",
		"http://127.0.0.1.example.com/x", "http://user@127.0.0.1/", "ftp://127.0.0.1/"};
	for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) {
		f->n = here;
		var(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere[k]);
		fails(f, ERR_USAGE, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	}
}

static void test_instance(void **state)
{
	struct fixture *f = *state;
	struct aws_credentials a = {.expires_us = 0}, b = {.expires_us = 0};
	struct error e = {0};

	f->n = 1; /* the region alone */
	var(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT", f->imds);
	becomes(f, STS "instance-role/i-0123456789abcdef0", "the instance metadata service");
	/* A session that the service has forgotten is begun anew. */
	struct aws_identity *i = open_as(f, NULL, NULL);
	assert_ok(aws_identity_get(i, 0, &a, &e), &e);
	fake_fault(&f->fake, f->imds,
		"{\"op\":\"/latest/meta-data/iam/security-credentials/\",\"kind\":\"forget\"}");
	assert_true(aws_identity_refused(i, &a));
	assert_ok(aws_identity_get(i, 0, &b, &e), &e);
	assert_string_not_equal(a.key_id, b.key_id);
	aws_credentials_free(&a);
	aws_credentials_free(&b);
	aws_identity_free(i);
	fake_set(&f->fake, f->imds, "{\"role\":null}");
	fails(f, ERR_USAGE, "this instance has no role");
	fake_set(&f->fake, f->imds, "{\"role\":\"instance-role\"}");
	f->n = 1;
	var(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://example.com");
	fails(f, ERR_USAGE, "plain http");
	f->n = 1;
	var(f, "AWS_EC2_METADATA_DISABLED", "true");
	fails(f, ERR_USAGE, "AWS_EC2_METADATA_DISABLED");
}

/* --- refreshing --- */

/* Both clocks, ours and AWS's. */
static void ahead(struct fixture *f, int minutes)
{
	char text[64];

	f->fake.clock.ahead_us = minutes * MINUTE;
	f->fake.clock.jumped_us += MINUTE;
	snprintf(text, sizeof text, "{\"skewSeconds\":%d}", minutes * 60);
	fake_set(&f->fake, f->sts, text);
}

struct asking {
	struct aws_identity *i;
	char id[AWS_KEY_ID];
};

static enum err ask(void *arg, struct error *e)
{
	struct asking *a = arg;
	struct aws_credentials c = {.expires_us = 0};
	enum err rc = aws_identity_get(a->i, 0, &c, e);

	snprintf(a->id, sizeof a->id, "%s", c.key_id);
	aws_credentials_free(&c);
	return rc;
}

static void test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct thread t[8] = {{.started = false}};
	struct asking a[8];
	struct error e = {0};

	keys(f);
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	int before = fake_count(&f->fake, f->sts, "AssumeRole");
	fake_fault(&f->fake, f->sts, "{\"op\":\"AssumeRole\",\"kind\":\"slow\",\"ms\":200}");
	for (size_t k = 0; k < 8; k++) {
		a[k].i = i;
		assert_ok(thread_start(&t[k], "ask", ask, &a[k], &e), &e);
	}
	for (size_t k = 0; k < 8; k++)
		assert_ok(thread_join(&t[k], &e), &e);
	for (size_t k = 1; k < 8; k++)
		assert_string_equal(a[0].id, a[k].id);
	assert_int_equal(fake_count(&f->fake, f->sts, "AssumeRole"), before + 1);
	aws_identity_free(i);
}

static void test_ahead_of_expiry(void **state)
{
	struct fixture *f = *state;
	struct asking a = {0}, b = {0}, c = {0};
	struct error e = {0};

	keys(f);
	a.i = b.i = c.i = open_as(f, ROLE "releases", "agreed");
	assert_ok(ask(&a, &e), &e);
	ahead(f, 50);
	assert_ok(ask(&b, &e), &e);
	assert_string_equal(a.id, b.id);
	/* Four minutes are left: fetched anew; and while that fails, the old ones go on. */
	ahead(f, 56);
	fake_fault(&f->fake, f->sts, "{\"op\":\"AssumeRole\",\"kind\":\"internal\",\"times\":4}");
	assert_ok(ask(&b, &e), &e);
	assert_string_equal(a.id, b.id);
	/* It is not asked again at once. */
	int asked = fake_count(&f->fake, f->sts, "AssumeRole");
	assert_ok(ask(&b, &e), &e);
	assert_int_equal(fake_count(&f->fake, f->sts, "AssumeRole"), asked);
	ahead(f, 57);
	assert_ok(ask(&c, &e), &e);
	assert_string_not_equal(a.id, c.id);
	/* Past expiry there is nothing to go on with. */
	ahead(f, 57 + 61);
	fake_fault(&f->fake, f->sts, "{\"op\":\"AssumeRole\",\"kind\":\"internal\",\"times\":4}");
	assert_err(ask(&b, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "500");
	assert_ok(ask(&b, &e), &e);
	aws_identity_free(a.i);
}

static void test_refused_once(void **state)
{
	struct fixture *f = *state;
	struct aws_credentials c = {.expires_us = 0}, old = {.expires_us = 0};
	struct error e = {0};

	keys(f);
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	assert_ok(aws_identity_get(i, 0, &old, &e), &e);
	assert_true(aws_identity_refused(i, &old));
	assert_ok(aws_identity_get(i, 0, &c, &e), &e);
	assert_string_not_equal(c.key_id, old.key_id);
	/* A request that was still under way with the old ones. */
	assert_true(aws_identity_refused(i, &old));
	aws_credentials_free(&old);
	aws_credentials_free(&c);
	aws_identity_free(i);
	/* Keys that do not change are fetched anew once. */
	i = open_as(f, NULL, NULL);
	assert_ok(aws_identity_get(i, 0, &c, &e), &e);
	assert_true(aws_identity_refused(i, &c));
	assert_ok(aws_identity_get(i, 0, &c, &e), &e);
	assert_false(aws_identity_refused(i, &c));
	aws_credentials_free(&c);
	aws_identity_free(i);
}

static void test_clock(void **state)
{
	struct fixture *f = *state;

	keys(f);
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	fake_set(&f->fake, f->sts, "{\"skewSeconds\":5400}");
	is(f, i, STS "releases/sluice", "");
	int64_t off = aws_identity_now(i) - clock_wall(clock_system());
	assert_true(off > 89 * MINUTE && off < 91 * MINUTE);
	assert_false(aws_identity_saw_date(i, STR("no date")));
	aws_identity_free(i);
}

static void test_rds_token(void **state)
{
	struct fixture *f = *state;
	struct secret token = {.hidden = NULL};
	struct error e = {0};

	keys(f);
	struct aws_identity *i = open_as(f, ROLE "releases", "agreed");
	assert_ok(rds_token(i, NULL, "db.abc.us-west-2.rds.amazonaws.com", "5432", "rep lica",
			  &token, &e),
		&e);
	const char *text = secret_reveal(&token);
	assert_true(str_starts(str_of(text),
		STR("db.abc.us-west-2.rds.amazonaws.com:5432/?Action=connect&DBUser=rep%20lica&"
		    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIA")));
	assert_has(text, "%2Fus-west-2%2Frds-db%2Faws4_request");
	assert_has(text, "X-Amz-Expires=900");
	assert_has(text, "&X-Amz-Security-Token=PLANTED");
	assert_has(text, "&X-Amz-Signature=");
	/* Less than a quarter of an hour left of the role: its credentials are fetched anew first.
	 */
	int before = fake_count(&f->fake, f->sts, "AssumeRole");
	ahead(f, 50);
	assert_ok(rds_token(i, "eu-west-1", "host", "1", "u", &token, &e), &e);
	assert_int_equal(fake_count(&f->fake, f->sts, "AssumeRole"), before + 1);
	secret_free(&token);
	aws_identity_free(i);
}

static void test_region(void **state)
{
	struct fixture *f = *state;
	struct arena mem = {0};
	struct str region;
	struct error e = {0};

	struct aws_identity *i = open_as(f, NULL, NULL);
	assert_ok(aws_identity_region(i, &mem, &region, &e), &e);
	assert_str(region, "eu-west-1");
	f->n = 0;
	f->environ[0] = NULL;
	assert_ok(aws_identity_region(i, &mem, &region, &e), &e);
	assert_int_equal(region.n, 0);
	in_file(f, "AWS_CONFIG_FILE", "config", "[profile x]\nregion = ap-south-1\n");
	var(f, "AWS_PROFILE", "x");
	assert_ok(aws_identity_region(i, &mem, &region, &e), &e);
	assert_str(region, "ap-south-1");
	aws_identity_free(i);
	arena_free(&mem);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_environment),
		TEST(test_profiles),
		TEST(test_role),
		TEST(test_web_identity),
		TEST(test_web_token_function),
		TEST(test_container),
		TEST(test_instance),
		TEST(test_one_at_a_time),
		TEST(test_ahead_of_expiry),
		TEST(test_refused_once),
		TEST(test_clock),
		TEST(test_rds_token),
		TEST(test_region),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
