#include "apply.h"

#include "dead_letters.h"
#include "failpoint.h"
#include "marks.h"
#include "snapshot.h"
#include "table_hold.h"

size_t apply_collect(struct apply *a, struct table_changes *out)
{
	size_t n = 0;

	for (size_t i = 0; i < a->relations.n; i++) {
		struct relation *rel = a->relations.items[i];
		if (rel->batch == NULL || rel->batch->rows == 0)
			continue;
		out[n] = (struct table_changes){.table = rel->live, .rows = rel->batch};
		if (rel->copy != NULL)
			out[n].floor = snapshot_hold(a->r->snapshots, rel->copy, rel->batch);
		fold_run(&rel->fold, rel->batch, &out[n]);
		n++;
	}
	return n;
}

static void count_rows(struct relation *rel)
{
	const struct batch *b = rel->batch;

	for (size_t row = 0; row < b->rows; row++)
		rel->written[b->op[row] == OP_INSERT      ? 0
				: b->op[row] == OP_UPDATE ? 1
				: b->op[row] == OP_DELETE ? 2
							  : 3]++;
}

/* Rows count when they are committed. */
static void add_counts(struct relation *rel, const struct env *env)
{
	static const char *const ops[] = {"insert", "update", "delete", "truncate"};

	for (size_t i = 0; i < 4; i++) {
		if (rel->written[i] == 0)
			continue;
		if (rel->applied[i] == NULL && env->metrics != NULL) {
			struct arena mem = {0};
			const char *name = table_full_name(rel->live, &mem).p;
			const char *labels[] = {"table", name, "op", ops[i], NULL};
			rel->applied[i] = metrics_counter(env->metrics, "sluice_rows_applied_total",
				"Changes written to the warehouse.", labels);
			arena_free(&mem);
		}
		metric_add(rel->applied[i], rel->written[i]);
		rel->written[i] = 0;
	}
}

/* The position that others wait for is the main stream's. */
static void note_apart(struct apply *a)
{
	pthread_mutex_lock(&a->r->lock);
	a->r->p.rows += a->rows;
	pthread_mutex_unlock(&a->r->lock);
	a->r->kept = a->done.at;
}

static void note_applied(struct apply *a, int64_t began)
{
	struct replicate *r = a->r;
	int64_t now = clock_mono(r->env.clock), wall = clock_wall(r->env.clock);

	if (a->rows > 0) {
		a->took_us = now - began;
		metric_add(r->m.batches, 1);
		metric_observe(r->m.batch_seconds, (double)(now - began) / 1e6);
	}
	metric_set(r->m.last_success, (double)wall / 1e6);
	if (a->apart != NULL) {
		note_apart(a);
		return;
	}
	metric_set(r->m.applied_lsn, (double)a->done.at.v);
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

enum err apply_forget_rows(struct apply *a, struct error *e)
{
	for (size_t i = 0; i < a->relations.n; i++) {
		struct relation *rel = a->relations.items[i];
		if (rel->batch == NULL)
			continue;
		if (rel->batch->rows > 0)
			count_rows(rel);
		batch_reset(rel->batch);
		/* Columns kept for earlier rows of a large transaction go after its end. */
		if (rel->wide && a->part == NULL)
			TRY(apply_narrow(a, rel, e));
	}
	a->rows = 0;
	journal_reader_release(a->reader);
	return OK;
}

/* What a replay writes must be all that was recorded. */
static enum err apply_set(struct apply *a, const struct change_set *set, struct error *e)
{
	uint64_t refused;

	if (a->r->replay != NULL)
		return warehouse_apply(a->r->w, set, e);
	return dead_letters_apply(a->r->w, &a->r->env, set, &refused, e);
}

#define DUE_MOST INT64_C(2000000)
#define LATE_US  INT64_C(1000000)
#define LATE_DUE INT64_C(5000000)

/* How long ago the source committed what was collected last. Both times are the source's. */
static int64_t age_us(const struct apply *a)
{
	int64_t age = atomic_load_explicit(&a->r->source_us, memory_order_relaxed) -
		a->whole.committed_us;

	return age > 0 ? age : 0;
}

bool apply_is_late(const struct apply *a)
{
	return age_us(a) >= LATE_US;
}

/* What is late already loses little by waiting a quarter of that more. */
bool apply_is_due(const struct apply *a)
{
	int64_t worth = 2 * a->took_us < DUE_MOST ? 2 * a->took_us : DUE_MOST;
	int64_t late = age_us(a) / 4 < LATE_DUE ? age_us(a) / 4 : LATE_DUE;

	if (apply_is_late(a) && worth < late)
		worth = late;
	if (worth < a->r->o->flush_interval_us)
		worth = a->r->o->flush_interval_us;
	return a->rows > 0 && clock_mono(a->r->env.clock) - a->first_us >= worth;
}

/* How far it is: of a table that catches up in its own mark, until it is where the others are. */
static struct mark how_far(struct apply *a)
{
	if (a->apart == NULL)
		return (struct mark){
			.name = STR("position"), .value = mark_position(&a->mem, &a->whole)};
	const struct table_hold hold = {
		.has_from = true, .relid = a->apart->relid, .from = a->whole};
	return table_hold_mark(
		&a->mem, a->apart->schema, a->apart->name, a->apart->joining ? NULL : &hold);
}

/* A table that catches up keeps what it has still to read. */
static enum err trim(const struct apply *a, struct error *e)
{
	const struct replicate *r = a->r;
	lsn upto = a->done.at;

	if (r->replay != NULL || a->apart != NULL)
		return OK;
	if (r->kept.v != 0 && r->kept.v < upto.v)
		upto = r->kept;
	return journal_trim(r->journal, upto, e);
}

static bool has_news(const struct apply *a)
{
	return a->rows > 0 || a->part != NULL || a->whole.at.v > a->done.at.v ||
		(a->apart != NULL && a->apart->joining);
}

static enum err flush(struct apply *a, struct error *e)
{
	struct replicate *r = a->r;
	int64_t began = clock_mono(r->env.clock);

	if (!has_news(a))
		return OK;
	arena_reset(&a->mem);
	struct table_changes *tables = arena_array(
		&a->mem, a->relations.n, sizeof(struct table_changes));
	struct mark mark = how_far(a);
	struct change_set set = {
		.tables = tables, .ntables = apply_collect(a, tables), .marks = &mark, .nmarks = 1};
	TRY(failpoint_hit(&r->env, "apply.before", e));
	if (a->part != NULL)
		TRY(apply_end_parts(a, &set, e));
	else
		TRY(apply_set(a, &set, e));
	TRY(failpoint_hit(&r->env, "apply.after", e));
	a->done = a->whole;
	note_applied(a, began);
	TRY(apply_forget_rows(a, e));
	for (size_t i = 0; i < a->relations.n; i++)
		add_counts(a->relations.items[i], &r->env);
	return trim(a, e);
}

enum err apply_flush(struct apply *a, struct error *e)
{
	enum err rc = flush(a, e);

	if (a->part == NULL && a->apart == NULL)
		snapshot_release(a->r->snapshots);
	return rc;
}
