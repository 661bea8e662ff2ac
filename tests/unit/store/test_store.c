/*
 * The contract of store.h, held against the directory driver.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "buf.h"
#include "file.h"
#include "rnd.h"
#include "store.h"
#include "thread.h"

struct fixture {
	char dir[128];
	char url[160];
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct error e = {0};

	unit_tmpdir(f->dir, sizeof f->dir);
	snprintf(f->url, sizeof f->url, "file://%s/store", f->dir);
	assert_ok(store_open(&f->store, f->url, NULL, &e), &e);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	store_close(f->store);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	free(f);
	return 0;
}

static enum err put(struct store *s, const char *key, const char *body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	return store_put(s, str_of(key), str_of(body), cond, match, etag, e);
}

static void expect(struct store *s, const char *key, const char *body)
{
	struct buf b;
	struct error e = {0};

	buf_init(&b, 1 << 20);
	assert_ok(store_get(s, str_of(key), &b, NULL, &e), &e);
	assert_str(buf_str(&b), body);
	buf_free(&b);
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
	assert_ok(store_get(s, STR("a/b"), &b, get_tag, &e), &e);
	assert_str(buf_str(&b), "two");
	assert_string_equal(put_tag, get_tag);
	buf_reset(&b);
	assert_err(store_get(s, STR("a"), &b, NULL, &e), ERR_NOT_FOUND, &e);
	assert_err(store_get(s, STR("a/b/c"), &b, NULL, &e), ERR_NOT_FOUND, &e);
	buf_free(&b);

	/* A get appends, and its etag is that of the content alone. */
	buf_init(&b, 1 << 20);
	buf_puts(&b, ">");
	assert_ok(store_get(s, STR("a/b"), &b, get_tag, &e), &e);
	assert_str(buf_str(&b), ">two");
	assert_string_equal(put_tag, get_tag);
	buf_free(&b);

	buf_init(&b, 2);
	assert_err(store_get(s, STR("a/b"), &b, NULL, &e), ERR_INPUT, &e);
	buf_free(&b);

	assert_ok(put(s, "empty", "", STORE_ANY, NULL, NULL, &e), &e);
	expect(s, "empty", "");
}

static void test_if_absent(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};

	assert_ok(put(s, "m/1", "first", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	assert_err(put(s, "m/1", "second", STORE_IF_ABSENT, NULL, NULL, &e), ERR_CONFLICT, &e);
	expect(s, "m/1", "first");
	assert_ok(store_remove(s, STR("m/1"), &e), &e);
	assert_ok(put(s, "m/1", "third", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(s, "m/1", "third");
}

static void test_if_match(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};
	char one[STORE_ETAG], two[STORE_ETAG];

	assert_err(put(s, "h", "x", STORE_IF_MATCH, "none", NULL, &e), ERR_CONFLICT, &e);
	assert_ok(put(s, "h", "1", STORE_ANY, NULL, one, &e), &e);
	assert_ok(put(s, "h", "2", STORE_IF_MATCH, one, two, &e), &e);
	assert_string_not_equal(one, two);
	assert_err(put(s, "h", "3", STORE_IF_MATCH, one, NULL, &e), ERR_CONFLICT, &e);
	expect(s, "h", "2");
	assert_ok(put(s, "h", "3", STORE_IF_MATCH, two, NULL, &e), &e);
	expect(s, "h", "3");
}

static void test_keys_refused(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/../b",
		"a/.", ".sluice/lock", "\xff\xfe"};
	char big[1100];

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(put(s, bad[i], "x", STORE_ANY, NULL, NULL, &e), ERR_INPUT, &e);
	memset(big, 'k', sizeof big);
	big[1025] = '\0';
	assert_err(put(s, big, "x", STORE_ANY, NULL, NULL, &e), ERR_INPUT, &e);
	assert_err(store_put(s, str_make("a\0b", 3), STR("x"), STORE_ANY, NULL, NULL, &e),
		ERR_INPUT, &e);
	assert_ok(put(s, "..a/b..c/.d", "x", STORE_ANY, NULL, NULL, &e), &e);
	expect(s, "..a/b..c/.d", "x");
}

static enum err join_key(void *arg, struct str key, size_t bytes, struct error *e)
{
	struct buf *b = arg;
	(void)e;

	buf_putf(b, "%.*s=%zu ", STR_ARG(key), bytes);
	return OK;
}

static void expect_list(struct store *s, const char *prefix, const char *want)
{
	struct buf b;
	struct error e = {0};

	buf_init(&b, 1 << 20);
	assert_ok(store_list(s, str_of(prefix), join_key, &b, &e), &e);
	assert_str(buf_str(&b), want);
	buf_free(&b);
}

static enum err stop_listing(void *arg, struct str key, size_t bytes, struct error *e)
{
	(void)key;
	(void)bytes;
	++*(int *)arg;
	return FAIL(e, ERR_INTERRUPTED, "enough");
}

static void test_list(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};
	static const char *const keys[] = {"a/c", "a-b", "a/b/x", "b", "a/bb"};
	int calls = 0;

	expect_list(s, "", "");
	for (size_t i = 0; i < 5; i++)
		assert_ok(put(s, keys[i], keys[i], STORE_ANY, NULL, NULL, &e), &e);
	expect_list(s, "", "a-b=3 a/b/x=5 a/bb=4 a/c=3 b=1 ");
	expect_list(s, "a/b", "a/b/x=5 a/bb=4 ");
	expect_list(s, "a/b/", "a/b/x=5 ");
	expect_list(s, "zz", "");
	assert_err(store_list(s, STR(""), stop_listing, &calls, &e), ERR_INTERRUPTED, &e);
	assert_int_equal(calls, 1);
}

