#include "apply.h"

#include "failpoint.h"
#include "marks.h"

static size_t collect_changes(struct apply *a, struct table_changes *out)
{
	size_t n = 0;

	for (size_t i = 0; i < a->relations.n; i++) {
		struct relation *rel = a->relations.items[i];
		if (rel->batch == NULL || rel->batch->rows == 0)
			continue;
		out[n] = (struct table_changes){.table = rel->live, .rows = rel->batch};
		fold_run(&rel->fold, rel->batch, &out[n]);
		n++;
	}
	return n;
}

static void count_rows(struct relation *rel, const struct env *env)
{
	static const char *const ops[] = {"insert", "update", "delete", "truncate"};
	uint64_t counts[4] = {0};
	const struct batch *b = rel->batch;

	for (size_t row = 0; row < b->rows; row++)
		counts[b->op[row] == OP_INSERT            ? 0
				: b->op[row] == OP_UPDATE ? 1
				: b->op[row] == OP_DELETE ? 2
							  : 3]++;
	for (size_t i = 0; i < 4; i++) {
		if (counts[i] == 0)
			continue;
		if (rel->applied[i] == NULL && env->metrics != NULL) {
			struct arena mem = {0};
			const char *name = table_full_name(rel->live, &mem).p;
			const char *labels[] = {"table", name, "op", ops[i], NULL};
			rel->applied[i] = metrics_counter(env->metrics, "sluice_rows_applied_total",
				"Changes written to the warehouse.", labels);
			arena_free(&mem);
		}
		metric_add(rel->applied[i], counts[i]);
	}
}

static void note_applied(struct apply *a, int64_t began)
{
	struct replicate *r = a->r;
	int64_t now = clock_mono(r->env.clock), wall = clock_wall(r->env.clock);

	if (a->rows > 0) {
		metric_add(r->m.batches, 1);
		metric_observe(r->m.batch_seconds, (double)(now - began) / 1e6);
	}
	metric_set(r->m.last_success, (double)wall / 1e6);
	pthread_mutex_lock(&r->lock);
	r->p.applied = a->done.at;
	r->p.rows += a->rows;
	r->p.last_success_us = wall;
	error_clear(&r->p.apply_error);
	if (r->p.durable.v <= a->done.at.v)
		r->pending_since_us = 0;
	else if (r->pending_since_us != 0)
		r->pending_since_us = began; /* what came before this batch is through */
	metric_set(r->m.lag_bytes, (double)(lsn_max(r->p.server, a->done.at).v - a->done.at.v));
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

static enum err finish_relations(struct apply *a, struct error *e)
{
	for (size_t i = 0; i < a->relations.n; i++) {
		struct relation *rel = a->relations.items[i];
		if (rel->batch == NULL)
			continue;
		if (rel->batch->rows > 0)
			count_rows(rel, &a->r->env);
		batch_reset(rel->batch);
		if (rel->wide)
			TRY(apply_narrow(a, rel, e));
	}
	return OK;
}

enum err apply_flush(struct apply *a, struct error *e)
{
	struct replicate *r = a->r;
	int64_t began = clock_mono(r->env.clock);

	if (a->rows == 0 && a->whole.at.v <= a->done.at.v)
		return OK;
	arena_reset(&a->mem);
	struct table_changes *tables = arena_array(
		&a->mem, a->relations.n, sizeof(struct table_changes));
	struct mark mark = {.name = STR("position"), .value = mark_position(&a->mem, &a->whole)};
	struct change_set set = {.tables = tables,
		.ntables = collect_changes(a, tables),
		.marks = &mark,
		.nmarks = 1};
	TRY(failpoint_hit(&r->env, "apply.before", e));
	TRY(warehouse_apply(r->w, &set, e));
	TRY(failpoint_hit(&r->env, "apply.after", e));
	a->done = a->whole;
	note_applied(a, began);
	TRY(finish_relations(a, e));
	a->rows = 0;
	journal_reader_release(a->reader);
	return r->replay != NULL ? OK : journal_trim(r->journal, a->done.at, e);
}
