/*
 * apply: one run over the journal from the warehouse's position: messages decoded into batches,
 * batches committed with the position they reach. Thrown away and begun anew after a failure.
 */
#ifndef SLUICE_APPLY_H
#define SLUICE_APPLY_H

#include "engine.h"
#include "pgoutput.h"
#include "relation.h"

/* What catalog_watch() has found and done. */
struct catalog_seen {
	int64_t next_us; /* mono: when to look again */
	int64_t soon_us; /* the same, once the stream has come to what was found */
	bool handled, waits;
	char done[33], found[33]; /* versions of the catalog */
	lsn at, written;          /* the log where `found` was found: flushed, written */
};

/* A table that catches up by itself: see catch_up.h. */
struct apply_apart {
	uint32_t relid;
	struct str schema, name; /* in the warehouse, whatever the journal calls it */
	bool joining;            /* its next flush is its last */
};

struct apply {
	struct replicate *r;
	const struct apply_apart *apart; /* only this table; NULL: the main stream */
	bool hurry; /* there is other work for this thread: do not wait for more */
	struct journal_reader *reader;
	struct pgoutput *decoder;
	struct relations relations;
	struct tx tx;
	struct replicate_position done;  /* in the warehouse */
	struct replicate_position whole; /* reached in memory, between transactions */
	size_t rows;                     /* collected */
	struct warehouse_tx *part;       /* open while a large transaction is written in parts */
	size_t part_rows;                /* written in it */
	bool again;                      /* begin this run anew: see apply_part.c */
	unsigned obeyed;                 /* of what the copies of tables ask for; see snapshot.h */
	int64_t first_us;                /* mono: when the first of them was */
	int64_t took_us;                 /* how long the last write of rows took */
	int64_t position_us;             /* mono: when a position alone was last written */
	struct arena mem;                /* of one flush */
	struct pg *asks;                 /* questions to the catalog; NULL: not connected */
	struct catalog_seen seen;
	int64_t asks_again_us; /* mono: before it the source is not asked by the way */
};

enum err apply_open(struct apply *a, struct replicate *r, struct error *e) MUST_CHECK;
/* For one table alone, from a position of its own. `apart` must outlive it. */
enum err apply_open_apart(struct apply *a, struct replicate *r, const struct apply_apart *apart,
	const struct replicate_position *from, struct error *e) MUST_CHECK;
void apply_close(struct apply *a);

/* Handles what is there, or a batch of it, then waits a moment for more. */
enum err apply_step(struct apply *a, struct error *e) MUST_CHECK;

/* Handles one record; writes when enough has been collected. */
enum err apply_record(
	struct apply *a, const struct journal_record *rec, struct error *e) MUST_CHECK;

/* More keeps arriving, and what is collected has waited long enough: the flush interval, or longer
 * when a write takes longer than that, or when it is late anyway. Each write has a price of its
 * own, so a backlog is written in larger batches. */
bool apply_is_due(const struct apply *a);
/* The source has committed it a second ago or more: there is a backlog. */
bool apply_is_late(const struct apply *a);

/* Writes what has been collected, and the position. Between transactions, or before the first
 * row of the one that has begun. */
enum err apply_flush(struct apply *a, struct error *e) MUST_CHECK;

/* ---- a transaction larger than a batch: see apply_part.c ---- */

bool apply_enough(const struct apply *a); /* the batch is full */
/* It is, after a row of this relation, and this is a good place to write it. */
bool apply_part_is_due(const struct apply *a, const struct relation *rel);
/* Writes what has been collected without committing it. Inside a transaction. */
enum err apply_part(struct apply *a, struct error *e) MUST_CHECK;
/* A table is about to change its shape. DuckDB cannot alter a table in the transaction that has
 * removed rows from it: then this fails, and a->again is set. */
enum err apply_reshape_in_parts(
	struct apply *a, const struct relation *rel, struct error *e) MUST_CHECK;
/* After a failure with a->again: from the warehouse's position once more. */
enum err apply_anew(struct apply *a, struct error *e) MUST_CHECK;
/* Writes the rest with the position and commits it all. */
enum err apply_end_parts(
	struct apply *a, const struct change_set *last, struct error *e) MUST_CHECK;
/* What changes the warehouse beside rows, in the open transaction where there is one. */
enum err apply_ensure_table(struct apply *a, const struct table *t, struct error *e) MUST_CHECK;
enum err apply_script(struct apply *a, struct str sql, struct error *e) MUST_CHECK;
enum err apply_mark(struct apply *a, const struct mark *mark, struct error *e) MUST_CHECK;

/* For both ways of writing: what there is to write, and what comes after it is written. */
size_t apply_collect(struct apply *a, struct table_changes *out);
enum err apply_forget_rows(struct apply *a, struct error *e) MUST_CHECK;

/* Makes rel->live fit what the stream says of the relation, in the warehouse too. */
enum err apply_adapt(struct apply *a, struct relation *rel, struct error *e) MUST_CHECK;
/* Where the warehouse knows the relation under another name, gives it the one that the stream has.
 */
enum err apply_rename(struct apply *a, struct relation *rel, struct error *e) MUST_CHECK;
/* After a flush: drops the columns that were kept for the rows of one transaction. */
enum err apply_narrow(struct apply *a, struct relation *rel, struct error *e) MUST_CHECK;

#endif
