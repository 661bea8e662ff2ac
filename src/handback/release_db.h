/*
 * release_db: schema sluice in the application's database. Calls that change anything run inside
 * the transaction that release_db_begin() opened. Private to src/handback.
 */
#ifndef SLUICE_RELEASE_DB_H
#define SLUICE_RELEASE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "handback.h"
#include "pg_conn.h"
#include "release_data.h"
#include "str.h"

/* Opens a transaction and waits until no other changes this workflow's releases or gate. */
enum err release_db_begin(struct pg *c, const char *workflow, struct error *e) MUST_CHECK;
/* Commits when rc is OK, else rolls back and gives rc again with its error kept. */
enum err release_db_end(struct pg *c, enum err rc, struct error *e) MUST_CHECK;

struct landed {
	bool exists;
	int64_t version, rows;
	struct str manifest, manifest_sha256, checks, producer;
	bool checks_ok, kept, rolled_back;
	struct str landed_at;
};

/* One landed release; version 0: the live one. */
enum err release_db_landed(struct pg *c, const char *workflow, int64_t version, struct arena *mem,
	struct landed *out, struct error *e) MUST_CHECK;
/* The highest version ever landed; 0: none. */
enum err release_db_highest(struct pg *c, const char *workflow, struct arena *mem, int64_t *out,
	struct error *e) MUST_CHECK;

/* Copies rows into a temporary table that lives until the end of the transaction. */
enum err release_db_stage(struct pg *c, const struct data_rows *rows, struct error *e) MUST_CHECK;
/* From there into sluice.scores, replacing what stood there under that version. */
enum err release_db_load(struct pg *c, const char *workflow, int64_t version, int64_t rows,
	struct arena *mem, struct error *e) MUST_CHECK;
enum err release_db_flip(struct pg *c, const char *workflow, int64_t version, struct arena *mem,
	struct error *e) MUST_CHECK;
/* Drops the scores of all but the newest RELEASES_KEPT versions and the live one. */
#define RELEASES_KEPT 5
enum err release_db_drop_old(
	struct pg *c, const char *workflow, struct arena *mem, struct error *e) MUST_CHECK;

/* version 0 is written as NULL. */
enum err release_db_audit(struct pg *c, const char *workflow, const char *action, int64_t version,
	const char *person, const char *detail, struct error *e) MUST_CHECK;

/* "person" without white space around it; ERR_USAGE when nothing is left. */
enum err release_person(
	const char *person, struct arena *mem, const char **out, struct error *e) MUST_CHECK;

/* A number as a query parameter. */
const char *release_number(struct arena *mem, int64_t n);

#endif
