/*
 * app_schema: brings the schema of the reservation service's database up to date, over a connection
 * of its own.
 */
#ifndef SLUICE_APP_SCHEMA_H
#define SLUICE_APP_SCHEMA_H

#include "pg_conn.h"

/*
 * ERR_UNAVAILABLE while the database is away or takes no writes: try again. Other kinds are as for
 * app_migrate() and will not pass by themselves; ERR_USAGE also when no connection string is set.
 */
enum err app_schema_apply(
	const struct pg_options *o, const struct env *env, struct error *e) MUST_CHECK;

#endif
