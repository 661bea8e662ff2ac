#include "release_db.h"

#include <inttypes.h>
#include <pwd.h>
#include <unistd.h>

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

const char *release_number(struct arena *mem, int64_t n)
{
	return arena_fmt(mem, "%" PRId64, n).p;
}

enum err release_person(const char *person, struct arena *mem, const char **out, struct error *e)
{
	struct str s = str_trim(str_of(person));

	if (s.n == 0 || s.n > 200 || !str_is_utf8(s))
		return FAIL(e, ERR_USAGE,
			"naming who acts: \"%.*s\" is no name; give --person or set [handback] "
			"person",
			STR_ARG(s));
	*out = arena_cstr(mem, s);
	return OK;
}

struct str handback_login(struct arena *mem)
{
	struct passwd entry, *found = NULL;
	char text[4096];

	if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found != NULL)
		return arena_str(mem, str_of(found->pw_name));
	return arena_fmt(mem, "uid %lu", (unsigned long)geteuid());
}

enum err release_db_begin(struct pg *c, const char *workflow, struct error *e)
{
	struct arena mem = {0};
	PGresult *r;

	TRY(pg_exec(c, "BEGIN ISOLATION LEVEL READ COMMITTED",
		"opening the transaction for a release", e));
	enum err rc = pg_query(c,
		"SELECT pg_advisory_xact_lock(hashtextextended('sluice.release.' || $1::text, 0))",
		PARAMS(workflow), "waiting for others that change this workflow", &mem, &r, e);
	arena_free(&mem);
	return rc == OK ? OK : release_db_end(c, rc, e);
}

enum err release_db_end(struct pg *c, enum err rc, struct error *e)
{
	if (rc == OK)
		rc = pg_exec(c, "COMMIT", "committing the change of a release", e);
	if (rc == OK || PQstatus(c->conn) != CONNECTION_OK ||
		PQtransactionStatus(c->conn) == PQTRANS_IDLE)
		return rc;
	struct error ignored = {0};
	/* The first failure is the one to tell; a connection that cannot even roll back is closed
	 * by its owner, and the server rolls back then. */
	IGNORE(pg_exec(c, "ROLLBACK", "rolling back", &ignored));
	return rc;
}

static const char landed_sql[] =
	"SELECT version, row_count, manifest, manifest_sha256, checks::text, producer, checks_ok, "
	"dropped_at IS NULL, rolled_back_at IS NOT NULL, "
	"to_char(landed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
	"FROM sluice.releases AS r WHERE workflow = $1 AND version = "
	"CASE WHEN $2 = '0' THEN (SELECT live_version FROM sluice.workflows AS w "
	"WHERE w.workflow = $1) ELSE $2::bigint END";

enum err release_db_landed(struct pg *c, const char *workflow, int64_t version, struct arena *mem,
	struct landed *out, struct error *e)
{
	PGresult *r;

	*out = (struct landed){.exists = false};
	TRY(pg_query(c, landed_sql, PARAMS(workflow, release_number(mem, version)),
		"reading what has been landed", mem, &r, e));
	if (PQntuples(r) == 0)
		return OK;
	*out = (struct landed){
		.exists = true,
		.version = pg_cell_i64(r, 0, 0),
		.rows = pg_cell_i64(r, 0, 1),
		.manifest = pg_cell_str(r, 0, 2),
		.manifest_sha256 = pg_cell_str(r, 0, 3),
		.checks = pg_cell_str(r, 0, 4),
		.producer = pg_cell_str(r, 0, 5),
		.checks_ok = pg_cell_bool(r, 0, 6),
		.kept = pg_cell_bool(r, 0, 7),
		.rolled_back = pg_cell_bool(r, 0, 8),
		.landed_at = pg_cell_str(r, 0, 9),
	};
	return OK;
}

enum err release_db_highest(
	struct pg *c, const char *workflow, struct arena *mem, int64_t *out, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c, "SELECT coalesce(max(version), 0) FROM sluice.releases WHERE workflow = $1",
		PARAMS(workflow), "finding the newest landed version", mem, &r, e));
	*out = pg_cell_i64(r, 0, 0);
	return OK;
}

enum err release_db_load(struct pg *c, const char *workflow, int64_t version, int64_t rows,
	struct arena *mem, struct error *e)
{
	const char *v = release_number(mem, version);
	int64_t loaded = -1;
	PGresult *r;

	TRY(pg_query(c, "DELETE FROM sluice.scores WHERE workflow = $1 AND version = $2::bigint",
		PARAMS(workflow, v), "making room for the scores", mem, &r, e));
	TRY(pg_query(c,
		"INSERT INTO sluice.scores (workflow, version, key, score) "
		"SELECT $1::text, $2::bigint, key, score FROM sluice_staging ORDER BY key",
		PARAMS(workflow, v), "loading the scores", mem, &r, e));
	if (!str_to_i64(str_of(PQcmdTuples(r)), &loaded) || loaded != rows)
		return FAIL(e, ERR_FAILED,
			"loading the scores of %s version %s: %" PRId64 " of %" PRId64
			" rows arrived; nothing was kept, try again",
			workflow, v, loaded, rows);
	return OK;
}

enum err release_db_flip(
	struct pg *c, const char *workflow, int64_t version, struct arena *mem, struct error *e)
{
	PGresult *r;

	return pg_query(c,
		"INSERT INTO sluice.workflows (workflow, live_version) VALUES ($1, $2::bigint) "
		"ON CONFLICT (workflow) DO UPDATE SET live_version = excluded.live_version, "
		"moved_at = now()",
		PARAMS(workflow, release_number(mem, version)), "making the version live", mem, &r,
		e);
}

enum err release_db_drop_old(struct pg *c, const char *workflow, struct arena *mem, struct error *e)
{
	PGresult *r;

	TRY(pg_query(c,
		"WITH old AS (UPDATE sluice.releases SET dropped_at = now() WHERE workflow = $1 "
		"AND dropped_at IS NULL AND version NOT IN (SELECT version FROM sluice.releases "
		"WHERE workflow = $1 AND dropped_at IS NULL ORDER BY version DESC LIMIT $2::int) "
		"AND version NOT IN (SELECT live_version FROM sluice.workflows WHERE workflow = "
		"$1) "
		"RETURNING version) "
		"DELETE FROM sluice.scores WHERE workflow = $1 AND version IN (SELECT version FROM "
		"old)",
		PARAMS(workflow, release_number(mem, RELEASES_KEPT)),
		"dropping the scores of old versions", mem, &r, e));
	return OK;
}

enum err release_db_audit(struct pg *c, const char *workflow, const char *action, int64_t version,
	const char *person, const char *detail, struct error *e)
{
	struct arena mem = {0};
	PGresult *r;
	enum err rc = pg_query(c,
		"INSERT INTO sluice.audit (workflow, action, version, person, detail) "
		"VALUES ($1, $2, nullif($3::bigint, 0), $4, $5)",
		PARAMS(workflow, action, release_number(&mem, version), person, detail),
		"writing the audit", &mem, &r, e);

	arena_free(&mem);
	return rc;
}
