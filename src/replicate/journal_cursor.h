/*
 * journal_cursor: the records of one segment, front to back, each checked against its checksum
 * and the chain. Bytes are loaded in blocks that stay where they are until they are released, so
 * payloads can be used without copying.
 */
#ifndef SLUICE_JOURNAL_CURSOR_H
#define SLUICE_JOURNAL_CURSOR_H

#include "journal_files.h"
#include "segment.h"

#define CURSOR_BLOCK   ((size_t)1 << 20)
#define CURSOR_NOLIMIT UINT64_MAX

struct block {
	struct block *next;
	size_t n, cap; /* loaded, room */
	char data[];
};

/* Memory for payloads; ready when zeroed. */
struct blocks {
	struct block *current;
	struct block *held; /* full ones, whose payloads may be in use */
	struct block *spare;
	size_t nspare;
	uint64_t held_bytes;
};

void blocks_release(struct blocks *b); /* all but the current one may be used again */
void blocks_free(struct blocks *b);

struct cursor {
	struct blocks *blocks;
	struct segment_bytes *bytes;
	bool raw;
	struct segment_head head;
	struct str relations; /* those of the header not yet handed out */
	size_t at;            /* in the current block */
	uint64_t offset;      /* of the next record, in the decompressed segment */
	uint64_t chain;       /* hash before it */
};

enum cursor_state {
	CURSOR_RECORD,
	CURSOR_END,     /* the limit, or the end of the file between two records */
	CURSOR_DAMAGED, /* the error says what and where */
};

/* Opens a segment and reads its header. ERR_NOT_FOUND; ERR_CHECK when the header is damaged. */
enum err cursor_open(struct cursor *c, struct blocks *blocks, const char *dir, uint64_t number,
	struct error *e) MUST_CHECK;
void cursor_close(struct cursor *c);

/*
 * The next record that ends at or before byte `limit`. Damage returns OK with CURSOR_DAMAGED and
 * fills *e, because only the caller knows whether a torn tail is to be expected here.
 */
enum err cursor_next(struct cursor *c, uint64_t limit, struct record *out, enum cursor_state *state,
	struct error *e) MUST_CHECK;

#endif
