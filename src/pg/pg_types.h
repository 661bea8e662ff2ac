/* The object ids of PostgreSQL's built-in types that land as something other than text, from
 * pg_type.dat. They never change. */
#ifndef SLUICE_PG_TYPES_H
#define SLUICE_PG_TYPES_H

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
	PG_JSON = 114,
	PG_FLOAT4 = 700,
	PG_FLOAT8 = 701,
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
};

#endif
