/*
 * The contract of models.h, held against the local driver.
 */
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enc.h"
#include "failpoint.h"
#include "file.h"
#include "models.h"
#include "thread.h"

#define METADATA                                                                                   \
	"{\"cut\":{\"lsn\":\"0/1A\",\"snapshot\":\"committed<=0/1A\"},\"query_sha256\":\""         \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","                      \
	"\"leak_proof\":{\"ok\":true,\"cuts\":5,\"rows\":10},\"features\":[{\"name\":\"a\"}]}"

struct fixture {
	char dir[128];
	char url[160];
	struct models *m;
	struct arena mem;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct error e = {0};

	unit_tmpdir(f->dir, sizeof f->dir);
	snprintf(f->url, sizeof f->url, "local://%s/models", f->dir);
	assert_ok(models_open(&f->m, f->url, NULL, &e), &e);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	models_close(f->m);
	arena_free(&f->mem);
	assert_ok(file_remove_tree(f->dir, &e), &e);
	free(f);
	return 0;
}

static int64_t add(struct fixture *f, const char *model, const char *artifact)
{
	struct error e = {0};
	int64_t version = 0;

	assert_ok(
		models_add(f->m, str_of(model), str_of(artifact), STR(METADATA), &version, &e), &e);
	return version;
}

static struct model_version get(struct fixture *f, const char *model, const char *which)
{
	struct model_version v;
	struct error e = {0};

	assert_ok(models_get(f->m, str_of(model), str_of(which), &f->mem, &v, &e), &e);
	return v;
}

static enum err artifact(
	struct fixture *f, const char *model, int64_t version, const char *want, struct error *e)
{
	struct buf b;
	enum err rc;

	buf_init(&b, 1 << 20);
	rc = models_artifact(f->m, str_of(model), version, &b, e);
	if (rc == OK)
		assert_str(buf_str(&b), want);
	else
		assert_int_equal(b.n, 0);
	buf_free(&b);
	return rc;
}

/* The path of what `content` is stored as. */
static const char *path_of(struct fixture *f, const char *content)
{
	char sha[ENC_SHA256_TEXT];

	enc_sha256(str_of(content), sha);
	return arena_fmt(&f->mem, "%s/models/artifacts/%s.ubj", f->dir, sha).p;
}

static void test_first_is_default(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	assert_int_equal(add(f, "cancel_risk", "one"), 1);
	assert_int_equal(add(f, "cancel_risk", "two"), 2);
	assert_int_equal(add(f, "other", "three"), 1);
	assert_int_equal(get(f, "cancel_risk", "").version, 1);
	assert_str(get(f, "cancel_risk", "1").aliases, "default");
	assert_str(get(f, "cancel_risk", "2").aliases, "");
	assert_str(get(f, "other", "").aliases, "default");
	assert_str(get(f, "cancel_risk", "2").metadata, METADATA);
	assert_ok(artifact(f, "cancel_risk", 2, "two", &e), &e);
}

static void test_aliases_move(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	add(f, "m", "one");
	add(f, "m", "two");
	assert_ok(models_alias(f->m, STR("m"), STR("challenger"), 1, &e), &e);
	assert_ok(models_alias(f->m, STR("m"), STR("challenger"), 2, &e), &e);
	assert_str(get(f, "m", "1").aliases, "default");
	assert_str(get(f, "m", "2").aliases, "challenger");
	assert_ok(models_alias(f->m, STR("m"), STR("default"), 2, &e), &e);
	assert_str(get(f, "m", "").aliases, "challenger,default");
	assert_ok(models_unalias(f->m, STR("m"), STR("challenger"), &e), &e);
	assert_str(get(f, "m", "").aliases, "default");
	assert_err(models_unalias(f->m, STR("m"), STR("challenger"), &e), ERR_NOT_FOUND, &e);
	assert_err(models_unalias(f->m, STR("m"), STR("default"), &e), ERR_USAGE, &e);
	assert_err(models_alias(f->m, STR("m"), STR("canary"), 9, &e), ERR_NOT_FOUND, &e);
}

