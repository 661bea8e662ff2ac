/* select_at against a model: random transactions, of which random cuts see some. */
#include "fixture.h"

#define KEYS 12
#define TXS  60
#define MOST 600
#define KEPT "!1e9" /* one key is a value that its column cannot hold */

struct change {
	char op;
	int64_t key;
	uint64_t lsn, xid;
	uint32_t seq;
	int64_t value;
};

struct history {
	struct change changes[MOST];
	size_t n;
	uint64_t last_lsn, last_xid;
	bool live[KEYS];
};

static void add_change(
	struct history *h, struct rnd *r, char op, int64_t key, uint64_t xid, uint32_t seq)
{
	h->changes[h->n++] = (struct change){.op = op,
		.key = key,
		.lsn = h->last_lsn,
		.xid = xid,
		.seq = seq,
		.value = (int64_t)rnd_below(r, 1000000)};
	if (op == 'T')
		memset(h->live, 0, sizeof h->live);
	else
		h->live[key] = op != 'D';
}

/* Transaction ids are taken in another order than that of the commits. */
static void random_history(struct history *h, struct rnd *r, bool truncations, bool keyless)
{
	uint64_t xids[TXS];

	*h = (struct history){.last_lsn = 100};
	for (size_t i = 0; i < TXS; i++)
		xids[i] = 1000 + i;
	for (size_t i = 0; i + 1 < TXS; i++) {
		size_t near = i + rnd_below(r, TXS - i < 8 ? TXS - i : 8);
		uint64_t x = xids[i];

		xids[i] = xids[near];
		xids[near] = x;
	}
	for (int64_t key = 0; key < KEYS / 2; key++)
		add_change(h, r, 'r', key, 0, (uint32_t)key);
	for (size_t i = 0; i < TXS; i++) {
		uint64_t n = 1 + rnd_below(r, 6);

		h->last_lsn += 1 + rnd_below(r, 50);
		for (uint32_t seq = 0; seq < n; seq++) {
			int64_t key = (int64_t)rnd_below(r, KEYS);

			if (truncations && rnd_below(r, 40) == 0)
				add_change(h, r, 'T', 0, xids[i], seq);
			else if (keyless || !h->live[key])
				add_change(h, r, 'I', key, xids[i], seq);
			else
				add_change(h, r, rnd_below(r, 3) ? 'U' : 'D', key, xids[i], seq);
		}
	}
	h->last_xid = 1000 + TXS;
}

static void cells_of(const struct change *c, char *out, size_t n)
{
	char key[32];

	snprintf(key, sizeof key, c->key == 3 ? KEPT : "%lld", (long long)c->key);
	if (c->op == 'D')
		snprintf(out, n, "%s|-", key);
	else
		snprintf(out, n, "%s|%lld", key, (long long)c->value);
	if (c->op == 'T')
		out[0] = '\0';
}

/* Applies the history in batches that end where transactions end. */
static void apply_history(
	struct fixture *f, struct table *t, const struct history *h, struct rnd *r)
{
	struct batch *b = batch_new(t);

	for (size_t i = 0; i < h->n; i++) {
		char cells[64];

		cells_of(&h->changes[i], cells, sizeof cells);
		add_row(b, h->changes[i].op, h->changes[i].lsn, h->changes[i].seq,
			h->changes[i].xid, cells);
		if (i + 1 == h->n ||
			(h->changes[i + 1].lsn != h->changes[i].lsn && rnd_below(r, 4) == 0)) {
			must_apply(f, b);
			batch_reset(b);
		}
	}
	batch_free(b);
}

struct random_cut {
	struct cut cut;
	uint64_t running[TXS];
};

static void draw_cut(struct random_cut *c, const struct history *h, struct rnd *r)
{
	uint64_t xmin = 1000 + rnd_below(r, TXS + 1), xmax = xmin + rnd_below(r, 20);

	c->cut = (struct cut){.at = {90 + rnd_below(r, h->last_lsn - 80)},
		.xmin = xmin,
		.xmax = xmax,
		.running = c->running};
	if (rnd_below(r, 3) == 0)
		c->cut.at.v = h->last_lsn; /* as reconciliation draws them: at the stream's end */
	for (uint64_t xid = xmin; xid < xmax; xid++)
		if (rnd_below(r, 3) == 0)
			c->running[c->cut.nrunning++] = xid;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The state of the table by definition: the changes inside the cut, one after the other. */
static void model(
	const struct history *h, const struct cut *c, bool keyless, int64_t least, struct buf *out)
{
	static char lines[MOST][64];
	const struct change *newest[KEYS] = {NULL};
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct change *x = &h->changes[i];

		if (!cut_includes(c, x->xid, (lsn){x->lsn}))
			continue;
		if (x->op == 'T') {
			memset(newest, 0, sizeof newest);
			n = 0;
		} else if (!keyless) {
			newest[x->key] = x->op == 'D' ? NULL : x;
		} else if (x->key == 3 || x->key >= least) {
			snprintf(lines[n++], sizeof lines[0], "%lld|%lld", (long long)x->key,
				(long long)x->value);
		}
	}
	for (int64_t key = 0; key < KEYS; key++)
		if (newest[key] != NULL && key >= least && (key != 3 || least == 0))
			snprintf(lines[n++], sizeof lines[0], "%lld|%lld", (long long)key,
				(long long)newest[key]->value);
	qsort(lines, n, sizeof lines[0], by_text);
	for (size_t i = 0; i < n; i++)
		buf_putf(out, "%s%s", i > 0 ? "\n" : "", lines[i]);
}

