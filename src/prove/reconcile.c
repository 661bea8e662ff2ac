#include "reconcile.h"

#include <assert.h>
#include <stdatomic.h>

#include "differ.h"
#include "log.h"
#include "nearest.h"
#include "pg_catalog.h"
#include "pg_conn.h"
#include "reconcile_report.h"
#include "reconcile_visit.h"
#include "replicate.h"
#include "rows.h"
#include "thread.h"

#define BATCH_ROWS  16384
#define PATIENCE_US INT64_C(60000000)

/* One comparison under way. */
struct comparing {
	const struct reconcile_options *o;
	const struct reconcile_visitor *visitor; /* may be NULL */
	struct warehouse *warehouse;
	const struct env *env;
	struct reconcile_report *report;
	struct pg *source;
	struct sides sides;
	struct subject *subjects; /* parallel to report->tables */
	struct buckets *buckets;  /* of the source, likewise */
	size_t nbuckets;          /* in each */
	atomic_bool given_up;     /* one side has failed: the other need not go on */
};

static enum err connect_source(struct comparing *c, struct pg **out, struct error *e)
{
	const struct pg_options o = {.conninfo = c->o->conninfo,
		.password = c->o->password,
		.application = "sluice reconcile"};
	return pg_open(out, &o, c->env, e);
}

static enum err unknown_table(
	const struct comparing *c, const struct pg_tables *all, struct str want, struct error *e)
{
	struct arena mem = {0};
	struct nearest full = nearest_to(want), bare = nearest_to(want);
	char hint[NEAREST_HINT];

	for (size_t i = 0; i < all->n; i++) {
		nearest_try(&full, arena_cstr(&mem, table_full_name(all->tables[i], &mem)));
		nearest_try(&bare, arena_cstr(&mem, all->tables[i]->name));
	}
	enum err rc = FAIL(e, ERR_USAGE,
		"comparing the table \"%.*s\": the publication %s has no table of that name%s; "
		"name "
		"one of its %zu as SCHEMA.NAME",
		STR_ARG(want), c->o->publication,
		nearest_hint(nearest_is_near(&full) ? &full : &bare, hint), all->n);
	arena_free(&mem);
	return rc;
}

/* The one table that was asked for, by its full name or by a name only one schema has. */
static enum err choose_table(const struct comparing *c, struct pg_tables *all, struct error *e)
{
	struct str want = str_of(c->o->table);
	struct arena mem = {0};
	struct table *full = NULL, *bare = NULL;
	size_t nbare = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (str_eq(table_full_name(all->tables[i], &mem), want))
			full = all->tables[i];
		if (str_eq(all->tables[i]->name, want)) {
			bare = all->tables[i];
			nbare++;
		}
	}
	arena_free(&mem);
	struct table *found = full != NULL ? full : nbare == 1 ? bare : NULL;
	if (nbare > 1 && found == NULL)
		return FAIL(e, ERR_USAGE,
			"comparing the table \"%.*s\": %zu schemas have a table of that name; name "
			"it "
			"as SCHEMA.NAME",
			STR_ARG(want), nbare);
	if (found == NULL)
		return unknown_table(c, all, want, e);
	all->tables[0] = found;
	all->n = 1;
	return OK;
}

static enum err find_tables(
	struct comparing *c, struct arena *mem, struct pg_tables *all, struct error *e)
{
	TRY(pg_publication_tables(c->source, c->o->publication, mem, all, e));
	if (all->n == 0)
		return FAIL(e, ERR_USAGE,
			"comparing the tables of the publication %s: it has none, or does not "
			"exist; run `sluice init`, and see [source] tables",
			c->o->publication);
	return c->o->table != NULL ? choose_table(c, all, e) : OK;
}

/*
 * TRUNCATE and some forms of ALTER TABLE are not bound by snapshots: one that came between the
 * cut and the COPY would empty the table under our eyes. The lock that COPY takes anyway is
 * taken before the cut, so that they come before it or wait.
 */
