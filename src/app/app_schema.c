#include "app_schema.h"

#include "app_migrate.h"
#include "log.h"

/* A standby, or a primary on its way to being one, lets us in but takes no migration. */
static enum err check_writable(struct pg *pg, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	PGresult *r;
	enum err rc = pg_query(pg, "SHOW transaction_read_only", 0, NULL,
		"asking whether the database takes writes", &mem, &r, e);

	if (rc == OK && str_eqc(pg_cell_str(r, 0, 0), "on"))
		rc = FAIL(e, ERR_UNAVAILABLE,
			"bringing the schema up to date: the database is read-only; wait for the "
			"failover to end, or name the primary in the connection string");
	arena_free(&mem);
	return rc;
}

enum err app_schema_apply(const struct pg_options *o, const struct env *env, struct error *e)
{
	struct app_migration done;
	struct pg *pg;

	if (o->conninfo == NULL || o->conninfo[0] == '\0')
		return FAIL(e, ERR_USAGE,
			"connecting the reservation service to PostgreSQL: no connection string is "
			"set; put one into [app] database or [source] url");
	TRY(pg_open(&pg, o, env, e));
	enum err rc = check_writable(pg, e);
	if (rc == OK)
		rc = app_migrate(pg, &done, e);
	pg_close(pg);
	if (rc == OK)
		log_info(env->log, "app", "the schema is up to date",
			F_I64("version", done.version), F_I64("applied", done.applied));
	return rc;
}
