#include <string.h>

#include "differ.h"
#include "log.h"
#include "reconcile_run.h"
#include "scan.h"
#include "thread.h"

/* One side, on a thread of its own. */
struct summing {
	const struct scan *scan;
	struct buckets *into;
};

static enum err sum_source(void *arg, struct error *e)
{
	struct summing *s = arg;
	enum err rc = scan_source(s->scan, s->into, e);

	if (rc != OK)
		atomic_store(s->scan->given_up, true);
	return rc;
}

/* Both sides at once: neither waits for the other's engine. */
static enum err sum_both(const struct scan *scan, struct buckets *source, struct buckets *replica,
	bool *sure, struct error *e)
{
	struct summing s = {.scan = scan, .into = source};
	struct error of_source = {.kind = OK};
	struct thread thread;

	TRY(thread_start(&thread, "reconcile", sum_source, &s, e));
	enum err rc = scan_replica(scan, replica, sure, e);
	if (rc != OK)
		atomic_store(scan->given_up, true);
	enum err source_rc = thread_join(&thread, &of_source);
	/* The side that was interrupted because the other had failed has nothing to say. */
	if (source_rc == OK || (rc != OK && rc != ERR_INTERRUPTED))
		return rc;
	if (e != NULL)
		*e = of_source;
	return source_rc;
}

/* The names of columns stand in the group's memory. */
static void own_columns(struct reconcile_table *t, struct arena *mem)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		struct reconcile_key *key = &t->keys[k];
		struct str *columns = arena_array(mem, key->ncolumns + 1, sizeof *columns);

		for (size_t i = 0; i < key->ncolumns; i++)
			columns[i] = arena_str(mem, key->columns[i]);
		key->columns = columns;
	}
}

static enum err find_differences(struct group *g, const struct subject *s, struct part *p,
	const struct buckets *source, const struct buckets *replica, struct error *e)
{
	struct comparing *c = g->c;
	const struct reconcile_visitor *v = c->visitor;
	struct reconcile_table found = {.nkeys = 0};
	const struct differ d = {.sides = &g->sides,
		.subject = s,
		.bucket = {source, replica},
		.max_keys = c->o->max_keys,
		.group_rows = DIFFER_GROUP_ROWS,
		.found = v != NULL ? v->found : NULL,
		.found_arg = v != NULL ? v->arg : NULL,
		.journal = c->o->journal};

	TRY(differ_find(&d, &c->report->mem, &found, e));
	own_columns(&found, &c->report->mem);
	memcpy(p->count, found.count, sizeof p->count);
	p->keys = found.keys;
	p->nkeys = found.nkeys;
	return OK;
}

/* Once all its differences have been told, those of history too. */
static enum err show_visitor(
	struct group *g, const struct subject *s, const struct part *p, struct error *e)
{
	const struct reconcile_visitor *v = g->c->visitor;
	uint64_t n = 0;

	for (int d = 0; d < DIFFERENCES; d++)
		n += p->count[d] + p->history.count[d];
	return v != NULL && n > 0 ? v->table(v->arg, &g->sides, s, p->table, e) : OK;
}

static enum err compare_buckets(struct group *g, const struct subject *s, struct part *p,
	struct buckets *source, struct buckets *replica, struct error *e)
{
	atomic_bool given_up = false;
	const struct scan scan = {.sides = &g->sides, .subject = s, .given_up = &given_up};
	bool sure = true;

	TRY(sum_both(&scan, source, replica, &sure, e));
	if (!buckets_eq(source, replica) && !sure) {
		buckets_clear(replica);
		TRY(scan_replica_exact(&scan, replica, e));
	}
	p->source = source->total;
	p->replica = replica->total;
	return buckets_eq(source, replica) ? OK : find_differences(g, s, p, source, replica, e);
}

static void log_part(const struct comparing *c, const struct part *p)
{
	log_info(c->env->log, "reconcile", p->of > 1 ? "range compared" : "table compared",
		F_STR("table", c->report->tables[p->table].name), F_I64("range", p->number),
		F_I64("ranges", p->of), F_I64("source_rows", p->source.rows),
		F_I64("replica_rows", p->replica.rows), F_I64("missing", p->count[ROW_MISSING]),
		F_I64("extra", p->count[ROW_EXTRA]), F_I64("different", p->count[ROW_DIFFERENT]),
		F_F64("seconds", p->seconds));
}

enum err part_compare(struct group *g, struct part *p, bool history, struct error *e)
{
	struct comparing *c = g->c;
	struct subject *s = g->subjects[p->table];
	struct buckets source, replica;
	int64_t start = clock_mono(c->env->clock);

	/* Anew, when it has been compared before. */
	memset(p->count, 0, sizeof p->count);
	p->nkeys = 0;
	p->history = (struct reconcile_history){.compared = false};
	for (int side = 0; side < SIDES; side++)
		s->where[side] = p->where[side];
	buckets_init(&source, c->nbuckets);
	buckets_init(&replica, c->nbuckets);
	enum err rc = compare_buckets(g, s, p, &source, &replica, e);
	if (rc == OK && history)
		rc = history_compare(g, s, &source, p, e);
	if (rc == OK)
		rc = show_visitor(g, s, p, e);
	buckets_free(&source);
	buckets_free(&replica);
	if (rc != OK)
		return rc;
	p->seconds = (double)(clock_mono(c->env->clock) - start) / 1e6;
	p->cut = g->cut;
	p->scanned_us = clock_wall(c->env->clock);
	p->done = true;
	log_part(c, p);
	return OK;
}
