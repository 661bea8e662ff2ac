#include "init_checks.h"

#include <inttypes.h>
#include <stdio.h>

static enum err check_wal_level(const PGresult *r, struct error *e)
{
	struct str level = pg_cell_str(r, 0, 0);

	if (str_eqc(level, "logical"))
		return OK;
	return FAIL(e, ERR_USAGE,
		"checking the source: wal_level is %.*s, and replication needs logical; run ALTER "
		"SYSTEM SET wal_level = logical and restart PostgreSQL (on Amazon RDS: set "
		"rds.logical_replication = 1 in the parameter group and reboot)",
		STR_ARG(level));
}

static enum err check_role(const PGresult *r, struct error *e)
{
	struct str role = pg_cell_str(r, 0, 1);

	if (pg_cell_bool(r, 0, 2))
		return OK;
	return FAIL(e, ERR_USAGE,
		"checking the source: role %.*s may not replicate; run ALTER ROLE \"%.*s\" "
		"REPLICATION (on Amazon RDS: GRANT rds_replication TO \"%.*s\")",
		STR_ARG(role), STR_ARG(role), STR_ARG(role));
}

static enum err check_room(const PGresult *r, bool slot_exists, struct error *e)
{
	int64_t slots = pg_cell_i64(r, 0, 3), max_slots = pg_cell_i64(r, 0, 4);
	int64_t senders = pg_cell_i64(r, 0, 5), max_senders = pg_cell_i64(r, 0, 6);

	if (!slot_exists && slots >= max_slots)
		return FAIL(e, ERR_USAGE,
			"checking the source: all %" PRId64
			" replication slots are taken; drop one "
			"that is not needed, or raise max_replication_slots and restart PostgreSQL",
			max_slots);
	if (senders >= max_senders)
		return FAIL(e, ERR_USAGE,
			"checking the source: all %" PRId64 " WAL senders are busy; stop one, or "
			"raise max_wal_senders and restart PostgreSQL",
			max_senders);
	return OK;
}

enum err init_check_server(
	struct pg *c, const struct replicate_options *o, bool slot_exists, struct error *e)
{
	static const char sql[] =
		"SELECT current_setting('wal_level'), current_user::text, "
		"rolsuper OR rolreplication OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles g "
		"WHERE g.rolname = 'rds_replication' AND pg_catalog.pg_has_role(g.oid, 'member')), "
		"(SELECT count(*) FROM pg_catalog.pg_replication_slots), "
		"current_setting('max_replication_slots')::int, "
		"(SELECT count(*) FROM pg_catalog.pg_stat_replication), "
		"current_setting('max_wal_senders')::int "
		"FROM pg_catalog.pg_roles WHERE rolname = current_user";
	struct arena mem = {0};
	PGresult *r;

	(void)o;
	enum err rc = pg_query(c, sql, 0, NULL, "checking the source", &mem, &r, e);
	if (rc == OK)
		rc = check_wal_level(r, e);
	if (rc == OK)
		rc = check_role(r, e);
	if (rc == OK)
		rc = check_room(r, slot_exists, e);
	arena_free(&mem);
	return rc;
}

static enum err no_key(const struct table *t, const char *why, struct error *e)
{
	return FAIL(e, ERR_USAGE,
		"checking the source: table %.*s.%.*s %s, so the rows that change in it cannot be "
		"told apart, and PostgreSQL refuses UPDATE and DELETE on it once it is published; "
		"add a primary key, or run ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL (or USING "
		"INDEX ...), or leave it out with '!%.*s.%.*s' in [source] tables; when its rows "
		"are only ever added, say so: [table %.*s.%.*s] insert_only = true",
		STR_ARG(t->schema), STR_ARG(t->name), why, STR_ARG(t->schema), STR_ARG(t->name),
		STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(t->schema), STR_ARG(t->name));
}

static bool is_insert_only(const struct replicate_options *o, const struct table *t)
{
	struct arena mem = {0};
	struct str name = table_full_name(t, &mem);
	bool found = false;

	for (size_t i = 0; i < o->ninsert_only; i++)
		found |= str_eqc(name, o->insert_only[i]);
	arena_free(&mem);
	return found;
}

static enum err check_table(
	const struct replicate_options *o, const struct table *t, struct error *e)
{
	if (is_insert_only(o, t))
		return OK;
	if (t->identity == IDENTITY_NOTHING)
		return no_key(t, "has REPLICA IDENTITY NOTHING", e);
	return t->nkeys > 0 ? OK : no_key(t, "has no primary key", e);
}

static enum err check_valid_times(
	const struct replicate_options *o, const struct pg_tables *t, struct error *e)
{
	for (size_t i = 0; i < o->nvalid_times; i++) {
		const struct replicate_valid_time *v = &o->valid_times[i];
		struct str name = str_of(v->table), schema = STR_NONE;
		bool known = false;
		(void)str_cut(&name, '.', &schema);
		for (size_t k = 0; k < t->n; k++) {
			const struct table *one = t->tables[k];
			if (!str_eq(one->schema, schema) || !str_eq(one->name, name))
				continue;
			known = true;
			if (table_column(one, str_of(v->column)) < 0)
				return FAIL(e, ERR_USAGE,
					"checking the source: [table %s] valid_time names the "
					"column "
					"%s, which the table does not have",
					v->table, v->column);
		}
		if (!known)
			return FAIL(e, ERR_USAGE,
				"checking the source: [table %s] is not among the tables that "
				"[source] "
				"tables = %s matches",
				v->table, o->tables);
	}
	return OK;
}

enum err init_check_tables(
	const struct replicate_options *o, const struct pg_tables *t, struct error *e)
{
	if (t->n == 0)
		return FAIL(e, ERR_USAGE,
			"checking the source: no table matches [source] tables = %s; name tables "
			"such as public.*",
			o->tables);
	for (size_t i = 0; i < t->n; i++)
		TRY(check_table(o, t->tables[i], e));
	return check_valid_times(o, t, e);
}
