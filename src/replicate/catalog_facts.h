/*
 * catalog_facts: the published tables, the labels of their enums and their partitions, as the
 * catalog has them at one moment, and how they differ from what was kept of them in the warehouse
 * (the mark "catalog").
 */
#ifndef SLUICE_CATALOG_FACTS_H
#define SLUICE_CATALOG_FACTS_H

#include "pg_catalog.h"
#include "warehouse.h"

#define CATALOG_VERSION 33

struct catalog_facts {
	struct pg_tables tables;
	char version[CATALOG_VERSION]; /* the same while nothing has changed */
	lsn at;                        /* the log at that moment, as far as it was flushed */
	lsn written;                   /* and as far as it was written: what is there lies before */
	struct str kept;               /* tables, labels and partitions, as the mark has them */
};

enum err catalog_ask(struct pg *c, const char *publication, struct arena *mem,
	struct catalog_facts *out, struct error *e) MUST_CHECK;

struct label_change {
	uint32_t type; /* pg_type.oid of the enum */
	struct str was, now;
};
enum leaf_news {
	LEAF_ATTACHED, /* with rows that the stream has not brought */
	LEAF_GONE,     /* detached or dropped, with its rows */
	LEAF_ANEW,     /* has other files: TRUNCATE of it alone, which the stream does not bring */
};
struct leaf_change {
	uint32_t root;
	struct str name;
	enum leaf_news news;
};
struct table_change {
	uint32_t relid;
	struct str schema, name; /* as they were kept */
	bool gone;               /* from the publication; else it was out of it and is back */
};
struct catalog_changes {
	size_t nlabels, nleaves, ntables;
	struct label_change *labels;
	struct leaf_change *leaves;
	struct table_change *tables;
};

/* What has changed since catalog_keep(); nothing when that never was. */
enum err catalog_compare(struct warehouse *w, const struct catalog_facts *now, struct arena *mem,
	struct catalog_changes *out, struct error *e) MUST_CHECK;
/* Keeps the tables that are new with what they have, before anybody asks how they differ. */
enum err catalog_keep_new(
	struct warehouse *w, const struct catalog_facts *now, struct error *e) MUST_CHECK;
enum err catalog_keep(
	struct warehouse *w, const struct catalog_facts *now, struct error *e) MUST_CHECK;

#endif
