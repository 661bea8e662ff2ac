/* A column of each built-in type that a table can have, arrays and ranges among them, for the
 * targets that make values. tests/fuzz/make_corpus.sh has a value of each in the same order. */
#ifndef SLUICE_FUZZ_ALL_TYPES_H
#define SLUICE_FUZZ_ALL_TYPES_H

#include "pg_value.h"

static const struct {
	uint32_t oid;
	int32_t modifier;
} all_types[] = {
	/* bool, integers, oid, floats, numerics */
	{16, -1},
	{21, -1},
	{23, -1},
	{20, -1},
	{26, -1},
	{700, -1},
	{701, -1},
	{1700, -1},
	{1700, (10 << 16 | 2) + 4},
	/* text, varchar, char(n), name, "char", json, jsonb, bytea, uuid, xml */
	{25, -1},
	{1043, -1},
	{1042, 9},
	{19, -1},
	{18, -1},
	{114, -1},
	{3802, -1},
	{17, -1},
	{2950, -1},
	{142, -1},
	/* date, time, timetz, timestamp, timestamptz, interval */
	{1082, -1},
	{1083, -1},
	{1266, -1},
	{1114, -1},
	{1184, -1},
	{1186, -1},
	/* money, xid, xid8, tid, pg_lsn, bit, varbit */
	{790, -1},
	{28, -1},
	{5069, -1},
	{27, -1},
	{3220, -1},
	{1560, 3},
	{1562, -1},
	/* inet, cidr, macaddr, macaddr8, point, box, tsvector, tsquery */
	{869, -1},
	{650, -1},
	{829, -1},
	{774, -1},
	{600, -1},
	{603, -1},
	{3614, -1},
	{3615, -1},
	/* arrays of int4, text, numeric, bool, bytea, timestamptz, jsonb, box, uuid */
	{1007, -1},
	{1009, -1},
	{1231, -1},
	{1000, -1},
	{1001, -1},
	{1185, -1},
	{3807, -1},
	{1020, -1},
	{2951, -1},
	/* int4range, numrange, tstzrange, int4multirange */
	{3904, -1},
	{3906, -1},
	{3910, -1},
	{4451, -1},
};

#define ALL_TYPES (sizeof all_types / sizeof *all_types)

static void all_types_table(struct table *t, struct column *columns)
{
	for (size_t i = 0; i < ALL_TYPES; i++)
		columns[i] = (struct column){.name = STR("c"),
			.pg_type = all_types[i].oid,
			.pg_modifier = all_types[i].modifier,
			.type = pg_landing(all_types[i].oid, all_types[i].modifier)};
	*t = (struct table){.name = STR("t"), .ncolumns = ALL_TYPES, .columns = columns};
}

#endif
