/* How the connection, the server's settings and the role's rights fit replication. */
#include <string.h>

#include "doctor.h"

/* One row of one query; false, and the finding made, when the check could not be made. */
static bool ask(struct doctor *d, struct finding *f, const char *sql, PGresult **out)
{
	struct error e = {.kind = OK};
	enum err rc = pg_query(d->source, sql, 0, NULL, "looking at the server", d->mem, out, &e);

	if (rc == OK && PQntuples(*out) == 0)
		rc = FAIL(&e, ERR_FAILED, "looking at the server: no answer");
	if (rc != OK)
		finding_unknown(d, f, &e, "see the message; the role may need more rights");
	return rc == OK;
}

/* ---- connection ---- */

static const char *option_of(struct doctor *d, const char *keyword)
{
	PQconninfoOption *all = PQconninfo(d->source->conn);
	const char *value = "";

	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
			value = arena_cstr(d->mem, str_of(o->val));
	PQconninfoFree(all);
	return value;
}

static bool stays_here(const char *host)
{
	return host == NULL || host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
		strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		strcmp(host, "::1") == 0;
}

static void check_tls(struct doctor *d, struct finding *f)
{
	PGconn *c = d->source->conn;
	const char *host = PQhost(c), *mode = option_of(d, "sslmode");

	if (host != NULL && host[0] == '/')
		finding_ok(d, f, "a Unix socket, which needs no TLS");
	else if (PQsslInUse(c) && strcmp(mode, "verify-full") == 0)
		finding_ok(d, f, "%s, sslmode verify-full: the server has proven its name",
			PQsslAttribute(c, "protocol"));
	else if (stays_here(host))
		finding_ok(d, f, "%s to %s, which does not leave this machine",
			PQsslInUse(c) ? PQsslAttribute(c, "protocol") : "no TLS", host);
	else
		finding_no(d, f,
			"put sslmode=verify-full and sslrootcert=FILE into [source] url; for RDS, "
			"FILE is Amazon's bundle global-bundle.pem, and rds.force_ssl = 1 in the "
			"parameter group refuses others",
			"%s with sslmode %s: whoever stands between could read and change everything",
			PQsslInUse(c) ? PQsslAttribute(c, "protocol") : "no TLS", mode);
}

/* ---- settings ---- */

/* The setting exists on RDS only; wal_level follows from it. */
static void check_rds(struct doctor *d, struct finding *f)
{
	PGresult *r;

	if (!ask(d, f, "SELECT current_setting('rds.logical_replication', true)", &r))
		return;
	const char *on = pg_cell(r, 0, 0);
	if (on == NULL || on[0] == '\0')
		finding_ok(d, f, "not Amazon RDS");
	else if (strcmp(on, "on") == 0 || strcmp(on, "1") == 0)
		finding_ok(d, f, "rds.logical_replication is on");
	else
		finding_no(d, f,
			"set rds.logical_replication = 1 in the instance's parameter group (of the "
			"cluster, for Aurora), then reboot the instance",
			"rds.logical_replication is %s", on);
}

#define LEAST_TIMEOUT_MS 10000

static void check_sender_timeout(struct doctor *d, struct finding *f)
{
	PGresult *r;

	if (!ask(d, f,
		    "SELECT setting::bigint, current_setting('wal_sender_timeout') FROM "
		    "pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
		    &r))
		return;
	int64_t ms = pg_cell_i64(r, 0, 0);
	const char *said = pg_cell(r, 0, 1);
	if (ms >= LEAST_TIMEOUT_MS)
		finding_ok(d, f, "%s", said);
	else
		finding_no(d, f,
			"ALTER SYSTEM SET wal_sender_timeout = '60s', then SELECT pg_reload_conf(); on "
			"RDS, set wal_sender_timeout = 60000 in the parameter group",
			ms == 0 ? "%s: the server never notices that a reader has vanished, and its "
				  "slot stays taken"
				: "%s is shorter than sluice's sign of life every 5 s is safe with",
			said);
}

