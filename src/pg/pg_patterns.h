/*
 * pg_patterns: which tables a list like "public.*, sales.orders, !public.audit" means. Each
 * pattern is SCHEMA.NAME; * stands for any run of characters; a part in double quotes is taken
 * literally (a quote in it doubled). '!' leaves out; later patterns win. Private to pg_catalog.
 */
#ifndef SLUICE_PG_PATTERNS_H
#define SLUICE_PG_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"
#include "str.h"

struct pg_pattern_part {
	struct str text;
	bool literal; /* a * is a * */
};

struct pg_pattern {
	struct str source; /* for messages */
	struct pg_pattern_part schema, name;
	bool leaves_out;
	bool found; /* it has matched a table */
};

struct pg_patterns {
	size_t n;
	struct pg_pattern *patterns;
};

/* ERR_USAGE names the pattern that cannot be read. */
enum err pg_patterns_parse(
	struct str list, struct arena *mem, struct pg_patterns *out, struct error *e) MUST_CHECK;

/* Also remembers which patterns matched. */
bool pg_patterns_choose(const struct pg_patterns *p, struct str schema, struct str name);

/* ERR_NOT_FOUND when a pattern without * has matched no table. */
enum err pg_patterns_all_found(const struct pg_patterns *p, struct error *e) MUST_CHECK;

#endif
