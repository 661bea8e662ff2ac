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

enum err apply_record(struct apply *a, const struct journal_record *rec, struct error *e)
{
	if (rec->kind == JOURNAL_MESSAGE)
		return on_message(a, rec->payload, e);
	a->whole.at = lsn_max(a->whole.at, rec->start);
	return OK;
}
