/*
 * pg_catalog: what the server and its tables are, read from the system catalogs.
 */
#ifndef SLUICE_PG_CATALOG_H
#define SLUICE_PG_CATALOG_H

#include "arena.h"
#include "cut.h"
#include "pg_conn.h"
#include "table.h"

struct pg_tables {
	size_t n;
	struct table **tables; /* by schema, then name */
};

/* Every table of the publication, its published columns in attribute order, keys by its replica
 * identity (default: the primary key; full: all columns). Generated columns are left out. A
 * column of a domain has the domain as pg_type, and lands as its base type. Row filters stand in
 * table.filter. Here and below the connection's guard is applied (guard_describe). ERR_NOT_FOUND
 * when there is no such publication. */
enum err pg_publication_tables(struct pg *c, const char *publication, struct arena *mem,
	struct pg_tables *out, struct error *e) MUST_CHECK;

/* One ordinary or partitioned table in the same form, with all its columns. ERR_NOT_FOUND. */
enum err pg_table(struct pg *c, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e) MUST_CHECK;

/* Permanent ordinary tables (and partition roots, not their partitions) outside the system's
 * schemas that match a pattern list such as "public.*, sales.orders, !public.audit" ('!' leaves
 * out; later patterns win; "..." around a part takes it literally). ERR_USAGE for a list that
 * cannot be read, ERR_NOT_FOUND when a name without * is none of them. */
enum err pg_match_tables(struct pg *c, const char *patterns, struct arena *mem,
	struct pg_tables *out, struct error *e) MUST_CHECK;

/* The exact cut of the running REPEATABLE READ transaction: its snapshot first, then the
 * insert LSN. Call it as the transaction's first statement. ERR_BUG in any lower isolation. */
enum err pg_cut(struct pg *c, struct arena *mem, struct cut *out, struct error *e) MUST_CHECK;

struct pg_slot {
	bool exists, active;
	lsn restart, confirmed;
	int64_t retained_bytes;
	struct str plugin, wal_status; /* in the arena */
};

/* How the slot stands; exists is false when there is none of that name. */
enum err pg_slot(struct pg *c, const char *name, struct arena *mem, struct pg_slot *out,
	struct error *e) MUST_CHECK;

#endif
