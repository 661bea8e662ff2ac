#include "local_db.h"

#include <string.h>

static const char tables[] =
	"CREATE TABLE IF NOT EXISTS models ("
	" model TEXT PRIMARY KEY, last_version INTEGER NOT NULL) STRICT;"
	"CREATE TABLE IF NOT EXISTS versions ("
	" model TEXT NOT NULL, version INTEGER NOT NULL, created_us INTEGER NOT NULL,"
	" sha256 TEXT NOT NULL, metadata TEXT NOT NULL, PRIMARY KEY (model, version)) STRICT;"
	"CREATE INDEX IF NOT EXISTS versions_by_artifact ON versions (sha256);"
	"CREATE TABLE IF NOT EXISTS aliases ("
	" model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,"
	" PRIMARY KEY (model, alias),"
	" FOREIGN KEY (model, version) REFERENCES versions ON DELETE CASCADE) STRICT;";

static enum err fail(sqlite3 *db, const char *doing, struct error *e)
{
	int code = sqlite3_errcode(db) & 0xff;
	const char *file = sqlite3_db_filename(db, "main");

	if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
		return FAIL(e, ERR_UNAVAILABLE,
			"%s in %s: another process holds it (%s); try again", doing,
			file != NULL ? file : "the registry", sqlite3_errmsg(db));
	return FAIL(e, ERR_FAILED, "%s in %s: %s", doing, file != NULL ? file : "the registry",
		sqlite3_errmsg(db));
}

static enum err run(sqlite3 *db, const char *sql, const char *doing, struct error *e)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db, doing, e);
	return OK;
}

/* WAL survives a crash at any point; FULL keeps a commit that was reported after a power cut. */
static enum err prepare_file(sqlite3 *db, struct error *e)
{
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 30000);
	TRY(run(db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA foreign_keys = ON",
		"setting up the model registry", e));
	TRY(local_db_begin(db, e));
	return local_db_end(db, run(db, tables, "making the tables of the model registry", e), e);
}

enum err local_db_open(const char *path, sqlite3 **out, struct error *e)
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
	enum err rc = OK;

	*out = NULL;
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		rc = FAIL(e, ERR_FAILED,
			"opening the model registry %s: %s; see that the directory can be written",
			path, db != NULL ? sqlite3_errmsg(db) : "no memory");
	else
		rc = prepare_file(db, e);
	if (rc != OK) {
		sqlite3_close(db);
		return rc;
	}
	*out = db;
	return OK;
}

enum err local_db_begin(sqlite3 *db, struct error *e)
{
	return run(db, "BEGIN IMMEDIATE", "beginning a change", e);
}

enum err local_db_end(sqlite3 *db, enum err rc, struct error *e)
{
	if (rc == OK)
		rc = run(db, "COMMIT", "committing a change", e);
	/* A failed COMMIT can leave the transaction open. */
	if (rc != OK && sqlite3_get_autocommit(db) == 0)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* A prepared statement and what is bound to it, in order. */
struct query {
	sqlite3 *db;
	sqlite3_stmt *st;
	int bound;
	const char *doing;
	bool bad;
};

static struct query query_open(sqlite3 *db, const char *sql, const char *doing)
{
	struct query q = {.db = db, .doing = doing};

