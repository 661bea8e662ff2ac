#include "blame.h"

#include "log.h"
#include "touched.h"

/* What history says of one suspect. */
struct entry {
	bool told, deleted;
	struct rowhash row;
	uint128 position;
	int64_t copies; /* of a bag's row: as often as it came and did not go again */
};

struct questioning {
	const struct suspects *suspects;
	const struct cut *cut;
	struct entry *entries; /* parallel to the suspects */
	uint128 cleared;       /* after the last truncation inside the cut; 0: none */
	bool bag; /* rows are told apart by all their columns: it is their number that counts */
	bool counting; /* the truncations are known: the second reading, of a bag */
};

enum { MORE_OP, MORE_LSN, MORE_SEQ, MORE_XID, MORES };

/* Positions count from 1, so that 0 is before all of them. */
static uint128 position_of(const struct row *r)
{
	uint64_t at = VEC_AT(&r->more[MORE_LSN], uint64_t, r->at);

	return ((uint128)at << 32) + VEC_AT(&r->more[MORE_SEQ], uint32_t, r->at) + 1;
}

static bool is_inside(const struct cut *cut, const struct row *r)
{
	const lsn commit = {VEC_AT(&r->more[MORE_LSN], uint64_t, r->at)};
	uint64_t xid = VEC_AT(&r->more[MORE_XID], uint64_t, r->at);

	return xid == 0 || cut_includes(cut, xid, commit);
}

static enum err see_entry(void *arg, const struct row *r, struct error *e)
{
	struct questioning *q = arg;
	struct str op = vec_text(&r->more[MORE_OP], r->at);
	uint128 position = position_of(r);

	(void)e;
	if (!is_inside(q->cut, r))
		return OK;
	if (str_eqc(op, "T")) {
		if (position > q->cleared)
			q->cleared = position;
		return OK;
	}
	const struct suspect *s = suspects_find(q->suspects, r->key);
	if (s == NULL)
		return OK;
	struct entry *entry = &q->entries[s - q->suspects->list];
	if (q->counting && position > q->cleared)
		entry->copies += str_eqc(op, "D") ? -1 : 1;
	if (position > entry->position)
		*entry = (struct entry){.told = true,
			.deleted = str_eqc(op, "D"),
			.row = r->hash,
			.position = position};
	return OK;
}

static enum err read_history(struct questioning *q, const struct sides *sides,
	const struct subject *subject, struct error *e)
{
	const struct table *t = subject->table;
	struct buf sql;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT ");
	for (size_t c = 0; c < t->ncolumns; c++) {
		sql_name(&sql, t->columns[c].name);
		buf_puts(&sql, ", ");
	}
	/* LSNs and transaction ids are non-negative, so their bytes are those of the unsigned. */
	buf_puts(&sql, "_exact, _op, _lsn, _seq, _xid FROM ");
	touched_put_history(&sql, t);
	if (subject->where[SIDE_REPLICA].n > 0)
		buf_putf(&sql, " WHERE _op = 'T' OR (%.*s)", STR_ARG(subject->where[SIDE_REPLICA]));
	enum err rc = rows_read_sql(sides, subject, buf_str(&sql), MORES, see_entry, q, e);
	buf_free(&sql);
	return rc;
}

/* History has of the row what the source has. */
static bool history_agrees(
	const struct questioning *q, const struct entry *entry, const struct suspect *s)
{
	bool alive = entry->told && !entry->deleted && entry->position > q->cleared;

	if (q->bag)
		return entry->copies == (int64_t)witness_count(s->seen[SIDE_SOURCE]) ||
			(entry->copies >= WITNESSES &&
				witness_count(s->seen[SIDE_SOURCE]) == WITNESSES);
	if (!alive || s->seen[SIDE_SOURCE] == NULL)
		return !alive && s->seen[SIDE_SOURCE] == NULL;
	return witness_has_row(s->seen[SIDE_SOURCE], entry->row);
}

