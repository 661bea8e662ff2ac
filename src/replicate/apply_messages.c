#include "apply.h"

#include "shape.h"
#include "snapshot.h"

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

/* A replay's tables are whole before it begins. */
static enum err join_replay(struct apply *a, struct relation *rel, struct error *e)
{
	struct replicate_snapshot s;
	const struct table *t = rel->said;

	arena_reset(&rel->cut_mem);
	TRY(replicate_snapshot(a->r->w, t->schema, t->name, &rel->cut_mem, &s, e));
	if (s.state != SNAPSHOT_DONE || s.relid != rel->relid)
		return FAIL(e, ERR_CHECK,
			"replaying the journal %s: it speaks of the table %.*s.%.*s (relation %u), "
			"whose rows were not loaded; the two do not belong together",
			a->r->o->journal, STR_ARG(t->schema), STR_ARG(t->name), rel->relid);
	rel->cut = s.cut;
	rel->joined = true;
	return OK;
}

/* A table that catches up was whole before; its name in the warehouse is known. */
static enum err join_apart(struct apply *a, struct relation *rel, struct error *e)
{
	struct replicate_snapshot s;

	if (rel->joined)
		return OK;
	arena_reset(&rel->cut_mem);
	TRY(replicate_snapshot(a->r->w, a->apart->schema, a->apart->name, &rel->cut_mem, &s, e));
	rel->cut = s.cut;
	rel->joined = true;
	return OK;
}

/* Whether the table is whole, and its cut, or the copy that is at it. */
static enum err join(struct apply *a, struct relation *rel, struct error *e)
{
	unsigned generation = snapshot_generation(a->r->snapshots);

	if (a->apart != NULL)
		return join_apart(a, rel, e);
	if (rel->joined && rel->generation == generation)
		return OK;
	if (!rel->joined)
		TRY(apply_rename(a, rel, e));
	if (rel->joined && rel->generation == generation)
		return OK;
	if (a->r->replay != NULL)
		return join_replay(a, rel, e);
	struct table named = {
		.schema = rel->said->schema, .name = rel->said->name, .relid = rel->relid};
	TRY(snapshot_join(a->r->snapshots, &named, rel->joined && rel->copy == NULL, &rel->cut_mem,
		&rel->copy, &rel->cut, e));
	rel->generation = generation;
	rel->joined = true;
	return OK;
}

/* The copy has made the table anew in the warehouse, maybe in another shape; nothing of it is
 * collected. */
static void forget_shape(struct relation *rel, unsigned epoch)
{
	rel->epoch = epoch;
	rel->live = NULL;
	rel->wide = false;
	rel->news = true;
}

static enum err adapt(struct apply *a, struct relation *rel, struct error *e)
{
	if (rel->copy == NULL)
		return apply_adapt(a, rel, e);
	snapshot_lock(rel->copy);
	enum err rc = apply_adapt(a, rel, e);
	snapshot_unlock(rel->copy, rc == OK ? rel->live : NULL);
	return rc;
}

/* *skip is true when the table's snapshot has the transaction already. */
static enum err prepare(struct apply *a, struct relation *rel, bool *skip, struct error *e)
{
	unsigned epoch = rel->epoch;

	TRY(join(a, rel, e));
	*skip = rel->copy != NULL ? snapshot_skips(rel->copy, a->tx.xid, a->tx.commit, &epoch)
				  : cut_includes(&rel->cut, a->tx.xid, a->tx.commit);
	if (*skip)
		return OK;
	if (epoch != rel->epoch)
		forget_shape(rel, epoch);
	return rel->news ? adapt(a, rel, e) : OK;
}

/* Another table's, while one catches up. */
static bool is_others(const struct apply *a, uint32_t relid)
{
	return a->apart != NULL && a->apart->relid != relid;
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

	if (is_others(a, m->relid))
		return OK;
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
	return rc == OK && apply_part_is_due(a, rel) ? apply_part(a, e) : rc;
}

static enum err on_truncate(struct apply *a, const struct pgoutput_msg *m, struct error *e)
{
	for (uint32_t i = 0; i < m->nrelids; i++) {
		struct relation *rel;
		bool skip;
		if (is_others(a, m->relids[i]))
			continue;
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
	struct pgoutput_relation told = m->relation;

	if (is_others(a, told.relid))
		return;
	/* The main stream has given it its name already. */
	if (a->apart != NULL) {
		told.schema = a->apart->schema;
		told.name = a->apart->name;
	}
	struct relation *rel = relations_add(&a->relations, told.relid);
	struct arena mem = {0};
	struct table *said = shape_of_relation(&told, a->r->o, &mem);
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
	if (a->part != NULL || apply_enough(a) || apply_is_due(a))
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

enum err apply_record(struct apply *a, const struct journal_record *rec, struct error *e)
{
	engine_sign(&a->r->apply_turns);
	if (rec->kind == JOURNAL_MESSAGE)
		return on_message(a, rec->payload, e);
	a->whole.at = lsn_max(a->whole.at, rec->start);
	return OK;
}