	q.bad = sqlite3_prepare_v2(db, sql, -1, &q.st, NULL) != SQLITE_OK;
	return q;
}

static void bind_str(struct query *q, struct str s)
{
	if (!q->bad)
		q->bad = sqlite3_bind_text64(q->st, ++q->bound, s.n > 0 ? s.p : "", s.n,
				 SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK;
}

static void bind_i64(struct query *q, int64_t v)
{
	if (!q->bad)
		q->bad = sqlite3_bind_int64(q->st, ++q->bound, v) != SQLITE_OK;
}

/* *row is false at the end. */
static enum err query_step(struct query *q, bool *row, struct error *e)
{
	int rc = q->bad ? SQLITE_ERROR : sqlite3_step(q->st);

	*row = rc == SQLITE_ROW;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(q->db, q->doing, e);
	return OK;
}

static enum err query_finish(struct query *q, enum err rc)
{
	sqlite3_finalize(q->st);
	return rc;
}

/* For statements that give no row, or whose row does not matter. */
static enum err query_run(struct query *q, struct error *e)
{
	bool row;

	return query_finish(q, query_step(q, &row, e));
}

/* The first value of the first row, or 0 when there is none. */
static enum err query_i64(struct query *q, int64_t *out, struct error *e)
{
	bool row = false;
	enum err rc = query_step(q, &row, e);

	*out = row ? sqlite3_column_int64(q->st, 0) : 0;
	return query_finish(q, rc);
}

enum err local_db_next_version(sqlite3 *db, struct str model, int64_t *out, struct error *e)
{
	struct query q = query_open(db,
		"INSERT INTO models VALUES (?, 1) ON CONFLICT (model) DO UPDATE"
		" SET last_version = last_version + 1 RETURNING last_version",
		"numbering a model version");

	bind_str(&q, model);
	return query_i64(&q, out, e);
}

enum err local_db_insert(sqlite3 *db, const struct model_version *v, struct error *e)
{
	struct query q = query_open(
		db, "INSERT INTO versions VALUES (?, ?, ?, ?, ?)", "registering a model version");

	bind_str(&q, v->model);
	bind_i64(&q, v->version);
	bind_i64(&q, v->created_us);
	bind_str(&q, v->sha256);
	bind_str(&q, v->metadata);
	return query_run(&q, e);
}

enum err local_db_set_alias(
	sqlite3 *db, struct str model, struct str alias, int64_t version, struct error *e)
{
	struct query q = query_open(db,
		"INSERT INTO aliases VALUES (?, ?, ?) ON CONFLICT (model, alias) DO UPDATE"
		" SET version = excluded.version",
		"setting an alias");

	bind_str(&q, model);
	bind_str(&q, alias);
	bind_i64(&q, version);
	return query_run(&q, e);
}

enum err local_db_drop_alias(
	sqlite3 *db, struct str model, struct str alias, bool *was_there, struct error *e)
{
	struct query q = query_open(
		db, "DELETE FROM aliases WHERE model = ? AND alias = ?", "removing an alias");

	bind_str(&q, model);
	bind_str(&q, alias);
	TRY(query_run(&q, e));
	*was_there = sqlite3_changes(db) > 0;
	return OK;
}

enum err local_db_delete(sqlite3 *db, struct str model, int64_t version, struct error *e)
{
	struct query q = query_open(db, "DELETE FROM versions WHERE model = ? AND version = ?",
		"removing a model version");

	bind_str(&q, model);
	bind_i64(&q, version);
	return query_run(&q, e);
}

enum err local_db_count(sqlite3 *db, struct str model, int64_t *out, struct error *e)
{
	struct query q = query_open(
		db, "SELECT count(*) FROM versions WHERE model = ?", "counting model versions");

	bind_str(&q, model);
	return query_i64(&q, out, e);
}

enum err local_db_uses(sqlite3 *db, struct str sha256, int64_t *out, struct error *e)
{
	struct query q = query_open(db, "SELECT count(*) FROM versions WHERE sha256 = ?",
		"counting the uses of an artifact");

	bind_str(&q, sha256);
	return query_i64(&q, out, e);
}

enum err local_db_resolve(
	sqlite3 *db, struct str model, struct str alias, int64_t *version, struct error *e)
{
	struct query q = query_open(db, "SELECT version FROM aliases WHERE model = ? AND alias = ?",
		"reading an alias");

	bind_str(&q, model);
	bind_str(&q, alias);
	return query_i64(&q, version, e);
}

static struct str column(const struct query *q, int at, struct arena *mem)
{
	const void *p = sqlite3_column_blob(q->st, at);

	return arena_str(mem, str_make(p, (size_t)sqlite3_column_bytes(q->st, at)));
}

static struct model_version read_version(const struct query *q, struct arena *mem)
{
	return (struct model_version){
		.model = column(q, 0, mem),
		.version = sqlite3_column_int64(q->st, 1),
		.created_us = sqlite3_column_int64(q->st, 2),
		.sha256 = column(q, 3, mem),
		.metadata = column(q, 4, mem),
		.aliases = column(q, 5, mem),
	};
}

/* Appends to an array in the arena, doubling it. */
static void push(struct model_version **list, size_t *n, size_t *cap, struct arena *mem,
	struct model_version v)
{
	if (*n == *cap) {
		size_t want = *cap == 0 ? 8 : *cap * 2;
		struct model_version *bigger = arena_array(mem, want, sizeof **list);

		if (*n > 0)
			memcpy(bigger, *list, *n * sizeof **list);
		*list = bigger;
		*cap = want;
	}
	(*list)[(*n)++] = v;
}

enum err local_db_select(sqlite3 *db, struct str model, int64_t version, struct arena *mem,
	struct model_version **out, size_t *n, struct error *e)
{
	struct query q = query_open(db,
		"SELECT model, version, created_us, sha256, metadata,"
		" coalesce((SELECT group_concat(alias, ',') FROM (SELECT alias FROM aliases a"
		" WHERE a.model = v.model AND a.version = v.version ORDER BY alias)), '')"
		" FROM versions v WHERE (?1 = '' OR model = ?1) AND (?2 = 0 OR version = ?2)"
		" ORDER BY model, version",
		"reading model versions");
	size_t cap = 0;
	bool row = true;
	enum err rc = OK;

	*out = NULL;
	*n = 0;
	bind_str(&q, model);
	bind_i64(&q, version);
	while (rc == OK && row) {
		rc = query_step(&q, &row, e);
		if (rc == OK && row)
			push(out, n, &cap, mem, read_version(&q, mem));
	}
	return query_finish(&q, rc);
}
