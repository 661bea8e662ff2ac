#include "window_frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "journal_cursor.h"
#include "reader.h"

#define RELEASE_EVERY 1024

/* ---- copying ---- */

struct copying {
	struct journal_reader *in;
	struct journal *out;
	struct window_info *w;
	struct tally tally;
	struct relset known; /* descriptions that were in force before the first transaction */
	bool past;           /* the window's end */
};

static enum err copy_message(struct copying *c, const struct journal_record *rec, struct error *e)
{
	TRY(tally_message(&c->tally, rec, e));
	return journal_append(c->out, rec->start, rec->payload, e);
}

/* The window needs what earlier messages said of the tables. */
static enum err copy_known(struct copying *c, lsn start, struct error *e)
{
	for (size_t i = 0; i < c->known.n; i++) {
		const struct rel_item *item = &c->known.items[i];
		const struct journal_record rec = {.kind = JOURNAL_MESSAGE,
			.start = start,
			.payload = {item->message, item->length}};
		TRY(copy_message(c, &rec, e));
	}
	return OK;
}

static enum err copy_begin(struct copying *c, const struct journal_record *rec, struct error *e)
{
	struct reader r = reader_of(str_from(rec->payload, 1));
	lsn commit = {read_be64(&r)};

	c->past = lsn_cmp(commit, c->w->to) >= 0;
	if (c->past)
		return OK;
	if (!c->tally.begun)
		TRY(copy_known(c, rec->start, e));
	return copy_message(c, rec, e);
}

static enum err copy_record(struct copying *c, const struct journal_record *rec, struct error *e)
{
	char kind = rec->payload.n > 0 ? rec->payload.p[0] : '\0';

	if (rec->kind != JOURNAL_MESSAGE)
		return OK;
	if (kind == PGO_BEGIN)
		return copy_begin(c, rec, e);
	if (c->tally.open)
		return copy_message(c, rec, e);
	/* Between transactions there are descriptions only; those after the first are repeated. */
	if (!c->tally.begun && kind == PGO_RELATION)
		relset_learn(&c->known, rec->payload);
	return OK;
}

static enum err copy_all(struct copying *c, const struct env *env, struct error *e)
{
	bool got = true;

	for (unsigned n = 1; !c->past; n++) {
		struct journal_record rec;
		TRY(env_check(env, e));
		TRY(journal_reader_next(c->in, &rec, &got, e));
		if (!got)
			break;
		TRY(copy_record(c, &rec, e));
		if (n % RELEASE_EVERY == 0)
			journal_reader_release(c->in);
	}
	if (c->tally.open)
		return FAIL(e, ERR_CHECK,
			"the journal ends inside a transaction, before the position that the "
			"warehouse has; find out what became of it");
	return OK;
}

static enum err finish_copy(struct copying *c, struct error *e)
{
	c->w->to = lsn_max(c->w->to, c->tally.end);
	TRY(journal_position(c->out, c->w->to, e));
	return journal_sync(c->out, e);
}

static enum err open_copy(const char *to, int64_t segment_size, const struct env *env,
	const struct window_info *w, struct journal **out, struct error *e)
{
	struct journal_options o = {.dir = to,
		.identity = {.system_id = w->system_id, .timeline = w->timeline, .start = w->from},
		.segment_size = segment_size};

	snprintf(o.identity.slot, sizeof o.identity.slot, "%.*s", STR_ARG(w->slot));
	return journal_open(out, &o, env, e);
}

/* The lock is the writer's; what is shipped has none. */
static enum err remove_lock(const char *dir, struct error *e)
{
	char path[WINDOW_PATH];

	snprintf(path, sizeof path, "%s/lock", dir);
	return unlink(path) == 0 || errno == ENOENT
		? OK
		: FAIL_ERRNO(e, ERR_FAILED, "removing %s", path);
}

enum err window_frames_copy(const char *from, const char *to, int64_t segment_size,
	const struct env *env, const struct answers *answers, struct window_info *w,
	struct error *e)
{
	struct copying c = {.w = w};
	/* The faults that tests arm for the live journal are not meant for this one. */
	struct env quiet = *env;

	quiet.failpoints = NULL;
	tally_init(&c.tally, w, answers);
	enum err rc = journal_reader_open(&c.in, from, NULL, w->from, e);
	if (rc == OK)
		rc = open_copy(to, segment_size, &quiet, w, &c.out, e);
	if (rc == OK)
		rc = copy_all(&c, env, e);
	if (rc == OK)
		rc = finish_copy(&c, e);
	if (rc == OK)
		journal_settle(c.out);
	journal_close(c.out);
	journal_reader_close(c.in);
	relset_free(&c.known);
	tally_free(&c.tally);
	return rc == OK ? remove_lock(to, e) : rc;
}

/* ---- checking ---- */

/* What the first segment says of the whole. */
static enum err check_head(const struct cursor *c, const struct window_info *w, struct error *e)
{
	const struct segment_head *h = &c->head;

	if (h->system_id == w->system_id && h->timeline == w->timeline && h->first.v == w->from.v &&
		str_eqc(w->slot, h->slot))
		return OK;
	return FAIL(e, ERR_CHECK,
		"%s: damaged at byte 0: it is of another system, slot or position than the window",
		segment_bytes_path(c->bytes));
}

static enum err differs(
	const char *dir, const char *what, uint64_t want, uint64_t have, struct error *e)
{
	return FAIL(e, ERR_CHECK,
		"%s: the messages of the window are not those that were recorded: %" PRIu64
		" %s, but there were %" PRIu64
		"; restore the window from a copy, or record it anew",
		dir, have, what, want);
}

