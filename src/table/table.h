/*
 * table: the description of a source table at one moment: its columns in the order in which
 * PostgreSQL publishes them, their types, and the key that identifies a row.
 */
#ifndef SLUICE_TABLE_H
#define SLUICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "str.h"
#include "type.h"

#define TABLE_MAX_COLUMNS 1600 /* PostgreSQL's MaxHeapAttributeNumber */

struct guard_column; /* guard.h */

struct column {
	struct str name;
	uint32_t pg_type;    /* pg_type.oid */
	int32_t pg_modifier; /* atttypmod, -1 when none */
	struct type type;    /* what it lands as */
	bool is_key;
	bool nullable;
	bool varied;    /* most values are long and differ: looking for repetition is in vain */
	int16_t attnum; /* pg_attribute.attnum, which a new name leaves alone; 0: not known */
	struct str was; /* for warehouse_ensure_table(): the name it had before; empty: this one */
	bool anew;      /* likewise: what stands under its name is another column, which is gone */
	const struct guard_column *guard; /* its values are replaced on their way; NULL: not */
};

enum identity { /* pg_class.relreplident */
	IDENTITY_DEFAULT = 'd',
	IDENTITY_NOTHING = 'n',
	IDENTITY_FULL = 'f',
	IDENTITY_INDEX = 'i',
};

struct table {
	uint32_t relid; /* pg_class.oid */
	struct str schema, name;
	enum identity identity;
	size_t ncolumns;
	struct column *columns;
	size_t nkeys;
	uint16_t *keys;        /* indexes into columns */
	struct str valid_time; /* column whose value is the business time of a version; empty:
				  commit time */
	int16_t highest;   /* pg_attribute.attnum that a column has or had, of the dropped ones too;
			      0:   not known */
	struct str filter; /* the publication's row filter, an SQL condition; empty: none */
};

/* Deep copy into mem. */
struct table *table_copy(const struct table *t, struct arena *mem);
/* Fills keys and nkeys from is_key. */
void table_index_keys(struct table *t, struct arena *mem);
int table_column(const struct table *t, struct str name); /* index, or -1 */
/* True when rows are told apart by all columns, so that equal rows are counted: REPLICA IDENTITY
 * FULL without a key. */
bool table_is_bag(const struct table *t);
/* True when a key tells its rows apart. */
bool table_has_key(const struct table *t);
/* True when names, types, modifiers and keys agree in order. */
bool table_same_shape(const struct table *a, const struct table *b);
/* "schema.name", for people. */
struct str table_full_name(const struct table *t, struct arena *mem);

#endif
