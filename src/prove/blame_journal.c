/* What the journal says of rows that differ. */
#include "blame.h"

#include "journal.h"
#include "journal_files.h"
#include "pg_value.h"
#include "pgoutput.h"

#define RELEASE_EVERY 1024

struct listening {
	const struct sides *sides;
	const struct subject *subject;
	const struct suspects *suspects;
	struct blame_word *words;
	struct pgoutput *decoder;
	struct batch *batch; /* one row: the tuple in work */
	struct buf scratch, exact;
	uint32_t relid; /* of the table, by the last Relation message; 0: not known */
	int *columns;   /* the relation's columns in the subject's table, or -1 */
	size_t ncolumns;
	struct arena mem;      /* of `columns` */
	struct arena *outlive; /* of the words */
	bool inside;           /* the transaction in work is inside the cut */
	bool past;             /* it and all that follow committed after the cut */
};

/* ---- one tuple ---- */

static enum err take_value(struct listening *l, size_t row, size_t target,
	const struct pgoutput_value *v, struct error *e)
{
	switch (v->kind) {
	case PGV_TEXT:
		return pg_value_text(l->batch, row, target, v->bytes, e);
	case PGV_BINARY:
		return pg_value_binary(l->batch, row, target, v->bytes, e);
	default:
		return OK;
	}
}

/* With REPLICA IDENTITY FULL, and for keys, the old row has what the new one leaves out. */
static const struct pgoutput_value *value_of(
	const struct pgoutput_tuple *t, const struct pgoutput_tuple *old, size_t i)
{
	const struct pgoutput_value *v = &t->values[i];

	if (v->kind != PGV_UNCHANGED || old == NULL || i >= old->n)
		return v;
	return &old->values[i];
}

/* The tuple's values into the batch's only row, and the suspect of its key, if it is one. */
static enum err take_tuple(struct listening *l, const struct pgoutput_tuple *t,
	const struct pgoutput_tuple *old, const struct suspect **out, struct error *e)
{
	struct rowhash key;
	size_t notes = 0;

	batch_reset(l->batch);
	size_t row = batch_add(l->batch);
	for (size_t i = 0; i < t->n && i < l->ncolumns; i++)
		if (l->columns[i] >= 0)
			TRY(take_value(l, row, (size_t)l->columns[i], value_of(t, old, i), e));
	buf_reset(&l->exact);
	(void)batch_exact_json(l->batch, row, &notes, &l->exact);
	TRY(row_key_hash(
		l->subject, l->batch->cols, row, buf_str(&l->exact), &l->scratch, &key, e));
	*out = suspects_find(l->suspects, key);
	return OK;
}

static struct blame_word *word_of(struct listening *l, const struct suspect *s)
{
	struct blame_word *w = &l->words[s - l->suspects->list];
	size_t n = l->subject->table->ncolumns;

	if (w->known == NULL) {
		w->known = arena_array(l->outlive, n + 1, sizeof *w->known);
		w->columns = arena_array(l->outlive, n + 1, sizeof *w->columns);
	}
	return w;
}

static void word_gone(struct listening *l, const struct suspect *s)
{
	struct blame_word *w = word_of(l, s);

	w->heard = true;
	w->alive = false;
}

/*
 * A value that was not sent is what the journal said of it before, under the same key; after a
 * change of the key, or where it said nothing, it is not known.
 */
static enum err word_row(struct listening *l, const struct suspect *s,
	const struct pgoutput_tuple *t, const struct pgoutput_tuple *old, bool same_key,
	struct error *e)
{
	struct blame_word *w = word_of(l, s);
	const struct row row = {.cols = l->batch->cols, .at = 0, .exact = buf_str(&l->exact)};
	bool carry = w->heard && w->alive && same_key;

	for (size_t c = 0; c < l->subject->table->ncolumns && !carry; c++)
		w->known[c] = false;
	for (size_t i = 0; i < t->n && i < l->ncolumns; i++) {
		int c = l->columns[i];
		if (c < 0 || value_of(t, old, i)->kind == PGV_UNCHANGED)
			continue;
		w->known[c] = true;
		TRY(row_column_hash(l->subject, &row, (size_t)c, &l->scratch, &w->columns[c], e));
	}
	w->heard = w->alive = true;
	return OK;
}

/* ---- messages ---- */

static void on_relation(struct listening *l, const struct pgoutput_relation *r)
{
	const struct table *t = l->subject->table;
	bool ours = str_eq(r->schema, t->schema) && str_eq(r->name, t->name);

	if (!ours) {
		if (r->relid == l->relid)
			l->relid = 0;
		return;
	}
	arena_reset(&l->mem);
	l->relid = r->relid;
	l->ncolumns = r->n;
	l->columns = arena_array(&l->mem, (size_t)r->n + 1, sizeof *l->columns);
	for (size_t i = 0; i < r->n; i++)
		l->columns[i] = table_column(t, r->columns[i].name);
}

