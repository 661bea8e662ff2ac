#include "lying.h"

#include "unit.h"

#include "file.h"
#include "journal.h"
#include "journal_files.h"
#include "pgoutput.h"

#define RELATIONS 16

enum { COL_ID, COL_N, COL_NAME, COL_AT, COLS };

struct forging {
	struct journal *to;
	struct pgoutput *decoder;
	struct alterations *lies;
	lsn after;
	struct {
		uint32_t relid;
		char table[64];
	} relations[RELATIONS];
	size_t nrelations;
	struct buf out;
};

static void learn(struct forging *f, const struct pgoutput_relation *r)
{
	size_t i = 0;

	while (i < f->nrelations && f->relations[i].relid != r->relid)
		i++;
	assert_true(i < RELATIONS);
	f->relations[i].relid = r->relid;
	snprintf(f->relations[i].table, sizeof f->relations[i].table, "%.*s", STR_ARG(r->name));
	f->nrelations += i == f->nrelations;
}

static const char *table_of(const struct forging *f, uint32_t relid)
{
	for (size_t i = 0; i < f->nrelations; i++)
		if (f->relations[i].relid == relid)
			return f->relations[i].table;
	return "";
}

static struct alteration *lie_about(
	struct forging *f, const struct pgoutput_msg *m, const struct pgoutput_tuple *row)
{
	for (size_t i = 0; i < f->lies->n; i++) {
		struct alteration *a = &f->lies->list[i];
		if (!a->done && a->op == (char)m->kind &&
			strcmp(a->table, table_of(f, m->relid)) == 0 &&
			str_eqc(row->values[COL_ID].bytes, a->key))
			return a;
	}
	return NULL;
}

/* The altered bytes of the one column that the lie is about. */
static void lie_text(const struct alteration *a, struct str was, struct buf *out)
{
	size_t last = was.n - 1;

	if (a->lie == LIE_NAME || a->lie == LIE_KEY) {
		buf_puts(out, a->text);
		return;
	}
	size_t at = out->n;
	buf_put(out, was);
	if (a->lie == LIE_SPACE)
		buf_putc(out, ' ');
	/* The digit's lowest bit: numbers stand in decimals. Moments end in "+00". */
	if (a->lie == LIE_MICROSECOND)
		last -= 3;
	if (a->lie == LIE_BIT || a->lie == LIE_MICROSECOND) {
		assert_true(was.p[last] >= '0' && was.p[last] <= '9');
		out->p[at + last] = (char)(out->p[at + last] ^ 1);
	}
}

static size_t column_of(enum lie lie)
{
	switch (lie) {
	case LIE_BIT:
		return COL_N;
	case LIE_SPACE:
	case LIE_NAME:
		return COL_NAME;
	case LIE_MICROSECOND:
		return COL_AT;
	case LIE_KEY:
	case LIE_DROP:
		break;
	}
	return COL_ID;
}

/* The message with that value, its length before it, put in place of the other. */
static void rewrite(struct forging *f, struct str payload, struct str value, struct alteration *a)
{
	size_t at = (size_t)(value.p - payload.p);
	struct buf text;

	assert_true(at >= 4 && at + value.n <= payload.n);
	buf_init(&text, 4096);
	lie_text(a, value, &text);
	buf_put(&f->out, str_make(payload.p, at - 4));
	buf_put_be32(&f->out, (uint32_t)text.n);
	buf_put(&f->out, buf_str(&text));
	buf_put(&f->out, str_from(payload, at + value.n));
	buf_free(&text);
}

/* False: the message is left out. */
static bool forge_message(struct forging *f, const struct journal_record *rec)
{
	struct error e = {.kind = OK};
	struct pgoutput_msg m;

	buf_reset(&f->out);
	assert_ok(pgoutput_decode(f->decoder, rec->payload, &m, &e), &e);
	if (m.kind == PGO_RELATION)
		learn(f, &m.relation);
	bool change = m.kind == PGO_INSERT || m.kind == PGO_UPDATE || m.kind == PGO_DELETE;
	const struct pgoutput_tuple *row = m.kind == PGO_DELETE ? &m.old_row : &m.new_row;
	struct alteration *a = change && lsn_cmp(rec->start, f->after) > 0 ? lie_about(f, &m, row)
									   : NULL;
	if (a == NULL) {
		buf_put(&f->out, rec->payload);
		return true;
	}
	a->done = true;
	if (a->lie == LIE_DROP)
		return false;
	rewrite(f, rec->payload, row->values[column_of(a->lie)].bytes, a);
	return true;
}

static void copy_records(struct forging *f, struct journal_reader *from)
{
	struct journal_record rec;
	struct error e = {.kind = OK};
	bool got = true;

	for (;;) {
		assert_ok(journal_reader_next(from, &rec, &got, &e), &e);
		if (!got)
			break;
		if (rec.kind == JOURNAL_POSITION)
			assert_ok(journal_position(f->to, rec.start, &e), &e);
		else if (forge_message(f, &rec))
			assert_ok(journal_append(f->to, rec.start, buf_str(&f->out), &e), &e);
		journal_reader_release(from);
	}
	assert_ok(journal_sync(f->to, &e), &e);
}

void forge_journal(const char *dir, lsn after, struct alterations *lies, const struct env *env)
{
	struct journal_options o = {.segment_size = 1 << 30, .retention_us = INT64_C(3600000000)};
	struct forging f = {.lies = lies, .after = after, .decoder = pgoutput_new()};
	struct journal_reader *from = NULL;
	struct segment_list segments;
	struct error e = {.kind = OK};
	char anew[512];

	snprintf(anew, sizeof anew, "%s.forged", dir);
	assert_ok(file_remove_tree(anew, &e), &e);
	assert_ok(journal_identity_read(dir, &o.identity, &e), &e);
	assert_ok(segment_list_read(dir, &segments, &e), &e);
	assert_ok(journal_reader_open(&from, dir, NULL, segments.items[0].first, &e), &e);
	o.dir = anew;
	buf_init(&f.out, 1 << 20);
	assert_ok(journal_open(&f.to, &o, env, &e), &e);
	assert_ok(journal_identity_write(anew, &o.identity, &e), &e);
	copy_records(&f, from);
	journal_close(f.to);
	journal_reader_close(from);
	segment_list_free(&segments);
	pgoutput_free(f.decoder);
	buf_free(&f.out);
	assert_ok(file_remove_tree(dir, &e), &e);
	assert_int_equal(rename(anew, dir), 0);
}
