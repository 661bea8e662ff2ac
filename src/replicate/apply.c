#include "apply.h"

#include "failpoint.h"
#include "marks.h"
#include "mem.h"
#include "shape.h"
#include "snapshot.h"

#define WAIT_US     INT64_C(100000)  /* how soon a stop is seen */
#define POSITION_US INT64_C(1000000) /* between two positions without rows */

enum err apply_open(struct apply *a, struct replicate *r, struct error *e)
{
	*a = (struct apply){.r = r};
	TRY(replicate_position(r->w, &a->done, e));
	if (!a->done.found)
		return FAIL(e, ERR_BUG, "applying: the warehouse has no position");
	a->whole = a->done;
	a->decoder = pgoutput_new();
	return journal_reader_open(&a->reader, r->o->journal, r->journal, a->done.at, e);
}

void apply_close(struct apply *a)
{
	journal_reader_close(a->reader);
	pgoutput_free(a->decoder);
	relations_free(&a->relations);
	arena_free(&a->mem);
	*a = (struct apply){0};
}

/* ---- writing ---- */

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

/* ---- messages ---- */

static enum err find_relation(
	struct apply *a, uint32_t relid, struct relation **out, struct error *e)
{
	*out = relations_find(&a->relations, relid);
	if (*out != NULL)
		return OK;
	return FAIL(e, ERR_CHECK,
		"applying the journal: a change of relation %u comes before its description; the "
		"journal is damaged, resynchronise the tables",
		relid);
}

/* Makes sure that the table's snapshot is there, and knows its cut. */
static enum err join(struct apply *a, struct relation *rel, struct error *e)
{
	struct replicate_snapshot s;
	const struct table *t = rel->said;

	arena_reset(&rel->cut_mem);
	TRY(replicate_snapshot(a->r->w, t->schema, t->name, &rel->cut_mem, &s, e));
	bool there = s.state == SNAPSHOT_DONE && s.relid == rel->relid;
	if (!there && a->r->replay != NULL)
		return FAIL(e, ERR_CHECK,
			"replaying the journal %s: it speaks of the table %.*s.%.*s (relation %u), "
			"whose rows were not loaded; the two do not belong together",
			a->r->o->journal, STR_ARG(t->schema), STR_ARG(t->name), rel->relid);
	if (!there) {
		TRY(snapshot_one(a->r, t->schema, t->name, rel->relid, e));
		TRY(replicate_snapshot(a->r->w, t->schema, t->name, &rel->cut_mem, &s, e));
	}
	rel->cut = s.cut;
	rel->joined = true;
	return OK;
}

/* *skip is true when the table's snapshot has the transaction already. */
static enum err prepare(struct apply *a, struct relation *rel, bool *skip, struct error *e)
{
	if (!rel->joined)
		TRY(join(a, rel, e));
	*skip = cut_includes(&rel->cut, a->tx.xid, a->tx.commit);
	if (*skip || !rel->news)
		return OK;
	return apply_adapt(a, rel, e);
}

static void added_rows(struct apply *a, size_t before, const struct relation *rel)
{
	if (a->rows == 0)
		a->first_us = clock_mono(a->r->env.clock);
	a->rows += rel->batch->rows - before;
}

static enum err on_change(struct apply *a, const struct pgoutput_msg *m, struct error *e)
{
	struct relation *rel;
	bool skip;
	enum err rc = OK;

	TRY(find_relation(a, m->relid, &rel, e));
	TRY(prepare(a, rel, &skip, e));
	if (skip)
		return OK;
	size_t before = rel->batch->rows;
	if (m->kind == PGO_INSERT)
		rc = relation_insert(rel, &a->tx, m, e);
	else if (m->kind == PGO_UPDATE)
		rc = relation_update(rel, &a->tx, m, e);
	else
		rc = relation_delete(rel, &a->tx, m, e);
	added_rows(a, before, rel);
	return rc;
}

static enum err on_truncate(struct apply *a, const struct pgoutput_msg *m, struct error *e)
{
	for (uint32_t i = 0; i < m->nrelids; i++) {
		struct relation *rel;
		bool skip;
		TRY(find_relation(a, m->relids[i], &rel, e));
		TRY(prepare(a, rel, &skip, e));
		if (skip)
			continue;
		size_t before = rel->batch->rows;
		relation_truncate(rel, &a->tx);
		added_rows(a, before, rel);
	}
	return OK;
}

static void on_relation(struct apply *a, const struct pgoutput_msg *m)
{
	struct relation *rel = relations_add(&a->relations, m->relation.relid);
	struct arena mem = {0};
	struct table *said = shape_of_relation(&m->relation, a->r->o, &mem);
	bool renamed = rel->said != NULL &&
		(!str_eq(rel->said->schema, said->schema) || !str_eq(rel->said->name, said->name));

	arena_free(&rel->said_mem);
	rel->said_mem = mem;
	rel->said = said;
	rel->news = true;
	/* Under another name it is another table of the warehouse, which needs its own snapshot. */
	if (renamed)
		rel->joined = false;
}

static enum err on_begin(struct apply *a, const struct pgoutput_msg *m, struct error *e)
{
	if (a->tx.open)
		return FAIL(e, ERR_CHECK,
			"applying the journal: a transaction begins inside another; the journal is "
			"damaged, resynchronise the tables");
	a->tx = (struct tx){.open = true,
		.xid = xid_widen(m->xid, a->whole.xid),
		.commit = m->commit,
		.committed_us = m->committed_us};
	return OK;
}

