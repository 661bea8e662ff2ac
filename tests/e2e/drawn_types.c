/*
 * SQL of one table that has three columns of every type: a value, an array and a domain of it, each
 * drawn at random, seeded.
 *
 * usage: drawn_types schema
 *        drawn_types rows SEED FROM TO
 *        drawn_types columns
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "type_values.h"

static void schema(void)
{
	printf("SET client_min_messages = error;\n%s\n", drawing_functions);
	printf("CREATE TYPE mood AS ENUM ('sad', 'so so', 'o,k', 'NULL');\n");
	for (size_t i = 0; i < ndrawn_types; i++) {
		if (drawn_types[i].extension != NULL)
			printf("CREATE EXTENSION IF NOT EXISTS %s;\n", drawn_types[i].extension);
		printf("CREATE DOMAIN d%zu AS %s CHECK (true);\n", i, drawn_types[i].type);
	}
	printf("CREATE TABLE every_type (id integer PRIMARY KEY");
	for (size_t i = 0; i < ndrawn_types; i++)
		printf(",\n\tv%zu %s, a%zu %s[], d%zu d%zu", i, drawn_types[i].type, i,
			drawn_types[i].type, i, i);
	printf(");\n");
}

static void cell(const struct drawn_type *t)
{
	printf("CAST((%s) AS %s)", t->draw, t->type);
}

static void array(const struct drawn_type *t)
{
	printf("CASE r(6) WHEN 0 THEN '{}' WHEN 1 THEN ARRAY[");
	cell(t);
	printf(", NULL] WHEN 2 THEN ARRAY[[");
	cell(t);
	printf(", NULL], [NULL, ");
	cell(t);
	printf("]] WHEN 3 THEN array_fill(");
	cell(t);
	printf(", ARRAY[2], ARRAY[0]) WHEN 4 THEN array_fill(");
	cell(t);
	printf(", ARRAY[1, 2, 1, 1, 2, 1]) END");
}

static void rows(double share, const char *from, const char *to)
{
	printf("SET client_min_messages = error; SELECT setseed(%.17g);\n", share);
	printf("INSERT INTO every_type SELECT i");
	for (size_t i = 0; i < ndrawn_types; i++) {
		printf(",\n\tCASE WHEN chance(0.9) THEN ");
		cell(&drawn_types[i]);
		printf(" END, ");
		array(&drawn_types[i]);
		printf(", ");
		cell(&drawn_types[i]);
	}
	printf("\nFROM generate_series(%s, %s) i;\n", from, to);
}

/* One line each: number, kind, type. */
static void columns(void)
{
	for (size_t i = 0; i < ndrawn_types; i++)
		printf("%zu\t%s\t%s\n", i, type_name(drawn_types[i].lands), drawn_types[i].type);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "schema") == 0)
		schema();
	else if (argc == 2 && strcmp(argv[1], "columns") == 0)
		columns();
	else if (argc == 5 && strcmp(argv[1], "rows") == 0)
		rows((double)(strtoull(argv[2], NULL, 10) % 1000003) / 1000003, argv[3], argv[4]);
	else {
		fprintf(stderr, "usage: drawn_types schema | columns | rows SEED FROM TO\n");
		return 2;
	}
	return 0;
}
