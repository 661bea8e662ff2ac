/*
 * A thousand faults of a single value, each with its key found and the right party blamed: what
 * capture wrote wrong into the journal, what apply wrote wrong into the warehouse, what a hand did
 * there. Each round some of them lie among changes that are right; afterwards they are repaired to
 * nothing. SLUICE_LONG=1: all thousand of them.
 */
#include "lying.h"
#include "streamed.h"

#define ROUND_MOST 24   /* faults in a round */
#define UNTOUCHED  200  /* rows 1.. of each table, which no change ever names */
#define POOL       1200 /* rows that changes are made to */
#define FIRST_ID   1001
#define MOST_ID    16384

enum class {
	ONE_BIT,
	ONE_SPACE,
	ONE_MICROSECOND,
	TWO_SWAPPED,
	BALANCED, /* a delete is lost, and a row too many goes: as many rows as there should be */
	UNTOUCHED_ROW,
	CLASSES
};

enum party { PARTY_CAPTURE, PARTY_APPLY, PARTY_HAND, PARTIES };

static const char *const class_names[CLASSES] = {"one bit", "one trailing space", "one microsecond",
	"two rows' values swapped", "a lost delete balanced", "an untouched row"};
static const char *const party_names[PARTIES] = {"capture", "apply", "hand"};
static const enum blame blames[PARTIES] = {BLAME_CAPTURE, BLAME_APPLY, BLAME_WAREHOUSE};
static const char *const tables[] = {"marks", "tags"};
#define TABLES 2

struct expected {
	unsigned table, id;
	enum difference kind;
	enum class class;
	enum party party;
};

struct campaign {
	struct fixture f;
	char journal[160];
	struct replicate_options options;
	struct lying lying;
	struct alteration journal_list[4 * ROUND_MOST], apply_list[4 * ROUND_MOST];
	struct alterations journal_lies, apply_lies;
	unsigned pool[TABLES][POOL]; /* ids that stand in the source; each is used once a round */
	unsigned free[TABLES];       /* of them, not yet used in this round */
	unsigned next_id[TABLES], round;
	bool tainted[TABLES][MOST_ID]; /* a lie about the row stands in the journal */
	struct expected expected[2 * ROUND_MOST];
	unsigned nexpected;
	struct buf source, hand; /* the round's statements */
	unsigned counts[CLASSES][PARTIES], faults;
};

static const char schema_sql[] =
	"CREATE TABLE marks (id bigint PRIMARY KEY, n bigint NOT NULL, name text NOT NULL, at "
	"timestamptz NOT NULL);"
	"CREATE TABLE tags (id text PRIMARY KEY, n bigint NOT NULL, name text NOT NULL, at "
	"timestamptz NOT NULL);"
	"INSERT INTO marks SELECT i, i * 1000003::bigint, 'first ' || i, timestamptz '2017-03-01 "
	"12:00:00.000002+00' + i * interval '1 minute' FROM generate_series(1, 200) i;"
	"INSERT INTO marks SELECT i, i * 1000003::bigint, 'pool ' || i, timestamptz '2017-03-01 "
	"12:00:00.000002+00' + i * interval '1 minute' FROM generate_series(1001, 2200) i;"
	"INSERT INTO tags SELECT 'k' || id, n, name, at FROM marks;"
	"ALTER PUBLICATION " PUBLICATION " SET TABLE marks, tags;";

/* ---- the source's side ---- */

static unsigned below(struct campaign *c, unsigned n)
{
	return (unsigned)rnd_below(&c->f.rnd, n);
}

/* A row of the pool that nothing has been done to in this round. */
static unsigned take(struct campaign *c, unsigned table)
{
	assert_true(c->free[table] > 0);
	unsigned i = below(c, c->free[table]), last = --c->free[table];
	unsigned id = c->pool[table][i];

	c->pool[table][i] = c->pool[table][last];
	c->pool[table][last] = id;
	return id;
}

