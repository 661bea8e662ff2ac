/* The file of a range's hashes: it answers for the digest it was written for, rightly or not at
 * all, whatever has become of it. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "kept_hashes.h"
#include "mem.h"
#include "rnd.h"

#define KEYS   3000
#define PIECES 4

struct model {
	struct rnd rnd;
	char dir[128];
	const char *path;
	struct arena mem;
	struct rowhash key[KEYS], row[PIECES + 1][KEYS];
	bool alive[PIECES + 1][KEYS];
	struct digest sum[PIECES + 1]; /* after so many pieces */
	off_t end[PIECES + 1];
};

static struct rowhash random_hash(struct rnd *r)
{
	return (struct rowhash){.lo = rnd_u64(r), .hi = rnd_u64(r)};
}

static void add_up(struct model *m, size_t piece)
{
	m->sum[piece] = (struct digest){.rows = 0};
	for (size_t i = 0; i < KEYS; i++)
		if (m->alive[piece][i])
			digest_add(&m->sum[piece], m->row[piece][i]);
}

static off_t size_of(const struct model *m)
{
	struct stat st;

	assert_int_equal(stat(m->path, &st), 0);
	return st.st_size;
}

static void write_base(struct model *m)
{
	struct hash_rows rows = {.n = 0};
	struct error e = {.kind = OK};

	for (size_t i = 0; i < KEYS; i++) {
		m->key[i] = random_hash(&m->rnd);
		m->row[0][i] = random_hash(&m->rnd);
		m->alive[0][i] = rnd_below(&m->rnd, 4) > 0;
		if (m->alive[0][i])
			hash_rows_add(&rows, &m->key[i], &m->row[0][i], 1);
	}
	add_up(m, 0);
	assert_ok(kept_hashes_write(m->path, &rows, &m->sum[0], &e), &e);
	hash_rows_free(&rows);
	m->end[0] = size_of(m);
}

static void append(struct model *m, size_t piece)
{
	struct kept_change list[200];
	struct kept_hashes *k;
	struct error e = {.kind = OK};

	memcpy(m->row[piece], m->row[piece - 1], sizeof m->row[piece]);
	memcpy(m->alive[piece], m->alive[piece - 1], sizeof m->alive[piece]);
	for (size_t i = 0; i < 200; i++) {
		size_t at = (size_t)rnd_below(&m->rnd, KEYS);

		m->alive[piece][at] = rnd_below(&m->rnd, 3) > 0;
		m->row[piece][at] = random_hash(&m->rnd);
		list[i] = (struct kept_change){
			.key = m->key[at], .row = m->row[piece][at], .alive = m->alive[piece][at]};
	}
	add_up(m, piece);
	assert_ok(kept_hashes_open(m->path, &m->sum[piece - 1], &k, &e), &e);
	assert_non_null(k);
	assert_ok(kept_hashes_append(k, list, 200, &m->sum[piece], &e), &e);
	kept_hashes_close(k);
	m->end[piece] = size_of(m);
}

static int setup(void **state)
{
	struct model *m = mem_zalloc(sizeof *m);

	rnd_seed(&m->rnd, unit_seed());
	unit_tmpdir(m->dir, sizeof m->dir);
	m->path = kept_hashes_path(
		arena_fmt(&m->mem, "%s/made", m->dir), STR("public.t"), 2, 5, &m->mem)
			  .p;
	write_base(m);
	for (size_t i = 1; i <= PIECES; i++)
		append(m, i);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct model *m = *state;
	struct error e = {.kind = OK};

	assert_ok(file_remove_tree(m->dir, &e), &e);
	arena_free(&m->mem);
	mem_free(m);
	return 0;
}

/* Every key as the model has it after so many pieces; false when the file would not say. */
static bool answers(struct model *m, size_t piece)
{
	struct kept_hashes *k;
	bool all = true;

	if (kept_hashes_open(m->path, &m->sum[piece], &k, NULL) != OK || k == NULL)
		return false;
	for (size_t i = 0; i < KEYS; i++) {
		struct rowhash row = {.lo = 0};
		bool found;

		if (kept_hashes_find(k, m->key[i], &found, &row, NULL) != OK) {
			all = false;
			continue;
		}
		if (found != m->alive[piece][i] ||
			(found && (row.lo != m->row[piece][i].lo || row.hi != m->row[piece][i].hi)))
			fail_msg("key %zu after %zu pieces: a wrong answer", i, piece);
	}
	kept_hashes_close(k);
	return all;
}

