/* Transactions in progress: what comes back is what was put in, without what was undone. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "failpoint.h"
#include "file.h"
#include "mem.h"
#include "rnd.h"
#include "spill.h"

struct ground {
	struct env env;
	struct rnd rnd;
	char dir[128], spill[160];
};

static int begin(void **state)
{
	static struct ground g;

	g = (struct ground){.env = {.clock = clock_system(), .rnd = &g.rnd}};
	rnd_seed(&g.rnd, 1);
	unit_tmpdir(g.dir, sizeof(g.dir));
	snprintf(g.spill, sizeof(g.spill), "%s/spill", g.dir);
	*state = &g;
	return 0;
}

static int end(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};

	failpoints_free(g->env.failpoints);
	g->env.failpoints = NULL;
	assert_ok(file_remove_tree(g->dir, &e), &e);
	return 0;
}

static void arm(struct ground *g, const char *spec)
{
	struct error e = {.kind = OK};

	failpoints_free(g->env.failpoints);
	g->env.failpoints = NULL;
	if (spec != NULL)
		assert_ok(failpoints_parse(&g->env.failpoints, str_of(spec), &e), &e);
}

static struct spill *open_ok(struct ground *g, size_t memory)
{
	struct error e = {.kind = OK};
	struct spill *s;

	assert_ok(spill_open(&s, g->spill, memory, &g->env, &e), &e);
	return s;
}

static enum err count_file(void *arg, const char *name, struct error *e)
{
	(void)name;
	(void)e;
	++*(size_t *)arg;
	return OK;
}

static size_t files(struct ground *g)
{
	struct error e = {.kind = OK};
	size_t n = 0;

	assert_ok(file_list(g->spill, count_file, &n, &e), &e);
	return n;
}

/* ---- against a model ---- */

#define TRANSACTIONS 7
#define DEPTH        4

/* What should come back, as text: each message with its LSN. */
struct model {
	uint32_t xid, next;
	uint32_t open[DEPTH]; /* sub-transactions, innermost last */
	size_t from[DEPTH];   /* where each begins in `text` */
	size_t nopen;
	struct buf text;
	bool there;
};

static void put_line(struct buf *b, lsn start, struct str payload)
{
	buf_putf(b, "%016llx ", (unsigned long long)start.v);
	buf_put(b, payload);
	buf_putc(b, '\n');
}

static enum err take(void *arg, lsn start, struct str payload, struct error *e)
{
	(void)e;
	put_line(arg, start, payload);
	return OK;
}

/* Undone lines go, but for descriptions, which stay. */
static void model_undo(struct model *m, size_t from)
{
	struct buf kept;

	buf_init(&kept, BUF_MAX_DEFAULT);
	buf_put(&kept, str_make(m->text.p, from));
	for (size_t at = from; at < m->text.n;) {
		const char *nl = memchr(m->text.p + at, '\n', m->text.n - at);
		size_t n = (size_t)(nl + 1 - (m->text.p + at));
		if (m->text.p[at + 17] == 'R')
			buf_put(&kept, str_make(m->text.p + at, n));
		at += n;
	}
	buf_free(&m->text);
	m->text = kept;
}

static void model_begin(struct model *m, uint32_t xid)
{
	*m = (struct model){.xid = xid, .next = xid + 1, .there = true};
	buf_init(&m->text, BUF_MAX_DEFAULT);
}

static void put_change(struct spill *s, struct model *m, struct rnd *rnd, uint64_t at)
{
	struct error e = {.kind = OK};
	struct buf b;
	uint32_t subxid = m->nopen > 0 ? m->open[m->nopen - 1] : m->xid;
	size_t n = rnd_below(rnd, 40) == 0 ? 300000 : rnd_below(rnd, 200);

	buf_init(&b, BUF_MAX_DEFAULT);
	buf_putc(&b, rnd_below(rnd, 10) == 0 ? 'R' : 'I');
	for (size_t i = 0; i < n; i++)
		buf_putc(&b, (char)('a' + rnd_below(rnd, 26)));
	put_line(&m->text, (lsn){at}, buf_str(&b));
	assert_ok(spill_add(s, subxid, (lsn){at}, buf_str(&b), &e), &e);
	buf_free(&b);
}

