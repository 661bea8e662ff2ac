/*
 * snapshot_parts: a table as the pieces that are copied one by one: the table itself, or each
 * leaf of a partitioned one, and of each ranges of heap blocks. Pure but for the questions.
 *
 * The blocks of a range are those that the part has when the range is read; the last range of a
 * part is open at its end. So every row is in one range, wherever it was when the copy began. A
 * part that was written anew (VACUUM FULL, TRUNCATE), has another shape or is not there any more
 * has another print: then its blocks say nothing about rows that were copied before.
 */
#ifndef SLUICE_SNAPSHOT_PARTS_H
#define SLUICE_SNAPSHOT_PARTS_H

#include "pg_conn.h"
#include "table.h"

#define BLOCK_END UINT32_MAX /* however many blocks there are */

struct block_range {
	uint32_t from, to; /* to: one after the last, or BLOCK_END */
};

struct copy_part {
	uint32_t relid;
	struct str schema, name;
	struct str print;       /* of what must stay as it is while the part is copied */
	uint32_t step;          /* blocks of a range; 0: all in one */
	uint32_t blocks;        /* when the copy began */
	struct block_range *in; /* copied: ascending, apart */
	size_t nin, capin;
};

struct copy_parts {
	struct copy_part *items;
	size_t n;
};

void parts_free(struct copy_parts *p); /* what is not in the arena; ready when zeroed */

/* Asks for the parts of a table, in mem, as ranges of about `rows` rows (0: one range each). A
 * part of *out that is not to be copied has no place in it. */
enum err parts_ask(struct pg *c, uint32_t root, size_t rows, struct arena *mem,
	struct copy_parts *out, struct error *e) MUST_CHECK;

/* The print that one part has now, in mem; empty when it is no part of the table any more. */
enum err parts_ask_print(struct pg *c, uint32_t root, uint32_t part, struct arena *mem,
	struct str *out, struct error *e) MUST_CHECK;

/* The same parts with the same prints, in the same order. */
bool parts_same(const struct copy_parts *a, const struct copy_parts *b);

/* As JSON, for the mark; and back. */
void parts_write(const struct copy_parts *p, struct buf *out);
enum err parts_read(
	struct str json, struct arena *mem, struct copy_parts *out, struct error *e) MUST_CHECK;

/* A range has been copied. */
void part_add(struct copy_part *p, struct block_range r);
/* The first range at or after block `from` that has not been copied; false when there is none. */
bool part_next(const struct copy_part *p, uint32_t from, struct block_range *out);

/* The condition that selects a range. Servers before 14 cannot scan a range of blocks; they are
 * asked for each place in it, which must then have an end. */
void part_where(int server_version, struct block_range r, struct buf *out);

#endif
