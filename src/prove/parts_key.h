/* parts_key: the columns of a key by which both sides can cut a table, and conditions on them. */
#ifndef SLUICE_PARTS_KEY_H
#define SLUICE_PARTS_KEY_H

#include "arena.h"
#include "buf.h"
#include "pg_conn.h"
#include "table.h"

#define CUT_COLUMNS 4 /* more of a long key makes no better ranges */

struct cut_column {
	const struct column *column;
	struct str expression; /* in PostgreSQL, as it is compared */
	struct str pg_type;    /* its literals' type */
	struct str collate;    /* ` COLLATE "C"`, or empty */
	struct str held;       /* condition in PostgreSQL: the warehouse's column holds it; empty:
				  always */
	bool indexed;          /* the key's index can find a range of it */
};

struct cut_key {
	struct cut_column columns[CUT_COLUMNS];
	size_t n;   /* 0: the table cannot be cut */
	bool scans; /* every range costs a reading of the whole table */
};

enum err cut_key_of(struct pg *c, const struct table *t, struct arena *mem, struct cut_key *out,
	struct error *e) MUST_CHECK;

/* Conditions for low <= key < high, in PostgreSQL and in the warehouse. low or high NULL: open;
 * else texts, one a column. `last`: values that the warehouse's columns cannot hold, too. */
void cut_key_put_source(struct buf *out, const struct cut_key *k, const struct str *low,
	const struct str *high, bool last);
void cut_key_put_replica(struct buf *out, const struct cut_key *k, const struct str *low,
	const struct str *high, bool last);

#endif
