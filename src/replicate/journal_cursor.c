#include "journal_cursor.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "mem.h"

/* A batch of a backlog takes dozens; new ones would have to be cleared by the kernel each time. */
#define SPARE_MOST 64

static struct block *block_get(struct blocks *b, size_t room)
{
	struct block *got = b->spare;

	if (got != NULL && room <= got->cap) {
		b->spare = got->next;
		b->nspare--;
	} else {
		size_t cap = room > CURSOR_BLOCK ? room : CURSOR_BLOCK;
		got = mem_alloc(sizeof(*got) + cap);
		got->cap = cap;
	}
	got->n = 0;
	got->next = NULL;
	return got;
}

void blocks_release(struct blocks *b)
{
	while (b->held != NULL) {
		struct block *one = b->held;
		b->held = one->next;
		if (one->cap > CURSOR_BLOCK || b->nspare == SPARE_MOST) {
			mem_free(one);
		} else {
			one->next = b->spare;
			b->spare = one;
			b->nspare++;
		}
	}
	b->held_bytes = 0;
}

void blocks_free(struct blocks *b)
{
	blocks_release(b);
	while (b->spare != NULL) {
		struct block *one = b->spare;
		b->spare = one->next;
		mem_free(one);
	}
	mem_free(b->current);
	*b = (struct blocks){0};
}

/* Puts the current block aside and goes on in a new one with room for `room` bytes from `at`. */
static void block_turn(struct cursor *c, size_t room)
{
	struct blocks *b = c->blocks;
	struct block *old = b->current;
	struct block *new = block_get(b, room);

	if (old != NULL) {
		new->n = old->n - c->at;
		memcpy(new->data, old->data + c->at, new->n);
		old->next = b->held;
		b->held = old;
		b->held_bytes += old->cap;
	}
	b->current = new;
	c->at = 0;
}

/* Loads until `want` bytes stand at c->at; *have says how many do, fewer at the end. Nothing
 * after byte `limit` is loaded: the writer may still cut it back and write it anew. */
static enum err load(struct cursor *c, size_t want, uint64_t limit, size_t *have, struct error *e)
{
	struct block *b = c->blocks->current;

	if (b == NULL || c->at + want > b->cap) {
		block_turn(c, want);
		b = c->blocks->current;
	}
	while (b->n - c->at < want) {
		uint64_t most = limit - (c->offset + (b->n - c->at));
		size_t got, room = b->cap - b->n;
		TRY(segment_bytes_read(
			c->bytes, b->data + b->n, most < room ? (size_t)most : room, &got, e));
		if (got == 0)
			break;
		b->n += got;
	}
	*have = b->n - c->at;
	return OK;
}

static enum err read_header(struct cursor *c, struct error *e)
{
	const char *path = segment_bytes_path(c->bytes), *wrong = "the header is cut short";
	size_t have;

	TRY(load(c, SEGMENT_FIXED, SEGMENT_FIXED, &have, e));
	uint32_t length = have < SEGMENT_FIXED
		? 0
		: segment_head_length(c->blocks->current->data + c->at);
	if (length > 0)
		TRY(load(c, length, length, &have, e));
	if (length > 0 && have >= length)
		wrong = segment_head_read(
			(struct str){c->blocks->current->data + c->at, length}, &c->head);
	if (wrong != NULL)
		return FAIL(e, ERR_CHECK,
			"reading the journal segment %s: damaged at byte 0: %s; restore it from a "
			"copy, or resynchronise the tables",
			path, wrong);
	c->relations = c->head.relations;
	c->chain = c->head.chain;
	c->offset = length;
	c->at += length;
	return OK;
}

enum err cursor_open(
	struct cursor *c, struct blocks *blocks, const char *dir, uint64_t number, struct error *e)
{
	*c = (struct cursor){.blocks = blocks};
	TRY(segment_bytes_open(&c->bytes, dir, number, &c->raw, e));
	/* What an earlier segment left in the current block is not ours. */
	if (blocks->current != NULL) {
		c->at = blocks->current->n;
		block_turn(c, CURSOR_BLOCK);
	}
	enum err rc = read_header(c, e);
	if (rc == OK && c->head.number != number)
		rc = FAIL(e, ERR_CHECK,
			"reading the journal segment %s: it is segment %" PRIu64
			" under another name; put the right file back",
			segment_bytes_path(c->bytes), c->head.number);
	if (rc != OK)
		cursor_close(c);
	return rc;
}

void cursor_close(struct cursor *c)
{
	segment_bytes_close(c->bytes);
	c->bytes = NULL;
}

static enum err damaged(
	struct cursor *c, const char *wrong, enum cursor_state *state, struct error *e)
{
	char before[LSN_TEXT];

	*state = CURSOR_DAMAGED;
	(void)FAIL(e, ERR_CHECK,
		"reading the journal segment %s: damaged at byte %" PRIu64
		" (the segment begins at LSN %s): %s; restore it from a copy, or resynchronise "
		"the tables",
		segment_bytes_path(c->bytes), c->offset, lsn_format(c->head.first, before), wrong);
	return OK;
}

enum err cursor_next(struct cursor *c, uint64_t limit, struct record *out, enum cursor_state *state,
	struct error *e)
{
	size_t have;
	bool own;

	if (c->offset >= limit) {
		*state = CURSOR_END;
		return OK;
	}
	TRY(load(c, RECORD_HEAD, limit, &have, e));
	if (have == 0) {
		*state = CURSOR_END;
		return OK;
	}
	if (have < RECORD_HEAD)
		return damaged(c, "the record is cut short", state, e);
	uint32_t length = record_length(c->blocks->current->data + c->at, &own);
	if (length == 0 || length >= RECORD_MAX)
		return damaged(c, "the record's length is impossible", state, e);
	/* Memory for a record is taken only when the file can hold it. */
	if (limit != CURSOR_NOLIMIT && RECORD_HEAD + (uint64_t)length > limit - c->offset)
		return damaged(c, "the record ends after the last durable byte", state, e);
	TRY(load(c, RECORD_HEAD + (size_t)length, limit, &have, e));
	if (have < RECORD_HEAD + (size_t)length)
		return damaged(c, "the record is cut short", state, e);
	const char *wrong = record_read(c->blocks->current->data + c->at, c->chain, out);
	if (wrong != NULL)
		return damaged(c, wrong, state, e);
	c->chain = out->chain;
	c->at += RECORD_HEAD + length;
	c->offset += RECORD_HEAD + length;
	*state = CURSOR_RECORD;
	return OK;
}
