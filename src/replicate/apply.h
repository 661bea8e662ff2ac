/*
 * apply: one run over the journal from the warehouse's position: messages decoded into batches,
 * batches committed with the position they reach. Thrown away and begun anew after a failure.
 */
#ifndef SLUICE_APPLY_H
#define SLUICE_APPLY_H

#include "engine.h"
#include "pgoutput.h"
#include "relation.h"

struct apply {
	struct replicate *r;
	struct journal_reader *reader;
	struct pgoutput *decoder;
	struct relations relations;
	struct tx tx;
	struct replicate_position done;  /* in the warehouse */
	struct replicate_position whole; /* reached in memory, between transactions */
	size_t rows;                     /* collected */
	int64_t first_us;                /* mono: when the first of them was */
	int64_t position_us;             /* mono: when a position alone was last written */
	struct arena mem;                /* of one flush */
};

enum err apply_open(struct apply *a, struct replicate *r, struct error *e) MUST_CHECK;
void apply_close(struct apply *a);

/* Handles what is there, then waits a moment for more. */
enum err apply_step(struct apply *a, struct error *e) MUST_CHECK;

/* Handles one record; writes when enough has been collected. */
enum err apply_record(
	struct apply *a, const struct journal_record *rec, struct error *e) MUST_CHECK;

/* Writes what has been collected, and the position. Between transactions, or before the first
 * row of the one that has begun. */
enum err apply_flush(struct apply *a, struct error *e) MUST_CHECK;

/* Makes rel->live fit what the stream says of the relation, in the warehouse too. */
enum err apply_adapt(struct apply *a, struct relation *rel, struct error *e) MUST_CHECK;
/* After a flush: drops the columns that were kept for the rows of one transaction. */
enum err apply_narrow(struct apply *a, struct relation *rel, struct error *e) MUST_CHECK;

#endif
