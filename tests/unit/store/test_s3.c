/*
 * The S3 driver against the fake of tests/fakes: the contract of store.h, and what S3 may do to a
 * client: lost answers, throttling, errors inside a 200, conflicts, wrong clocks, expired sessions.
 */
#include "fake.h"

#include "file.h"
#include "store.h"

#define PART ((size_t)5 << 20)

/* One fake for all; each test has a prefix of its own. */
struct fixture {
	char dir[128];
	struct fake fake;
	const char *s3, *sts;
	int number;
	char url[96], prefix[64];
	struct store *store;
};

static const char *const identity_variables[] = {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION",
	"AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"};

static void use_keys(const struct fixture *f)
{
	for (size_t i = 0; i < sizeof identity_variables / sizeof *identity_variables; i++)
		unsetenv(identity_variables[i]);
	setenv("AWS_ACCESS_KEY_ID", fake_says(&f->fake, "keyId"), 1);
	setenv("AWS_SECRET_ACCESS_KEY", fake_says(&f->fake, "secret"), 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
	setenv("AWS_CONFIG_FILE", "/nowhere", 1);
}

static struct store_options options(const struct fixture *f)
{
	return (struct store_options){.url = f->url,
		.endpoint = f->s3,
		.sts_endpoint = f->sts,
		.region = "eu-west-1",
		.part_size = (int64_t)PART};
}

static struct store *open_with(struct fixture *f, const struct store_options *o)
{
	struct store *s = NULL;
	struct error e = {0};

	assert_ok(store_open_with(&s, o, &f->fake.env, &e), &e);
	return s;
}

static int group_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	unit_tmpdir(f->dir, sizeof f->dir);
	fake_start(&f->fake, "aws.mjs", f->dir);
	f->s3 = fake_says(&f->fake, "s3");
	f->sts = fake_says(&f->fake, "sts");
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

static int setup(void **state)
{
	struct fixture *f = *state;

	use_keys(f);
	snprintf(f->prefix, sizeof f->prefix, "pre fix/%02d", ++f->number);
	snprintf(f->url, sizeof f->url, "s3://bucket/%s", f->prefix);
	fake_set(&f->fake, f->s3,
		"{\"skewSeconds\":0,\"deny\":[],\"pageSize\":1000,\"ignoreConditions\":false}");
	const struct store_options o = options(f);
	f->store = open_with(f, &o);
	return 0;
}

static int teardown(void **state)
{
	store_close(((struct fixture *)*state)->store);
	return 0;
}

static enum err put(struct store *s, const char *key, const char *body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	return store_put(s, str_of(key), str_of(body), cond, match, etag, e);
}

static void expect(struct store *s, const char *key, struct str body, char *etag)
{
	struct buf b;
	struct error e = {0};

	buf_init(&b, 64 << 20);
	assert_ok(store_get(s, str_of(key), &b, etag, &e), &e);
	assert_true(str_eq(buf_str(&b), body));
	buf_free(&b);
}

static void fault(struct fixture *f, const char *op, const char *kind, int times, int skip)
{
	char text[256];
	snprintf(text, sizeof text, "{\"op\":\"%s\",\"kind\":\"%s\",\"times\":%d,\"skip\":%d}", op,
		kind, times, skip);
	fake_fault(&f->fake, f->s3, text);
}

/* Every fault that was asked for was played. */
static void all_played(struct fixture *f)
{
	json_t *o = fake_ask(&f->fake, f->s3, "/_fake/log", NULL);
	assert_int_equal(json_integer_value(json_object_get(o, "left")), 0);
	json_decref(o);
}

/* Versions of the key with the prefix, and uploads that were neither completed nor aborted. */
static int versions(struct fixture *f, const char *key, int *uploads)
{
	json_t *o = fake_ask(&f->fake, f->s3, "/_fake/state", NULL), *object;
	size_t i;
	int n = 0;

	*uploads = (int)json_integer_value(json_object_get(o, "uploads"));
	json_array_foreach (json_object_get(o, "objects"), i, object)
		if (str_eqc(json_get_str(object, "key"), key))
			n = (int)json_array_size(json_object_get(object, "versions"));
	json_decref(o);
	return n;
}

static void put_is_once(struct fixture *f, const char *key, int want)
{
	char whole[256];
	int uploads;

	snprintf(whole, sizeof whole, "%s/%s", f->prefix, key);
	assert_int_equal(versions(f, whole, &uploads), want);
	assert_int_equal(uploads, 0);
}

static void test_contract(void **state)
{
	struct fixture *f = *state;
	struct store *s = f->store;
	struct error e = {0};
	struct buf b;
	char one[STORE_ETAG], two[STORE_ETAG], got[STORE_ETAG];

	buf_init(&b, 1 << 20);
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "a/b");
	assert_ok(put(s, "a/b", "one", STORE_ANY, NULL, one, &e), &e);
	/* The version that S3 gave stands in the etag. */
	assert_has(one, "\" v0000");
	assert_ok(put(s, "a/b", "two", STORE_ANY, NULL, two, &e), &e);
	assert_string_not_equal(one, two);
	expect(s, "a/b", STR("two"), got);
	assert_string_equal(two, got);
	assert_err(put(s, "a/b", "x", STORE_IF_ABSENT, NULL, NULL, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "exists already");
	assert_err(put(s, "a/b", "x", STORE_IF_MATCH, one, NULL, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "another writer");
	assert_err(put(s, "none", "x", STORE_IF_MATCH, one, NULL, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "does not exist");
	assert_ok(put(s, "a/b", "three", STORE_IF_MATCH, two, got, &e), &e);
	expect(s, "a/b", STR("three"), NULL);
	assert_ok(put(s, "empty", "", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(s, "empty", STR(""), NULL);
	assert_ok(store_remove(s, STR("a/b"), &e), &e);
	assert_ok(store_remove(s, STR("a/b"), &e), &e);
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_NOT_FOUND, &e);
	assert_ok(put(s, "a/b", "again", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	buf_free(&b);

	/* A get appends; what does not fit is refused. */
	buf_init(&b, 6);
	buf_puts(&b, ">");
	assert_ok(store_get(s, STR("a/b"), &b, NULL, &e), &e);
	assert_str(buf_str(&b), ">again");
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_INPUT, &e);
	buf_free(&b);
}

/* Signed right, whatever stands in the key. */
static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	static const char *const keys[] = {"k/a b", "k/a+b", "k/a=b&c", "k/100%", "k/(x)*!'~",
		"k/\xc3\xa9\xe1\x88\xb4", "k/a:b;c@d,e$f", "k/?#[]", "k/a\"b<c>", "k/..x"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_ok(put(f->store, keys[i], keys[i], STORE_IF_ABSENT, NULL, NULL, &e), &e);
		expect(f->store, keys[i], str_of(keys[i]), NULL);
	}
}

struct seen {
	char text[4096];
	size_t n;
};

static enum err see(void *arg, struct str key, size_t bytes, struct error *e)
{
	struct seen *s = arg;
	(void)e;
	size_t at = strlen(s->text);
	snprintf(s->text + at, sizeof s->text - at, "%.*s=%zu|", STR_ARG(key), bytes);
	s->n++;
	return OK;
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct seen all = {.n = 0}, some = {.n = 0};
	struct store_options o = options(f);

	fake_set(&f->fake, f->s3, "{\"pageSize\":3}");
	static const char *const keys[] = {
		"b", "a b/c", "a+b", "a/1", "a/2", "\xc3\xa9", "a%41", "z&<>", "a b", "a"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		assert_ok(put(f->store, keys[i], "12", STORE_ANY, NULL, NULL, &e), &e);
	assert_ok(store_list(f->store, STR(""), see, &all, &e), &e);
	assert_string_equal(all.text,
		"a=2|a b=2|a b/c=2|a%41=2|a+b=2|a/1=2|a/2=2|b=2|z&<>=2|"
		"\xc3\xa9=2|");
	assert_ok(store_list(f->store, STR("a/"), see, &some, &e), &e);
	assert_string_equal(some.text, "a/1=2|a/2=2|");
	/* Another prefix sees none of them; one above sees no key that would be none of a store's.
	 */
	o.url = "s3://bucket";
	struct store *whole = open_with(f, &o);
	struct seen none = {.n = 0};
	assert_ok(store_list(whole, STR("other/"), see, &none, &e), &e);
	assert_int_equal(none.n, 0);
	char below[80];
	snprintf(below, sizeof below, "%s/a/", f->prefix);
	assert_ok(store_list(whole, str_of(below), see, &none, &e), &e);
	assert_int_equal(none.n, 2);
	store_close(whole);
}

/* --- what can go wrong with one request --- */

static void test_lost_answers(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	char tag[STORE_ETAG], etag[STORE_ETAG];
	static const char *const kinds[] = {"lost", "unsure"};

	for (size_t i = 0; i < 2; i++) {
		char key[16];
		snprintf(key, sizeof key, "l/%zu", i);
		/* Our own put met by its repetition is no conflict. */
		fault(f, "PutObject", kinds[i], 1, 0);
		assert_ok(put(f->store, key, "first", STORE_IF_ABSENT, NULL, tag, &e), &e);
		put_is_once(f, key, 1);
		expect(f->store, key, STR("first"), etag);
		assert_string_equal(tag, etag);
		fault(f, "PutObject", kinds[i], 1, 0);
		assert_ok(put(f->store, key, "second", STORE_IF_MATCH, tag, etag, &e), &e);
		put_is_once(f, key, 2);
		/* Somebody else's of the same content is one. */
		fault(f, "PutObject", "reset", 1, 0);
		assert_err(put(f->store, key, "second", STORE_IF_ABSENT, NULL, NULL, &e),
			ERR_CONFLICT, &e);
		put_is_once(f, key, 2);
	}
	fault(f, "DeleteObject", "lost", 1, 0);
	assert_ok(store_remove(f->store, STR("l/0"), &e), &e);
	all_played(f);
}

static void test_storms(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	fault(f, "PutObject", "slow-down", 4, 0);
	fault(f, "PutObject", "internal", 1, 0);
	fault(f, "PutObject", "conflict", 1, 0);
	assert_ok(put(f->store, "s", "body", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	put_is_once(f, "s", 1);
	fault(f, "GetObject", "slow-down", 2, 0);
	fault(f, "GetObject", "cut", 1, 0);
	fault(f, "GetObject", "damage", 1, 0);
	expect(f->store, "s", STR("body"), NULL);
	fault(f, "ListObjectsV2", "slow-down", 2, 0);
	struct seen seen = {.n = 0};
	assert_ok(store_list(f->store, STR(""), see, &seen, &e), &e);
	all_played(f);
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct buf b;
	struct store_options o = options(f);

	assert_ok(put(f->store, "d", "what was stored", STORE_ANY, NULL, NULL, &e), &e);
	buf_init(&b, 1 << 20);
	fault(f, "GetObject", "damage", 2, 0);
	assert_err(store_get(f->store, STR("d"), &b, NULL, &e), ERR_INPUT, &e);
	assert_has(e.text, "SHA-256");
	assert_int_equal(b.n, 0);
	/* Our own digest is looked at even where S3's are turned off. */
	o.no_checksums = true;
	struct store *s = open_with(f, &o);
	fault(f, "GetObject", "damage", 2, 0);
	assert_err(store_get(s, STR("d"), &b, NULL, &e), ERR_INPUT, &e);
	assert_ok(store_get(s, STR("d"), &b, NULL, &e), &e);
	store_close(s);
	buf_free(&b);
}

/* What somebody on the way says is not taken for "absent". */
static void test_stranger(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1 << 20);
	fault(f, "GetObject", "stranger", 1, 0);
	assert_err(store_get(f->store, STR("y"), &b, NULL, &e), ERR_USAGE, &e);
	fault(f, "PutObject", "stranger", 1, 0);
	assert_err(put(f->store, "y", "1", STORE_IF_ABSENT, NULL, NULL, &e), ERR_USAGE, &e);
	buf_free(&b);
}

/* --- many parts --- */

static struct str big(char seed)
{
	size_t n = 3 * PART + 12345;
	char *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(seed + (char)(i * 31 >> 7));
	return str_make(p, n);
}

static void free_big(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static void test_parts(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct str body = big(1), other = big(2);
	char tag[STORE_ETAG], etag[STORE_ETAG];

	assert_ok(store_put(f->store, STR("p/1"), body, STORE_IF_ABSENT, NULL, tag, &e), &e);
	assert_has(tag, "-4\"");
	expect(f->store, "p/1", body, etag);
	assert_string_equal(tag, etag);
	assert_err(store_put(f->store, STR("p/1"), other, STORE_IF_ABSENT, NULL, NULL, &e),
		ERR_CONFLICT, &e);
	assert_ok(store_put(f->store, STR("p/1"), other, STORE_IF_MATCH, tag, etag, &e), &e);
	assert_err(store_put(f->store, STR("p/1"), body, STORE_IF_MATCH, tag, NULL, &e),
		ERR_CONFLICT, &e);
	expect(f->store, "p/1", other, NULL);
	put_is_once(f, "p/1", 2);
	/* Damage on the way shows by the digest of the parts' digests; without it by our own. */
	struct buf b;
	buf_init(&b, 64 << 20);
	fault(f, "GetObject", "damage", 2, 0);
	assert_err(store_get(f->store, STR("p/1"), &b, NULL, &e), ERR_INPUT, &e);
	struct store_options plain = options(f);
	plain.no_checksums = true;
	struct store *s = open_with(f, &plain);
	assert_ok(store_put(s, STR("p/plain"), body, STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(s, "p/plain", body, NULL);
	fault(f, "GetObject", "damage", 2, 0);
	assert_err(store_get(s, STR("p/plain"), &b, NULL, &e), ERR_INPUT, &e);
	store_close(s);
	buf_free(&b);
	/* Each of the ways in which a part or the whole may be doubtful. */
	fault(f, "UploadPart", "slow-down", 2, 1);
	fault(f, "UploadPart", "lost", 1, 1);
	fault(f, "CreateMultipartUpload", "slow-down", 1, 0);
	fault(f, "CompleteMultipartUpload", "error-200", 1, 0);
	fault(f, "CompleteMultipartUpload", "slow-down", 1, 0);
	assert_ok(store_put(f->store, STR("p/2"), body, STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(f->store, "p/2", body, NULL);
	put_is_once(f, "p/2", 1);
	static const char *const done[] = {"lost", "unsure", "done-error-200"};
	for (size_t i = 0; i < 3; i++) {
		char key[16];
		snprintf(key, sizeof key, "p/done%zu", i);
		fault(f, "CompleteMultipartUpload", done[i], 1, 0);
		assert_ok(
			store_put(f->store, str_of(key), body, STORE_IF_ABSENT, NULL, tag, &e), &e);
		put_is_once(f, key, 1);
		expect(f->store, key, body, etag);
		assert_string_equal(tag, etag);
	}
	/* A conflict at the end: the whole upload is made again. */
	fault(f, "CompleteMultipartUpload", "conflict", 1, 0);
	assert_ok(store_put(f->store, STR("p/3"), body, STORE_IF_ABSENT, NULL, NULL, &e), &e);
	put_is_once(f, "p/3", 1);
	all_played(f);
	free_big(body);
	free_big(other);
}

/* What fails for good leaves no parts behind. */
static void test_parts_abort(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct str body = big(3);

	fake_set(&f->fake, f->s3, "{\"deny\":[\"UploadPart\"]}");
	assert_err(store_put(f->store, STR("p/4"), body, STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "AccessDenied");
	put_is_once(f, "p/4", 0);
	fake_set(&f->fake, f->s3, "{\"deny\":[\"CompleteMultipartUpload\"]}");
	assert_err(store_put(f->store, STR("p/4"), body, STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	put_is_once(f, "p/4", 0);
	free_big(body);
}

/* --- identity, clock, place --- */

static void test_clock(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	/* An hour off: S3's own time is taken, and the request made again. */
	fake_set(&f->fake, f->s3, "{\"skewSeconds\":3600}");
	assert_ok(put(f->store, "c", "1", STORE_ANY, NULL, NULL, &e), &e);
	fake_set(&f->fake, f->s3, "{\"skewSeconds\":-7200}");
	expect(f->store, "c", STR("1"), NULL);
}

static void test_expired_session(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct store_options o = options(f);

	o.role_arn = "arn:aws:iam::123456789012:role/releases";
	o.external_id = "agreed";
	struct store *s = open_with(f, &o);
	int before = fake_count(&f->fake, f->sts, "AssumeRole");
	assert_ok(put(s, "x", "1", STORE_ANY, NULL, NULL, &e), &e);
	/* Fetched anew, once; the second refusal is the answer. */
	fault(f, "PutObject", "expired", 1, 0);
	assert_ok(put(s, "x", "2", STORE_ANY, NULL, NULL, &e), &e);
	assert_int_equal(fake_count(&f->fake, f->sts, "AssumeRole"), before + 2);
	store_close(s);
	/* The long-lived keys cannot be fetched anew into others. */
	fault(f, "PutObject", "expired", 2, 0);
	assert_err(put(f->store, "x", "3", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_null(strstr(e.text, "PLANTED"));
	all_played(f);
}

static void refused_open(struct fixture *f, const struct store_options *o, const char *says)
{
	struct store *s = NULL;
	struct error e = {0};

	assert_err(store_open_with(&s, o, &f->fake.env, &e), ERR_USAGE, &e);
	assert_has(e.text, says);
}

static void test_wrong_places(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct store_options o = options(f);

	o.region = "us-east-2";
	struct store *s = open_with(f, &o);
	assert_err(put(s, "x", "1", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "set [store] region = eu-west-1");
	store_close(s);
	o = options(f);
	o.url = "s3://another";
	s = open_with(f, &o);
	assert_err(put(s, "x", "1", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "NoSuchBucket");
	store_close(s);
	static const char *const bad[] = {"s3://", "s3://A", "s3://ab", "s3://a_b_c", "s3://-abc",
		"s3://bucket//x", "s3://bucket/a/../b", "s3://zone--x-s3"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		o.url = bad[i];
		refused_open(f, &o, "opening the object store");
	}
	o = options(f);
	o.endpoint = "http://s3.example.com";
	refused_open(f, &o, "plain http");
	o.endpoint = "http://127.0.0.1.example.com";
	refused_open(f, &o, "plain http");
	o.endpoint = "ftp://x";
	refused_open(f, &o, "[store] endpoint");
	o = options(f);
	o.endpoint = NULL;
	o.region = NULL;
	refused_open(f, &o, "no region is known");
	/* Nobody listens: it may later. */
	o = options(f);
	o.endpoint = "http://127.0.0.1:9";
	s = open_with(f, &o);
	f->fake.env.stop = NULL;
	setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN", 1);
	store_close(s);
	o = options(f);
	s = open_with(f, &o);
	assert_err(put(s, "x", "1", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "InvalidAccessKeyId");
	store_close(s);
	setenv("AWS_ACCESS_KEY_ID", fake_says(&f->fake, "keyId"), 1);
	setenv("AWS_SECRET_ACCESS_KEY", "PLANTED-wrong", 1);
	s = open_with(f, &o);
	assert_err(put(s, "x", "1", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "SignatureDoesNotMatch");
	assert_null(strstr(e.text, "PLANTED"));
	store_close(s);
}

static void test_who(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct store_options o = options(f);
	struct buf b;
	int uploads;

	buf_init(&b, 1 << 16);
	assert_ok(store_who(f->store, &b, &e), &e);
	assert_has(buf_cstr(&b),
		"arn:aws:iam::123456789012:user/tester (credentials of the "
		"environment), which may list, read and write s3://bucket/pre fix/");
	/* Nothing was written. */
	char probe[96];
	snprintf(probe, sizeof probe, "%s/.sluice/probe", f->prefix);
	assert_int_equal(versions(f, probe, &uploads), 0);
	o.role_arn = "arn:aws:iam::123456789012:role/reader";
	struct store *s = open_with(f, &o);
	buf_reset(&b);
	assert_ok(store_who(s, &b, &e), &e);
	assert_has(buf_cstr(&b), "assumed-role/reader/sluice");
	assert_has(buf_cstr(&b), "but not write");
	store_close(s);
	fake_set(&f->fake, f->s3, "{\"deny\":[\"ListObjectsV2\"]}");
	assert_err(store_who(f->store, &b, &e), ERR_CHECK, &e);
	assert_has(e.text, "s3:ListObjectsV2");
	fake_set(&f->fake, f->s3, "{\"deny\":[],\"ignoreConditions\":true}");
	assert_err(store_who(f->store, &b, &e), ERR_CHECK, &e);
	assert_has(e.text, "ignores If-Match");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_contract, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stranger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts_abort, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expired_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
