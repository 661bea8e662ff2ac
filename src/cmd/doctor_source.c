/* What PostgreSQL must be and have. */
#include <string.h>

#include "doctor.h"

#define LEAST_VERSION 130000 /* pg_current_snapshot() and the slots' wal_status */

static void check_reachable(struct doctor *d, struct finding *f)
{
	finding_ok(d, f, "connected to %.*s", STR_ARG(pg_describe(d->source, d->mem)));
}

static void check_version(struct doctor *d, struct finding *f)
{
	int v = d->source->server_version;
	if (v >= LEAST_VERSION)
		finding_ok(d, f, "PostgreSQL %d.%d", v / 10000, v % 10000);
	else
		finding_no(d, f,
			"upgrade the server to PostgreSQL 13 or later; on RDS, modify the "
			"instance's "
			"engine version",
			"PostgreSQL %d.%d is older than 13", v / 10000, v % 10000);
}

/* One row of one query; false when the check could not be made. */
static bool ask_row(
	struct doctor *d, struct finding *f, const char *sql, const char *param, PGresult **out)
{
	struct error e = {.kind = OK};
	const char *params[] = {param};
	enum err rc = pg_query(d->source, sql, param != NULL ? 1 : 0, params,
		"looking at the server's settings", d->mem, out, &e);

	if (rc == OK && PQntuples(*out) == 0)
		rc = FAIL(&e, ERR_FAILED, "looking at the server's settings: no answer");
	if (rc != OK)
		finding_unknown(d, f, &e, "see the message; the role may need more rights");
	return rc == OK;
}

static void check_wal_level(struct doctor *d, struct finding *f)
{
	PGresult *r;
	if (!ask_row(d, f, "SELECT current_setting('wal_level')", NULL, &r))
		return;
	const char *level = pg_cell(r, 0, 0);
	if (strcmp(level, "logical") == 0)
		finding_ok(d, f, "wal_level is logical");
	else
		finding_no(d, f,
			"ALTER SYSTEM SET wal_level = logical, then restart the server; on RDS, "
			"set "
			"rds.logical_replication = 1 in the instance's parameter group, then "
			"reboot",
			"wal_level is %s", level);
}

/* A place must be free, unless what would take it is ours already. */
static void check_room(struct doctor *d, struct finding *f, const char *setting, const char *sql)
{
	PGresult *r;
	if (!ask_row(d, f, sql, d->c->set->source.slot, &r))
		return;
	int64_t most = pg_cell_i64(r, 0, 0), used = pg_cell_i64(r, 0, 1);
	bool ours = pg_cell_bool(r, 0, 2);
	if (used < most || ours)
		finding_ok(d, f, "%lld of %lld used%s", (long long)used, (long long)most,
			ours ? ", one of them by this slot" : "");
	else
		finding_no(d, f,
			arena_fmt(d->mem,
				"ALTER SYSTEM SET %s = %lld, then restart the server; on RDS, set "
				"%s "
				"in the instance's parameter group, then reboot; or drop what is "
				"no "
				"longer used",
				setting, (long long)most + 5, setting)
				.p,
			"%lld of %lld used", (long long)used, (long long)most);
}

static void check_slots(struct doctor *d, struct finding *f)
{
	check_room(d, f, "max_replication_slots",
		"SELECT current_setting('max_replication_slots'), count(*), "
		"coalesce(bool_or(slot_name = $1), false) FROM pg_replication_slots");
}

static void check_senders(struct doctor *d, struct finding *f)
{
	check_room(d, f, "max_wal_senders",
		"SELECT current_setting('max_wal_senders'), count(*), "
		"coalesce(bool_or(pid IN (SELECT active_pid FROM pg_replication_slots "
		"WHERE slot_name = $1)), false) FROM pg_stat_replication");
}

static void check_role(struct doctor *d, struct finding *f)
{
	PGresult *r;
	if (!ask_row(d, f,
		    "SELECT current_user, (SELECT rolreplication OR rolsuper FROM pg_roles "
		    "WHERE rolname = current_user) OR EXISTS (SELECT FROM pg_roles WHERE "
		    "rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'member'))",
		    NULL, &r))
		return;
	const char *role = pg_cell(r, 0, 0);
	if (pg_cell_bool(r, 0, 1))
		finding_ok(d, f, "role %s may replicate", role);
	else
		finding_no(d, f,
			arena_fmt(d->mem,
				"ALTER ROLE \"%s\" REPLICATION; on RDS, GRANT rds_replication TO "
				"\"%s\"",
				role, role)
				.p,
			"role %s may not replicate", role);
}

static void check_slot_limit(struct doctor *d, struct finding *f)
{
	PGresult *r;
	if (!ask_row(d, f, "SELECT current_setting('max_slot_wal_keep_size')", NULL, &r))
		return;
	const char *limit = pg_cell(r, 0, 0);
	if (strcmp(limit, "-1") != 0)
		finding_ok(d, f, "a slot retains at most %s", limit);
	else
		finding_no(d, f,
			"ALTER SYSTEM SET max_slot_wal_keep_size = '20GB' (what the disk can "
			"spare), "
			"then SELECT pg_reload_conf(); on RDS, set max_slot_wal_keep_size, in MB, "
			"in "
			"the instance's parameter group",
			"max_slot_wal_keep_size is -1: a slot that nobody reads can fill the "
			"server's disk");
}

static void put_name(struct buf *b, const struct table *t)
{
	buf_putf(b, "%s%.*s.%.*s", b->n > 0 ? ", " : "", STR_ARG(t->schema), STR_ARG(t->name));
}

