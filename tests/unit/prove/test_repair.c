/* Planted faults: every one found, of the right kind, blamed on the right party, repaired to
 * nothing, undone exactly; what has changed since is left alone. */
#include "streamed.h"

#include <stdatomic.h>

#include "failpoint.h"
#include "marks.h"
#include "thread.h"
#include "warehouse.h"

static int setup(void **state)
{
	static struct streamed s;

	streamed_open(&s);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	streamed_close(*state);
	return 0;
}

/* ---- the campaign ---- */

#define MOST_FAULTS 24 /* in one round */

struct fault {
	const char *name, *set; /* assignment to the one row */
};

static const struct fault faults[] = {
	{"bit", "big = xor(coalesce(big, 0), 1::BIGINT << 17)"},
	{"lowest bit", "tiny = xor(coalesce(tiny, 0), 1::SMALLINT)"},
	{"space", "note = coalesce(note, '') || ' '"},
	{"microsecond", "clock = TIME '01:02:03.000001'"},
	{"microsecond of a moment", "local = TIMESTAMP '2019-01-01 00:00:00.000001'"},
	{"cent", "price = coalesce(price, 0) + 0.01"},
	{"boolean", "ok = NOT coalesce(ok, true)"},
	{"sign of a double", "share = -coalesce(share, 1) - 1"},
	{"NULL for a value", "mark = NULL"},
	{"JSON text", "plain = '{\"k\": [1,2]}'"},
	{"note of an exact value", "_exact = '{\"n\":\"1\", \"nowhere\":\"2\"}'"},
	{"broken note", "_exact = '\"x\"'"},
};

struct planted {
	struct streamed *s;
	struct expected {
		const char *what;
		enum difference kind;
		enum blame blame;
		unsigned id;
	} list[MOST_FAULTS + 2];
	unsigned n;
	bool used[400];
	bool in_history; /* of the fault in work */
};

static void expect(
	struct planted *p, enum difference kind, enum blame blame, unsigned id, const char *what)
{
	p->list[p->n++] = (struct expected){.what = what, .kind = kind, .blame = blame, .id = id};
}

/* A row that stands in the source and that nothing has been done to in this round. */
static unsigned sound_row(struct planted *p)
{
	for (;;) {
		unsigned id = 1 + (unsigned)rnd_below(&p->s->f.rnd, STREAMED_ADDED);
		if (p->used[id] || (id >= DELETED_FROM && id <= DELETED_TO))
			continue;
		p->used[id] = true;
		return id;
	}
}

/* Who is to blame for a fault of a row that is there. */
static enum blame party_of(const struct planted *p, unsigned id)
{
	(void)id;
	return p->in_history ? BLAME_APPLY : BLAME_WAREHOUSE;
}

static void run_where(struct planted *p, const char *before, const char *after)
{
	warehouse_run(&p->s->f, "%s public.items %s", before, after);
	if (p->in_history)
		warehouse_run(&p->s->f, "%s public_history.items %s", before, after);
}

static void plant_value(struct planted *p)
{
	const struct fault *f = &faults[rnd_below(&p->s->f.rnd, sizeof faults / sizeof faults[0])];
	unsigned id = sound_row(p);
	char set[256];

	snprintf(set, sizeof set, "SET %s WHERE id = %u", f->set, id);
	run_where(p, "UPDATE", set);
	expect(p, ROW_DIFFERENT, party_of(p, id), id, f->name);
}

static void plant_swap(struct planted *p)
{
	unsigned a = sound_row(p), b = sound_row(p);
	char set[256];

	/* Both values are taken from the current table before either is written. */
	for (int history = 0; history <= p->in_history; history++) {
		snprintf(set, sizeof set,
			"UPDATE %s.items SET name = CASE id WHEN %u THEN 'swapped ' ELSE 'with ' "
			"END || CASE id WHEN %u THEN '%u' ELSE '%u' END WHERE id IN (%u, %u)",
			history ? "public_history" : "public", a, a, b, a, a, b);
		warehouse_run(&p->s->f, "%s", set);
	}
	expect(p, ROW_DIFFERENT, party_of(p, a), a, "swapped value");
	expect(p, ROW_DIFFERENT, party_of(p, b), b, "swapped value");
}

