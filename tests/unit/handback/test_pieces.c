/*
 * The pieces of a release without a database: keys, manifests, data files, distributions.
 */
#include "world.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "release_sign.h"
#include "release_stats.h"

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	world_open(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

static void test_keys(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct stat st;
	char fresh[200];

	assert_int_equal(stat(w->key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(fresh, sizeof fresh, "%s/fresh", w->dir);
	assert_err(handback_make_key(w->key, fresh, &e), ERR_CONFLICT, &e);
	assert_false(file_exists(fresh));
	assert_err(handback_make_key(fresh, w->pub, &e), ERR_CONFLICT, &e);
	assert_false(file_exists(fresh));
	snprintf(fresh, sizeof fresh, "%s/no/such/dir", w->dir);
	assert_err(handback_make_key(fresh, fresh, &e), ERR_FAILED, &e);
}

static void test_signatures(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct sign_key *key, *other;
	struct sign_trust *trust;
	uint8_t raw[SIGN_BYTES];

	assert_ok(sign_key_read(&key, w->key, &e), &e);
	assert_ok(sign_key_read(&other, w->other_key, &e), &e);
	assert_ok(sign_trust_read(&trust, w->pub, &e), &e);
	assert_int_equal(strlen(sign_key_id(key)), 16);
	assert_true(sign_trusts(trust, str_of(sign_key_id(key))));
	assert_false(sign_trusts(trust, str_of(sign_key_id(other))));
	assert_ok(sign_message(key, STR("hello"), raw, &e), &e);
	struct str id = str_of(sign_key_id(key)), signature = str_make(raw, sizeof raw);
	assert_ok(sign_verify(trust, id, STR("hello"), signature, &e), &e);
	assert_err(sign_verify(trust, id, STR("hellp"), signature, &e), ERR_CHECK, &e);
	assert_err(sign_verify(trust, id, STR("hello"), STR("short"), &e), ERR_CHECK, &e);
	assert_err(sign_verify(trust, str_of(sign_key_id(other)), STR("hello"), signature, &e),
		ERR_CHECK, &e);
	for (size_t bit = 0; bit < sizeof raw * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		assert_err(sign_verify(trust, id, STR("hello"), signature, &e), ERR_CHECK, &e);
		raw[bit / 8] ^= (uint8_t)(1U << (bit % 8));
	}
	sign_trust_free(trust);
	sign_key_free(other);
	sign_key_free(key);
}

/* While a key is being changed both are trusted. */
static void test_two_trusted_keys(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct buf pems;
	struct sign_key *other;
	struct sign_trust *trust;
	char both[200];

	buf_init(&pems, 1 << 16);
	assert_ok(file_read(w->pub, &pems, &e), &e);
	assert_ok(file_read(w->other_pub, &pems, &e), &e);
	snprintf(both, sizeof both, "%s/both.pem", w->dir);
	assert_ok(file_write_atomic(both, buf_str(&pems), &e), &e);
	assert_ok(sign_trust_read(&trust, both, &e), &e);
	assert_ok(sign_key_read(&other, w->other_key, &e), &e);
	assert_true(sign_trusts(trust, str_of(sign_key_id(other))));
	sign_key_free(other);
	sign_trust_free(trust);
	buf_free(&pems);
}

static void test_wrong_key_files(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct sign_key *key;
	struct sign_trust *trust;
	char path[200];

	assert_err(sign_key_read(&key, NULL, &e), ERR_USAGE, &e);
	assert_has(e.text, "signing_key");
	assert_err(sign_key_read(&key, w->pub, &e), ERR_USAGE, &e);
	assert_err(sign_trust_read(&trust, "", &e), ERR_USAGE, &e);
	assert_has(e.text, "trusted_key");
	assert_err(sign_trust_read(&trust, w->key, &e), ERR_USAGE, &e);
	snprintf(path, sizeof path, "%s/absent", w->dir);
	assert_err(sign_key_read(&key, path, &e), ERR_USAGE, &e);
	assert_has(e.text, "absent");
	assert_err(sign_trust_read(&trust, path, &e), ERR_USAGE, &e);
	assert_int_equal(e.kind, ERR_USAGE);
}

static struct str stored(struct world *w, struct str key)
{
	struct error e = {0};
	struct str bytes;

	assert_ok(release_get(w->store, key, MANIFEST_MAX, &w->mem, &bytes, &e), &e);
	return bytes;
}

static void test_manifest_reads_back(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct manifest m;
	struct sign_trust *trust;

	world_release(w, &(struct measure){0});
	world_release(w, &(struct measure){.rows = 7});
	struct str bytes = stored(w, release_manifest_key(&w->mem, WORKFLOW, 2));
	assert_ok(manifest_read(bytes, &w->mem, &m, &e), &e);
	assert_int_equal(m.version, 2);
	assert_int_equal(m.parent, 1);
	assert_int_equal(m.rows, 7);
	assert_str(m.producer, "publisher");
	assert_str(m.scoring_lsn, "0/2000");
	assert_true(m.auc == 0.8 && m.leak_free && m.reconciled);
	assert_int_equal(m.stats.count, 7);
	assert_int_equal(m.signature.n, SIGN_BYTES);
	assert_ok(sign_trust_read(&trust, w->pub, &e), &e);
	assert_ok(sign_verify(trust, m.key_id, m.unsigned_bytes, m.signature, &e), &e);
	sign_trust_free(trust);
}

/* Whatever byte of a manifest is changed, it is not read or its signature does not hold. */
static void test_every_changed_byte_is_seen(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct sign_trust *trust;

	world_release(w, &(struct measure){.rows = 3});
	struct str bytes = stored(w, release_manifest_key(&w->mem, WORKFLOW, 1));
	char *p = arena_cstr(&w->mem, bytes);
	assert_ok(sign_trust_read(&trust, w->pub, &e), &e);
	for (size_t i = 0; i < bytes.n; i++) {
		for (unsigned bit = 0; bit < 8; bit += 3) {
			struct arena mem = {0};
			struct manifest m;
			p[i] = (char)(p[i] ^ (1 << bit));
			enum err rc = manifest_read(str_make(p, bytes.n), &mem, &m, &e);
			if (rc == OK)
				rc = sign_verify(
					trust, m.key_id, m.unsigned_bytes, m.signature, &e);
			if (rc != ERR_INPUT && rc != ERR_CHECK)
				fail_msg("byte %zu, bit %u: changed and not seen", i, bit);
			p[i] = (char)(p[i] ^ (1 << bit));
			arena_free(&mem);
		}
	}
	for (size_t n = 0; n < bytes.n; n += 7) {
		struct manifest m;
		assert_err(manifest_read(str_make(p, n), &w->mem, &m, &e), ERR_INPUT, &e);
	}
	sign_trust_free(trust);
}

static void expect_refused(
	struct world *w, const char *bytes, const char *from, const char *to, const char *why)
{
	struct error e = {0};
	struct manifest m;
	const char *at = strstr(bytes, from);

	assert_non_null(at);
	struct str changed = arena_fmt(
		&w->mem, "%.*s%s%s", (int)(at - bytes), bytes, to, at + strlen(from));
	assert_err(manifest_read(changed, &w->mem, &m, &e), ERR_INPUT, &e);
	assert_has(e.text, why);
}

static void test_manifest_is_strict(void **state)
{
	struct world *w = *state;

	world_release(w, &(struct measure){.rows = 3});
	world_release(w, &(struct measure){.rows = 3});
	struct str stored_bytes = stored(w, release_manifest_key(&w->mem, WORKFLOW, 2));
	const char *bytes = stored_bytes.p;
	expect_refused(w, bytes, "{\"columns\"", "{ \"columns\"", "canonical");
	expect_refused(w, bytes, "{\"columns\"", "{\"aaa\":1,\"columns\"", "unknown member");
	expect_refused(w, bytes, "\"format\":1", "\"format\":2", "format");
	expect_refused(w, bytes, "\"rows\":3,\"sha256\"", "\"rows\":4,\"sha256\"", "sum");
	expect_refused(w, bytes, "\"parent\":{", "\"parent\":{\"x\":1,", "unknown member");
	expect_refused(w, bytes, "\"algorithm\":\"ed25519\"", "\"algorithm\":\"none\"", "none");
	expect_refused(w, bytes, "\"workflow\":\"cancel-risk\"", "\"workflow\":7", "workflow");
	expect_refused(w, bytes, "\"version\":1}", "\"version\":2}", "out of range");
}

struct collected {
	struct arena mem;
	struct str files[64];
	int64_t rows[64];
	size_t n;
};

static enum err collect(void *arg, const struct data_file *f, struct error *e)
{
	struct collected *c = arg;
	char digest[ENC_SHA256_TEXT];
	(void)e;

	assert_true(c->n < 64);
	enc_sha256(f->bytes, digest);
	assert_string_equal(digest, f->sha256);
	c->rows[c->n] = f->rows;
	c->files[c->n++] = arena_str(&c->mem, f->bytes);
	return OK;
}

#define ROWS 5000

static void write_files(
	struct collected *c, struct str *keys, double *scores, size_t n, int64_t per)
{
	struct error e = {0};
	struct data_writer *d = data_writer_new(per, collect, c);

	for (size_t i = 0; i < n; i++)
		assert_ok(data_writer_add(d, keys[i], scores[i], &e), &e);
	assert_ok(data_writer_finish(d, &e), &e);
	data_writer_free(d);
}

static struct str odd_key(struct rnd *rnd, struct arena *mem)
{
	static const char bytes[] = "ab1,\"\n\r\\ \t;'";
	size_t n = rnd_below(rnd, 12);
	char *p = arena_alloc(mem, n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = bytes[rnd_below(rnd, sizeof bytes - 1)];
	return str_make(p, n);
}

static void test_data_reads_back(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct collected c = {0}, again = {0};
	struct data_rows r = {0};
	struct rnd rnd;
	struct str *keys = arena_array(&w->mem, ROWS, sizeof *keys);
	double *scores = arena_array(&w->mem, ROWS, sizeof *scores);

	rnd_seed(&rnd, unit_seed());
	for (size_t i = 0; i < ROWS; i++) {
		keys[i] = odd_key(&rnd, &w->mem);
		scores[i] = i % 7 == 0 ? ldexp(rnd_unit(&rnd), -40) : rnd_unit(&rnd);
	}
	write_files(&c, keys, scores, ROWS, 700);
	write_files(&again, keys, scores, ROWS, 700);
	assert_int_equal(c.n, 8);
	for (size_t i = 0; i < c.n; i++) {
		assert_true(str_eq(c.files[i], again.files[i]));
		assert_ok(data_rows_read(&r, c.files[i], 1 << 20, &e), &e);
	}
	assert_int_equal(r.n, ROWS);
	assert_int_equal(r.foreign_headers, 0);
	for (size_t i = 0; i < ROWS; i++)
		if (!str_eq(r.keys[i], keys[i]) || memcmp(&r.scores[i], &scores[i], 8) != 0)
			fail_msg("row %zu is not what was written", i);
	data_rows_free(&r);
	arena_free(&c.mem);
	arena_free(&again.mem);
}

static void test_damaged_data(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct collected c = {0};
	struct data_rows r = {0};
	struct str key = STR("k");
	double score = 0.25;

	write_files(&c, &key, &score, 1, 10);
	struct str good = c.files[0];
	for (size_t n = 0; n < good.n; n++)
		assert_err(data_rows_read(&r, str_make(good.p, n), 1 << 20, &e), ERR_INPUT, &e);
	struct str more = arena_fmt(&w->mem, "x");
	char *longer = arena_alloc(&w->mem, good.n * 2);
	memcpy(longer, good.p, good.n);
	memcpy(longer + good.n, good.p, good.n);
	assert_err(data_rows_read(&r, str_make(longer, good.n * 2), 1 << 20, &e), ERR_INPUT, &e);
	assert_has(e.text, "follow");
	assert_err(data_rows_read(&r, more, 1 << 20, &e), ERR_INPUT, &e);
	assert_err(data_rows_read(&r, good, 5, &e), ERR_INPUT, &e);
	assert_has(e.text, "unpacks to more");
	assert_int_equal(r.n, 0);
	assert_ok(data_rows_read(&r, good, 1 << 20, &e), &e);
	assert_int_equal(r.n, 1);
	data_rows_free(&r);
	arena_free(&c.mem);
}

static void test_no_rows_is_one_file(void **state)
{
	struct error e = {0};
	struct collected c = {0};
	struct data_rows r = {0};
	(void)state;

	write_files(&c, NULL, NULL, 0, 10);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.rows[0], 0);
	assert_ok(data_rows_read(&r, c.files[0], 1 << 20, &e), &e);
	assert_int_equal(r.n, 0);
	data_rows_free(&r);
	arena_free(&c.mem);
}

static void test_distribution(void **state)
{
	struct score_stats s, t;
	double even[100], low[100];
	(void)state;

	for (int i = 0; i < 100; i++) {
		even[i] = (i + 0.5) / 100;
		low[i] = even[i] / 2;
	}
	stats_compute(even, 100, &s);
	assert_int_equal(s.count, 100);
	assert_true(s.min == 0.005 && s.max == 0.995 && fabs(s.mean - 0.5) < 1e-12);
	for (int i = 0; i < STATS_BINS; i++)
		assert_int_equal(s.histogram[i], 5);
	assert_true(s.deciles[0] == s.min && s.deciles[10] == s.max);
	assert_true(fabs(s.deciles[5] - 0.5) < 0.011);
	stats_compute(low, 100, &t);
	assert_true(stats_same(&s, &s));
	assert_false(stats_same(&s, &t));
	assert_true(stats_psi(&s, &s) == 0);
	/* Ten bins went from 0.05 to 0.1, ten from 0.05 to nothing (1e-4). */
	double want = 10 * (0.1 - 0.05) * log(0.1 / 0.05) + 10 * (1e-4 - 0.05) * log(1e-4 / 0.05);
	assert_true(fabs(stats_psi(&t, &s) - want) < 1e-9);
	double edges[] = {0, 1};
	stats_compute(edges, 2, &s);
	assert_true(s.histogram[0] == 1 && s.histogram[STATS_BINS - 1] == 1);
	stats_compute(NULL, 0, &s);
	assert_int_equal(s.count, 0);
}

static void test_checks(void **state)
{
	struct world *w = *state;
	struct error e = {0};
	struct checks c, again;
	struct buf b;
	struct json_out j;
	json_t *array;

	checks_init(&c, &w->mem);
	assert_false(checks_ok(&c));
	assert_err(checks_result(&c, "testing", &e), ERR_CHECK, &e);
	for (int i = 0; i < 50; i++)
		checks_add(&c, "fine", true, STR("seen"));
	assert_true(checks_ok(&c));
	checks_add(&c, "wrong", false, STR("a \"reason\""));
	assert_err(checks_result(&c, "testing", &e), ERR_CHECK, &e);
	assert_has(e.text, "wrong: a \"reason\"");
	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	checks_print(&c, &j, NULL);
	assert_ok(json_read(buf_str(&b), "checks", &array, &e), &e);
	checks_init(&again, &w->mem);
	assert_ok(checks_read(&again, array, &e), &e);
	assert_int_equal(again.n, 51);
	assert_false(again.items[50].ok);
	assert_str(again.items[50].detail, "a \"reason\"");
	json_decref(array);
	buf_free(&b);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_keys),
		CASE(test_signatures),
		CASE(test_two_trusted_keys),
		CASE(test_wrong_key_files),
		CASE(test_manifest_reads_back),
		CASE(test_every_changed_byte_is_seen),
		CASE(test_manifest_is_strict),
		CASE(test_data_reads_back),
		CASE(test_damaged_data),
		CASE(test_no_rows_is_one_file),
		CASE(test_distribution),
		CASE(test_checks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