static void test_alias_pattern(void **state)
{
	static const char *const bad[] = {
		"", "a", "A1", "1a", "a-", "a_b", "Ab", "a b", "a.b", "a,b", "\xc3\xa4z"};
	static const char *const good[] = {"ab", "a1", "a-B-9", "champion"};
	struct fixture *f = *state;
	struct error e = {0};
	char longest[130];

	add(f, "m", "one");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(models_alias(f->m, STR("m"), str_of(bad[i]), 1, &e), ERR_USAGE, &e);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_ok(models_alias(f->m, STR("m"), str_of(good[i]), 1, &e), &e);
	memset(longest, 'x', sizeof longest);
	assert_ok(models_alias(f->m, STR("m"), str_make(longest, 128), 1, &e), &e);
	assert_err(models_alias(f->m, STR("m"), str_make(longest, 129), 1, &e), ERR_USAGE, &e);
}

static void test_metadata_must_account_for_itself(void **state)
{
	static const char *const bad[][2] = {
		{"[]", "object"},
		{"{", "metadata"},
		{"{}", "cut"},
		{"{\"cut\":{\"lsn\":\"\",\"snapshot\":\"x\"}}", "cut"},
		{"{\"cut\":{\"lsn\":\"0/1\"}}", "snapshot"},
		{"{\"cut\":{\"lsn\":\"0/1\",\"snapshot\":\"x\"}}", "query_sha256"},
		{"{\"cut\":{\"lsn\":\"0/1\",\"snapshot\":\"x\"},\"query_sha256\":\"abc\"}",
			"query_sha256"},
	};
	struct fixture *f = *state;
	struct error e = {0};
	int64_t version = 0;
	struct buf b;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(models_add(f->m, STR("m"), STR("x"), str_of(bad[i][0]), &version, &e),
			ERR_INPUT, &e);
		assert_has(e.text, bad[i][1]);
	}
	/* Each of the other members taken from one that is accepted. */
	static const char *const changed[][2] = {{"\"ok\":true", "\"ok\":false"},
		{"\"ok\":true", "\"ok\":null"}, {"\"leak_proof\"", "\"no_proof\""},
		{"[{\"name\":\"a\"}]", "[]"}, {"\"features\"", "\"f\""}};
	for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
		struct str all = STR(METADATA);
		ptrdiff_t at = str_find(all, str_of(changed[i][0]));
		assert_true(at >= 0);
		buf_init(&b, 4096);
		buf_put(&b, str_make(all.p, (size_t)at));
		buf_puts(&b, changed[i][1]);
		buf_put(&b, str_from(all, (size_t)at + strlen(changed[i][0])));
		assert_err(models_add(f->m, STR("m"), STR("x"), buf_str(&b), &version, &e),
			ERR_INPUT, &e);
		buf_free(&b);
	}
	assert_err(models_get(f->m, STR("m"), STR(""), &f->mem, &(struct model_version){0}, &e),
		ERR_NOT_FOUND, &e);
	assert_err(models_add(f->m, STR("m"), STR(""), STR(METADATA), &version, &e), ERR_INPUT, &e);
	assert_err(models_add(f->m, STR("../m"), STR("x"), STR(METADATA), &version, &e), ERR_USAGE,
		&e);
}