static void plant_missing(struct planted *p)
{
	unsigned id = sound_row(p);
	char where[64];

	snprintf(where, sizeof where, "WHERE id = %u", id);
	run_where(p, "DELETE FROM", where);
	expect(p, ROW_MISSING, party_of(p, id), id, "missing row");
}

/* A row that the source has deleted is there still. */
static void plant_lost_delete(struct planted *p)
{
	unsigned id;

	do
		id = DELETED_FROM +
			(unsigned)rnd_below(&p->s->f.rnd, DELETED_TO - DELETED_FROM + 1);
	while (p->used[id]);
	p->used[id] = true;
	warehouse_run(&p->s->f,
		"INSERT INTO public.items SELECT * REPLACE (%u AS id) FROM ops.saved_0 "
		"WHERE id = 1",
		id);
	if (p->in_history)
		warehouse_run(&p->s->f,
			"DELETE FROM public_history.items WHERE id = %u AND _op = 'D'", id);
	expect(p, ROW_EXTRA, p->in_history ? BLAME_APPLY : BLAME_WAREHOUSE, id, "lost delete");
}

static void plant_duplicate(struct planted *p)
{
	unsigned id = sound_row(p);

	warehouse_run(&p->s->f, "INSERT INTO public.items FROM ops.saved_0 WHERE id = %u", id);
	expect(p, ROW_EXTRA, BLAME_WAREHOUSE, id, "duplicate row");
}

static void plant(struct planted *p)
{
	p->in_history = rnd_below(&p->s->f.rnd, 2) == 0;
	switch (rnd_below(&p->s->f.rnd, 8)) {
	case 0:
		plant_swap(p);
		break;
	case 1: /* the counts stay what they were */
		plant_lost_delete(p);
		plant_missing(p);
		break;
	case 2:
		plant_duplicate(p);
		break;
	case 3:
		plant_missing(p);
		break;
	default:
		plant_value(p);
		break;
	}
}

static void assert_found(struct planted *p)
{
	struct reconcile_report r;
	uint64_t want[DIFFERENCES] = {0};
	char key[32];

	streamed_reconcile(p->s, NULL, 2 * MOST_FAULTS, &r);
	const struct reconcile_table *t = report_table(&r, "public.items");
	for (unsigned i = 0; i < p->n; i++) {
		const struct expected *x = &p->list[i];
		snprintf(key, sizeof key, "{\"id\":%u}", x->id);
		const struct reconcile_key *k = streamed_key(&r, "public.items", key);
		want[x->kind]++;
		if (k->kind != x->kind || k->blame != x->blame)
			fail_msg("%s of row %u: %s, blamed on %s; not %s, blamed on %s", x->what,
				x->id, difference_name(k->kind), blame_name(k->blame),
				difference_name(x->kind), blame_name(x->blame));
	}
	for (int kind = 0; kind < DIFFERENCES; kind++)
		assert_int_equal(t->count[kind], want[kind]);
	assert_int_equal(t->nkeys, p->n);
	reconcile_report_free(&r);
}

static void assert_equal_now(struct streamed *s)
{
	struct reconcile_report r;

	streamed_reconcile(s, NULL, 5, &r);
	if (!r.ok)
		fail_msg("still different: %s", buf_cstr(&r.json));
	reconcile_report_free(&r);
}

/* History alone must tell the same as the source, now: the versions that are valid still. */
static void assert_versions(struct streamed *s)
{
	struct error e = {.kind = OK};
	int64_t n = -1;

	assert_ok(warehouse_i64(s->f.warehouse,
			  STR("SELECT count(*) FROM ((SELECT COLUMNS(* EXCLUDE (_lsn, "
			      "_committed_at)) FROM public.items EXCEPT SELECT COLUMNS(* EXCLUDE "
			      "(_op, _lsn, _seq, _valid_from, _valid_to)) FROM "
			      "public_history.items_versions WHERE _valid_to = 'infinity') UNION "
			      "ALL (SELECT COLUMNS(* EXCLUDE (_op, _lsn, _seq, _valid_from, "
			      "_valid_to)) FROM public_history.items_versions WHERE _valid_to = "
			      "'infinity' EXCEPT SELECT COLUMNS(* EXCLUDE (_lsn, _committed_at)) "
			      "FROM public.items))"),
			  &n, &e),
		&e);
	assert_int_equal(n, 0);
}

