/*
 * type: the kinds of value that sluice carries between PostgreSQL, the warehouse and a model, and
 * how each is held in memory. What no kind holds exactly travels as its PostgreSQL text.
 */
#ifndef SLUICE_TYPE_H
#define SLUICE_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "str.h"

enum type_kind {
	T_BOOL,      /* uint8_t, 0 or 1 */
	T_INT2,      /* int16_t */
	T_INT4,      /* int32_t */
	T_INT8,      /* int64_t */
	T_UINT4,     /* uint32_t: oid, xid, cid */
	T_FLOAT4,    /* float */
	T_FLOAT8,    /* double */
	T_DECIMAL,   /* int128: the value times 10^scale; precision at most 38 */
	T_TEXT,      /* struct str, UTF-8 */
	T_JSON,      /* struct str, JSON text: as PostgreSQL prints it, or made of its text */
	T_BYTES,     /* struct str */
	T_UUID,      /* struct uuid, bytes in the order they are written */
	T_DATE,      /* int32_t days since 1970-01-01; INT32_MAX and -INT32_MAX: the infinities */
	T_TIME,      /* int64_t microseconds since midnight, 24:00 allowed */
	T_TIMESTAMP, /* int64_t microseconds since 1970 without zone; +-INT64_MAX: the infinities */
	T_TIMESTAMPTZ, /* the same, UTC */
	T_INTERVAL,    /* struct interval */
	T_KINDS
};

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

struct uuid {
	uint8_t b[16];
};

struct interval {
	int32_t months, days;
	int64_t us;
};

/* How PostgreSQL writes what stands as JSON here. The numbers are kept with a table's shape: add
 * at the end only. */
enum type_form {
	FORM_PLAIN,         /* as the kind says */
	FORM_ARRAY_TEXTS,   /* {a,"b c",NULL}: elements are strings in JSON */
	FORM_ARRAY_NUMBERS, /* elements are numbers, but NaN and the infinities strings */
	FORM_ARRAY_BOOLS,   /* {t,f} */
	FORM_ARRAY_BOXES,   /* strings; parted by ';', as type box has it */
	FORM_HSTORE,        /* "key"=>"value", "other"=>NULL */
	FORMS
};

struct type {
	enum type_kind kind;
	uint8_t precision, scale; /* T_DECIMAL only */
	uint8_t form;             /* enum type_form; T_JSON only */
};

#define DECIMAL_MAX_PRECISION 38

size_t type_size(enum type_kind kind);      /* bytes of one value in memory */
const char *type_name(enum type_kind kind); /* "int4", "decimal", ... */

/* The value as PostgreSQL would print it in a session with ISO dates and UTC. */
struct vec;
struct buf;
void type_print(const struct vec *v, size_t row, struct buf *out);

#endif