static enum err lock_tables(struct comparing *c, struct error *e)
{
	struct arena mem = {0};
	struct pg_tables all = {.n = 0};
	struct buf sql;

	buf_init(&sql, 16 << 20);
	enum err rc = find_tables(c, &mem, &all, e);
	buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ");
	for (size_t i = 0; i < all.n; i++)
		buf_putf(&sql, "%s%.*s.%.*s", i > 0 ? ", " : "",
			STR_ARG(pg_ident(&mem, all.tables[i]->schema)),
			STR_ARG(pg_ident(&mem, all.tables[i]->name)));
	buf_puts(&sql, " IN ACCESS SHARE MODE");
	if (rc == OK)
		rc = pg_exec(c->source, buf_cstr(&sql),
			"beginning the transaction that is compared, with the tables' shapes held",
			e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

static enum err describe_tables(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;
	struct pg_tables all = {.n = 0};

	TRY(find_tables(c, &r->mem, &all, e));
	r->ntables = all.n;
	r->tables = arena_array(&r->mem, all.n, sizeof *r->tables);
	c->subjects = arena_array(&r->mem, all.n, sizeof *c->subjects);
	c->buckets = arena_array(&r->mem, all.n, sizeof *c->buckets);
	c->nbuckets = buckets_for(all.n);
	for (size_t i = 0; i < all.n; i++) {
		subject_of(all.tables[i], &r->mem, &c->subjects[i]);
		r->tables[i].name = c->subjects[i].name;
	}
	return OK;
}

/*
 * The snapshot may be held for as long as a large table takes. A policy that would hide rows
 * from this role is an error, not a shorter table.
 */
static enum err begin(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;

	TRY(connect_source(c, &c->source, e));
	TRY(pg_exec(c->source,
		"SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
		"SET lock_timeout = '60s'; SET row_security = off",
		"preparing the session that compares", e));
	TRY(lock_tables(c, e));
	TRY(pg_cut(c->source, &r->mem, &r->cut, e));
	c->sides = (struct sides){.source = c->source,
		.replica = c->warehouse,
		.cut = &r->cut,
		.env = c->env,
		.batch_rows = c->o->batch_rows > 0 ? c->o->batch_rows : BATCH_ROWS};
	return describe_tables(c, e);
}

static double seconds_since(const struct comparing *c, int64_t start)
{
	return (double)(clock_mono(c->env->clock) - start) / 1e6;
}

/* Rows on their way into buckets, a few at a time so that the waits for memory overlap. */
struct adding {
	struct comparing *c;
	struct buckets *into;
	struct rowhash key[64], hash[64];
	size_t n;
};

static void add_all(struct adding *a)
{
	for (size_t i = 0; i < a->n; i++)
		__builtin_prefetch(&a->into->each[bucket_of(a->into, a->key[i])], 1);
	for (size_t i = 0; i < a->n; i++)
		buckets_add(a->into, a->key[i], a->hash[i]);
	a->n = 0;
}

static enum err add_row(void *arg, const struct row *r, struct error *e)
{
	struct adding *a = arg;

	a->key[a->n] = r->key;
	a->hash[a->n++] = r->hash;
	if (a->n < sizeof a->key / sizeof a->key[0])
		return OK;
	add_all(a);
	if (!atomic_load(&a->c->given_up))
		return OK;
	return FAIL(e, ERR_INTERRUPTED, "comparing: the other side could not be read");
}

static enum err sum_side(struct comparing *c, const struct subject *s, enum side side,
	struct buckets *into, struct error *e)
{
	struct adding a = {.c = c, .into = into};
	enum err rc = rows_read(&c->sides, s, side, add_row, &a, e);

	add_all(&a);
	return rc;
}

/* One table of the source, on a thread of its own. */
struct summing {
	struct comparing *c;
	size_t table;
};

static enum err sum_source(void *arg, struct error *e)
{
	struct summing *s = arg;
	struct comparing *c = s->c;
	struct buckets *into = &c->buckets[s->table];

	buckets_init(into, c->nbuckets);
	enum err rc = sum_side(c, &c->subjects[s->table], SIDE_SOURCE, into, e);
	c->report->tables[s->table].source = into->total;
	if (rc != OK)
		atomic_store(&c->given_up, true);
	return rc;
}

/*
 * The insert LSN may lie beyond what has been flushed, and the stream carries only that: on an
 * idle server it would be reached with the next checkpoint. A small commit flushes past it. Its
 * failure costs time, not exactness, so the comparison goes on.
 */
static void flush_past_cut(struct comparing *c)
{
	struct pg *side = NULL;
	struct error e = {.kind = OK};
	enum err rc = connect_source(c, &side, &e);

	if (rc == OK)
		rc = pg_exec(side,
			"SET synchronous_commit = local; "
			"DO $$BEGIN PERFORM pg_logical_emit_message(true, 'sluice', ''); END$$",
			"flushing the log past the cut", &e);
	if (rc != OK)
		log_warn(c->env->log, "reconcile", "the cut is reached later than it could be",
			F_CSTR("reason", e.text));
	pg_close(side);
}

static enum err reach_cut(struct comparing *c, struct error *e)
{
	struct reach_polling poll = {
		.warehouse = c->warehouse, .env = c->env, .patience_us = PATIENCE_US};
	bool given = c->o->reach != NULL;

	flush_past_cut(c);
	enum err rc = given ? c->o->reach(c->o->reach_arg, c->report->cut.at, e)
			    : reach_polling(&poll, c->report->cut.at, e);
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	error_wrap(e, "bringing the warehouse to the cut that is compared");
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

/* Everything that `inner` has seen, `outer` has seen too. */
static bool cut_contains(const struct cut *outer, const struct cut *inner)
{
	if (lsn_cmp(outer->at, inner->at) < 0 || outer->xmax < inner->xmax)
		return false;
	for (size_t i = 0; i < outer->nrunning; i++)
		if (cut_sees_xid(inner, outer->running[i]))
			return false;
	return true;
}

/*
 * A table that is being copied, or was copied at a later cut than the one compared, cannot be
 * asked for its rows at that cut: this is no difference but something not yet known.
 */
static enum err check_copied(const struct comparing *c, const struct subject *s, struct error *e)
{
	struct replicate_snapshot copied = {.state = SNAPSHOT_NONE};
	struct arena mem = {0};
	enum err rc = replicate_snapshot(
		c->warehouse, s->table->schema, s->table->name, &mem, &copied, e);

	if (rc == OK && copied.state == SNAPSHOT_NONE)
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: it has not been copied into the warehouse yet; let `sluice "
			"replicate` or `sluice up` run, and reconcile again when `sluice status` "
			"says that it is done",
			STR_ARG(s->name));
	else if (rc == OK && copied.state == SNAPSHOT_RUNNING)
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: its first copy into the warehouse is still under way; "
			"reconcile again when `sluice status` says that it is done",
			STR_ARG(s->name));
	else if (rc == OK && copied.state == SNAPSHOT_DONE &&
		!cut_contains(&c->report->cut, &copied.cut))
		rc = FAIL(e, ERR_UNAVAILABLE,
			"comparing %.*s: it was copied into the warehouse after the cut that is "
			"compared; reconcile again",
			STR_ARG(s->name));
	arena_free(&mem);
	return rc;
}

static enum err sum_replica(
	struct comparing *c, struct subject *s, struct buckets *sum, struct error *e)
{
	enum err rc = check_copied(c, s, e);

