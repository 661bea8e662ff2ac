#include "reconcile.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "enc.h"
#include "mem.h"
#include "reconcile_report.h"
#include "reconcile_run.h"

#define SAMPLE_RANGES 200

/* ---- what is to be compared ---- */

/*
 * A policy that would hide rows from this role is an error, not a shorter table.
 */
static enum err open_source(struct comparing *c, struct error *e)
{
	TRY(comparing_connect(c, &c->source, e));
	return pg_exec(c->source,
		"SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
		"SET lock_timeout = '60s'; SET row_security = off",
		"preparing the session that compares", e);
}

static enum err name_tables(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;

	TRY(comparing_tables(c, &r->mem, &c->tables, e));
	r->ntables = c->tables.n;
	r->tables = arena_array(&r->mem, r->ntables, sizeof *r->tables);
	for (size_t i = 0; i < r->ntables; i++)
		r->tables[i].name = table_full_name(c->tables.tables[i], &r->mem);
	c->nbuckets = buckets_for(r->ntables);
	return OK;
}

enum err comparing_open(struct comparing *c, struct error *e)
{
	TRY(open_source(c, e));
	return name_tables(c, e);
}

/* What must be the same for ranges that were compared earlier to count. */
static void write_spec(struct comparing *c)
{
	const struct reconcile_options *o = c->o;
	struct buf b;

	buf_init(&b, 1 << 24);
	buf_putf(&b, "1 %s %d %llu %g %d %zu", o->publication, (int)o->mode,
		(unsigned long long)o->range_rows, o->sample, o->history, o->max_keys);
	for (size_t i = 0; i < c->tables.n; i++)
		buf_putf(&b, "\n%.*s", STR_ARG(c->report->tables[i].name));
	enc_sha256(buf_str(&b), c->progress.spec);
	buf_free(&b);
}

/* So many of a table's ranges by chance, at least one. */
static void choose_sample(const struct comparing *c, struct parts *of_table)
{
	size_t n = of_table->n, left;
	double share = c->o->sample / 100 * (double)n;

	left = (size_t)share + ((double)(size_t)share < share);
	left = left > 0 ? left : 1;
	for (size_t i = 0; i < n; i++) {
		of_table->list[i].chosen = rnd_below(c->env->rnd, n - i) < left;
		left -= of_table->list[i].chosen;
	}
}

static enum err plan(struct comparing *c, struct error *e)
{
	const struct parts_options o = {.range_rows = c->o->range_rows,
		.fine = c->o->sample > 0 ? SAMPLE_RANGES : 0,
		.most = 100000};
	struct arena *mem = &c->report->mem;
	size_t cap = 0;

	for (size_t i = 0; i < c->tables.n; i++) {
		struct parts of_table;

		TRY(parts_plan(c->source, c->tables.tables[i], i, &o, mem, &of_table, e));
		if (c->o->sample > 0)
			choose_sample(c, &of_table);
		parts_append(&c->parts, &cap, &of_table, mem);
	}
	return OK;
}

static enum err find_or_plan(struct comparing *c, struct error *e)
{
	struct progress *p = &c->progress;
	int64_t since = clock_wall(c->env->clock) - c->o->resume_us;
	struct arena *mem = &c->report->mem;

	p->warehouse = c->warehouse;
	p->keep = true;
	TRY(progress_prepare(c->warehouse, e));
	write_spec(c);
	if (!c->o->afresh && c->o->resume_us > 0)
		TRY(progress_find(p, since, c->report, mem, &c->parts, e));
	for (size_t i = 0; i < c->parts.n; i++)
		c->report->resumed += c->parts.list[i].done;
	if (p->run.n > 0)
		return OK;
	TRY(plan(c, e));
	return progress_begin(p, c->env, c->report, &c->parts, false, mem, e);
}

/* ---- comparing ---- */