static bool same_hash(struct rowhash a, struct rowhash b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* The journal has of the row what the source has, as far as it speaks of its values. */
static bool journal_agrees(
	const struct blame_word *word, const struct suspect *s, const struct subject *subject)
{
	const struct witness *w = s->seen[SIDE_SOURCE];

	if (!word->alive || w == NULL)
		return !word->alive && w == NULL;
	for (size_t c = 0; c < subject->table->ncolumns; c++)
		if (word->known[c] && !same_hash(word->columns[c], w->columns[c]))
			return false;
	return true;
}

/* What is known beyond the warehouse. */
struct evidence {
	struct blame_word *words;    /* parallel to the suspects */
	enum blame_written *written; /* likewise */
	lsn begins, since;           /* of the journal; of what the stream had to bring */
};

static void ask_journal(struct evidence *v, const struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem)
{
	struct error e = {.kind = OK};

	v->words = arena_array(mem, s->n + 1, sizeof *v->words);
	v->begins = (lsn){UINT64_MAX};
	if (journal == NULL)
		return;
	if (blame_listen(journal, sides, subject, s, v->words, &v->begins, mem, &e) == OK)
		return;
	log_warn(sides->env->log, "reconcile", "the journal does not tell who is to blame",
		F_STR("table", subject->name), F_CSTR("reason", e.text));
	/* Half of what it says may be worse than nothing. */
	v->words = arena_array(mem, s->n + 1, sizeof *v->words);
	v->begins = (lsn){UINT64_MAX};
}

/* History has of the row not what the source has. */
static enum blame judge(
	const struct evidence *v, size_t i, const struct suspect *s, const struct subject *subject)
{
	if (v->words[i].heard)
		return journal_agrees(&v->words[i], s, subject) ? BLAME_APPLY : BLAME_CAPTURE;
	if (v->written[i] == WRITTEN_BEFORE_COPY)
		return BLAME_APPLY;
	bool complete = lsn_cmp(v->begins, v->since) <= 0 && v->since.v != UINT64_MAX;
	return v->written[i] == WRITTEN_AFTER_COPY && complete ? BLAME_CAPTURE
							       : BLAME_CAPTURE_OR_APPLY;
}

static bool all_heard(const struct evidence *v, const struct suspects *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].blame == BLAME_CAPTURE_OR_APPLY && !v->words[i].heard)
			return false;
	return true;
}

static void settle_doubts(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem)
{
	struct evidence v = {.since = {UINT64_MAX}};

	ask_journal(&v, s, sides, subject, journal, mem);
	v.written = arena_array(mem, s->n + 1, sizeof *v.written);
	if (!all_heard(&v, s))
		blame_written(sides, subject, s, v.written, &v.since);
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].blame == BLAME_CAPTURE_OR_APPLY)
			s->list[i].blame = judge(&v, i, &s->list[i], subject);
}

enum err blame_suspects(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem, struct error *e)
{
	struct questioning q = {
		.suspects = s, .cut = sides->cut, .bag = table_is_bag(subject->table)};
	bool doubt = false;

	if (!subject->in_replica)
		return OK;
	q.entries = arena_array(mem, s->n + 1, sizeof *q.entries);
	TRY(read_history(&q, sides, subject, e));
	q.counting = q.bag;
	if (q.counting)
		TRY(read_history(&q, sides, subject, e));
	for (size_t i = 0; i < s->n; i++) {
		bool agrees = history_agrees(&q, &q.entries[i], &s->list[i]);
		s->list[i].blame = agrees ? BLAME_WAREHOUSE : BLAME_CAPTURE_OR_APPLY;
		doubt |= !agrees;
	}
	/* Without a key of their own the journal's rows cannot be told apart. */
	if (doubt && table_has_key(subject->table))
		settle_doubts(s, sides, subject, journal, mem);
	return OK;
}