/* The row that was taken last goes out of the pool, another comes in for the next round. */
static void replace_taken(struct campaign *c, unsigned table, unsigned id)
{
	unsigned i = c->free[table];

	while (c->pool[table][i] != id)
		i++;
	c->pool[table][i] = c->next_id[table]++;
}

/* As SQL has it in either database. */
static const char *key_sql(unsigned table, unsigned id, char out[40])
{
	snprintf(out, 40, table == 0 ? "%u" : "'k%u'", id);
	return out;
}

static void key_text(unsigned table, unsigned id, char out[40])
{
	snprintf(out, 40, table == 0 ? "%u" : "k%u", id);
}

/* The last digit of n and of at is even, so that its lowest bit can be flipped to a digit. */
static void put_values(struct campaign *c, const char *name)
{
	buf_putf(&c->source,
		"n = %llu, name = '%s', at = timestamptz '2018-06-01 08:00:00.%05u%u+00'",
		(unsigned long long)rnd_below(&c->f.rnd, 1000000000) * 10 + 2 * below(c, 5), name,
		below(c, 100000), 2 + 2 * below(c, 4));
}

static void put_update(struct campaign *c, unsigned table, unsigned id, const char *name)
{
	char key[40];

	buf_putf(&c->source, "UPDATE %s SET ", tables[table]);
	put_values(c, name);
	buf_putf(&c->source, " WHERE id = %s;", key_sql(table, id, key));
}

static void put_delete(struct campaign *c, unsigned table, unsigned id)
{
	char key[40];

	buf_putf(&c->source, "DELETE FROM %s WHERE id = %s;", tables[table],
		key_sql(table, id, key));
	replace_taken(c, table, id);
	buf_putf(&c->source,
		"INSERT INTO %s VALUES (%s, 10, 'new', timestamptz '2019-01-01 "
		"00:00:00.123456+00');",
		tables[table], key_sql(table, c->next_id[table] - 1, key));
}

/* ---- faults ---- */

static void expect(struct campaign *c, unsigned table, unsigned id, enum difference kind,
	enum class class, enum party party)
{
	assert_true(c->nexpected < sizeof c->expected / sizeof c->expected[0]);
	assert_true(id < MOST_ID);
	c->tainted[table][id] |= party == PARTY_CAPTURE;
	c->expected[c->nexpected++] = (struct expected){
		.table = table, .id = id, .kind = kind, .class = class, .party = party};
}

static struct alteration *lie_about(
	struct campaign *c, enum party party, unsigned table, unsigned id, char op, enum lie what)
{
	struct alterations *l = party == PARTY_CAPTURE ? &c->journal_lies : &c->apply_lies;
	struct alteration *a = &l->list[l->n++];

	assert_true(l->n < sizeof c->apply_list / sizeof c->apply_list[0]);
	*a = (struct alteration){
		.table = tables[table], .op = op, .lie = what, .bit = below(c, 62)};
	key_text(table, id, a->key);
	return a;
}

static void plant_value(struct campaign *c, unsigned table, enum class class, enum party party)
{
	static const char *const by_hand[] = {[ONE_BIT] = "n = xor(n, CAST(1 AS BIGINT) << %u)",
		[ONE_SPACE] = "name = name || ' '",
		[ONE_MICROSECOND] = "\"at\" = \"at\" + INTERVAL 1 MICROSECOND"};
	static const enum lie lies[] = {
		[ONE_BIT] = LIE_BIT, [ONE_SPACE] = LIE_SPACE, [ONE_MICROSECOND] = LIE_MICROSECOND};
	bool untouched = class == UNTOUCHED_ROW;
	unsigned id = untouched ? 1 + c->nexpected * 3 : take(c, table);
	enum class edit = untouched ? (enum class)below(c, 3) : class;
	char set[96], key[40], name[32];

	snprintf(name, sizeof name, "%c%u of %u", "mt"[table], id, c -> round);
	if (!untouched)
		put_update(c, table, id, name);
	if (party == PARTY_HAND) {
		if (edit == ONE_BIT)
			snprintf(set, sizeof set, "n = xor(n, CAST(1 AS BIGINT) << %u)",
				below(c, 62));
		else
			snprintf(set, sizeof set, "%s", by_hand[edit]);
		buf_putf(&c->hand, "UPDATE public.%s SET %s WHERE id = %s;", tables[table], set,
			key_sql(table, id, key));
	} else
		(void)lie_about(c, party, table, id, 'U', lies[edit]);
	expect(c, table, id, ROW_DIFFERENT, class, party);
}

