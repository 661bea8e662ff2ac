#include <string.h>

#include "changed_keys.h"
#include "differ.h"
#include "kept_hashes.h"
#include "log.h"
#include "mem.h"
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
		.journal = c->o->journal,
		.suspects = &g->suspects};

	TRY(differ_find(&d, &c->report->mem, &found, e));
	own_columns(&found, &c->report->mem);
	memcpy(p->count, found.count, sizeof p->count);
	p->keys = found.keys;
	p->nkeys = found.nkeys;
	p->blamed = found.blamed;
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
	struct buckets *source, struct buckets *replica, struct hash_rows *rows, struct error *e)
{
	atomic_bool given_up = false;
	const struct scan scan = {
		.sides = &g->sides, .subject = s, .given_up = &given_up, .rows = rows};
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

const char *part_hashes_path(const struct comparing *c, const struct part *p, struct arena *mem)
{
	if (c->o->hashes == NULL)
		return NULL;
	return kept_hashes_path(
		str_of(c->o->hashes), c->report->tables[p->table].name, p->number, p->of, mem)
		.p;
}

static enum err write_hashes(void *arg, struct error *e)
{
	const struct keeping *k = arg;

	return kept_hashes_write(k->path, &k->rows, &k->sum, e);
}

/* They save time later; that they could not be kept takes nothing from this comparison. */
void part_hashes_wait(struct comparing *c)
{
	struct keeping *k = &c->keeping;
	struct error e = {.kind = OK};

	if (!k->under_way)
		return;
	if (thread_join(&k->thread, &e) != OK)
		log_warn(c->env->log, "reconcile", "the next check of the changes takes longer",
			F_CSTR("reason", e.text));
	mem_free(k->path);
	hash_rows_free(&k->rows);
	k->under_way = false;
}

/* Takes the rows. */
static void keep_hashes(struct comparing *c, const struct part *p, struct hash_rows *rows)
{
	struct keeping *k = &c->keeping;
	struct arena mem = {0};
	struct error e = {.kind = OK};

	part_hashes_wait(c);
	*k = (struct keeping){
		.path = mem_strdup(part_hashes_path(c, p, &mem)), .rows = *rows, .sum = p->source};
	*rows = (struct hash_rows){.n = 0};
	arena_free(&mem);
	k->under_way = thread_start(&k->thread, "hashes", write_hashes, k, &e) == OK;
	if (k->under_way)
		return;
	log_warn(c->env->log, "reconcile", "the next check of the changes takes longer",
		F_CSTR("reason", e.text));
	mem_free(k->path);
	hash_rows_free(&k->rows);
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
	struct hash_rows rows = {.n = 0};
	bool keep = g->whole && c->o->hashes != NULL && changed_keys_possible(s->table);
	int64_t start = clock_mono(c->env->clock);

	/* Anew, when it has been compared before. */
	memset(p->count, 0, sizeof p->count);
	p->nkeys = 0;
	p->blamed = (struct blamed){.keys = 0};
	p->history = (struct reconcile_history){.compared = false};
	for (int side = 0; side < SIDES; side++)
		s->where[side] = p->where[side];
	buckets_init(&source, c->nbuckets);
	buckets_init(&replica, c->nbuckets);
	enum err rc = compare_buckets(g, s, p, &source, &replica, keep ? &rows : NULL, e);
	if (rc == OK && keep && buckets_eq(&source, &replica))
		keep_hashes(c, p, &rows);
	hash_rows_free(&rows);
	if (rc == OK && history)
		rc = history_compare(g, s, &source, p, e);
	suspects_free(&g->suspects);
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
