/* The object ids of PostgreSQL's built-in types that land as something other than text, from
 * pg_type.dat. They never change. */
#ifndef SLUICE_PG_TYPES_H
#define SLUICE_PG_TYPES_H

#include <stdint.h>

#include "type.h"

enum pg_type_oid {
	PG_BOOL = 16,
	PG_BYTEA = 17,
	PG_NAME = 19,
	PG_INT8 = 20,
	PG_INT2 = 21,
	PG_INT4 = 23,
	PG_TEXT = 25,
	PG_OID = 26,
	PG_XID = 28,
	PG_CID = 29,
	PG_JSON = 114,
	PG_BOX = 603,
	PG_FLOAT4 = 700,
	PG_FLOAT8 = 701,
	PG_MONEY = 790,
	PG_BPCHAR = 1042,
	PG_VARCHAR = 1043,
	PG_DATE = 1082,
	PG_TIME = 1083,
	PG_TIMESTAMP = 1114,
	PG_TIMESTAMPTZ = 1184,
	PG_INTERVAL = 1186,
	PG_NUMERIC = 1700,
	PG_UUID = 2950,
	PG_JSONB = 3802,
	PG_XID8 = 5069,
};

/* The element's type of a built-in array type; 0 for any other. */
uint32_t pg_array_element(uint32_t pg_type);

/* How an array of these elements is made into JSON. */
enum type_form pg_array_form(uint32_t element);

#endif