static void plant_swap(struct campaign *c, unsigned table, enum party party)
{
	unsigned id[2] = {take(c, table), take(c, table)};
	char name[2][32], key[40];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(name[i], sizeof name[i], "%c%u of %u", "mt"[table], id[i], c -> round);
		put_update(c, table, id[i], name[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (party == PARTY_HAND)
			buf_putf(&c->hand, "UPDATE public.%s SET name = '%s' WHERE id = %s;",
				tables[table], name[1 - i], key_sql(table, id[i], key));
		else
			snprintf(lie_about(c, party, table, id[i], 'U', LIE_NAME)->text, 64, "%s",
				name[1 - i]);
		expect(c, table, id[i], ROW_DIFFERENT, TWO_SWAPPED, party);
	}
}

/* A row whose last word in the journal is true. */
static unsigned take_true(struct campaign *c, unsigned table)
{
	unsigned id;

	do
		id = take(c, table);
	while (c->tainted[table][id]);
	return id;
}

static void balance_by_hand(struct campaign *c, unsigned table, unsigned stays, unsigned goes)
{
	char extra[40], like[40], missing[40];

	buf_putf(&c->hand,
		"INSERT INTO public.%s SELECT * REPLACE (%s AS id) FROM public.%s WHERE id = %s; "
		"DELETE FROM public.%s WHERE id = %s;",
		tables[table], key_sql(table, stays, extra), tables[table], key_sql(table, 7, like),
		tables[table], key_sql(table, goes, missing));
}

/* A deleted row stays, another goes. In the journal also: the row that came in for it is lost. */
static void plant_balanced(struct campaign *c, unsigned table, enum party party)
{
	bool lose_insert = party == PARTY_CAPTURE && below(c, 2) == 0;
	/* Of a row whose insert was lost too, the journal would never have had a word. */
	unsigned stays = take_true(c, table), goes;

	put_delete(c, table, stays);
	goes = lose_insert ? c->next_id[table] - 1 : take_true(c, table);
	if (party == PARTY_HAND) {
		balance_by_hand(c, table, stays, goes);
	} else if (lose_insert) {
		(void)lie_about(c, party, table, stays, 'D', LIE_DROP);
		(void)lie_about(c, party, table, goes, 'I', LIE_DROP);
	} else
		key_text(table, goes, lie_about(c, party, table, stays, 'D', LIE_KEY)->text);
	expect(c, table, stays, ROW_EXTRA, BALANCED, party);
	expect(c, table, goes, ROW_MISSING, BALANCED, party);
}

static void plant(struct campaign *c)
{
	unsigned table = below(c, TABLES);
	enum class class = (enum class)below(c, CLASSES);
	enum party party = class == UNTOUCHED_ROW ? PARTY_HAND : (enum party)below(c, PARTIES);

	if (class == TWO_SWAPPED)
		plant_swap(c, table, party);
	else if (class == BALANCED)
		plant_balanced(c, table, party);
	else
		plant_value(c, table, class, party);
	c->counts[class][party]++;
	c->faults++;
	/* Transactions of several changes, some of them right. */
	while (below(c, 2) == 0)
		put_update(c, table, take(c, table), "as it should be");
	if (below(c, 3) == 0)
		buf_puts(&c->source, "COMMIT; BEGIN;");
}

/* ---- one round ---- */

/* Everything into the journal, nothing into the warehouse. */
static void capture_alone(struct campaign *c)
{
	struct error e = {.kind = OK};
	struct replicate *r = NULL;
	struct replicate_progress p;
	lsn all = LSN_NONE;

	c->lying.away = true;
	assert_ok(replicate_source_flushed(&c->options, &c->f.env, &all, &e), &e);
	assert_ok(replicate_start(&r, &c->options, &c->lying.base, &c->f.env, &e), &e);
	for (;;) {
		replicate_progress(r, &p);
		if (p.failed || lsn_cmp(p.durable, all) >= 0)
			break;
		env_sleep(&c->f.env, 5000);
	}
	assert_false(p.failed);
	IGNORE(replicate_stop(r, &e));
	c->lying.away = false;
}

static void apply_all(struct campaign *c)
{
	const struct replicate_until until = {.kind = REPLICATE_CAUGHT_UP};
	struct replicate_result result;
	struct error e = {.kind = OK};

	assert_ok(replicate_run(&c->options, &c->lying.base, &c->f.env, until, &result, &e), &e);
}

static lsn applied(struct campaign *c)
{
	struct replicate_position p;
	struct error e = {.kind = OK};

	assert_ok(replicate_position(c->f.warehouse, &p, &e), &e);
	return p.at;
}

static struct reconcile_options options_of(struct campaign *c)
{
	return (struct reconcile_options){.conninfo = pg_server_conninfo(c->f.server),
		.publication = PUBLICATION,
		.reach = reached,
		.max_keys = 4 * ROUND_MOST,
		.journal = c->journal};
}

static const struct reconcile_key *find_key(
	const struct reconcile_report *r, const struct expected *x)
{
	char name[32], key[64];

	snprintf(name, sizeof name, "public.%s", tables[x->table]);
	snprintf(key, sizeof key, x->table == 0 ? "{\"id\":%u}" : "{\"id\":\"k%u\"}", x->id);
	const struct reconcile_table *t = report_table(r, name);
	for (size_t i = 0; i < t->nkeys; i++)
		if (str_eqc(t->keys[i].key, key))
			return &t->keys[i];
	fail_msg("%s by %s: %s of %s is not found", class_names[x->class], party_names[x->party],
		key, name);
	return NULL;
}

static void assert_found(struct campaign *c)
{
	const struct reconcile_options o = options_of(c);
	struct reconcile_report r;
	struct error e = {.kind = OK};
	uint64_t found = 0;

	assert_ok(reconcile(&o, c->f.warehouse, &c->f.env, &r, &e), &e);
	assert_false(r.ok);
	for (unsigned i = 0; i < c->nexpected; i++) {
		const struct expected *x = &c->expected[i];
		const struct reconcile_key *k = find_key(&r, x);
		if (k->kind != x->kind || k->blame != blames[x->party])
			fail_msg("%s by %s, row %u of %s: %s, blamed on %s", class_names[x->class],
				party_names[x->party], x->id, tables[x->table],
				difference_name(k->kind), blame_name(k->blame));
	}
	for (size_t t = 0; t < r.ntables; t++)
		for (int d = 0; d < DIFFERENCES; d++)
			found += r.tables[t].count[d];
	/* And nothing that is right is called wrong. */
	if (found != c->nexpected)
		fail_msg("%llu differences, but %u were planted: %s", (unsigned long long)found,
			c->nexpected, buf_cstr(&r.json));
	reconcile_report_free(&r);
}

static void assert_repaired(struct campaign *c)
{
	const struct repair_options o = {.reconcile = options_of(c)};
	struct repair_report r;
	struct error e = {.kind = OK};
	uint64_t repaired = 0;

	assert_ok(repair(&o, c->f.warehouse, &c->f.env, &r, &e), &e);
	for (size_t t = 0; t < r.ntables; t++)
		repaired += r.tables[t].repaired;
	assert_int_equal(repaired, c->nexpected);
	assert_int_equal(r.verdict, REPAIR_UNCHECKED);
	assert_ok(repair_check(&o.reconcile, c->f.warehouse, &c->f.env, &r, &e), &e);
	assert_int_equal(r.verdict, REPAIR_EQUAL);
	assert_true(r.whole);
	repair_report_free(&r);
}

static void assert_all_told(const struct alterations *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->list[i].done)
			fail_msg("the change %c of %s %s was never seen", l->list[i].op,
				l->list[i].table, l->list[i].key);
}