static void test_answers_for_each_digest(void **state)
{
	struct model *m = *state;
	struct digest other = m->sum[PIECES];
	struct kept_hashes *k;
	struct rowhash row;
	struct error e = {.kind = OK};
	bool found;

	for (size_t i = 0; i <= PIECES; i++)
		assert_true(answers(m, i));
	other.lo++;
	assert_ok(kept_hashes_open(m->path, &other, &k, &e), &e);
	assert_null(k);
	assert_ok(kept_hashes_open("/nonexistent/x", &other, &k, &e), &e);
	assert_null(k);
	assert_ok(kept_hashes_open(m->path, &m->sum[0], &k, &e), &e);
	for (int i = 0; i < 1000; i++) {
		assert_ok(kept_hashes_find(k, random_hash(&m->rnd), &found, &row, &e), &e);
		assert_false(found);
	}
	kept_hashes_close(k);
}

/* A check whose digest was not kept has left its piece behind: the next one goes on before it. */
static void test_a_piece_without_its_digest_is_written_over(void **state)
{
	struct model *m = *state;

	for (size_t i = 3; i <= PIECES; i++)
		append(m, i);
	for (size_t i = 0; i <= PIECES; i++)
		assert_true(answers(m, i));
	assert_int_equal(size_of(m), m->end[PIECES]);
}

/* Cut off anywhere: what ends before the cut is answered for. */
static void test_a_torn_file(void **state)
{
	struct model *m = *state;
	struct buf whole;
	struct error e = {.kind = OK};

	buf_init(&whole, BUF_MAX_DEFAULT);
	assert_ok(file_read(m->path, &whole, &e), &e);
	for (int i = 0; i < 60; i++) {
		size_t n = (size_t)rnd_below(&m->rnd, whole.n);

		assert_ok(file_write_atomic(m->path, str_make(whole.p, n), &e), &e);
		for (size_t piece = 0; piece <= PIECES; piece++)
			assert_int_equal(answers(m, piece), (off_t)n >= m->end[piece]);
	}
	assert_ok(file_write_atomic(m->path, buf_str(&whole), &e), &e);
	buf_free(&whole);
}

/* One bit is another: no wrong answer, and no right one from what the bit belongs to. */
static void test_a_flipped_bit(void **state)
{
	struct model *m = *state;
	unsigned rounds = getenv("SLUICE_LONG") != NULL ? 5000 : 200;
	struct buf whole;
	struct error e = {.kind = OK};

	buf_init(&whole, BUF_MAX_DEFAULT);
	assert_ok(file_read(m->path, &whole, &e), &e);
	for (unsigned i = 0; i < rounds; i++) {
		size_t at = (size_t)rnd_below(&m->rnd, whole.n);
		char bit = (char)(1 << rnd_below(&m->rnd, 8));

		whole.p[at] = (char)(whole.p[at] ^ bit);
		int fd = open(m->path, O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, whole.p + at, 1, (off_t)at), 1);
		assert_false(answers(m, PIECES));
		whole.p[at] = (char)(whole.p[at] ^ bit);
		assert_int_equal(pwrite(fd, whole.p + at, 1, (off_t)at), 1);
		assert_int_equal(close(fd), 0);
	}
	assert_true(answers(m, PIECES));
	buf_free(&whole);
}

static void test_no_more_than_fit(void **state)
{
	struct model *m = *state;
	struct hash_rows rows = {.n = 0};
	struct rowhash h[256] = {{0}};
	struct error e = {.kind = OK};

	for (size_t i = 0; i <= HASH_ROWS_MOST / 256; i++)
		hash_rows_add(&rows, h, h, 256);
	assert_true(rows.over && rows.n == 0);
	assert_ok(kept_hashes_write(m->path, &rows, &m->sum[0], &e), &e);
	assert_true(answers(m, 0));
	hash_rows_free(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_for_each_digest),
		cmocka_unit_test(test_a_piece_without_its_digest_is_written_over),
		cmocka_unit_test(test_a_torn_file),
		cmocka_unit_test(test_a_flipped_bit),
		cmocka_unit_test(test_no_more_than_fit),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