	if (rc == OK)
		rc = subject_look_up(s, c->warehouse, e);
	if (rc == OK)
		return sum_side(c, s, SIDE_REPLICA, sum, e);
	if (rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

/* Both sides of a table at once: neither waits for the other's engine. */
static enum err sum_both(struct comparing *c, size_t i, struct buckets *replica, struct error *e)
{
	struct summing s = {.c = c, .table = i};
	struct error of_source = {.kind = OK};
	struct thread source;

	TRY(thread_start(&source, "reconcile", sum_source, &s, e));
	enum err rc = sum_replica(c, &c->subjects[i], replica, e);
	if (rc != OK)
		atomic_store(&c->given_up, true);
	enum err source_rc = thread_join(&source, &of_source);
	/* The side that was interrupted because the other had failed has nothing to say. */
	if (source_rc == OK || (rc != OK && rc != ERR_INTERRUPTED))
		return rc;
	if (e != NULL)
		*e = of_source;
	return source_rc;
}

static enum err compare_table(struct comparing *c, size_t i, struct error *e)
{
	struct reconcile_table *t = &c->report->tables[i];
	struct buckets replica;
	int64_t start = clock_mono(c->env->clock);

	buckets_init(&replica, c->nbuckets);
	enum err rc = sum_both(c, i, &replica, e);
	t->replica = replica.total;
	if (rc == OK && !buckets_eq(&c->buckets[i], &replica)) {
		const struct differ d = {.sides = &c->sides,
			.subject = &c->subjects[i],
			.bucket = {&c->buckets[i], &replica},
			.max_keys = c->o->max_keys,
			.group_rows = DIFFER_GROUP_ROWS,
			.found = c->visitor != NULL ? c->visitor->found : NULL,
			.found_arg = c->visitor != NULL ? c->visitor->arg : NULL,
			.journal = c->o->journal};
		c->report->ok = false;
		rc = differ_find(&d, &c->report->mem, t, e);
		if (rc == OK && c->visitor != NULL)
			rc = c->visitor->table(c->visitor->arg, &c->sides, &c->subjects[i], i, e);
	}
	buckets_free(&replica);
	t->seconds = seconds_since(c, start);
	log_info(c->env->log, "reconcile", "table compared", F_STR("table", t->name),
		F_I64("source_rows", t->source.rows), F_I64("replica_rows", t->replica.rows),
		F_I64("missing", t->count[ROW_MISSING]), F_I64("extra", t->count[ROW_EXTRA]),
		F_I64("different", t->count[ROW_DIFFERENT]), F_F64("seconds", t->seconds));
	return rc;
}

static enum err compare(struct comparing *c, struct error *e)
{
	TRY(begin(c, e));
	TRY(reach_cut(c, e));
	c->report->ok = true;
	c->report->whole = c->o->table == NULL;
	for (size_t i = 0; i < c->report->ntables; i++)
		TRY(compare_table(c, i, e));
	TRY(pg_exec(c->source, "COMMIT", "ending the transaction that was compared", e));
	c->report->finished_us = clock_wall(c->env->clock);
	TRY(reconcile_report_write(c->report, e));
	return reconcile_report_keep(c->report, c->warehouse, e);
}

enum err reconcile(const struct reconcile_options *o, struct warehouse *w, const struct env *env,
	struct reconcile_report *out, struct error *e)
{
	return reconcile_visiting(o, NULL, w, env, out, e);
}

enum err reconcile_visiting(const struct reconcile_options *o,
	const struct reconcile_visitor *visitor, struct warehouse *w, const struct env *env,
	struct reconcile_report *out, struct error *e)
{
	struct comparing c = {
		.o = o, .visitor = visitor, .warehouse = w, .env = env, .report = out};

	assert(o->conninfo != NULL && o->publication != NULL);
	*out = (struct reconcile_report){.ok = false};
	enum err rc = compare(&c, e);
	for (size_t i = 0; c.buckets != NULL && i < out->ntables; i++)
		buckets_free(&c.buckets[i]);
	pg_close(c.source);
	if (rc != OK)
		reconcile_report_free(out);
	return rc;
}