static void check_work_mem(struct doctor *d, struct finding *f)
{
	PGresult *r;

	if (ask(d, f, "SELECT current_setting('logical_decoding_work_mem')", &r))
		finding_ok(d, f,
			"%s: a transaction larger than that is streamed while it runs (PostgreSQL 14 "
			"and later), or spilled on the server's disk; raise it when pg_stat_replication_slots "
			"shows many spills",
			pg_cell(r, 0, 0));
}

/* A setting of PostgreSQL 18 that drops what a slot holds back when nobody reads it for a time. */
static void check_idle_timeout(struct doctor *d, struct finding *f)
{
	PGresult *r;

	if (!ask(d, f, "SELECT current_setting('idle_replication_slot_timeout', true)", &r))
		return;
	const char *after = pg_cell(r, 0, 0);
	if (after == NULL || after[0] == '\0' || strcmp(after, "0") == 0)
		finding_ok(d, f, "slots are not invalidated for being idle");
	else
		finding_ok(d, f,
			"a slot that is not read for %s is invalidated: do not stop replication longer",
			after);
}

static void check_standby(struct doctor *d, struct finding *f)
{
	PGresult *r;

	if (!ask(d, f,
		    "SELECT pg_catalog.pg_is_in_recovery(), current_setting('hot_standby_feedback') = "
		    "'on'",
		    &r))
		return;
	int version = d->source->server_version / 10000;
	if (!pg_cell_bool(r, 0, 0))
		finding_ok(d, f, "the server is a primary");
	else if (version < 16)
		finding_no(d, f, "set [source] url to the primary, or upgrade to PostgreSQL 16",
			"the server is a standby, and PostgreSQL %d cannot decode there", version);
	else if (!pg_cell_bool(r, 0, 1))
		finding_no(d, f,
			"ALTER SYSTEM SET hot_standby_feedback = on, then SELECT pg_reload_conf(); on "
			"RDS, set hot_standby_feedback = 1 in the replica's parameter group",
			"the server is a standby without hot_standby_feedback: the primary may remove "
			"catalog rows that decoding needs, and the slot is then lost");
	else
		finding_ok(d, f,
			"the server is a standby; its primary needs wal_level logical too, and the "
			"publication is made there");
}

/* A slot of PostgreSQL 17 goes with a failover when it was made so. */
static void check_failover(struct doctor *d, struct finding *f)
{
	PGresult *r;
	const char *params[] = {d->c->set->source.slot};
	struct error e = {.kind = OK};

	if (d->source->server_version < 170000) {
		finding_ok(d, f,
			"PostgreSQL %d keeps slots on one server only: after a failover replication "
			"starts anew",
			d->source->server_version / 10000);
		return;
	}
	if (pg_query(d->source,
		    "SELECT failover FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", 1,
		    params, "looking at the slot", d->mem, &r, &e) != OK)
		finding_unknown(d, f, &e, "see the message");
	else if (PQntuples(r) == 0 || pg_cell_bool(r, 0, 0))
		finding_ok(d, f,
			"slots are made to follow a failover; the standby needs "
			"sync_replication_slots = on");
	else
		finding_no(d, f,
			"while nothing reads from it: on a replication connection, "
			"ALTER_REPLICATION_SLOT name (FAILOVER true)",
			"the slot does not follow a failover");
}

/* ---- rights ---- */

/* Of the tables that are to be replicated, those for which a condition on class c holds. */
static bool name_tables(
	struct doctor *d, struct finding *f, const char *condition, struct buf *names)
{
	buf_init(names, 2000);
	if (!d->tables_known) {
		finding_no(d, f, "mend what the check of the tables names",
			"it is not known which tables to look at");
		return false;
	}
	for (size_t i = 0; i < d->tables.n; i++) {
		const struct table *t = d->tables.tables[i];
		PGresult *r;
		const char *sql = arena_fmt(d->mem,
			"SELECT %s FROM pg_catalog.pg_class c WHERE c.oid = %u", condition,
			t->relid)
					  .p;
		if (!ask(d, f, sql, &r))
			return false;
		if (pg_cell_bool(r, 0, 0))
			buf_putf(names, "%s%.*s.%.*s", names->n > 0 ? ", " : "", STR_ARG(t->schema),
				STR_ARG(t->name));
	}
	return true;
}