static void test_remove(void **state)
{
	struct store *s = ((struct fixture *)*state)->store;
	struct error e = {0};

	assert_ok(store_remove(s, STR("never/was"), &e), &e);
	assert_ok(put(s, "a/b/c", "x", STORE_ANY, NULL, NULL, &e), &e);
	assert_ok(store_remove(s, STR("a/b/c"), &e), &e);
	expect_list(s, "", "");
	assert_ok(put(s, "a", "now a key", STORE_ANY, NULL, NULL, &e), &e);
	expect(s, "a", "now a key");
}

/* A crash between link and unlink leaves `pending` as a second name of a key's content. */
static void test_leftover_pending_is_harmless(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	char key[256], pending[256];

	assert_ok(put(f->store, "k", "kept", STORE_ANY, NULL, NULL, &e), &e);
	snprintf(key, sizeof key, "%s/store/k", f->dir);
	snprintf(pending, sizeof pending, "%s/store/.sluice/pending", f->dir);
	assert_int_equal(link(key, pending), 0);
	assert_ok(put(f->store, "other", "x", STORE_IF_ABSENT, NULL, NULL, &e), &e);
	expect(f->store, "k", "kept");
	expect_list(f->store, "", "k=4 other=1 ");
}

static void test_urls(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct store *s = NULL;
	char file[200], url[256];
	(void)f;

	assert_err(store_open(&s, "s3://Bucket/x", NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "s3://Bucket");
	assert_err(store_open(&s, "gs://Bucket/x", NULL, &e), ERR_USAGE, &e);
	assert_err(store_open(&s, "ftp://x", NULL, &e), ERR_USAGE, &e);
	assert_err(store_open(&s, "file://", NULL, &e), ERR_USAGE, &e);
	assert_err(store_open(&s, NULL, NULL, &e), ERR_USAGE, &e);
	snprintf(file, sizeof file, "%s/plain", f->dir);
	assert_ok(file_write_atomic(file, STR("x"), &e), &e);
	snprintf(url, sizeof url, "file://%s", file);
	assert_err(store_open(&s, url, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "no directory");
	assert_null(s);

	/* A root that cannot come to be is told at the first put. */
	snprintf(url, sizeof url, "file://%s/below", file);
	assert_ok(store_open(&s, url, NULL, &e), &e);
	enum err rc = put(s, "k", "x", STORE_ANY, NULL, NULL, &e);
	assert_true(rc != OK && e.kind == rc);
	assert_has(e.text, "[store] url");
	store_close(s);
}

#define RACERS 4
#define ROUNDS 25

struct racer {
	const char *url;
	unsigned wins;
};

static enum err count_up(struct store *s, struct error *e)
{
	struct buf b;
	char etag[STORE_ETAG], next[32];
	int64_t n = 0;

	buf_init(&b, 64);
	enum err rc = store_get(s, STR("n"), &b, etag, e);
	if (rc == OK && !str_to_i64(buf_str(&b), &n))
		rc = FAIL(e, ERR_INPUT, "no number");
	snprintf(next, sizeof next, "%lld", (long long)n + 1);
	if (rc == OK)
		rc = put(s, "n", next, STORE_IF_MATCH, etag, NULL, e);
	buf_free(&b);
	return rc;
}

static enum err race(void *arg, struct error *e)
{
	struct racer *r = arg;
	struct store *s = NULL;

	TRY(store_open(&s, r->url, NULL, e));
	enum err rc = OK;
	for (int i = 0; i < ROUNDS && (rc == OK || rc == ERR_CONFLICT); i++) {
		char key[32];
		rc = count_up(s, e);
		while (rc == ERR_CONFLICT)
			rc = count_up(s, e);
		snprintf(key, sizeof key, "once/%d", i);
		if (rc == OK)
			rc = put(s, key, "mine", STORE_IF_ABSENT, NULL, NULL, e);
		r->wins += rc == OK;
	}
	store_close(s);
	return rc == ERR_CONFLICT ? OK : rc;
}

/* Every increment counts, and of the racers for a key exactly one wins. */
static void test_conditions_hold_in_a_race(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct racer r[RACERS] = {0};
	struct thread t[RACERS] = {0};
	unsigned wins = 0;
	char want[32];

	assert_ok(put(f->store, "n", "0", STORE_ANY, NULL, NULL, &e), &e);
	for (int i = 0; i < RACERS; i++) {
		r[i].url = f->url;
		assert_ok(thread_start(&t[i], "racer", race, &r[i], &e), &e);
	}
	for (int i = 0; i < RACERS; i++) {
		assert_ok(thread_join(&t[i], &e), &e);
		wins += r[i].wins;
	}
	snprintf(want, sizeof want, "%d", RACERS * ROUNDS);
	expect(f->store, "n", want);
	assert_int_equal(wins, ROUNDS);
}

static void test_faulty(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct buf b;
	struct store *inner = NULL;

	buf_init(&b, 64);
	assert_ok(store_open(&inner, f->url, NULL, &e), &e);
	struct store *s = store_faulty(inner, "put", 2);
	assert_ok(put(s, "a", "1", STORE_ANY, NULL, NULL, &e), &e);
	assert_ok(store_get(s, STR("a"), &b, NULL, &e), &e);
	assert_err(put(s, "a", "2", STORE_ANY, NULL, NULL, &e), ERR_UNAVAILABLE, &e);
	expect(s, "a", "1");
	assert_ok(put(s, "a", "3", STORE_ANY, NULL, NULL, &e), &e);
	expect(s, "a", "3");
	s = store_faulty(s, "*", 1);
	assert_err(store_remove(s, STR("a"), &e), ERR_UNAVAILABLE, &e);
	assert_ok(store_remove(s, STR("a"), &e), &e);
	store_close(s);
	buf_free(&b);
}

/* Killed at any moment, a writer leaves old content or new, never a part. */
static void test_killed_writer_leaves_whole_content(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};
	struct rnd rnd;
	char *body = malloc(1 << 20);

	rnd_seed(&rnd, unit_seed());
	assert_ok(put(f->store, "k", "0", STORE_ANY, NULL, NULL, &e), &e);
	for (int round = 0; round < 8; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		for (char c = 'a'; pid == 0; c = c == 'z' ? 'a' : (char)(c + 1)) {
			memset(body, c, 1 << 20);
			if (store_put(f->store, STR("k"), str_make(body, 1 << 20), STORE_ANY, NULL,
				    NULL, &e) != OK)
				_exit(1);
		}
		usleep((useconds_t)rnd_below(&rnd, 20000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);

		struct buf b;
		buf_init(&b, 2 << 20);
		assert_ok(store_get(f->store, STR("k"), &b, NULL, &e), &e);
		for (size_t i = 1; i < b.n; i++)
			if (b.p[i] != b.p[0])
				fail_msg("mixed content at byte %zu", i);
		assert_true(b.n == 1 || b.n == 1 << 20);
		buf_free(&b);
	}
	assert_ok(put(f->store, "k", "after", STORE_ANY, NULL, NULL, &e), &e);
	expect(f->store, "k", "after");
	free(body);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_put_and_get),
		CASE(test_if_absent),
		CASE(test_if_match),
		CASE(test_keys_refused),
		CASE(test_list),
		CASE(test_remove),
		CASE(test_leftover_pending_is_harmless),
		CASE(test_urls),
		CASE(test_conditions_hold_in_a_race),
		CASE(test_faulty),
		CASE(test_killed_writer_leaves_whole_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