static void assert_repaired(struct planted *p, char id[64])
{
	struct repair_report r;
	struct error e = {.kind = OK};

	assert_ok(streamed_repair(p->s, false, &r, &e), &e);
	for (size_t i = 0; i < r.ntables; i++) {
		bool items = str_eqc(r.tables[i].name, "public.items");
		assert_int_equal(r.tables[i].repaired, items ? p->n : 0);
		assert_int_equal(r.tables[i].skipped, 0);
	}
	snprintf(id, 64, "%.*s", STR_ARG(r.repair_id));
	repair_report_free(&r);
	assert_equal_now(p->s);
	assert_versions(p->s);
}

static void assert_undone(struct streamed *s, const char *id, uint64_t undone, uint64_t skipped)
{
	struct repair_report r;
	struct error e = {.kind = OK};
	uint64_t sum[2] = {0};

	assert_ok(repair_undo(s->f.warehouse, &s->f.env, id, NULL, &r, &e), &e);
	for (size_t i = 0; i < r.ntables; i++) {
		sum[0] += r.tables[i].repaired;
		sum[1] += r.tables[i].skipped;
	}
	assert_int_equal(sum[0], undone);
	assert_int_equal(sum[1], skipped);
	repair_report_free(&r);
}

static void test_planted_faults(void **state)
{
	struct streamed *s = *state;
	unsigned wanted = getenv("SLUICE_LONG") != NULL ? 1000 : 100, total = 0, rounds = 0;
	char before[64], after[64], id[64];

	s->only = "public.items";
	for (; total < wanted; rounds++) {
		struct planted p = {.s = s};
		unsigned most = rounds < 6 ? 1 : 1 + (unsigned)rnd_below(&s->f.rnd, MOST_FAULTS);
		while (p.n < most)
			plant(&p);
		streamed_state(s, before);
		assert_found(&p);
		assert_repaired(&p, id);
		assert_undone(s, id, p.n, 0);
		assert_string_equal(streamed_state(s, after), before);
		total += p.n;
		streamed_restore(s);
	}
	s->only = NULL;
	assert_equal_now(s);
	print_message("%u faults in %u rounds\n", total, rounds);
}

/* ---- history that is wrong beneath a current row that is right ---- */

static void reconcile_history(struct streamed *s, struct reconcile_report *out)
{
	const struct reconcile_options o = {.conninfo = pg_server_conninfo(s->f.server),
		.publication = PUBLICATION,
		.reach = reached,
		.max_keys = 10,
		.journal = s->journal,
		.history = true};
	struct error e = {.kind = OK};

	assert_ok(reconcile(&o, s->f.warehouse, &s->f.env, out, &e), &e);
}

static void test_history_alone(void **state)
{
	struct streamed *s = *state;
	struct reconcile_report r;
	struct repair_report done;
	struct error e = {.kind = OK};
	char before[64], after[64], id[64];

	/* Another value; a deletion forgotten; a row of which history knows nothing. And one that
	 * is wrong in both, which is one difference. */
	warehouse_run(&s->f,
		"UPDATE public_history.items SET note = 'never' WHERE id = 170; "
		"DELETE FROM public_history.items WHERE id = 250 AND _op = 'D'; "
		"DELETE FROM public_history.items WHERE id = 310; "
		"UPDATE public.items SET n = 12 WHERE id = 180; "
		"UPDATE public_history.items SET n = 12 WHERE id = 180");
	streamed_state(s, before);
	reconcile_history(s, &r);
	const struct reconcile_table *t = report_table(&r, "public.items");
	assert_false(r.ok);
	assert_int_equal(t->count[ROW_DIFFERENT], 1);
	assert_int_equal(t->history.count[ROW_DIFFERENT], 2);
	assert_int_equal(t->history.count[ROW_EXTRA], 1);
	assert_int_equal(t->history.count[ROW_MISSING], 1);
	reconcile_report_free(&r);

	s->only = "public.items";
	assert_ok(streamed_repair(s, false, &done, &e), &e);
	assert_int_equal(done.tables[0].repaired, 4);
	assert_int_equal(done.tables[0].skipped, 0);
	snprintf(id, sizeof id, "%.*s", STR_ARG(done.repair_id));
	repair_report_free(&done);
	s->only = NULL;
	reconcile_history(s, &r);
	if (!r.ok)
		fail_msg("still different: %s", buf_cstr(&r.json));
	reconcile_report_free(&r);
	assert_versions(s);
	assert_undone(s, id, 4, 0);
	assert_string_equal(streamed_state(s, after), before);
	streamed_restore(s);
}