/* As many as one transaction should hold. */
static size_t next_group(const struct comparing *c, struct part *const *todo, size_t n)
{
	uint64_t rows = todo[0]->rows, most = c->o->range_rows + c->o->range_rows / 2;
	size_t taken = 1;

	if (c->o->range_rows == 0)
		return n;
	while (taken < n && rows + todo[taken]->rows <= most)
		rows += todo[taken++]->rows;
	return taken;
}

enum err comparing_groups(
	struct comparing *c, struct part *const *todo, size_t n, bool history, struct error *e)
{
	for (size_t at = 0; at < n;) {
		size_t some = next_group(c, todo + at, n - at);

		if (at > 0)
			TRY(throttle(c, e));
		TRY(group_compare(c, todo + at, some, history, e));
		at += some;
	}
	return OK;
}

static enum err compare_parts(struct comparing *c, struct error *e)
{
	struct part **todo = mem_array(c->parts.n + 1, sizeof(struct part *));
	size_t n = 0;

	for (size_t i = 0; i < c->parts.n; i++)
		if (c->parts.list[i].chosen && !c->parts.list[i].done)
			todo[n++] = &c->parts.list[i];
	enum err rc = comparing_groups(c, todo, n, c->o->history, e);
	mem_free(todo);
	return rc;
}

/* ---- the report ---- */

static int in_reading_order(const void *a, const void *b)
{
	const struct reconcile_key *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	/* The shorter first, so that numbers stand in their order. */
	if (x->key.n != y->key.n)
		return x->key.n < y->key.n ? -1 : 1;
	if (str_cmp(x->key, y->key) != 0)
		return str_cmp(x->key, y->key);
	return x->in_history - y->in_history;
}

/* The ranges' keys together, no more of a kind than were asked for. */
static void list_keys(const struct comparing *c, size_t table, struct reconcile_table *t)
{
	size_t n = 0, kept = 0, of_kind[DIFFERENCES][2] = {{0}};

	for (size_t i = 0; i < c->parts.n; i++)
		if (c->parts.list[i].table == table)
			n += c->parts.list[i].nkeys;
	t->keys = arena_array(&c->report->mem, n + 1, sizeof *t->keys);
	n = 0;
	for (size_t i = 0; i < c->parts.n; i++)
		for (size_t k = 0; c->parts.list[i].table == table && k < c->parts.list[i].nkeys;
			k++)
			t->keys[n++] = c->parts.list[i].keys[k];
	qsort(t->keys, n, sizeof *t->keys, in_reading_order);
	for (size_t k = 0; k < n; k++) {
		size_t *listed = &of_kind[t->keys[k].kind][t->keys[k].in_history];

		if ((*listed)++ >= c->o->max_keys)
			continue;
		t->keys[kept++] = t->keys[k];
	}
	t->nkeys = kept;
}

static void add_part(struct reconcile_report *r, const struct part *p)
{
	struct reconcile_table *t = &r->tables[p->table];

	t->ranges = p->of;
	if (!p->done)
		return;
	t->compared += r->mode == RECONCILE_FULL;
	digest_merge(&t->source, &p->source);
	digest_merge(&t->replica, &p->replica);
	t->seconds += p->seconds;
	t->blamed.keys += p->blamed.keys;
	for (int b = 0; b < BLAMES; b++)
		t->blamed.by[b] += p->blamed.by[b];
	for (int d = 0; d < DIFFERENCES; d++) {
		t->count[d] += p->count[d];
		t->history.count[d] += p->history.count[d];
		r->ok = r->ok && p->count[d] == 0 && p->history.count[d] == 0;
	}
	if (p->history.compared)
		digest_merge(&t->history.digest, &p->history.digest);
	t->history.compared = t->history.compared || p->history.compared;
	t->history.keyless = t->history.keyless || p->history.keyless;
	r->ok = r->ok && digest_eq(&p->source, &p->replica);
	if (r->cuts == 0 || lsn_cmp(p->cut.at, r->cut.at) < 0)
		r->cut = p->cut;
	r->last_cut = lsn_max(r->last_cut, p->cut.at);
}

