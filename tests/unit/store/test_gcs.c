/* The contract of store.h, held against the Cloud Storage driver and a fake that checks the rules.
 */
#include "fake_google.h"

#include <fcntl.h>
#include <stdatomic.h>

#include "log.h"
#include "store.h"
#include "thread.h"

struct fixture {
	struct fake_google google;
	struct env env;
	struct log *log;
	int log_fd;
	char log_path[200], credentials[200];
	struct store *store;
};

#define BIG ((size_t)5 * 262144 + 1000) /* three parts */

static struct store *open_store(struct fixture *f, const char *url)
{
	struct store *s;
	struct error e = {0};
	const struct store_options o = {.url = url,
		.endpoint = f->google.gcs,
		.credentials = f->credentials,
		.part_size = 600000}; /* rounded down to 512 KiB */

	assert_ok(store_open_with(&s, &o, &f->env, &e), &e);
	return s;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	fake_google_start(&f->google);
	f->env = f->google.env;
	snprintf(f->log_path, sizeof f->log_path, "%s/log", f->google.dir);
	f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND, 0600);
	f->log = log_open(f->log_fd, LOG_JSON, LOG_DEBUG, clock_system());
	f->env.log = f->log;
	snprintf(f->credentials, sizeof f->credentials, "%s/federated.json", f->google.dir);
	f->store = open_store(f, "gs://releases/a prefix/ü/");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	log_close(f->log);
	close(f->log_fd);
	fake_google_stop(&f->google);
	free(f);
	return 0;
}

/* No fault is left over from the test before, none of this one goes unplayed. */
static void fault(struct fixture *f, const char *json)
{
	fake_google_set(&f->google, f->google.gcs, "faults", json);
}

static void expect_played(struct fixture *f)
{
	assert_int_equal(fake_google_count(&f->google, f->google.gcs, "log", "left", NULL), 0);
}

static enum err put(struct store *s, const char *key, const char *body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	return store_put(s, str_of(key), str_of(body), cond, match, etag, e);
}

static void expect_body(struct store *s, const char *key, struct str body)
{
	struct buf b;
	struct error e = {0};

	buf_init(&b, 1 << 24);
	assert_ok(store_get(s, str_of(key), &b, NULL, &e), &e);
	assert_true(str_eq(buf_str(&b), body));
	buf_free(&b);
}

static void expect(struct store *s, const char *key, const char *body)
{
	expect_body(s, key, str_of(body));
}

/* Bytes that a wrong offset would show. */
static struct str big(size_t n)
{
	char *p = malloc(n);
	struct rnd r;

	rnd_seed(&r, n);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rnd_u64(&r);
	return str_make(p, n);
}

static void test_put_and_get(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};
	struct buf b;
	char put_tag[STORE_ETAG], get_tag[STORE_ETAG];

	buf_init(&b, 1 << 20);
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "a/b");
	assert_ok(put(s, "a/b", "one", STORE_ANY, NULL, put_tag, &e), &e);
	assert_ok(put(s, "a/b", "two", STORE_ANY, NULL, put_tag, &e), &e);
	buf_puts(&b, ">");
	assert_ok(store_get(s, STR("a/b"), &b, get_tag, &e), &e);
	assert_str(buf_str(&b), ">two");
	assert_string_equal(put_tag, get_tag);
	buf_free(&b);

	buf_init(&b, 2);
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_INPUT, &e);
	buf_free(&b);

	static const char *const odd[] = {"sp ace+plus=?#&%41", "\xc3\xa4/\xe2\x82\xac/x", "empty",
		"..a/b..c/.d", "a*b(c)'!~"};
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		const char *body = i == 2 ? "" : odd[i];
		assert_ok(put(s, odd[i], body, STORE_IF_ABSENT, NULL, NULL, &e), &e);
		expect(s, odd[i], body);
		assert_ok(store_remove(s, str_of(odd[i]), &e), &e);
	}
	assert_err(put(s, "a//b", "x", STORE_ANY, NULL, NULL, &e), ERR_INPUT, &e);
}

