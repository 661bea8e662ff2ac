/*
 * relation: what apply knows of one relation of the stream: its shape as last described, the
 * shape that the warehouse has, the rows collected, and the cut of its snapshot.
 */
#ifndef SLUICE_RELATION_H
#define SLUICE_RELATION_H

#include "arena.h"
#include "batch.h"
#include "cut.h"
#include "fold.h"
#include "metrics.h"
#include "pgoutput.h"
#include "table.h"

/* The transaction in work. */
struct tx {
	bool open;
	uint64_t xid;
	lsn commit;
	int64_t committed_us;
	uint32_t seq; /* rows collected from it so far */
};

struct relation {
	uint32_t relid;
	struct arena said_mem;
	struct table *said; /* by the last Relation message */
	bool news;          /* said has not been compared with live */

	struct arena live_mem;
	struct table
		*live; /* what the batch and the warehouse have; NULL before the first change */
	struct batch *batch;
	bool wide; /* live has columns that `said` has lost; see apply_adapt() */
	size_t front; /* columns of live that are not only kept for rows of before */

	bool joined;             /* what follows was asked for at this generation of the copies */
	unsigned generation;     /* of the copies */
	unsigned epoch;          /* of the copy */
	struct table_copy *copy; /* it is being copied; NULL: whole, and cut is its cut */
	struct arena cut_mem;
	struct cut cut;

	struct fold fold;
	/* inserts, updates, deletes, truncates */
	struct metric *applied[4];
	uint64_t written[4]; /* not yet committed */
	bool in_part;        /* rows of it are in the open transaction of the warehouse */
};

struct relations {
	struct relation **items;
	size_t n, cap;
	struct relation *last; /* found last: changes come in runs */
};

struct relation *relations_find(struct relations *r, uint32_t relid); /* NULL when unknown */
struct relation *relations_add(struct relations *r, uint32_t relid);  /* or the one that is there */
void relations_free(struct relations *r);                             /* ready when zeroed */

/* Adds the rows of one message to r->batch, whose table must be the message's. */
enum err relation_insert(struct relation *r, struct tx *tx, const struct pgoutput_msg *m,
	struct error *e) MUST_CHECK;
enum err relation_update(struct relation *r, struct tx *tx, const struct pgoutput_msg *m,
	struct error *e) MUST_CHECK;
enum err relation_delete(struct relation *r, struct tx *tx, const struct pgoutput_msg *m,
	struct error *e) MUST_CHECK;
void relation_truncate(struct relation *r, struct tx *tx);

#endif