/* ---- keys of every kind ---- */

static void test_odd_keys(void **state)
{
	struct streamed *s = *state;
	struct repair_report r;
	struct error e = {.kind = OK};
	char before[64], after[64], id[64];

	/* Every row of it is wrong in some way, and there is one too many. */
	warehouse_run(&s->f,
		"UPDATE public.odd SET v = coalesce(v, '') || '?'; "
		"UPDATE public.odd SET span = INTERVAL '30 days' WHERE v = 'one!?'; "
		"UPDATE public_history.odd SET v = 'x' WHERE a IS NULL; "
		"DELETE FROM public.odd WHERE v = 'two?'; "
		"INSERT INTO public.odd SELECT * REPLACE (2.5 AS a) FROM public.odd WHERE a = 1.5 "
		"LIMIT 1; "
		"UPDATE public.pairs SET b = b || ' ' WHERE v = 1");
	streamed_state(s, before);
	assert_ok(streamed_repair(s, true, &r, &e), &e);
	uint64_t would = r.tables[2].repaired;
	assert_str(r.tables[2].name, "public.odd");
	assert_int_equal(r.tables[2].skipped, 0);
	repair_report_free(&r);
	assert_string_equal(streamed_state(s, after), before);
	assert_ok(streamed_repair(s, false, &r, &e), &e);
	assert_int_equal(r.tables[2].repaired, 6);
	assert_int_equal(would, 6);
	uint64_t pairs = r.tables[3].repaired;
	assert_true(pairs > 0 && r.tables[3].skipped == 0);
	snprintf(id, sizeof id, "%.*s", STR_ARG(r.repair_id));
	repair_report_free(&r);
	assert_equal_now(s);
	assert_undone(s, id, 6 + pairs, 0);
	assert_string_equal(streamed_state(s, after), before);
	streamed_restore(s);
}

/* ---- what has changed since ---- */

/* A warehouse that does something just before the transaction of a repair. */
struct hooked {
	struct warehouse base;
	struct warehouse_ops ops;
	struct warehouse *inner;
	void (*hook)(void *arg);
	void *arg;
	unsigned conflicts; /* to be played, before it is let through */
	unsigned scripts;   /* of a repair, seen */
};

static enum err hooked_script(struct warehouse *w, struct str sql, struct error *e)
{
	struct hooked *h = (struct hooked *)w;

	if (str_find(sql, STR("repair_chosen")) < 0)
		return warehouse_script(h->inner, sql, e);
	h->scripts++;
	if (h->conflicts > 0) {
		h->conflicts--;
		return FAIL(e, ERR_UNAVAILABLE, "TransactionContext Error: Conflict on update!");
	}
	if (h->hook != NULL)
		h->hook(h->arg);
	h->hook = NULL;
	return warehouse_script(h->inner, sql, e);
}

static enum err hooked_ensure(struct warehouse *w, const struct table *t, struct error *e)
{
	return warehouse_ensure_table(((struct hooked *)w)->inner, t, e);
}
static enum err hooked_apply(struct warehouse *w, const struct change_set *c, struct error *e)
{
	return warehouse_apply(((struct hooked *)w)->inner, c, e);
}
static enum err hooked_mark(struct warehouse *w, struct str n, struct buf *out, struct error *e)
{
	return warehouse_mark(((struct hooked *)w)->inner, n, out, e);
}
static enum err hooked_query(
	struct warehouse *w, struct str sql, warehouse_chunk_fn *fn, void *arg, struct error *e)
{
	return warehouse_query(((struct hooked *)w)->inner, sql, fn, arg, e);
}
static enum err hooked_insert(
	struct warehouse *w, struct str d, struct str t, const struct chunk *rows, struct error *e)
{
	return warehouse_insert(((struct hooked *)w)->inner, d, t, rows, e);
}
static enum err hooked_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e)
{
	return warehouse_select_at(((struct hooked *)w)->inner, t, c, where, out, e);
}

