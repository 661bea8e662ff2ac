/*
 * app_migrate: the reservation service's schema, by numbered migrations carried inside the program
 * (sql/migrations/NNNN_name.sql).
 */
#ifndef SLUICE_APP_MIGRATE_H
#define SLUICE_APP_MIGRATE_H

#include "pg_conn.h"

struct app_migration {
	int64_t applied; /* by this call */
	int64_t version; /* number of the last one that stands */
};

/*
 * Applies what is missing, each in a transaction of its own, recorded with its SHA-256 in
 * public.schema_migrations. Concurrent calls wait for each other. ERR_CHECK when a migration that
 * was applied has since been changed, or the database is ahead of this program: nothing is done
 * then. Not inside a transaction.
 */
enum err app_migrate(struct pg *c, struct app_migration *out, struct error *e) MUST_CHECK;

/* The same for files under another prefix, for tests. */
enum err app_migrate_from(
	struct pg *c, const char *prefix, struct app_migration *out, struct error *e) MUST_CHECK;

#endif