static void test_conditions(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};
	char one[STORE_ETAG], two[STORE_ETAG];

	assert_ok(put(s, "m/1", "first", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	assert_err(put(s, "m/1", "first", STORE_IF_ABSENT, NULL, NULL, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "exists already");
	assert_ok(store_remove(s, STR("m/1"), &e), &e);
	assert_ok(store_remove(s, STR("m/1"), &e), &e); /* absent is fine */
	assert_ok(put(s, "m/1", "third", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(s, "m/1", "third");

	assert_err(put(s, "h", "x", STORE_IF_MATCH, "none", NULL, &e), ERR_CONFLICT, &e);
	assert_err(put(s, "h", "x", STORE_IF_MATCH, "0", NULL, &e), ERR_CONFLICT, &e);
	assert_err(put(s, "h", "x", STORE_IF_MATCH, "17", NULL, &e), ERR_CONFLICT, &e);
	assert_ok(put(s, "h", "1", STORE_ANY, NULL, one, &e), &e);
	assert_ok(put(s, "h", "2", STORE_IF_MATCH, one, two, &e), &e);
	assert_string_not_equal(one, two);
	assert_err(put(s, "h", "3", STORE_IF_MATCH, one, NULL, &e), ERR_CONFLICT, &e);
	expect(s, "h", "2");
}

static enum err join_key(void *arg, struct str key, size_t bytes, struct error *e)
{
	struct buf *b = arg;

	(void)e;
	buf_putf(b, "%.*s:%zu ", STR_ARG(key), bytes);
	return OK;
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct store *whole = open_store(f, "gs://releases");
	struct error e = {0};
	struct buf b;
	char key[64];

	for (int i = 0; i < 7; i++) {
		snprintf(key, sizeof key, "l/%c%d", i % 2 ? 'b' : 'a', i);
		assert_ok(put(f->store, key, "xy", STORE_ANY, NULL, NULL, &e), &e);
	}
	/* What is no key of ours is passed over. */
	assert_ok(put(whole, "l2/z", "", STORE_ANY, NULL, NULL, &e), &e);
	fake_google_set(&f->google, f->google.gcs, "set", "{\"pageSize\":2}");
	fault(f,
		"[{\"op\":\"list\",\"kind\":\"empty-page\",\"skip\":1},"
		"{\"op\":\"list\",\"kind\":\"status\",\"status\":503}]");
	buf_init(&b, 1 << 16);
	assert_ok(store_list(f->store, STR("l/"), join_key, &b, &e), &e);
	assert_str(buf_str(&b), "l/a0:2 l/a2:2 l/a4:2 l/a6:2 l/b1:2 l/b3:2 l/b5:2 ");
	buf_reset(&b);
	assert_ok(store_list(f->store, STR("l/b3"), join_key, &b, &e), &e);
	assert_str(buf_str(&b), "l/b3:2 ");
	buf_reset(&b);
	assert_ok(store_list(f->store, STR("none"), join_key, &b, &e), &e);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	fake_google_set(&f->google, f->google.gcs, "set", "{\"pageSize\":1000}");
	expect_played(f);
	store_close(whole);
}

/* Acknowledgements lost, connections cut, limits of rate: the put is made once, and says so. */
static void test_faults_of_small_puts(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	static const char *const faults[] = {
		"{\"op\":\"insert\",\"kind\":\"lost\"}",
		"{\"op\":\"insert\",\"kind\":\"drop\",\"times\":2}",
		"{\"op\":\"insert\",\"kind\":\"status\",\"status\":503,\"times\":2}",
		"{\"op\":\"insert\",\"kind\":\"status\",\"status\":429}",
		"{\"op\":\"insert\",\"kind\":\"status\",\"status\":403,\"reason\":"
		"\"rateLimitExceeded\"}",
		"{\"op\":\"insert\",\"kind\":\"corrupt\"}",
		"{\"op\":\"auth\",\"kind\":\"any\"}",
		"[{\"op\":\"insert\",\"kind\":\"lost\"},"
		"{\"op\":\"meta\",\"kind\":\"status\",\"status\":503}]",
	};

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		char key[32];
		snprintf(key, sizeof key, "f/%zu", i);
		fault(f, faults[i]);
		assert_ok(put(f->store, key, faults[i], STORE_IF_ABSENT, NULL, NULL, &e), &e);
		expect_played(f);
		expect(f->store, key, faults[i]);
		assert_err(put(f->store, key, faults[i], STORE_IF_ABSENT, NULL, NULL, &e),
			ERR_CONFLICT, &e);
	}
	fault(f, "{\"op\":\"insert\",\"kind\":\"status\",\"status\":400}");
	assert_err(put(f->store, "f/x", "x", STORE_ANY, NULL, NULL, &e), ERR_FAILED, &e);
	fault(f, "{\"op\":\"auth\",\"kind\":\"any\",\"times\":2}");
	assert_err(put(f->store, "f/x", "x", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	fault(f, "{\"op\":\"delete\",\"kind\":\"lost\"}");
	assert_ok(store_remove(f->store, STR("f/1"), &e), &e);
	expect_played(f);
}

/* Each is a way in which a session can go; the content must be whole every time. */
static void test_parts(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct str body = big(BIG);
	static const char *const faults[] = {
		"[]",
		"{\"op\":\"start\",\"kind\":\"status\",\"status\":503}",
		"{\"op\":\"start\",\"kind\":\"lost\"}",
		"{\"op\":\"chunk\",\"kind\":\"status\",\"status\":503,\"skip\":1,\"times\":2}",
		"{\"op\":\"chunk\",\"kind\":\"drop\",\"skip\":2}",
		"{\"op\":\"chunk\",\"kind\":\"lost\",\"skip\":1}",
		"{\"op\":\"chunk\",\"kind\":\"lost\",\"skip\":2}",
		/* Twice, for libcurl itself tries a connection that was kept once more. */
		"[{\"op\":\"chunk\",\"kind\":\"drop\",\"times\":2},"
		"{\"op\":\"status\",\"kind\":\"status\",\"status\":503}]",
		"{\"op\":\"chunk\",\"kind\":\"partial\",\"keep\":262144}",
		"{\"op\":\"chunk\",\"kind\":\"partial-drop\",\"keep\":300000,\"skip\":1}",
		"{\"op\":\"chunk\",\"kind\":\"gone\",\"skip\":2}",
		"[{\"op\":\"chunk\",\"kind\":\"drop\",\"skip\":1,\"times\":2},"
		"{\"op\":\"status\",\"kind\":\"gone\"}]",
		"{\"op\":\"chunk\",\"kind\":\"corrupt\",\"skip\":2}",
		"{\"op\":\"auth\",\"kind\":\"any\",\"skip\":2}",
	};

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		char key[32], etag[STORE_ETAG], same[STORE_ETAG];
		struct buf b;
		snprintf(key, sizeof key, "p/%zu", i);
		print_message("  %s\n", faults[i]);
		fault(f, faults[i]);
		assert_ok(store_put(f->store, str_of(key), body, STORE_IF_ABSENT, NULL, etag, &e),
			&e);
		expect_played(f);
		buf_init(&b, 1 << 24);
		assert_ok(store_get(f->store, str_of(key), &b, same, &e), &e);
		assert_true(str_eq(buf_str(&b), body));
		assert_string_equal(etag, same);
		buf_free(&b);
		assert_err(store_put(f->store, str_of(key), body, STORE_IF_ABSENT, NULL, NULL, &e),
			ERR_CONFLICT, &e);
	}
	assert_true(fake_google_count(&f->google, f->google.gcs, "state", "uploads", "resumable") >
		(int64_t)(sizeof faults / sizeof faults[0]));

	/* Sizes at the edges of parts. */
	for (size_t n = 2 * 262144 - 1; n <= 2 * 262144 + 1; n++) {
		assert_ok(store_put(f->store, STR("p/edge"), str_make(body.p, n), STORE_ANY, NULL,
				  NULL, &e),
			&e);
		expect_body(f->store, "p/edge", str_make(body.p, n));
	}
	/* A service that sends the upload elsewhere gets neither token nor content. */
	fault(f, "{\"op\":\"start\",\"kind\":\"elsewhere\"}");
	assert_err(store_put(f->store, STR("p/x"), body, STORE_ANY, NULL, NULL, &e), ERR_INPUT, &e);
	assert_has(e.text, "another service");
	/* Google stays away: an error, which does not name the session, whose address is a secret.
	 */
	fault(f,
		"[{\"op\":\"chunk\",\"kind\":\"drop\",\"times\":99},"
		"{\"op\":\"status\",\"kind\":\"drop\",\"times\":99}]");
	assert_err(store_put(f->store, STR("p/x"), body, STORE_ANY, NULL, NULL, &e),
		ERR_UNAVAILABLE, &e);
	assert_has(e.text, "the upload session");
	assert_null(strstr(e.text, "planted"));
	fake_google_set(&f->google, f->google.gcs, "clear", "{}");
	/* A session that never ends. */
	fault(f, "{\"op\":\"chunk\",\"kind\":\"gone\",\"times\":3}");
	assert_err(store_put(f->store, STR("p/x"), body, STORE_ANY, NULL, NULL, &e), ERR_NOT_FOUND,
		&e);
	assert_null(strstr(e.text, "planted"));
	free((void *)(uintptr_t)body.p);
}

static void test_damage_is_seen(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct buf b;

	assert_ok(put(f->store, "d", "content", STORE_ANY, NULL, NULL, &e), &e);
	fault(f, "[{\"op\":\"get\",\"kind\":\"corrupt\"},{\"op\":\"get\",\"kind\":\"cut\"}]");
	expect(f->store, "d", "content");
	expect_played(f);
	fault(f, "{\"op\":\"get\",\"kind\":\"corrupt\",\"times\":3}");
	buf_init(&b, 1 << 16);
	assert_err(store_get(f->store, STR("d"), &b, NULL, &e), ERR_INPUT, &e);
	assert_has(e.text, "CRC-32C");
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

struct race {
	struct store *s;
	atomic_int won;
};

static enum err race(void *arg, struct error *e)
{
	struct race *r = arg;

	for (int i = 0; i < 10; i++) {
		char key[32];
		snprintf(key, sizeof key, "race/%d", i);
		enum err rc = put(r->s, key, "same", STORE_IF_ABSENT, NULL, NULL, e);
		if (rc == OK)
			atomic_fetch_add(&r->won, 1);
		else if (rc != ERR_CONFLICT)
			return rc;
	}
	return OK;
}

/* The same content by several writers, acknowledgements lost: each key is won once. */
static void test_one_wins(void **state)
{
	struct fixture *f = *state;
	struct race r = {.s = f->store};
	struct thread threads[4] = {{0}};
	struct error e = {0};

	fault(f, "{\"op\":\"insert\",\"kind\":\"lost\",\"times\":8,\"skip\":3}");
	for (size_t k = 0; k < 4; k++)
		assert_ok(thread_start(&threads[k], "race", race, &r, &e), &e);
	for (size_t k = 0; k < 4; k++)
		assert_ok(thread_join(&threads[k], &e), &e);
	assert_int_equal(atomic_load(&r.won), 10);
	expect_played(f);
}

static void test_who(void **state)
{
	struct fixture *f = *state;
	struct store *missing = open_store(f, "gs://no-such-bucket");
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1 << 12);
	assert_ok(store_who(f->store, &b, &e), &e);
	assert_has(buf_cstr(&b), "writer@sluice-test.iam.gserviceaccount.com");
	assert_has(buf_cstr(&b), "may get, list, create, delete");
	buf_reset(&b);
	fake_google_set(&f->google, f->google.gcs, "set",
		"{\"permissions\":[\"storage.objects.get\",\"storage.objects.list\"]}");
	assert_ok(store_who(f->store, &b, &e), &e);
	assert_has(buf_cstr(&b), "may not create, delete");
	assert_err(put(f->store, "w", "x", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "roles/storage.objectUser");
	fake_google_set(&f->google, f->google.gcs, "set", "{\"permissions\":[]}");
	assert_err(store_who(f->store, &b, &e), ERR_CHECK, &e);
	fake_google_set(&f->google, f->google.gcs, "set",
		"{\"permissions\":[\"storage.objects.get\",\"storage.objects.list\","
		"\"storage.objects.create\",\"storage.objects.delete\"]}");
	assert_err(put(missing, "x", "x", STORE_ANY, NULL, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "bucket");
	store_close(missing);
	buf_free(&b);
}

static void test_settings(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct store *s = NULL;
	struct store_options o = {.url = "gs://releases", .credentials = f->credentials};
	static const char *const urls[] = {
		"gs://", "gs://Ab", "gs://x", "gs://bucket//a", "gs://bucket/../a", "gs://b u/x"};

	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		o.url = urls[i];
		assert_err(store_open_with(&s, &o, &f->env, &e), ERR_USAGE, &e);
	}
	o.url = "gs://releases";
	o.endpoint = "http://storage.example";
	assert_err(store_open_with(&s, &o, &f->env, &e), ERR_USAGE, &e);
	o.endpoint = "https://storage.example/path";
	assert_err(store_open_with(&s, &o, &f->env, &e), ERR_USAGE, &e);
	o.endpoint = NULL;
	o.credentials = "/nonexistent/file";
	assert_err(store_open_with(&s, &o, &f->env, &e), ERR_USAGE, &e);
	assert_has(e.text, "[store] credentials");

	/* Another program's emulator does not take our releases unnoticed. */
	o.credentials = f->credentials;
	assert_int_equal(setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1", 1), 0);
	assert_ok(store_open_with(&s, &o, &f->env, &e), &e);
	store_close(s);
	assert_int_equal(unsetenv("STORAGE_EMULATOR_HOST"), 0);
}

static void test_log_is_clean(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	struct error e = {0};

	buf_init(&b, 1 << 24);
	assert_ok(file_read(f->log_path, &b, &e), &e);
	assert_true(str_find(buf_str(&b), STR("asking Cloud Storage again")) >= 0);
	assert_true(str_find(buf_str(&b), STR("STORAGE_EMULATOR_HOST")) >= 0);
	assert_true(str_find(buf_str(&b), STR("planted")) < 0); /* tokens and sessions */
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_and_get),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_faults_of_small_puts),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_damage_is_seen),
		cmocka_unit_test(test_one_wins),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_log_is_clean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
