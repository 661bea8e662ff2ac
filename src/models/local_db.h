/*
 * local_db: the registry's SQLite file: which versions there are, and where aliases point.
 * One process-wide lock is the caller's business; between processes SQLite's write lock decides.
 * Functions that write must stand between local_db_begin and local_db_end.
 */
#ifndef SLUICE_LOCAL_DB_H
#define SLUICE_LOCAL_DB_H

#include <sqlite3.h>

#include "arena.h"
#include "err.h"
#include "models.h"
#include "str.h"

/* Makes the tables when absent. WAL, full synchronisation, 30 s busy timeout. */
enum err local_db_open(const char *path, sqlite3 **out, struct error *e) MUST_CHECK;

/* Takes the write lock at once, so that what is read afterwards stays true until the end. */
enum err local_db_begin(sqlite3 *db, struct error *e) MUST_CHECK;
/* Commits when rc is OK and otherwise rolls back; gives rc, or the commit's failure. */
enum err local_db_end(sqlite3 *db, enum err rc, struct error *e) MUST_CHECK;

/* Numbers are never given twice, not even after a removal. */
enum err local_db_next_version(
	sqlite3 *db, struct str model, int64_t *out, struct error *e) MUST_CHECK;
enum err local_db_insert(sqlite3 *db, const struct model_version *v, struct error *e) MUST_CHECK;
enum err local_db_set_alias(sqlite3 *db, struct str model, struct str alias, int64_t version,
	struct error *e) MUST_CHECK;
enum err local_db_drop_alias(sqlite3 *db, struct str model, struct str alias, bool *was_there,
	struct error *e) MUST_CHECK;
/* Aliases that point at the version go with it. */
enum err local_db_delete(
	sqlite3 *db, struct str model, int64_t version, struct error *e) MUST_CHECK;

/* How many versions the model has; how many rows of any model use the artifact. */
enum err local_db_count(sqlite3 *db, struct str model, int64_t *out, struct error *e) MUST_CHECK;
enum err local_db_uses(sqlite3 *db, struct str sha256, int64_t *out, struct error *e) MUST_CHECK;

/* The version an alias points at; 0 when there is no such alias. */
enum err local_db_resolve(sqlite3 *db, struct str model, struct str alias, int64_t *version,
	struct error *e) MUST_CHECK;

/* Versions by model and number; all models when `model` is empty, all numbers when version is
 * 0. *out and what it points at live in mem. */
enum err local_db_select(sqlite3 *db, struct str model, int64_t version, struct arena *mem,
	struct model_version **out, size_t *n, struct error *e) MUST_CHECK;

#endif