static void run_round(struct campaign *c, unsigned most)
{
	lsn before = applied(c);

	c->round++;
	c->nexpected = 0;
	c->journal_lies.n = c->apply_lies.n = 0;
	for (unsigned t = 0; t < TABLES; t++)
		c->free[t] = POOL;
	buf_reset(&c->source);
	buf_reset(&c->hand);
	buf_puts(&c->source, "BEGIN;");
	for (unsigned i = 0; i < most; i++)
		plant(c);
	buf_puts(&c->source, "COMMIT;");
	source_run(&c->f, buf_cstr(&c->source));
	capture_alone(c);
	assert_int_equal(lsn_cmp(applied(c), before), 0);
	forge_journal(c->journal, before, &c->journal_lies, &c->f.env);
	apply_all(c);
	assert_all_told(&c->journal_lies);
	assert_all_told(&c->apply_lies);
	if (c->hand.n > 0) {
		struct error e = {.kind = OK};
		assert_ok(warehouse_script(c->f.warehouse, buf_str(&c->hand), &e), &e);
	}
	assert_found(c);
	assert_repaired(c);
}

static void test_every_fault_is_found_and_blamed(void **state)
{
	struct campaign *c = *state;
	unsigned wanted = getenv("SLUICE_LONG") != NULL ? 1000 : 60;

	/* First one alone, of whatever kind: nothing hides behind others then. */
	while (c->faults < wanted) {
		unsigned most = c->round < wanted / 10 ? 1 : 1 + below(c, ROUND_MOST);
		unsigned left = wanted - c->faults;
		run_round(c, most < left ? most : left);
	}
	print_message(
		"%u faults in %u rounds, all found, all blamed rightly\n", c->faults, c->round);
	for (int k = 0; k < CLASSES; k++)
		print_message("%-26s capture %4u  apply %4u  hand %4u\n", class_names[k],
			c->counts[k][PARTY_CAPTURE], c->counts[k][PARTY_APPLY],
			c->counts[k][PARTY_HAND]);
}

