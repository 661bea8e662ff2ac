#include "journal.h"

#include <inttypes.h>
#include <string.h>

#include "journal_cursor.h"
#include "journal_writer.h"
#include "mem.h"
#include "reader.h"

struct journal_reader {
	char *dir;
	struct journal *live;
	struct journal_durable_end seen; /* the durable end when we last looked */
	lsn from;
	struct blocks blocks;
	struct cursor cursor;
	bool open; /* the cursor stands in segment `number` */
	uint64_t number;
	uint64_t chain; /* at the end of the segment before */
	bool chained;   /* chain is known */
	bool skipping;  /* inside a transaction that ended before `from` */
};

/* The last segment that begins at or before `from`. */
static enum err choose(struct journal_reader *r, struct error *e)
{
	struct segment_list l;
	char first[LSN_TEXT], from[LSN_TEXT];
	enum err rc = OK;

	TRY(segment_list_read(r->dir, &l, e));
	for (size_t i = 0; i < l.n && l.items[i].first.v <= r->from.v; i++)
		r->number = l.items[i].number;
	if (l.n == 0)
		rc = FAIL(e, ERR_NOT_FOUND, "there is no journal in %s yet; run: sluice replicate",
			r->dir);
	else if (r->number == 0)
		rc = FAIL(e, ERR_CHECK,
			"reading the journal %s from LSN %s: it begins at %s, so changes before "
			"that are no longer there; resynchronise the tables",
			r->dir, lsn_format(r->from, from), lsn_format(l.items[0].first, first));
	segment_list_free(&l);
	return rc;
}

enum err journal_reader_open(struct journal_reader **out, const char *dir, struct journal *live,
	lsn from, struct error *e)
{
	struct journal_reader *r = mem_zalloc(sizeof(*r));

	*r = (struct journal_reader){.dir = mem_strdup(dir), .live = live, .from = from};
	enum err rc = choose(r, e);
	if (rc != OK) {
		journal_reader_close(r);
		return rc;
	}
	*out = r;
	return OK;
}

void journal_reader_close(struct journal_reader *r)
{
	if (r == NULL)
		return;
	if (r->open)
		cursor_close(&r->cursor);
	blocks_free(&r->blocks);
	mem_free(r->dir);
	mem_free(r);
}

/* Opens segment `number`; *there is false when it does not exist yet. */
static enum err enter(struct journal_reader *r, bool *there, struct error *e)
{
	*there = r->live == NULL || r->number <= r->seen.number;
	if (!*there)
		return OK;
	enum err rc = cursor_open(&r->cursor, &r->blocks, r->dir, r->number, e);
	if (rc == ERR_NOT_FOUND && r->live == NULL) {
		*there = false;
		return OK;
	}
	if (rc == OK)
		r->open = true;
	if (rc == OK && r->chained && r->chain != r->cursor.head.chain)
		return FAIL(e, ERR_CHECK,
			"reading the journal segment %s: it does not follow the segment before it; "
			"restore the right file, or resynchronise the tables",
			segment_bytes_path(r->cursor.bytes));
	return rc;
}

static void leave(struct journal_reader *r)
{
	r->chain = r->cursor.chain;
	r->chained = true;
	cursor_close(&r->cursor);
	r->open = false;
	r->number++;
}

/* False for what lies before `from`: of that only Relation messages are handed out. */
static bool wanted(struct journal_reader *r, const struct journal_record *rec)
{
	char kind = rec->payload.p[0];

	if (rec->kind == JOURNAL_POSITION)
		return rec->start.v > r->from.v;
	if (kind == 'B') {
		struct reader bytes = reader_of(str_from(rec->payload, 1));
		r->skipping = read_be64(&bytes) < r->from.v;
		return !r->skipping;
	}
	if (!r->skipping)
		return true;
	if (kind == 'C')
		r->skipping = false;
	return kind == 'R';
}

static bool from_header(struct journal_reader *r, struct journal_record *out)
{
	*out = (struct journal_record){.kind = JOURNAL_MESSAGE, .start = r->cursor.head.first};
	return segment_relation(&r->cursor.relations, &out->payload);
}

/* True when the open segment is the last one and another process may be writing it: then its
 * tail is torn, not damaged, and it may lack its footer. */
static bool may_end_anywhere(const struct journal_reader *r)
{
	struct segment_bytes *after = NULL;
	struct error ignored = {0};
	bool raw;

	if (r->live != NULL || !r->cursor.raw)
		return false;
	bool last = segment_bytes_open(&after, r->dir, r->number + 1, &raw, &ignored) ==
		ERR_NOT_FOUND;
	segment_bytes_close(after);
	return last;
}

/* One step within the open segment; *state is CURSOR_END when there is no more of it. */
static enum err step(
	struct journal_reader *r, struct record *rec, enum cursor_state *state, struct error *e)
{
	uint64_t limit = CURSOR_NOLIMIT;

	if (r->live != NULL && r->number == r->seen.number)
		limit = r->seen.offset;
	TRY(cursor_next(&r->cursor, limit, rec, state, e));
	if (*state == CURSOR_RECORD || (*state == CURSOR_END && limit != CURSOR_NOLIMIT))
		return OK;
	if (may_end_anywhere(r)) {
		*state = CURSOR_END;
		error_clear(e);
		return OK;
	}
	if (*state == CURSOR_DAMAGED)
		return ERR_CHECK;
	return FAIL(e, ERR_CHECK,
		"reading the journal segment %s: damaged at byte %" PRIu64
		": it ends without its footer; restore it from a copy, or resynchronise the tables",
		segment_bytes_path(r->cursor.bytes), r->cursor.offset);
}

enum err journal_reader_next(
	struct journal_reader *r, struct journal_record *out, bool *got, struct error *e)
{
	struct record rec;
	enum cursor_state state;

	*got = false;
	for (;;) {
		if (!r->open) {
			bool there;
			if (r->live != NULL)
				r->seen = journal_durable_end(r->live);
			TRY(enter(r, &there, e));
			if (!there)
				return OK;
		}
		if (from_header(r, out)) {
			*got = true;
			return OK;
		}
		TRY(step(r, &rec, &state, e));
		if (state == CURSOR_END) {
			/* Look again only when what we knew of is used up. */
			struct journal_durable_end before = r->seen;
			if (r->live == NULL)
				return OK;
			r->seen = journal_durable_end(r->live);
			if (r->seen.number == before.number && r->seen.offset == before.offset)
				return OK;
			continue;
		}
		if (rec.own && rec.payload.p[0] == 'f') {
			leave(r);
			continue;
		}
		*out = (struct journal_record){.kind = rec.own ? JOURNAL_POSITION : JOURNAL_MESSAGE,
			.start = rec.start,
			.payload = rec.payload};
		if (wanted(r, out)) {
			*got = true;
			return OK;
		}
	}
}

bool journal_reader_wait(struct journal_reader *r, int64_t timeout_us)
{
	if (r->live == NULL)
		return false;
	journal_wait(r->live, &r->seen, timeout_us);
	struct journal_durable_end now = journal_durable_end(r->live);
	return now.number != r->seen.number || now.offset != r->seen.offset;
}

void journal_reader_release(struct journal_reader *r)
{
	blocks_release(&r->blocks);
}

uint64_t journal_reader_held(const struct journal_reader *r)
{
	return r->blocks.held_bytes;
}