static enum err on_commit(struct apply *a, const struct pgoutput_msg *m, struct error *e)
{
	if (!a->tx.open)
		return FAIL(e, ERR_CHECK,
			"applying the journal: a transaction ends that has not begun; the journal "
			"is "
			"damaged, resynchronise the tables");
	a->whole.at = m->end;
	a->whole.committed_us = a->tx.committed_us;
	if (a->tx.xid > a->whole.xid)
		a->whole.xid = a->tx.xid;
	a->tx.open = false;
	a->tx.seq = 0;
	if (a->rows >= (size_t)a->r->o->batch_rows ||
		(a->rows > 0 &&
			clock_mono(a->r->env.clock) - a->first_us >= a->r->o->flush_interval_us))
		return apply_flush(a, e);
	return OK;
}

static enum err on_message(struct apply *a, struct str payload, struct error *e)
{
	struct pgoutput_msg m;

	TRY(pgoutput_decode(a->decoder, payload, &m, e));
	switch (m.kind) {
	case PGO_BEGIN:
		return on_begin(a, &m, e);
	case PGO_COMMIT:
		return on_commit(a, &m, e);
	case PGO_RELATION:
		on_relation(a, &m);
		return OK;
	case PGO_INSERT:
	case PGO_UPDATE:
	case PGO_DELETE:
		return on_change(a, &m, e);
	case PGO_TRUNCATE:
		return on_truncate(a, &m, e);
	case PGO_ORIGIN:
	case PGO_TYPE:
	case PGO_MESSAGE:
		return OK;
	case PGO_STREAM_START:
	case PGO_STREAM_STOP:
	case PGO_STREAM_COMMIT:
	case PGO_STREAM_ABORT:
	case PGO_BEGIN_PREPARE:
	case PGO_PREPARE:
	case PGO_COMMIT_PREPARED:
	case PGO_ROLLBACK_PREPARED:
	case PGO_STREAM_PREPARE:
		break;
	}
	return FAIL(e, ERR_INPUT,
		"applying the journal: a message of kind '%c' belongs to a protocol that was not "
		"asked for; use the sluice that wrote this journal",
		(char)m.kind);
}

/* ---- the run ---- */

enum err apply_record(struct apply *a, const struct journal_record *rec, struct error *e)
{
	if (rec->kind == JOURNAL_MESSAGE)
		return on_message(a, rec->payload, e);
	a->whole.at = lsn_max(a->whole.at, rec->start);
	return OK;
}

/* A position alone is worth a write once a second, or when somebody waits for it. */
static bool worth_writing(struct apply *a)
{
	int64_t now = clock_mono(a->r->env.clock);

	if (a->rows > 0)
		return true;
	if (a->whole.at.v <= a->done.at.v)
		return false;
	if (atomic_load(&a->r->waiters) == 0 && now - a->position_us < POSITION_US)
		return false;
	a->position_us = now;
	return true;
}

enum err apply_step(struct apply *a, struct error *e)
{
	struct journal_record rec;
	bool got = true;

	while (got && !atomic_load(&a->r->stop)) {
		TRY(journal_reader_next(a->reader, &rec, &got, e));
		if (got)
			TRY(apply_record(a, &rec, e));
	}
	if (!a->tx.open && worth_writing(a))
		return apply_flush(a, e);
	if (!atomic_load(&a->r->stop))
		(void)journal_reader_wait(a->reader, WAIT_US);
	return OK;
}

/* Tables that have come to the publication are copied without waiting for a change of theirs. */
static enum err refresh(struct apply *a, struct error *e)
{
	if (a->tx.open || !atomic_exchange(&a->r->refresh, false))
		return OK;
	TRY(apply_flush(a, e));
	return snapshot_all(a->r, e);
}

static enum err run(struct replicate *r, bool *went_well, struct error *e)
{
	struct apply a = {0};
	enum err rc = snapshot_all(r, e);

	if (rc == OK)
		rc = apply_open(&a, r, e);
	if (rc == OK) {
		pthread_mutex_lock(&r->lock);
		r->p.applied = a.done.at;
		pthread_cond_broadcast(&r->moved);
		pthread_mutex_unlock(&r->lock);
	}
	while (rc == OK && !atomic_load(&r->stop)) {
		lsn before = a.done.at;
		rc = apply_step(&a, e);
		if (rc == OK)
			rc = refresh(&a, e);
		*went_well |= a.done.at.v > before.v;
	}
	apply_close(&a);
	return rc;
}

enum err apply_thread(void *arg, struct error *e)
{
	struct replicate *r = arg;
	unsigned tries = 0;
	enum err rc = OK;

	while (!atomic_load(&r->stop)) {
		bool went_well = false;
		rc = run(r, &went_well, e);
		if (went_well)
			tries = 0;
		/* Whatever it is, capture goes on: what is in the journal lets the source go. */
		if (rc == OK || !r->forever)
			break;
		tries++;
		log_warn(r->env.log, "apply", "changes could not be applied; trying again",
			F_I64("try", tries), F_CSTR("reason", e->text));
		pthread_mutex_lock(&r->lock);
		r->p.apply_error = *e;
		pthread_mutex_unlock(&r->lock);
		env_sleep(&r->env, engine_backoff_us(tries, &r->apply_rnd));
		rc = OK;
	}
	if (rc != OK && !atomic_load(&r->stop)) {
		pthread_mutex_lock(&r->lock);
		r->p.apply_error = *e;
		pthread_mutex_unlock(&r->lock);
		engine_failed(r);
		return rc;
	}
	error_clear(e);
	return OK;
}