static const struct warehouse_ops hooked_ops = {.name = "hooked",
	.ensure_table = hooked_ensure,
	.apply = hooked_apply,
	.mark = hooked_mark,
	.query = hooked_query,
	.script = hooked_script,
	.insert = hooked_insert,
	.select_at = hooked_at};

static void repair_hooked(struct streamed *s, struct hooked *h, struct repair_report *out)
{
	struct error e = {.kind = OK};
	struct warehouse *inner = s->f.warehouse;

	h->base.ops = &hooked_ops;
	h->inner = inner;
	s->f.warehouse = &h->base;
	enum err rc = streamed_repair(s, false, out, &e);
	s->f.warehouse = inner;
	assert_ok(rc, &e);
}

static void plant_for_change(struct streamed *s)
{
	warehouse_run(&s->f,
		"UPDATE public.items SET note = 'wrong' WHERE id IN (1, 2, 201, 202); "
		"UPDATE public_history.items SET note = 'wrong' WHERE id IN (201, 202); "
		"DELETE FROM public.items WHERE id IN (3, 4); "
		"INSERT INTO public.items SELECT * REPLACE (245 AS id) FROM public.items WHERE id = "
		"7; "
		"INSERT INTO public.items SELECT * REPLACE (246 AS id) FROM public.items WHERE id = "
		"7");
}

/* Rows 1, 3, 201 and 245 go on in the source, and the stream brings it. */
static void change_and_apply(void *arg)
{
	struct streamed *s = arg;
	struct warehouse *through = s->f.warehouse;

	s->f.warehouse = through->ops == &hooked_ops ? ((struct hooked *)through)->inner : through;
	source_run(&s->f,
		"UPDATE items SET note = 'new' WHERE id IN (1, 3, 201); "
		"INSERT INTO items (id, note) VALUES (245, 'new')");
	streamed_catch_up(s);
	s->f.warehouse = through;
}

static void change_back(struct streamed *s)
{
	source_run(&s->f,
		"UPDATE items SET note = 'note ' || id % 10 WHERE id IN (1, 3, 201); "
		"DELETE FROM items WHERE id = 245");
	streamed_restore(s);
	/* What the restoring has taken out of history is brought again. */
	source_run(&s->f,
		"UPDATE items SET note = note WHERE id IN (1, 3, 201); DELETE FROM items WHERE id "
		"= 245");
	streamed_catch_up(s);
	warehouse_run(&s->f, "DELETE FROM public.items WHERE id = 245");
	assert_equal_now(s);
	streamed_save(s);
}

static void assert_items(const struct repair_report *r, uint64_t repaired, uint64_t skipped)
{
	for (size_t i = 0; i < r->ntables; i++)
		if (str_eqc(r->tables[i].name, "public.items")) {
			assert_int_equal(r->tables[i].repaired, repaired);
			assert_int_equal(r->tables[i].skipped, skipped);
			return;
		}
	fail_msg("items was not looked at");
}

static void assert_note(struct streamed *s, unsigned id, const char *want)
{
	struct error e = {.kind = OK};
	struct buf sql, text;

	buf_init(&sql, 1 << 10);
	buf_init(&text, 1 << 10);
	buf_putf(&sql, "SELECT string_agg(note, '|') FROM public.items WHERE id = %u", id);
	assert_ok(warehouse_text(s->f.warehouse, buf_str(&sql), &text, &e), &e);
	assert_str(buf_str(&text), want);
	buf_free(&sql);
	buf_free(&text);
}

/* Changes come between the comparison and the writing: those rows are left to the stream. */
static void test_changed_rows_are_left_alone(void **state)
{
	struct streamed *s = *state;
	struct hooked h = {.hook = change_and_apply, .arg = s};
	struct repair_report r;

	plant_for_change(s);
	repair_hooked(s, &h, &r);
	assert_int_equal(h.scripts, 1);
	assert_items(&r, 4, 4);
	assert_note(s, 1, "new");
	assert_note(s, 3, "new");
	assert_note(s, 201, "new");
	assert_note(s, 245, "new");
	assert_note(s, 2, "note 2");
	repair_report_free(&r);
	assert_equal_now(s);
	change_back(s);
}