static bool lacks_key(const struct table *t)
{
	return t->identity == IDENTITY_NOTHING || t->nkeys == 0;
}

static bool is_insert_only(struct doctor *d, const struct table *t)
{
	struct str name = table_full_name(t, d->mem);
	const struct table_settings *s = settings_table(d->c->set, name.p);

	return s != NULL && s->insert_only;
}

static void judge_tables(struct doctor *d, struct finding *f)
{
	struct buf keyless, added;
	buf_init(&keyless, 600);
	buf_init(&added, 600);
	for (size_t i = 0; i < d->tables.n; i++)
		if (lacks_key(d->tables.tables[i]))
			put_name(is_insert_only(d, d->tables.tables[i]) ? &added : &keyless,
				d->tables.tables[i]);
	if (d->tables.n == 0)
		finding_no(d, f, "correct [source] tables, or make the tables",
			"no table matches \"%s\"", d->c->set->source.tables);
	else if (keyless.n > 0)
		finding_no(d, f,
			"add a primary key, or ALTER TABLE ... REPLICA IDENTITY FULL (or USING "
			"INDEX ...), or leave the table out with !SCHEMA.NAME in [source] tables",
			"without a replica identity: %s", buf_cstr(&keyless));
	else if (added.n > 0)
		finding_ok(d, f,
			"%zu table%s; insert-only, as the configuration says, so that PostgreSQL "
			"refuses UPDATE and DELETE on them: %s",
			d->tables.n, d->tables.n == 1 ? "" : "s", buf_cstr(&added));
	else
		finding_ok(d, f, "%zu table%s, each with a replica identity", d->tables.n,
			d->tables.n == 1 ? "" : "s");
	buf_free(&keyless);
	buf_free(&added);
}

static void check_tables(struct doctor *d, struct finding *f)
{
	struct error e = {.kind = OK};
	if (pg_match_tables(d->source, d->c->set->source.tables, d->mem, &d->tables, &e) != OK) {
		finding_unknown(d, f, &e, "correct [source] tables");
		return;
	}
	d->tables_known = true;
	judge_tables(d, f);
}

static bool has_table(const struct pg_tables *all, const struct table *t)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->tables[i]->relid == t->relid)
			return true;
	return false;
}

static void check_publication(struct doctor *d, struct finding *f)
{
	static const char fix[] =
		"run `sluice init`: it makes the publication and adds tables to it";
	const char *name = d->c->set->source.publication;
	struct pg_tables have = {.n = 0};
	struct error e = {.kind = OK};
	PGresult *r;

	if (!ask_row(d, f, "SELECT count(*) FROM pg_publication WHERE pubname = $1", name, &r))
		return;
	if (pg_cell_i64(r, 0, 0) == 0) {
		finding_no(d, f, fix, "there is no publication %s", name);
		return;
	}
	if (pg_publication_tables(d->source, name, d->mem, &have, &e) != OK) {
		finding_unknown(d, f, &e, fix);
		return;
	}
	if (!d->tables_known) {
		finding_no(d, f, "mend what the check of the tables names",
			"it is not known which tables publication %s should have", name);
		return;
	}
	struct buf missing;
	buf_init(&missing, 600);
	for (size_t i = 0; i < d->tables.n; i++)
		if (!has_table(&have, d->tables.tables[i]))
			put_name(&missing, d->tables.tables[i]);
	if (missing.n > 0 || have.n == 0)
		finding_no(d, f, fix, "publication %s lacks %s", name,
			missing.n > 0 ? buf_cstr(&missing) : "every table");
	else
		finding_ok(d, f, "publication %s has %zu table%s", name, have.n,
			have.n == 1 ? "" : "s");
	buf_free(&missing);
}

static bool is_lost(const struct pg_slot *s)
{
	return str_eqc(s->wal_status, "lost") || str_eqc(s->wal_status, "unreserved");
}

static void check_slot(struct doctor *d, struct finding *f)
{
	const char *name = d->c->set->source.slot;
	struct pg_slot s = {.exists = false};
	struct error e = {.kind = OK};

	if (pg_slot(d->source, name, d->mem, &s, &e) != OK)
		finding_unknown(d, f, &e, "see the message");
	else if (!s.exists)
		finding_no(
			d, f, "run `sluice init`: it makes the slot", "there is no slot %s", name);
	else if (!str_eqc(s.plugin, "pgoutput"))
		finding_no(d, f, "name another slot in [source] slot, then run `sluice init`",
			"slot %s decodes with %.*s, not pgoutput", name, STR_ARG(s.plugin));
	else if (is_lost(&s))
		finding_no(d, f,
			"raise max_slot_wal_keep_size; a lost slot must be dropped and replication "
			"started anew: pg_drop_replication_slot, `sluice init`, `sluice replicate`",
			"the log that slot %s needs is %.*s", name, STR_ARG(s.wal_status));
	else
		finding_ok(d, f, "slot %s is %s and retains %lld MB", name,
			s.active ? "being read" : "idle", (long long)(s.retained_bytes >> 20));
}

const struct doctor_check doctor_source_checks[] = {
	{"source_reachable", true, check_reachable},
	{"server_version", true, check_version},
	{"wal_level", true, check_wal_level},
	{"max_replication_slots", true, check_slots},
	{"max_wal_senders", true, check_senders},
	{"role_may_replicate", true, check_role},
	{"max_slot_wal_keep_size", true, check_slot_limit},
	{"tables", true, check_tables},
	{"publication", true, check_publication},
	{"slot", true, check_slot},
	{.name = NULL},
};
