/*
 * plan: the statements of the mixed load. The k-th transaction of a writer is a function of the
 * seed, the writer and k alone, so a run can be stopped anywhere, gone on with, and run again.
 *
 * Writer 0 also changes the schema: what a statement of it needs is there when all its earlier
 * transactions have been run.
 */
#ifndef SLUICE_FAULT_PLAN_H
#define SLUICE_FAULT_PLAN_H

#include <stdint.h>

#include "buf.h"

struct plan {
	uint64_t seed;
	unsigned large_rows;  /* rows of a large transaction; 0: none */
	unsigned large_every; /* of how many transactions of a writer one is large */
	bool schema;          /* writer 0 changes the schema */
	bool drops;           /* the tables it makes are dropped again */
	bool keyless;         /* there is a table without a key */
};

struct planned {
	struct buf sql;    /* one transaction, BEGIN to its end; or statements for autocommit */
	struct buf finish; /* of a two-phase commit: sent alone, after it; else empty */
	bool must;         /* later ones count on it: to be tried again until it succeeds */
};

void planned_init(struct planned *p);
void planned_free(struct planned *p);

/* Tables and their first rows. */
void plan_tables(struct buf *sql, unsigned rows, bool keyless);

/* The k-th transaction of the writer; what is in *out is replaced. */
void plan_transaction(const struct plan *p, unsigned writer, uint64_t k, struct planned *out);

#endif