static void block(struct spill *s, struct model *m, struct rnd *rnd, uint64_t *at)
{
	struct error e = {.kind = OK};

	assert_ok(spill_begin(s, m->xid, &e), &e);
	for (uint64_t n = rnd_below(rnd, 30); n > 0; n--) {
		if (rnd_below(rnd, 5) == 0 && m->nopen < DEPTH) {
			m->open[m->nopen] = m->next++;
			m->from[m->nopen++] = m->text.n;
		}
		put_change(s, m, rnd, (*at)++);
	}
	assert_true(spill_in_block(s));
	assert_ok(spill_end(s, &e), &e);
}

/* The outermost of those undone takes all inside it along, and the source names each of them. */
static void undo(struct spill *s, struct model *m, struct rnd *rnd)
{
	struct error e = {.kind = OK};

	if (m->nopen == 0)
		return;
	size_t to = rnd_below(rnd, m->nopen);
	for (size_t i = to; i < m->nopen; i++)
		assert_ok(spill_abort(s, m->xid, m->open[i], &e), &e);
	model_undo(m, m->from[to]);
	m->nopen = to;
}

static void finish(struct spill *s, struct model *m, bool commit)
{
	struct error e = {.kind = OK};
	struct buf got;

	buf_init(&got, BUF_MAX_DEFAULT);
	if (commit) {
		assert_ok(spill_replay(s, m->xid, take, &got, &e), &e);
		assert_int_equal(got.n, m->text.n);
		assert_true(got.n == 0 || memcmp(got.p, m->text.p, got.n) == 0);
	} else
		assert_ok(spill_abort(s, m->xid, m->xid, &e), &e);
	buf_free(&got);
	buf_free(&m->text);
	m->there = false;
}

static void run_model(struct ground *g, size_t memory, unsigned steps)
{
	struct spill *s = open_ok(g, memory);
	struct model models[TRANSACTIONS] = {0};
	uint32_t xid = 100;
	uint64_t at = 1;
	unsigned committed = 0;

	for (unsigned i = 0; i < steps; i++) {
		struct model *m = &models[rnd_below(&g->rnd, TRANSACTIONS)];
		if (!m->there)
			model_begin(m, xid += 1000);
		block(s, m, &g->rnd, &at);
		if (rnd_below(&g->rnd, 3) == 0)
			undo(s, m, &g->rnd);
		if (rnd_below(&g->rnd, 6) != 0)
			continue;
		bool commit = rnd_below(&g->rnd, 4) != 0;
		committed += commit;
		finish(s, m, commit);
	}
	assert_true(committed > steps / 20);
	for (size_t i = 0; i < TRANSACTIONS; i++)
		if (models[i].there)
			finish(s, &models[i], true);
	assert_int_equal(spill_transactions(s), 0);
	assert_int_equal(spill_bytes(s), 0);
	assert_int_equal(files(g), 0);
	spill_close(s);
}

static void test_comes_back_as_it_was(void **state)
{
	struct ground *g = *state;

	rnd_seed(&g->rnd, unit_seed());
	run_model(g, 1 << 20, 600); /* files and memory */
	run_model(g, 0, 150);       /* a file for everything */
	run_model(g, SIZE_MAX, 150);
}

/* ---- its bounds ---- */

static void add_bytes(struct spill *s, uint32_t xid, size_t n)
{
	struct error e = {.kind = OK};
	char *text = mem_alloc(n);

	memset(text, 'I', n);
	assert_ok(spill_begin(s, xid, &e), &e);
	assert_ok(spill_add(s, xid, (lsn){xid}, str_make(text, n), &e), &e);
	assert_ok(spill_end(s, &e), &e);
	mem_free(text);
}

static void test_small_ones_stay_in_memory(void **state)
{
	struct ground *g = *state;
	struct spill *s = open_ok(g, 100000);

	for (uint32_t xid = 1; xid <= 9; xid++)
		add_bytes(s, xid, 10000);
	assert_int_equal(files(g), 0);
	/* Together they are too much now. */
	for (uint32_t xid = 10; xid <= 20; xid++)
		add_bytes(s, xid, 10000);
	assert_true(files(g) >= 9);
	assert_int_equal(spill_transactions(s), 20);
	spill_close(s);
	assert_int_equal(files(g), 0);
}

static void test_leftovers_go(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	char path[256], other[256];

	assert_ok(file_mkdirs(g->spill, &e), &e);
	snprintf(path, sizeof(path), "%s/0000000777.xact", g->spill);
	snprintf(other, sizeof(other), "%s/notes.txt", g->spill);
	assert_ok(file_write_atomic(path, STR("half a record"), &e), &e);
	assert_ok(file_write_atomic(other, STR("not ours"), &e), &e);
	struct spill *s = open_ok(g, 0);
	assert_false(file_exists(path));
	assert_true(file_exists(other));
	assert_int_equal(spill_transactions(s), 0);
	spill_close(s);
}