/* A hand on the row since it was read is respected too. */
static void touch_by_hand(void *arg)
{
	struct streamed *s = arg;
	struct warehouse *through = s->f.warehouse;

	s->f.warehouse = ((struct hooked *)through)->inner;
	warehouse_run(&s->f,
		"UPDATE public.items SET n = 12345 WHERE id = 1; "
		"INSERT INTO public.items FROM ops.saved_0 WHERE id = 3");
	s->f.warehouse = through;
}

static void test_rows_touched_by_hand_are_left_alone(void **state)
{
	struct streamed *s = *state;
	struct hooked h = {.hook = touch_by_hand, .arg = s};
	struct repair_report r;

	plant_for_change(s);
	repair_hooked(s, &h, &r);
	assert_items(&r, 6, 2);
	repair_report_free(&r);
	streamed_restore(s);
}

/* A lost race is run again, at last with the stream made to wait. */
static void test_conflicts_are_tried_again(void **state)
{
	struct streamed *s = *state;
	struct hooked h = {.conflicts = 7};
	struct repair_report r;

	plant_for_change(s);
	repair_hooked(s, &h, &r);
	assert_items(&r, 8, 0);
	assert_int_equal(h.scripts, 8);
	repair_report_free(&r);
	assert_equal_now(s);
	streamed_restore(s);
}

/* Applies without a pause: nothing but the stream's position, for the row that is repaired might
 * be the next to come. */
struct busy {
	struct streamed *s;
	atomic_bool stop;
	struct replicate_position position;
	unsigned applied, lost;
};

static enum err apply_positions(void *arg, struct error *e)
{
	struct busy *b = arg;
	struct arena mem = {0};
	enum err rc = OK;

	while (rc == OK && !atomic_load(&b->stop)) {
		arena_reset(&mem);
		b->position.committed_us++;
		const struct mark mark = {STR("position"), mark_position(&mem, &b->position)};
		const struct change_set set = {.marks = &mark, .nmarks = 1};
		rc = warehouse_apply(b->s->f.warehouse, &set, e);
		b->applied++;
		/* What apply does then is to begin anew. */
		b->lost += rc == ERR_UNAVAILABLE;
		if (rc == ERR_UNAVAILABLE)
			rc = OK;
	}
	arena_free(&mem);
	return rc;
}

/* A repair and a change that comes meanwhile never both commit: one of them is run again. */
static void test_beside_a_busy_stream(void **state)
{
	struct streamed *s = *state;
	struct busy busy = {.s = s};
	struct hooked h = {.hook = NULL};
	struct thread thread;
	struct error e = {.kind = OK};
	unsigned repairs = 0;

	assert_ok(replicate_position(s->f.warehouse, &busy.position, &e), &e);
	for (; repairs < 50 && h.scripts <= repairs; repairs++) {
		struct repair_report r;
		plant_for_change(s);
		atomic_store(&busy.stop, false);
		assert_ok(thread_start(&thread, "busy", apply_positions, &busy, &e), &e);
		/* The thread has the warehouse itself, the repair the one that counts. */
		struct streamed counted = *s;
		repair_hooked(&counted, &h, &r);
		atomic_store(&busy.stop, true);
		assert_ok(thread_join(&thread, &e), &e);
		assert_items(&r, 8, 0);
		repair_report_free(&r);
		assert_equal_now(s);
		streamed_restore(s);
	}
	print_message("%u repairs took %u tries beside %u batches, of which %u lost\n", repairs,
		h.scripts, busy.applied, busy.lost);
	assert_true(h.scripts > repairs);
}

/* After a repair the same keys go on; its undo then leaves them alone. */
static void test_repaired_rows_go_on(void **state)
{
	struct streamed *s = *state;
	struct repair_report r;
	struct error e = {.kind = OK};
	char id[64];

	plant_for_change(s);
	assert_ok(streamed_repair(s, false, &r, &e), &e);
	assert_items(&r, 8, 0);
	snprintf(id, sizeof id, "%.*s", STR_ARG(r.repair_id));
	repair_report_free(&r);
	change_and_apply(s);
	assert_equal_now(s);
	assert_versions(s);
	assert_undone(s, id, 4, 4);
	assert_note(s, 1, "new");
	assert_note(s, 2, "wrong");
	streamed_restore(s);
	change_back(s);
}

/* ---- failures ---- */