static void compare_at(struct fixture *f, struct table *t, const struct history *h,
	const struct cut *c, int64_t least)
{
	struct buf sql, want, snapshot;
	char where[64] = "";

	buf_init(&sql, 1 << 20);
	buf_init(&want, 1 << 20);
	buf_init(&snapshot, 10000);
	if (least > 0)
		snprintf(where, sizeof where, "id >= %lld", (long long)least);
	buf_puts(&sql, "SELECT coalesce(CAST(id AS BIGINT), 3) AS k, value FROM (");
	assert_ok(warehouse_select_at(f->w, t, c, str_of(where), &sql, &f->e), &f->e);
	buf_puts(&sql, ") ORDER BY concat(k, '|', value) COLLATE C");
	model(h, c, t->nkeys == 0, least, &want);
	const char *got = answer(f, buf_cstr(&sql));
	if (strcmp(got, buf_cstr(&want)) != 0) {
		cut_print_snapshot(c, &snapshot);
		fail_msg("at %llu %s, keys from %lld:\n%s\nnot\n%s\n%s",
			(unsigned long long)c->at.v, buf_cstr(&snapshot), (long long)least, got,
			buf_cstr(&want), buf_cstr(&sql));
	}
	buf_free(&sql);
	buf_free(&want);
	buf_free(&snapshot);
}

static void run(struct fixture *f, bool truncations, bool keyless, const char *columns)
{
	struct history *h = arena_alloc(&f->mem, sizeof *h);
	struct table *t = make_table(f, "t", columns);
	struct rnd r;

	rnd_seed(&r, unit_seed());
	for (int round = 0; round < 3; round++) {
		assert_ok(
			warehouse_script(f->w,
				STR("CREATE SCHEMA IF NOT EXISTS shop; CREATE SCHEMA IF NOT EXISTS "
				    "shop_history; DROP TABLE IF EXISTS shop.t; DROP TABLE IF "
				    "EXISTS shop_history.t"),
				&f->e),
			&f->e);
		assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
		random_history(h, &r, truncations, keyless);
		apply_history(f, t, h, &r);
		for (int i = 0; i < 20; i++) {
			struct random_cut c;

			draw_cut(&c, h, &r);
			compare_at(f, t, h, &c.cut, 0);
		}
		struct random_cut c;
		draw_cut(&c, h, &r);
		if (!keyless)
			compare_at(f, t, h, &c.cut, 5);
	}
}

static void test_keyed(void **state)
{
	run(*state, false, false, "id decimal(4,0) key, value int8");
}

static void test_truncated(void **state)
{
	run(*state, true, false, "id decimal(4,0) key, value int8");
}

static void test_keyless(void **state)
{
	run(*state, true, true, "id decimal(4,0), value int8");
}

/* Without truncations it is current that speaks. */
static void test_keyless_from_current(void **state)
{
	run(*state, false, true, "id decimal(4,0), value int8");
}

/* What current has lost is missing at the cut too. */
static void test_keyless_damage_is_seen(void **state)
{
	struct fixture *f = *state;
	struct table *t = make_table(f, "t", "id int8, value int8");
	struct batch *b = batch_new(t);
	struct cut c = {.at = {150}, .xmin = 20, .xmax = 20};
	struct buf sql;

	buf_init(&sql, 1 << 20);
	assert_ok(warehouse_ensure_table(f->w, t, &f->e), &f->e);
	add_row(b, 'I', 100, 0, 10, "1|1");
	add_row(b, 'I', 100, 1, 10, "1|1");
	add_row(b, 'I', 101, 0, 11, "2|2");
	add_row(b, 'I', 200, 0, 30, "3|3");
	must_apply(f, b);
	buf_puts(&sql, "SELECT count(*) FROM (");
	assert_ok(warehouse_select_at(f->w, t, &c, STR_NONE, &sql, &f->e), &f->e);
	buf_puts(&sql, ")");
	assert_string_equal(answer(f, buf_cstr(&sql)), "3");
	(void)answer(f, "DELETE FROM shop.t WHERE id = 2");
	assert_string_equal(answer(f, buf_cstr(&sql)), "2");
	buf_free(&sql);
	batch_free(b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keyed),
		TEST(test_truncated),
		TEST(test_keyless),
		TEST(test_keyless_from_current),
		TEST(test_keyless_damage_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