/* ---- what goes wrong ---- */

static void test_damage_is_found(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct buf got;
	char path[256];

	buf_init(&got, BUF_MAX_DEFAULT);
	snprintf(path, sizeof(path), "%s/0000000005.xact", g->spill);
	for (int how = 0; how < 3; how++) {
		struct spill *s = open_ok(g, 0);
		add_bytes(s, 5, 1000);
		add_bytes(s, 5, 1000);
		int fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		if (how == 0)
			assert_int_equal(pwrite(fd, "x", 1, 600), 1);
		else
			assert_int_equal(ftruncate(fd, how == 1 ? 1020 : 1500), 0);
		close(fd);
		assert_err(spill_replay(s, 5, take, &got, &e), ERR_FAILED, &e);
		assert_has(e.text, "0000000005.xact");
		assert_has(e.text, how == 0 ? "checksum" : "cut short");
		spill_close(s);
		error_clear(&e);
	}
	buf_free(&got);
}

static void test_disk_errors_are_said(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct buf got;
	struct spill *s = open_ok(g, 0);

	buf_init(&got, BUF_MAX_DEFAULT);
	arm(g, "spill.write=enospc");
	assert_ok(spill_begin(s, 5, &e), &e);
	assert_err(spill_add(s, 5, (lsn){1}, STR("Iabc"), &e), ERR_FAILED, &e);
	assert_has(e.text, "nothing of it has been acknowledged");
	spill_close(s);
	error_clear(&e);
	s = open_ok(g, 0);
	add_bytes(s, 5, 100);
	arm(g, "spill.read=eio");
	assert_err(spill_replay(s, 5, take, &got, &e), ERR_FAILED, &e);
	assert_has(e.text, "spill.read");
	arm(g, NULL);
	spill_close(s);
	error_clear(&e);
	buf_free(&got);
}

/* The disk itself says no: a limit on the size of files stands for a full one. */
static void test_write_that_does_not_fit(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct spill *s = open_ok(g, 0);
	struct rlimit before, small = {.rlim_cur = 5000};

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	enum err rc = OK;
	assert_ok(spill_begin(s, 5, &e), &e);
	for (int i = 0; rc == OK && i < 100; i++)
		rc = spill_add(
			s, 5, (lsn){1}, STR("I a hundred bytes or so of a row's values"), &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, ERR_FAILED);
	assert_has(e.text, "make room");
	spill_close(s);
}

static enum err refuse(void *arg, lsn start, struct str payload, struct error *e)
{
	(void)arg;
	(void)start;
	(void)payload;
	return FAIL(e, ERR_INTERRUPTED, "enough");
}

static void test_wrong_order_is_refused(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct spill *s = open_ok(g, 0);
	struct buf got;

	buf_init(&got, BUF_MAX_DEFAULT);
	assert_err(spill_end(s, &e), ERR_INPUT, &e);
	assert_err(spill_add(s, 5, (lsn){1}, STR("I"), &e), ERR_INPUT, &e);
	assert_err(spill_begin(s, 0, &e), ERR_INPUT, &e);
	assert_err(spill_replay(s, 5, take, &got, &e), ERR_INPUT, &e);
	error_clear(&e);
	assert_ok(spill_begin(s, 5, &e), &e);
	assert_err(spill_begin(s, 6, &e), ERR_INPUT, &e);
	assert_err(spill_replay(s, 5, take, &got, &e), ERR_INPUT, &e);
	error_clear(&e);
	assert_ok(spill_add(s, 5, (lsn){1}, STR("I"), &e), &e);
	assert_ok(spill_end(s, &e), &e);
	/* The one who reads may stop, and read again. */
	assert_err(spill_replay(s, 5, refuse, NULL, &e), ERR_INTERRUPTED, &e);
	error_clear(&e);
	assert_ok(spill_replay(s, 5, take, &got, &e), &e);
	assert_int_equal(got.n, 17 + 2);
	/* Aborts of what was never streamed are no news. */
	assert_ok(spill_abort(s, 99, 99, &e), &e);
	assert_ok(spill_abort(s, 99, 100, &e), &e);
	buf_free(&got);
	spill_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_comes_back_as_it_was),
		TEST(test_small_ones_stay_in_memory),
		TEST(test_leftovers_go),
		TEST(test_damage_is_found),
		TEST(test_disk_errors_are_said),
		TEST(test_write_that_does_not_fit),
		TEST(test_wrong_order_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