/* Whatever call fails, nothing is half done, and the next repair ends equal. */
static void test_every_warehouse_call_fails_once(void **state)
{
	static const char *const ops[] = {"query", "script", "insert", "select_at", "mark"};
	const struct warehouse_options wo = {
		.url = ((struct streamed *)*state)->f.url, .threads = 1};
	struct streamed *s = *state;
	struct error e = {.kind = OK};
	unsigned failed = 0;

	s->only = "public.items";
	for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
		for (unsigned nth = 1;; nth++) {
			struct repair_report r;
			plant_for_change(s);
			warehouse_close(s->f.warehouse);
			s->f.warehouse = NULL;
			assert_ok(warehouse_open(&s->f.warehouse, &wo, &s->f.env, &e), &e);
			s->f.warehouse = warehouse_faulty(s->f.warehouse, ops[op], nth);
			enum err rc = streamed_repair(s, false, &r, &e);
			repair_report_free(&r);
			failed += rc != OK;
			if (rc != OK)
				assert_true(e.text[0] != '\0');
			warehouse_close(s->f.warehouse);
			s->f.warehouse = NULL;
			assert_ok(warehouse_open(&s->f.warehouse, &wo, &s->f.env, &e), &e);
			assert_ok(streamed_repair(s, false, &r, &e), &e);
			repair_report_free(&r);
			assert_equal_now(s);
			streamed_restore(s);
			if (rc == OK)
				break;
		}
	s->only = NULL;
	assert_equal_now(s);
	/* Those that failed are not for the next test to go on with. */
	warehouse_run(&s->f, "UPDATE ops.repair_runs SET finished = TRUE");
	assert_true(failed >= 10);
}

/* ---- in ranges ---- */

static enum err repair_ranges(struct streamed *s, const char *fault, bool afresh,
	struct repair_report *out, struct error *e)
{
	const struct repair_options o = {.reconcile = {.conninfo = pg_server_conninfo(s->f.server),
						 .publication = PUBLICATION,
						 .reach = reached,
						 .table = "public.items",
						 .range_rows = 40,
						 .afresh = afresh,
						 .resume_us = INT64_C(3600000000)}};
	struct env env = s->f.env;

	if (fault != NULL)
		assert_ok(failpoints_parse(&env.failpoints, str_of(fault), e), e);
	enum err rc = repair(&o, s->f.warehouse, &env, out, e);
	failpoints_free(fault != NULL ? env.failpoints : NULL);
	return rc;
}

#define UNFINISHED                                                                                  \
	"(SELECT repair_id FROM ops.repair_runs WHERE NOT finished ORDER BY started_us DESC LIMIT " \
	"1)"

static int64_t count_mended(struct streamed *s)
{
	struct error e = {.kind = OK};
	int64_t n = -1;

	assert_ok(warehouse_i64(s->f.warehouse,
			  STR("SELECT count(*) FROM ops.repairs WHERE repair_id = " UNFINISHED), &n,
			  &e),
		&e);
	return n;
}

static void undo_whole(struct streamed *s, const struct repair_report *r, uint64_t n)
{
	char id[64];

	snprintf(id, sizeof id, "%.*s", STR_ARG(r->repair_id));
	assert_undone(s, id, n, 0);
}

/* Broken off after some ranges it is gone on with: one id, one report, one undo. */
static void test_a_broken_repair_is_gone_on_with(void **state)
{
	struct streamed *s = *state;
	struct repair_report r, again;
	struct error e = {.kind = OK};
	char before[64], after[64];

	plant_for_change(s);
	warehouse_run(&s->f, "UPDATE public.items SET note = 'wrong' WHERE id %% 30 = 0");
	streamed_state(s, before);
	assert_ok(repair_ranges(s, NULL, false, &r, &e), &e);
	uint64_t all = r.tables[0].repaired;
	assert_true(all > 14);
	assert_int_equal(r.tables[0].skipped, 0);
	/* Its report has not been told yet: it is told again. */
	assert_ok(repair_ranges(s, NULL, false, &again, &e), &e);
	assert_true(str_eq(again.repair_id, r.repair_id));
	assert_int_equal(again.tables[0].repaired, all);
	repair_report_free(&again);
	undo_whole(s, &r, all);
	repair_report_free(&r);
	assert_string_equal(streamed_state(s, after), before);

	assert_err(repair_ranges(s, "repair.range=error@3", false, &r, &e), ERR_UNAVAILABLE, &e);
	assert_has(e.text, "with which the next `sluice repair` goes on");
	int64_t some = count_mended(s);
	assert_true(some > 0 && (uint64_t)some < all);
	assert_ok(repair_ranges(s, NULL, false, &r, &e), &e);
	assert_int_equal(r.tables[0].repaired, all);
	assert_equal_now(s);
	assert_ok(repair_finish(s->f.warehouse, r.repair_id, &e), &e);
	/* What is finished is not told again. */
	assert_ok(repair_ranges(s, NULL, false, &again, &e), &e);
	assert_int_equal(again.tables[0].repaired, 0);
	assert_int_equal(again.verdict, REPAIR_EQUAL);
	repair_report_free(&again);
	undo_whole(s, &r, all);
	repair_report_free(&r);
	assert_string_equal(streamed_state(s, after), before);
	streamed_restore(s);
}