static void check_grants(struct doctor *d, struct finding *f)
{
	struct buf names;

	if (name_tables(d, f,
		    "NOT (pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND "
		    "(pg_catalog.has_table_privilege(c.oid, 'SELECT') OR "
		    "pg_catalog.has_any_column_privilege(c.oid, 'SELECT')))",
		    &names)) {
		if (names.n == 0)
			finding_ok(d, f, "every table can be read");
		else
			finding_no(d, f,
				arena_fmt(d->mem,
					"GRANT USAGE ON SCHEMA ... TO \"%s\"; GRANT SELECT ON %s TO "
					"\"%s\"",
					PQuser(d->source->conn), buf_cstr(&names),
					PQuser(d->source->conn))
					.p,
				"the role may not read %s", buf_cstr(&names));
	}
	buf_free(&names);
}

/* The stream has every row, whatever the policies; a copy has only those they let through. */
static void check_row_security(struct doctor *d, struct finding *f)
{
	struct buf names;

	if (name_tables(d, f, "pg_catalog.row_security_active(c.oid)", &names)) {
		if (names.n == 0)
			finding_ok(d, f, "no policy hides rows from the role");
		else
			finding_no(d, f,
				arena_fmt(d->mem, "ALTER ROLE \"%s\" BYPASSRLS",
					PQuser(d->source->conn))
					.p,
				"row security hides rows of %s from the first copy",
				buf_cstr(&names));
	}
	buf_free(&names);
}

static const char *identity_word(const struct table *t)
{
	switch (t->identity) {
	case IDENTITY_DEFAULT:
		return t->nkeys > 0 ? "primary key" : "NONE";
	case IDENTITY_INDEX:
		return "index";
	case IDENTITY_FULL:
		return "full";
	case IDENTITY_NOTHING:
		break;
	}
	return "NOTHING";
}

static void check_identities(struct doctor *d, struct finding *f)
{
	struct buf text;
	bool all = true;

	if (!d->tables_known) {
		finding_no(d, f, "mend what the check of the tables names",
			"it is not known which tables to look at");
		return;
	}
	buf_init(&text, 900);
	for (size_t i = 0; i < d->tables.n && text.n < 800; i++) {
		const struct table *t = d->tables.tables[i];
		buf_putf(&text, "%s%.*s.%.*s by %s", i > 0 ? ", " : "", STR_ARG(t->schema),
			STR_ARG(t->name), identity_word(t));
	}
	for (size_t i = 0; i < d->tables.n; i++)
		all &= d->tables.tables[i]->identity != IDENTITY_NOTHING &&
			d->tables.tables[i]->nkeys > 0;
	if (all)
		finding_ok(d, f, "%s", buf_cstr(&text));
	else
		finding_no(d, f,
			"add a primary key, or ALTER TABLE ... REPLICA IDENTITY USING INDEX ... or FULL; "
			"without one only inserts can be replicated",
			"%s", buf_cstr(&text));
	buf_free(&text);
}

const struct doctor_check doctor_server_checks[] = {
	{"tls", true, check_tls},
	{"rds.logical_replication", true, check_rds},
	{"wal_sender_timeout", true, check_sender_timeout},
	{"logical_decoding_work_mem", true, check_work_mem},
	{"idle_slot_timeout", true, check_idle_timeout},
	{"standby", true, check_standby},
	{"failover", true, check_failover},
	{"grants", true, check_grants},
	{"row_security", true, check_row_security},
	{"replica_identity", true, check_identities},
	{.name = NULL},
};
