/*
 * align: which columns of a table, as the stream describes it now, are which of those that were
 * known. The stream has names only. But it sends the columns in the order of their numbers
 * (pg_attribute.attnum), which a new name leaves alone and a dropped column never gives back; so
 * the order, the names and what the catalog says by now tell renamed columns from new ones, also
 * when several changes have come in a row.
 */
#ifndef SLUICE_ALIGN_H
#define SLUICE_ALIGN_H

#include "arena.h"
#include "err.h"
#include "pg_conn.h"
#include "table.h"

/* A column as the catalog has it at this moment, dropped ones too. */
struct attribute {
	struct str name;
	int16_t num;
	bool live;
	uint32_t type;
	int32_t modifier;
	bool has_value; /* rows that stood there before it was added all have `value` */
	bool filled;    /* they may have got one each, by a rewrite of the table */
	struct str value;
	bool value_null;
};

struct attributes {
	size_t n;                /* 0: the table is gone */
	struct attribute *items; /* by num */
};

enum err attributes_ask(struct pg *c, uint32_t relid, struct arena *mem, struct attributes *out,
	struct error *e) MUST_CHECK;
const struct attribute *attributes_find(const struct attributes *a, int16_t num); /* or NULL */

/* False when a column's name is another column's by now: it was dropped and added again. */
bool attributes_agree(const struct attributes *now, const struct table *known);

/*
 * from[i] becomes the index in `before` of what is column i of `said`, or -1 where it is new; the
 * columns of `said` get their attnum, 0 where nobody knows it.
 */
void align_columns(
	const struct table *before, struct table *said, const struct attributes *now, int *from);

#endif