static int setup(void **state)
{
	static struct campaign c;
	struct replicate_init_report made = {.created = false};
	struct error e = {.kind = OK};

	fixture_open(&c.f);
	fixture_empty(&c.f);
	source_run(&c.f, schema_sql);
	snprintf(c.journal, sizeof c.journal, "%s/journal", c.f.dir);
	c.options = (struct replicate_options){.conninfo = pg_server_conninfo(c.f.server),
		.publication = PUBLICATION,
		.slot = "sluice",
		.tables = "public.marks, public.tags",
		.journal = c.journal,
		.segment_size = 1 << 30,
		.retention_us = INT64_C(36000000000),
		.batch_rows = 50,
		.flush_interval_us = 10000,
		.fsync_interval_us = 1000};
	c.journal_lies.list = c.journal_list;
	c.apply_lies.list = c.apply_list;
	(void)lying_open(&c.lying, c.f.warehouse, &c.apply_lies);
	buf_init(&c.source, 1 << 20);
	buf_init(&c.hand, 1 << 20);
	for (unsigned t = 0; t < TABLES; t++) {
		c.next_id[t] = FIRST_ID + POOL;
		for (unsigned i = 0; i < POOL; i++)
			c.pool[t][i] = FIRST_ID + i;
	}
	assert_ok(replicate_init(&c.options, c.f.warehouse, &c.f.env, &made, &e), &e);
	replicate_init_report_free(&made);
	apply_all(&c);
	/* The journal has a word of every row of the pool. */
	source_run(&c.f, "UPDATE marks SET n = n WHERE id > 1000");
	source_run(&c.f, "UPDATE tags SET n = n WHERE substr(id, 2)::int > 1000");
	apply_all(&c);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct campaign *c = *state;

	/* It was never set up: that has been told. */
	if (c == NULL)
		return 0;
	buf_free(&c->source);
	buf_free(&c->hand);
	fixture_close(&c->f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_fault_is_found_and_blamed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
