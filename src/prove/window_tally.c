/* Counting the messages of a window. */
#include <inttypes.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "mem.h"
#include "window_frames.h"

void tally_init(struct tally *t, struct window_info *w, const struct answers *answers)
{
	*t = (struct tally){.w = w, .answers = answers, .decoder = pgoutput_new()};
	w->transactions = w->messages = w->changes = w->chain = 0;
	for (size_t i = 0; i < w->ntables; i++) {
		struct window_table *x = &w->tables[i];
		x->inserts = x->updates = x->deletes = x->truncates = 0;
	}
}

void tally_free(struct tally *t)
{
	pgoutput_free(t->decoder);
	mem_free(t->relations);
	arena_free(&t->mem);
}

static struct tally_relation *find(struct tally *t, uint32_t relid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->relations[i].relid == relid)
			return &t->relations[i];
	return NULL;
}

/* The column is known by its number, whatever it is called by now; where nobody said the number, by
 * its name. */
static int column_now(const struct table *t, const struct table *then,
	const struct pgoutput_relation *r, size_t i)
{
	int16_t number = then != NULL ? then->columns[i].attnum : 0;
	bool numbered = number != 0;

	for (size_t c = 0; numbered && c < t->ncolumns; c++) {
		if (t->columns[c].attnum == number)
			return (int)c;
		numbered = t->columns[c].attnum != 0;
	}
	return numbered ? -1 : table_column(t, r->columns[i].name);
}

/* With REPLICA IDENTITY FULL every column is called a key, which says nothing. */
static bool same_key(
	const struct table *t, const struct table *then, const struct pgoutput_relation *r)
{
	size_t keys = 0;

	if (r->identity == IDENTITY_FULL)
		return true;
	for (size_t i = 0; i < r->n; i++) {
		int c = column_now(t, then, r, i);
		if ((r->columns[i].flags & 1) == 0)
			continue;
		keys++;
		if (c < 0 || !t->columns[c].is_key)
			return false;
	}
	return keys == t->nkeys;
}

/* It may have had another name then; one of the same name may be another table. */
static size_t table_at(const struct window_info *w, const struct pgoutput_relation *r)
{
	for (size_t i = 0; i < w->ntables; i++)
		if (w->tables[i].relid == r->relid)
			return i;
	for (size_t i = 0; i < w->ntables; i++)
		if (str_eq(w->tables[i].schema, r->schema) && str_eq(w->tables[i].name, r->name))
			return i;
	return SIZE_MAX;
}

static void on_relation(struct tally *t, const struct pgoutput_relation *r)
{
	struct tally_relation *x = find(t, r->relid);

	if (x == NULL) {
		if (t->n == t->cap) {
			t->cap = t->cap > 0 ? t->cap * 2 : 32;
			t->relations = mem_realloc_array(t->relations, t->cap, sizeof *x);
		}
		x = &t->relations[t->n++];
	}
	*x = (struct tally_relation){.relid = r->relid, .table = SIZE_MAX};
	snprintf(x->name, sizeof x->name, "%.*s.%.*s", STR_ARG(r->schema), STR_ARG(r->name));
	x->table = table_at(t->w, r);
	if (x->table == SIZE_MAX)
		return;
	const struct window_table *w = &t->w->tables[x->table];
	x->other_relid = w->relid != r->relid;
	arena_reset(&t->mem);
	x->other_key = !same_key(w->table, window_answers_shape(t->answers, t->at, r, &t->mem), r);
}

/* The table of a change, which must be one that the recorded state fits. */
static enum err table_of(
	struct tally *t, uint32_t relid, lsn at, struct window_table **out, struct error *e)
{
	const struct tally_relation *x = find(t, relid);
	char text[LSN_TEXT], copied[LSN_TEXT];

	lsn_format(at, text);
	if (x == NULL)
		return FAIL(e, ERR_CHECK,
			"the message at %s changes relation %u, which no message before it describes",
			text, relid);
	if (x->table == SIZE_MAX)
		return FAIL(e, ERR_USAGE,
			"the transaction at %s changes the table %s, which the warehouse does not "
			"have: it was dropped, or is still being copied; record with --from "
			"a later position",
			text, x->name);
	if (x->other_relid)
		return FAIL(e, ERR_USAGE,
			"the transaction at %s changes the table %s from before it was made anew: "
			"its rows as of then cannot be told any more; record with --from %s, or later",
			text, x->name, lsn_format(t->w->tables[x->table].copied, copied));
	if (x->other_key)
		return FAIL(e, ERR_USAGE,
			"the transaction at %s changes the table %s from before it got the key it "
			"has now: its rows as of then cannot be told any more; record with --from a "
			"later position",
			text, x->name);
	*out = &t->w->tables[x->table];
	return OK;
}

static enum err count_change(struct tally *t, const struct journal_record *rec,
	const struct pgoutput_msg *m, struct error *e)
{
	struct window_table *table = NULL;

	TRY(table_of(t, m->relid, rec->start, &table, e));
	table->inserts += m->kind == PGO_INSERT;
	table->updates += m->kind == PGO_UPDATE;
	table->deletes += m->kind == PGO_DELETE;
	t->w->changes++;
	return OK;
}

static enum err count_truncate(struct tally *t, const struct journal_record *rec,
	const struct pgoutput_msg *m, struct error *e)
{
	for (uint32_t i = 0; i < m->nrelids; i++) {
		struct window_table *table = NULL;
		TRY(table_of(t, m->relids[i], rec->start, &table, e));
		table->truncates++;
		t->w->changes++;
	}
	return OK;
}

static enum err count(struct tally *t, const struct journal_record *rec,
	const struct pgoutput_msg *m, struct error *e)
{
	if (m->kind == PGO_BEGIN) {
		t->open = t->begun = true;
		t->at = m->commit;
	} else if (m->kind == PGO_COMMIT) {
		t->open = false;
		t->end = lsn_max(t->end, m->end);
		t->w->transactions++;
	} else if (m->kind == PGO_RELATION) {
		on_relation(t, &m->relation);
	} else if (m->kind == PGO_TRUNCATE) {
		return count_truncate(t, rec, m, e);
	} else if (m->kind == PGO_INSERT || m->kind == PGO_UPDATE || m->kind == PGO_DELETE)
		return count_change(t, rec, m, e);
	return OK;
}

enum err tally_message(struct tally *t, const struct journal_record *rec, struct error *e)
{
	struct pgoutput_msg m;

	TRY(pgoutput_decode(t->decoder, rec->payload, &m, e));
	TRY(count(t, rec, &m, e));
	t->w->messages++;
	t->w->chain = XXH3_64bits_withSeed(rec->payload.p, rec->payload.n, t->w->chain);
	return OK;
}