static enum err compare_table(const char *dir, const struct window_table *want,
	const struct window_table *have, struct error *e)
{
	const struct {
		const char *what;
		uint64_t want, have;
	} counts[] = {{"inserts", want->inserts, have->inserts},
		{"updates", want->updates, have->updates},
		{"deletes", want->deletes, have->deletes},
		{"truncates", want->truncates, have->truncates}};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (counts[i].want != counts[i].have) {
			enum err rc = differs(
				dir, counts[i].what, counts[i].want, counts[i].have, e);
			error_wrap(e, "the table %.*s.%.*s", STR_ARG(want->schema),
				STR_ARG(want->name));
			return rc;
		}
	return OK;
}

static enum err compare(const char *dir, const struct window_info *want,
	const struct window_info *have, lsn end, struct error *e)
{
	if (have->transactions != want->transactions)
		return differs(dir, "transactions", want->transactions, have->transactions, e);
	if (have->messages != want->messages)
		return differs(dir, "messages", want->messages, have->messages, e);
	for (size_t i = 0; i < want->ntables; i++)
		TRY(compare_table(dir, &want->tables[i], &have->tables[i], e));
	if (have->changes != want->changes)
		return differs(dir, "changes", want->changes, have->changes, e);
	if (have->chain != want->chain || lsn_cmp(end, want->to) != 0)
		return FAIL(e, ERR_CHECK,
			"%s: the messages of the window are not those that were recorded: their "
			"chain ends otherwise; restore the window from a copy, or record it anew",
			dir);
	return OK;
}

/* One pass over the segments; the journal's own reader takes a damaged end for a torn one. */
struct checking {
	const char *dir;
	const struct env *env;
	const struct window_info *want;
	struct tally tally;
	struct blocks blocks;
	struct cursor cursor;
	uint64_t number, chain;
	lsn end;
};

static enum err check_record(struct checking *c, const struct record *r, struct error *e)
{
	const struct journal_record rec = {
		.kind = JOURNAL_MESSAGE, .start = r->start, .payload = r->payload};

	if (!r->own)
		return tally_message(&c->tally, &rec, e);
	c->end = lsn_max(c->end, r->start);
	return OK;
}

static enum err check_records(struct checking *c, struct error *e)
{
	for (unsigned n = 1;; n++) {
		struct record r;
		enum cursor_state state;
		uint64_t at = c->cursor.offset;
		TRY(env_check(c->env, e));
		TRY(cursor_next(&c->cursor, CURSOR_NOLIMIT, &r, &state, e));
		if (state == CURSOR_END)
			return OK;
		if (state == CURSOR_DAMAGED)
			return ERR_CHECK;
		enum err rc = check_record(c, &r, e);
		if (rc != OK) {
			error_wrap(e, "%s: damaged at byte %" PRIu64,
				segment_bytes_path(c->cursor.bytes), at);
			return rc;
		}
		if (n % RELEASE_EVERY == 0)
			blocks_release(&c->blocks);
	}
}

static enum err check_segment(struct checking *c, struct error *e)
{
	if (c->number == 1)
		TRY(check_head(&c->cursor, c->want, e));
	else if (c->cursor.head.chain != c->chain)
		return FAIL(e, ERR_CHECK,
			"%s: damaged at byte 0: it does not follow the segment before it",
			segment_bytes_path(c->cursor.bytes));
	TRY(check_records(c, e));
	c->chain = c->cursor.chain;
	return OK;
}

static enum err check_segments(struct checking *c, struct error *e)
{
	enum err rc = OK;

	for (c->number = 1; rc == OK; c->number++) {
		rc = cursor_open(&c->cursor, &c->blocks, c->dir, c->number, e);
		if (rc == ERR_NOT_FOUND && c->number > 1) {
			error_clear(e);
			break;
		}
		if (rc == OK) {
			rc = check_segment(c, e);
			cursor_close(&c->cursor);
		}
	}
	if (rc != OK && !(rc == ERR_NOT_FOUND && c->number > 1))
		return rc;
	c->end = lsn_max(c->end, c->tally.end);
	return c->tally.open
		? FAIL(e, ERR_CHECK, "%s: the messages end inside a transaction", c->dir)
		: OK;
}

enum err window_frames_check(const char *dir, const struct env *env, const struct answers *answers,
	const struct window_info *w, struct error *e)
{
	char path[WINDOW_PATH];
	struct arena mem = {0};
	struct window_info have = *w;
	struct checking c = {.dir = path, .env = env, .want = w, .end = w->from};

	snprintf(path, sizeof path, "%s/journal", dir);
	have.tables = arena_array(&mem, w->ntables + 1, sizeof *have.tables);
	memcpy(have.tables, w->tables, w->ntables * sizeof *have.tables);
	tally_init(&c.tally, &have, answers);
	enum err rc = check_segments(&c, e);
	if (rc == OK)
		rc = compare(path, w, &have, c.end, e);
	blocks_free(&c.blocks);
	tally_free(&c.tally);
	arena_free(&mem);
	/* Bytes that cannot be messages are the window's fault, whatever noticed them. */
	if (rc == ERR_INPUT || rc == ERR_NOT_FOUND || rc == ERR_USAGE) {
		error_wrap(e, "%s: the messages of the window are damaged", path);
		if (e != NULL)
			e->kind = ERR_CHECK;
		return ERR_CHECK;
	}
	return rc;
}