static void test_not_found_says_what_there_is(void **state)
{
	struct fixture *f = *state;
	struct model_version v;
	struct error e = {0};

	add(f, "m", "one");
	add(f, "m", "two");
	assert_err(models_get(f->m, STR("m"), STR("7"), &f->mem, &v, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "1 (default), 2");
	assert_err(models_get(f->m, STR("m"), STR("champion"), &f->mem, &v, &e), ERR_NOT_FOUND, &e);
	assert_has(e.text, "champion");
	assert_err(models_get(f->m, STR("n"), STR(""), &f->mem, &v, &e), ERR_NOT_FOUND, &e);
}

static void test_remove(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	add(f, "m", "one");
	add(f, "m", "two");
	add(f, "m", "two");
	assert_err(models_remove(f->m, STR("m"), 1, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "default");
	assert_ok(models_alias(f->m, STR("m"), STR("canary"), 2, &e), &e);
	assert_ok(models_remove(f->m, STR("m"), 2, &e), &e);
	assert_err(models_remove(f->m, STR("m"), 2, &e), ERR_NOT_FOUND, &e);
	/* Version 3 has the same bytes, so they stay; the alias went with its version. */
	assert_ok(artifact(f, "m", 3, "two", &e), &e);
	assert_err(models_unalias(f->m, STR("m"), STR("canary"), &e), ERR_NOT_FOUND, &e);
	assert_ok(models_remove(f->m, STR("m"), 3, &e), &e);
	assert_false(file_exists(path_of(f, "two")));
	assert_ok(models_remove(f->m, STR("m"), 1, &e), &e);
	assert_false(file_exists(path_of(f, "one")));
	/* Numbers are not given again, and the first of what is there is the default. */
	assert_int_equal(add(f, "m", "four"), 4);
	assert_str(get(f, "m", "").aliases, "default");
}

struct names {
	char text[256];
};

static enum err note_name(void *arg, const struct model_version *v, struct error *e)
{
	struct names *n = arg;
	size_t at = strlen(n->text);

	(void)e;
	snprintf(n->text + at, sizeof n->text - at, "%.*s@%lld ", STR_ARG(v->model),
		(long long)v->version);
	return OK;
}

static enum err stop_there(void *arg, const struct model_version *v, struct error *e)
{
	(void)arg;
	(void)v;
	return FAIL(e, ERR_INTERRUPTED, "stop");
}

static void test_list_order(void **state)
{
	struct fixture *f = *state;
	struct names all = {0}, one = {0}, none = {0};
	struct error e = {0};

	for (int i = 0; i < 11; i++)
		add(f, "b", "x");
	add(f, "a", "x");
	assert_ok(models_list(f->m, STR(""), note_name, &all, &e), &e);
	assert_string_equal(all.text, "a@1 b@1 b@2 b@3 b@4 b@5 b@6 b@7 b@8 b@9 b@10 b@11 ");
	assert_ok(models_list(f->m, STR("a"), note_name, &one, &e), &e);
	assert_string_equal(one.text, "a@1 ");
	assert_ok(models_list(f->m, STR("c"), note_name, &none, &e), &e);
	assert_string_equal(none.text, "");
	assert_err(models_list(f->m, STR(""), stop_there, NULL, &e), ERR_INTERRUPTED, &e);
}

static void test_damaged_artifact(void **state)
{
	struct fixture *f = *state;
	struct error e = {0};

	add(f, "m", "sound");
	assert_ok(file_write_atomic(path_of(f, "sound"), STR("s0und"), &e), &e);
	assert_err(artifact(f, "m", 1, "", &e), ERR_INPUT, &e);
	assert_has(e.text, "damaged");
	/* The same bytes come again: the damage is mended for both versions. */
	assert_int_equal(add(f, "m", "sound"), 2);
	assert_ok(artifact(f, "m", 1, "sound", &e), &e);
	assert_int_equal(unlink(path_of(f, "sound")), 0);
	assert_int_not_equal(artifact(f, "m", 1, "", &e), OK);
}

/* A process that is killed between the artifact and its row leaves a registry without the version,
 * and the next add of the same bytes works. */
static void test_crash_between_artifact_and_row(void **state)
{
	struct fixture *f = *state;
	struct model_version v;
	struct error e = {0};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rnd rnd;
		struct failpoints *points = NULL;
		struct models *m = NULL;
		int64_t version;
		rnd_seed(&rnd, 1);
		if (failpoints_parse(&points, STR("models.add.artifact=kill"), &e) != OK)
			_exit(3);
		struct env env = {.clock = clock_system(), .rnd = &rnd, .failpoints = points};
		if (models_open(&m, f->url, &env, &e) != OK)
			_exit(4);
		(void)!models_add(m, STR("m"), STR("bytes"), STR(METADATA), &version, &e);
		_exit(5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(file_exists(path_of(f, "bytes")));
	assert_err(models_get(f->m, STR("m"), STR(""), &f->mem, &v, &e), ERR_NOT_FOUND, &e);
	assert_int_equal(add(f, "m", "bytes"), 1);
	assert_ok(artifact(f, "m", 1, "bytes", &e), &e);
}

#define ADDERS    4
#define ADDITIONS 8

static int add_in_child(const char *url, int child)
{
	struct models *m = NULL;
	struct error e = {0};
	char text[32];
	int64_t version;

	if (models_open(&m, url, NULL, &e) != OK) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	for (int i = 0; i < ADDITIONS; i++) {
		snprintf(text, sizeof text, "artifact %d", (child + i) % 5); /* some the same */
		if (models_add(m, STR("m"), str_of(text), STR(METADATA), &version, &e) != OK) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
	}
	models_close(m);
	return 0;
}

static void expect_versions(struct fixture *f, int64_t n)
{
	char number[24];
	int defaults = 0;

	for (int64_t i = 1; i <= n; i++) {
		struct error e = {0};
		struct buf b;
		snprintf(number, sizeof number, "%lld", (long long)i);
		defaults += str_eqc(get(f, "m", number).aliases, "default");
		buf_init(&b, 1 << 20);
		assert_ok(models_artifact(f->m, STR("m"), i, &b, &e), &e);
		buf_free(&b);
	}
	assert_int_equal(defaults, 1);
}

static void test_processes_add_at_once(void **state)
{
	struct fixture *f = *state;
	pid_t pids[ADDERS];
	int status;

	for (int i = 0; i < ADDERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(add_in_child(f->url, i));
	}
	for (int i = 0; i < ADDERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	expect_versions(f, ADDERS * ADDITIONS);
}

static enum err add_in_thread(void *arg, struct error *e)
{
	struct models *m = arg;
	int64_t version;

	for (int i = 0; i < ADDITIONS; i++) {
		TRY(models_add(m, STR("m"), STR("bytes"), STR(METADATA), &version, e));
		TRY(models_alias(m, STR("m"), STR("challenger"), version, e));
	}
	return OK;
}

static void test_threads_add_at_once(void **state)
{
	struct fixture *f = *state;
	struct thread threads[ADDERS] = {0};
	struct error e = {0};

	for (int i = 0; i < ADDERS; i++)
		assert_ok(thread_start(&threads[i], "adder", add_in_thread, f->m, &e), &e);
	for (int i = 0; i < ADDERS; i++)
		assert_ok(thread_join(&threads[i], &e), &e);
	assert_ok(models_unalias(f->m, STR("m"), STR("challenger"), &e), &e);
	expect_versions(f, ADDERS * ADDITIONS);
}

static void test_open(void **state)
{
	struct fixture *f = *state;
	struct models *m = NULL;
	struct error e = {0};
	char url[200];

	assert_err(models_open(&m, "vertex://project/region", NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "not in this version");
	assert_err(models_open(&m, "nonsense", NULL, &e), ERR_USAGE, &e);
	assert_err(models_open(&m, "local://", NULL, &e), ERR_USAGE, &e);
	snprintf(url, sizeof url, "local://%s/models/registry.db/x", f->dir);
	assert_err(models_open(&m, url, NULL, &e), ERR_FAILED, &e);
	assert_null(m);
	/* Opened again, everything is there. */
	add(f, "m", "one");
	models_close(f->m);
	assert_ok(models_open(&f->m, f->url, NULL, &e), &e);
	assert_int_equal(get(f, "m", "").version, 1);
}

#define REGISTRY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(test_first_is_default),
		REGISTRY_TEST(test_aliases_move),
		REGISTRY_TEST(test_alias_pattern),
		REGISTRY_TEST(test_metadata_must_account_for_itself),
		REGISTRY_TEST(test_not_found_says_what_there_is),
		REGISTRY_TEST(test_remove),
		REGISTRY_TEST(test_list_order),
		REGISTRY_TEST(test_damaged_artifact),
		REGISTRY_TEST(test_crash_between_artifact_and_row),
		REGISTRY_TEST(test_processes_add_at_once),
		REGISTRY_TEST(test_threads_add_at_once),
		REGISTRY_TEST(test_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
