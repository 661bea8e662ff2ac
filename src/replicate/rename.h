/*
 * rename: a table of the source that has another name (or schema) by now. It is the same table,
 * known by its relid: the warehouse's tables, with all their history, and the marks move to the
 * new name. What stands there under that name and is another table moves aside.
 */
#ifndef SLUICE_RENAME_H
#define SLUICE_RENAME_H

#include "replicate.h"
#include "table.h"

struct renaming {
	bool found; /* the warehouse knows the table, under another name than t's */
	const struct table *table;
	struct str schema, name; /* under which it stands */
	struct replicate_snapshot snapshot;
	struct table *shape; /* as its mark says, with the new name; NULL when there is none */
	uint32_t in_the_way; /* relid of the table that has the new name; 0: none */
};

/* Looks whether t->relid stands under another name. */
enum err rename_find(struct warehouse *w, const struct table *t, struct arena *mem,
	struct renaming *out, struct error *e) MUST_CHECK;
/* True when it is whole in the warehouse under another name. */
enum err rename_known(
	struct warehouse *w, const struct table *t, bool *known, struct error *e) MUST_CHECK;
/* The SQL that moves it, one transaction; then warehouse_ensure_table() of the shape makes its
 * view. */
void rename_sql(const struct renaming *r, struct arena *mem, struct buf *sql);
#endif