static int by_lsn(const void *a, const void *b)
{
	return lsn_cmp(*(const lsn *)a, *(const lsn *)b);
}

static uint32_t count_cuts(const struct parts *parts)
{
	lsn *at = mem_array(parts->n + 1, sizeof *at);
	size_t n = 0;
	uint32_t cuts = 0;

	for (size_t i = 0; i < parts->n; i++)
		if (parts->list[i].done)
			at[n++] = parts->list[i].cut.at;
	qsort(at, n, sizeof *at, by_lsn);
	for (size_t i = 0; i < n; i++)
		cuts += i == 0 || lsn_cmp(at[i], at[i - 1]) != 0;
	mem_free(at);
	return cuts;
}

static enum err add_up(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;

	r->ok = true;
	r->mode = c->o->mode;
	r->sample = c->o->sample;
	r->whole = c->o->table == NULL && c->o->sample == 0 && c->o->mode == RECONCILE_FULL;
	for (size_t i = 0; i < c->parts.n; i++) {
		add_part(r, &c->parts.list[i]);
		r->cuts += c->parts.list[i].done;
	}
	r->cuts = count_cuts(&c->parts);
	for (size_t i = 0; i < r->ntables; i++) {
		list_keys(c, i, &r->tables[i]);
		/* Law 4: what was not looked at is not known to be equal. */
		if (r->tables[i].compared == 0 && c->o->mode == RECONCILE_FULL)
			return FAIL(e, ERR_BUG, "comparing %.*s: no range of it was compared",
				STR_ARG(r->tables[i].name));
	}
	return OK;
}

/* ---- the whole ---- */

static enum err compare_full(struct comparing *c, struct error *e)
{
	TRY(find_or_plan(c, e));
	return compare_parts(c, e);
}

/* What a repair refuses will not do the next time either: it is not gone on with. */
static enum err hand_over(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;
	enum err rc = c->then != NULL ? c->then(c->then_arg, r, &c->parts, e) : OK;

	if (!c->progress.keep || c->progress.run.n == 0 || (rc != OK && rc != ERR_USAGE))
		return rc;
	enum err finished = progress_finish(&c->progress, r, r->finished_us, c->o->resume_us,
		c->o->sample > 0, rc == OK ? e : NULL);
	return rc == OK ? finished : rc;
}

static enum err finish(struct comparing *c, struct error *e)
{
	struct reconcile_report *r = c->report;

	r->finished_us = clock_wall(c->env->clock);
	TRY(add_up(c, e));
	TRY(reconcile_report_write(r, e));
	TRY(reconcile_report_keep(r, c->warehouse, e));
	return hand_over(c, e);
}

static enum err compare(struct comparing *c, struct error *e)
{
	TRY(comparing_open(c, e));
	TRY(c->o->mode == RECONCILE_FULL ? compare_full(c, e) : changed_compare(c, e));
	return finish(c, e);
}

enum err reconcile(const struct reconcile_options *o, struct warehouse *w, const struct env *env,
	struct reconcile_report *out, struct error *e)
{
	return reconcile_then(o, NULL, NULL, w, env, out, e);
}

enum err reconcile_then(const struct reconcile_options *o, reconcile_parts_fn *then, void *arg,
	struct warehouse *w, const struct env *env, struct reconcile_report *out, struct error *e)
{
	struct comparing c = {
		.o = o, .then = then, .then_arg = arg, .warehouse = w, .env = env, .report = out};

	assert(o->conninfo != NULL && o->publication != NULL);
	*out = (struct reconcile_report){.ok = false};
	enum err rc = compare(&c, e);
	part_hashes_wait(&c);
	pg_close(c.source);
	if (rc != OK)
		reconcile_report_free(out);
	return rc;
}