static enum err on_old_row(struct listening *l, const struct pgoutput_msg *m,
	const struct suspect **out, struct error *e)
{
	*out = NULL;
	if (m->old_kind == 0)
		return OK;
	TRY(take_tuple(l, &m->old_row, NULL, out, e));
	if (*out != NULL && m->kind == PGO_DELETE)
		word_gone(l, *out);
	return OK;
}

static enum err on_new_row(struct listening *l, const struct pgoutput_msg *m, struct error *e)
{
	const struct suspect *before = NULL, *now = NULL;
	const struct pgoutput_tuple *old = m->old_kind != 0 ? &m->old_row : NULL;
	/* 'K' holds the key alone: the rest of it is not NULL but left out. */
	const struct pgoutput_tuple *full = m->old_kind == 'O' ? &m->old_row : NULL;

	TRY(on_old_row(l, m, &before, e));
	TRY(take_tuple(l, &m->new_row, full, &now, e));
	if (before != NULL && before != now)
		word_gone(l, before);
	if (now == NULL)
		return OK;
	return word_row(l, now, &m->new_row, full, old == NULL || before == now, e);
}

static void on_truncate(struct listening *l, const struct pgoutput_msg *m)
{
	for (uint32_t i = 0; i < m->nrelids; i++)
		if (m->relids[i] == l->relid)
			for (size_t s = 0; s < l->suspects->n; s++)
				word_gone(l, &l->suspects->list[s]);
}

static void on_begin(struct listening *l, const struct pgoutput_msg *m)
{
	const struct cut *cut = l->sides->cut;

	/* Transactions stand in the order of their commits. */
	l->past = lsn_cmp(m->commit, cut->at) > 0;
	l->inside = cut_includes(cut, xid_widen(m->xid, cut->xmax), m->commit);
}

static enum err on_message(struct listening *l, struct str payload, struct error *e)
{
	struct pgoutput_msg m;

	TRY(pgoutput_decode(l->decoder, payload, &m, e));
	if (m.kind == PGO_BEGIN) {
		on_begin(l, &m);
	} else if (m.kind == PGO_RELATION) {
		on_relation(l, &m.relation);
	} else if (l->inside && l->relid != 0) {
		if (m.kind == PGO_TRUNCATE)
			on_truncate(l, &m);
		else if (m.kind == PGO_DELETE && m.relid == l->relid)
			return on_old_row(l, &m, &(const struct suspect *){NULL}, e);
		else if ((m.kind == PGO_INSERT || m.kind == PGO_UPDATE) && m.relid == l->relid)
			return on_new_row(l, &m, e);
	}
	return OK;
}

static enum err listen_all(struct listening *l, struct journal_reader *reader, struct error *e)
{
	struct journal_record rec;
	bool got = true;

	for (unsigned n = 1;; n++) {
		TRY(env_check(l->sides->env, e));
		TRY(journal_reader_next(reader, &rec, &got, e));
		if (!got || l->past)
			return OK;
		if (rec.kind == JOURNAL_MESSAGE)
			TRY(on_message(l, rec.payload, e));
		if (n % RELEASE_EVERY == 0)
			journal_reader_release(reader);
	}
}

/* Where the journal begins; false when there is none. */
static enum err oldest(const char *dir, lsn *at, bool *there, struct error *e)
{
	struct segment_list list;

	TRY(segment_list_read(dir, &list, e));
	*there = list.n > 0;
	if (*there)
		*at = list.items[0].first;
	segment_list_free(&list);
	return OK;
}

enum err blame_listen(const char *journal, const struct sides *sides, const struct subject *subject,
	const struct suspects *s, struct blame_word *words, lsn *begins, struct arena *mem,
	struct error *e)
{
	struct listening l = {
		.sides = sides, .subject = subject, .suspects = s, .words = words, .outlive = mem};
	struct journal_reader *reader = NULL;
	lsn from = LSN_NONE;
	bool there = false;

	*begins = (lsn){UINT64_MAX};
	TRY(oldest(journal, &from, &there, e));
	if (!there)
		return OK;
	*begins = from;
	TRY(journal_reader_open(&reader, journal, NULL, from, e));
	l.decoder = pgoutput_new();
	l.batch = batch_new(subject->table);
	buf_init(&l.scratch, BUF_MAX_DEFAULT);
	buf_init(&l.exact, BUF_MAX_DEFAULT);
	enum err rc = listen_all(&l, reader, e);
	journal_reader_close(reader);
	pgoutput_free(l.decoder);
	batch_free(l.batch);
	buf_free(&l.scratch);
	buf_free(&l.exact);
	arena_free(&l.mem);
	return rc;
}
