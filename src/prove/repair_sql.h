/*
 * repair_sql: the SQL of a repair. Private to repair.
 *
 * An image is a row as text: a JSON object of every column as the warehouse prints it, from which
 * a cast gives the value back exactly. Images are what guards compare and what ops.repairs keeps.
 */
#ifndef SLUICE_REPAIR_SQL_H
#define SLUICE_REPAIR_SQL_H

#include "buf.h"
#include "cut.h"
#include "rows.h"

/* The columns of our own in staged rows; no column of a source is likely to be called so. */
#define REPAIR_N      "_repair_n"      /* the entry */
#define REPAIR_COPY   "_repair_copy"   /* 0, 1, ..: rows under one key */
#define REPAIR_SOURCE "_repair_source" /* false: only its key matters */

/* What the SQL speaks of. */
struct repair_sql {
	struct str schema, table;
	const struct str *columns; /* of the source's table */
	size_t ncolumns;
	const struct str *keys;
	size_t nkeys;
	bool key_in_exact;
	struct str rows, keyed; /* staging tables in ops */
};

/* Everything in mem; `id` and `number` name the staging tables. */
void repair_sql_of(const struct subject *s, struct str id, size_t number, struct arena *mem,
	struct repair_sql *out);

void repair_put_current(struct buf *out, const struct repair_sql *q); /* "schema"."table" */
void repair_put_history(struct buf *out, const struct repair_sql *q);
void repair_put_stage(struct buf *out, struct str name); /* "ops"."name" */
/* a."c1", a."c2" */
void repair_put_columns(struct buf *out, const struct repair_sql *q, const char *alias);
/* Rows of two tables have the same key. */
void repair_put_match(struct buf *out, const struct repair_sql *q, const char *a, const char *b);
/* The image of a row; `ours` adds _lsn and _committed_at, which current rows have besides. */
void repair_put_image(struct buf *out, const struct repair_sql *q, const char *alias, bool ours);
/* json_extract_string(DOC, '/name') */
void repair_put_member(struct buf *out, const char *doc, struct str name);

/* Not seen by the cut; as select_at() has it. */
void repair_put_outside(struct buf *out, const char *alias, const struct cut *cut);
/* One number that sorts as (_lsn, _seq). */
void repair_put_position(struct buf *out, const char *alias);

/* The table of repairs, and both staging tables. Scripts. */
void repair_put_ledger(struct buf *out);
void repair_put_stages(struct buf *out, const struct repair_sql *q);
void repair_put_unstage(struct buf *out, const struct repair_sql *q);

/*
 * A SELECT with a row for each staged entry whose guards hold: key, kind, differences, before,
 * and where it goes: right (history agrees with the source), alive, told_lsn, told_at (of
 * history's newest entry), newest (its position), next (the one after it). `cut_us`: see plan.
 */
void repair_put_chosen(
	struct buf *out, const struct repair_sql *q, const struct cut *cut, int64_t cut_us);

/* The whole transaction. token_first: see repair_write.c. */
void repair_put_script(struct buf *out, const struct repair_sql *q, const struct cut *cut,
	int64_t cut_us, struct str id, int64_t now_us, bool token_first);

/* Conflicts with whatever commits changes to the table or the stream's position meanwhile. */
void repair_put_token(struct buf *out, const struct repair_sql *q);

/* A CTE held(n, images): what stands in current under each staged key. */
void repair_put_held(struct buf *out, const struct repair_sql *q);

/* What has been decided upon, within one script: has at least n. */
#define REPAIR_CHOSEN "temp.main.repair_chosen"

/* A statement that takes the rows of the chosen entries out of current. */
void repair_put_delete(struct buf *out, const struct repair_sql *q);

#endif
