/*
 * Schema sluice, from sql/handback/NNNN_*.sql: each file once, in order, its digest recorded. A
 * file that was applied may never change afterwards.
 */
#include "buf.h"
#include "embedded.h"
#include "enc.h"
#include "handback.h"
#include "pg_conn.h"

#define FOLDER "sql/handback/"

struct applying {
	struct pg *c;
	struct arena *mem;
};

static enum err recorded(struct applying *a, const char *name, struct str *sha256, struct error *e)
{
	const char *const params[] = {name};
	PGresult *r;

	TRY(pg_query(a->c, "SELECT sha256 FROM sluice.schema_migrations WHERE name = $1", 1, params,
		"reading which parts of schema sluice stand", a->mem, &r, e));
	*sha256 = PQntuples(r) > 0 ? pg_cell_str(r, 0, 0) : STR_NONE;
	return OK;
}

static enum err apply_file(void *arg, const struct embedded_file *f, struct error *e)
{
	struct applying *a = arg;
	char digest[ENC_SHA256_TEXT];
	const char *const params[] = {f->name, digest};
	struct str before;
	PGresult *r;

	enc_sha256(embedded_text(f), digest);
	TRY(recorded(a, f->name, &before, e));
	if (str_eqc(before, digest))
		return OK;
	if (before.n > 0)
		return FAIL(e, ERR_FAILED,
			"making schema sluice: %s was applied with another content; this database "
			"was made by another build of sluice: use that one, or one newer",
			f->name);
	TRY(pg_exec(a->c, f->data, "making schema sluice", e));
	return pg_query(a->c, "INSERT INTO sluice.schema_migrations (name, sha256) VALUES ($1, $2)",
		2, params, "recording a part of schema sluice", a->mem, &r, e);
}

/* Asked first, so that who only reads needs no right to create anything. Asked of the catalog's
 * rows: to_regclass() may answer from a cache older than the lock that was waited for. */
static enum err stands(struct applying *a, bool *yes, struct error *e)
{
	PGresult *r;

	*yes = false;
	TRY(pg_query(a->c,
		"SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
		"ON n.oid = c.relnamespace WHERE n.nspname = 'sluice' AND c.relname = "
		"'schema_migrations'",
		0, NULL, "looking for schema sluice", a->mem, &r, e));
	*yes = pg_cell_i64(r, 0, 0) > 0;
	return OK;
}

struct looking {
	struct applying *a;
	bool current;
};

static enum err look_at_file(void *arg, const struct embedded_file *f, struct error *e)
{
	struct looking *l = arg;
	char digest[ENC_SHA256_TEXT];
	struct str before;

	enc_sha256(embedded_text(f), digest);
	TRY(recorded(l->a, f->name, &before, e));
	l->current = l->current && str_eqc(before, digest);
	return OK;
}

static enum err is_current(struct applying *a, bool *yes, struct error *e)
{
	struct looking l = {a, false};

	TRY(stands(a, &l.current, e));
	if (l.current)
		TRY(embedded_each(FOLDER, look_at_file, &l, e));
	*yes = l.current;
	return OK;
}

static enum err make(struct applying *a, struct error *e)
{
	bool yes = false;

	TRY(pg_exec(a->c, "SELECT pg_advisory_xact_lock(hashtextextended('sluice.schema', 0))",
		"waiting for others that make schema sluice", e));
	TRY(stands(a, &yes, e));
	if (!yes)
		TRY(pg_exec(a->c,
			"CREATE SCHEMA IF NOT EXISTS sluice; "
			"CREATE TABLE sluice.schema_migrations (name text PRIMARY KEY, sha256 text "
			"NOT "
			"NULL, applied_at timestamptz NOT NULL DEFAULT now())",
			"making schema sluice", e));
	return embedded_each(FOLDER, apply_file, a, e);
}

enum err handback_ensure_schema(struct pg *c, struct error *e)
{
	struct arena mem = {0};
	struct applying a = {c, &mem};
	bool yes = false;
	enum err rc = is_current(&a, &yes, e);

	if (rc == OK && !yes) {
		rc = pg_exec(c, "BEGIN", "opening a transaction for schema sluice", e);
		if (rc == OK)
			rc = make(&a, e);
		rc = rc == OK ? pg_exec(c, "COMMIT", "committing schema sluice", e) : rc;
		if (rc != OK && PQtransactionStatus(c->conn) != PQTRANS_IDLE)
			PQclear(PQexec(c->conn, "ROLLBACK")); /* the first failure is told */
	}
	arena_free(&mem);
	return rc;
}
