/*
 * type_values: every type that a column can have, with an SQL expression that draws a value of it.
 * The draws are PostgreSQL's random(), which setseed() makes repeatable.
 */
#ifndef SLUICE_TYPE_VALUES_H
#define SLUICE_TYPE_VALUES_H

#include <stddef.h>

#include "type.h"

struct drawn_type {
	const char *type; /* as in SQL */
	enum type_kind lands;
	const char *draw;
	const char *extension; /* NULL for a built-in type */
};

extern const struct drawn_type drawn_types[];
extern const size_t ndrawn_types;

/* Functions that the expressions call, to be made first. */
extern const char drawing_functions[];

/* Types of pg_catalog that no value can be written of: the server's own notes. */
extern const char internal_types[]; /* a list of SQL literals */

#endif