/* Somebody who is at a repair holds a lock of its own on the source. */
static void test_two_at_one_repair(void **state)
{
	struct streamed *s = *state;
	struct repair_report r;
	struct error e = {.kind = OK};
	struct buf sql, id;

	buf_init(&sql, 1 << 12);
	buf_init(&id, 1 << 12);
	plant_for_change(s);
	assert_err(repair_ranges(s, "repair.range=error", false, &r, &e), ERR_UNAVAILABLE, &e);
	assert_ok(warehouse_text(s->f.warehouse, STR("SELECT " UNFINISHED), &id, &e), &e);
	buf_putf(&sql,
		"SELECT pg_advisory_lock(('x' || left(encode(sha256('%s'), 'hex'), "
		"15))::bit(60)::bigint)",
		buf_cstr(&id));
	source_run(&s->f, buf_cstr(&sql));
	assert_err(repair_ranges(s, NULL, false, &r, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "still under way");
	source_run(&s->f, "SELECT pg_advisory_unlock_all()");
	/* What the first has done stays done; the rest is another repair's. */
	int64_t some = count_mended(s);
	assert_ok(repair_ranges(s, NULL, true, &r, &e), &e);
	assert_false(str_eq(r.repair_id, buf_str(&id)));
	assert_int_equal(r.tables[0].repaired, 8 - some);
	assert_ok(repair_finish(s->f.warehouse, r.repair_id, &e), &e);
	repair_report_free(&r);
	assert_equal_now(s);
	buf_free(&sql);
	buf_free(&id);
	streamed_restore(s);
}

static void test_wrong_use(void **state)
{
	struct streamed *s = *state;
	struct repair_report r;
	struct error e = {.kind = OK};
	const struct repair_options few = {.max_rows = 3,
		.reconcile = {.conninfo = pg_server_conninfo(s->f.server),
			.publication = PUBLICATION,
			.reach = reached}};

	assert_err(repair_undo(s->f.warehouse, &s->f.env, "never", NULL, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "never");
	plant_for_change(s);
	assert_err(repair(&few, s->f.warehouse, &s->f.env, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "more than 3 rows");
	assert_int_equal(r.ntables, 0);
	streamed_restore(s);

	source_run(&s->f,
		"CREATE TABLE keyless (v int); ALTER PUBLICATION " PUBLICATION " ADD TABLE keyless;"
		"INSERT INTO keyless VALUES (1)");
	streamed_catch_up(s);
	warehouse_run(&s->f, "DELETE FROM public.keyless; DELETE FROM public_history.keyless");
	assert_err(streamed_repair(s, false, &r, &e), ERR_USAGE, &e);
	assert_has(e.text, "public.keyless");
	source_run(&s->f, "DROP TABLE keyless");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history_alone),
		cmocka_unit_test(test_planted_faults),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_changed_rows_are_left_alone),
		cmocka_unit_test(test_rows_touched_by_hand_are_left_alone),
		cmocka_unit_test(test_conflicts_are_tried_again),
		cmocka_unit_test(test_beside_a_busy_stream),
		cmocka_unit_test(test_repaired_rows_go_on),
		cmocka_unit_test(test_every_warehouse_call_fails_once),
		cmocka_unit_test(test_a_broken_repair_is_gone_on_with),
		cmocka_unit_test(test_two_at_one_repair),
		cmocka_unit_test(test_wrong_use),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
