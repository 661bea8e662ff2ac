/* The checks of a release that need the application's database, inside its transaction. */
#include <inttypes.h>

#include "release_verify.h"

#define PARAMS(...)                                                                                \
	(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),                  \
		(const char *const[])                                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const char *workflow(const struct verification *v)
{
	return v->policy->workflow;
}

/* What stands in the database under the number of this release. */
static enum err same_number(
	struct verification *v, const struct landed *l, struct buf *saw, struct error *e)
{
	if (!str_eqc(l->manifest_sha256, v->sha256))
		return FAIL(e, ERR_CHECK,
			"another release was landed as version %" PRId64 ", with manifest %.*s",
			v->version, STR_ARG(l->manifest_sha256));
	if (v->landing && l->rolled_back)
		return FAIL(e, ERR_CHECK,
			"version %" PRId64
			" was landed at %.*s and rolled back: land a newer one, or "
			"go to it with `sluice release rollback %s --to %" PRId64 "`",
			v->version, STR_ARG(l->landed_at), workflow(v), v->version);
	buf_putf(saw, "landed before, at %.*s", STR_ARG(l->landed_at));
	return OK;
}

static enum err check_version(struct verification *v, struct buf *saw, struct error *e)
{
	struct landed same;
	int64_t highest = 0;

	TRY(release_db_landed(v->pg, workflow(v), v->version, v->mem, &same, e));
	TRY(release_db_highest(v->pg, workflow(v), v->mem, &highest, e));
	if (v->version < highest && (v->landing || !same.exists))
		return FAIL(e, ERR_CHECK,
			"version %" PRId64 " is older than version %" PRId64
			", which was landed: to "
			"go back, run `sluice release rollback %s --to %" PRId64 "`",
			v->version, highest, workflow(v), v->version);
	if (same.exists)
		return same_number(v, &same, saw, e);
	if (highest == 0)
		buf_puts(saw, "the first to be landed");
	else
		buf_putf(saw, "newer than %" PRId64, highest);
	return OK;
}

static enum err stage(struct verification *v, struct buf *saw, struct error *e)
{
	TRY(release_db_stage(v->pg, &v->rows, e));
	buf_putf(saw, "%zu rows", v->rows.n);
	return OK;
}

/* "schema.table.column" or "table.column" as quoted names. */
static enum err reference(
	struct verification *v, struct str *table, struct str *column, struct error *e)
{
	struct str rest = str_of(v->policy->reference), parts[3], part;
	size_t n = 0;

	while (n < 3 && str_next(&rest, '.', &part) && part.n > 0)
		parts[n++] = part;
	if (n < 2 || rest.n > 0)
		return FAIL(e, ERR_CHECK,
			"[workflow %s] reference is \"%s\"; SCHEMA.TABLE.COLUMN is wanted",
			workflow(v), v->policy->reference != NULL ? v->policy->reference : "");
	*column = pg_ident(v->mem, parts[n - 1]);
	*table = n == 2 ? pg_ident(v->mem, parts[0])
			: arena_fmt(v->mem, "%.*s.%.*s", STR_ARG(pg_ident(v->mem, parts[0])),
				  STR_ARG(pg_ident(v->mem, parts[1])));
	return OK;
}

/* A query of ours over configured names may be refused. The transaction goes on behind a
 * savepoint, so that the other checks still run. */
static enum err ask(
	struct verification *v, const char *sql, const char *doing, PGresult **r, struct error *e)
{
	struct error undo = {0};

	TRY(pg_exec(v->pg, "SAVEPOINT sluice_check", "opening a check", e));
	enum err rc = pg_query(v->pg, sql, 0, NULL, doing, v->mem, r, e);
	if (rc == OK || rc == ERR_UNAVAILABLE)
		return rc;
	if (pg_exec(v->pg, "ROLLBACK TO SAVEPOINT sluice_check", "leaving a check", &undo) == OK)
		return rc;
	*e = undo;
	return e->kind;
}

static enum err check_reference(struct verification *v, struct buf *saw, struct error *e)
{
	struct str table = STR_NONE, column = STR_NONE;
	PGresult *r = NULL;

	TRY(reference(v, &table, &column, e));
	const char *sql = arena_fmt(v->mem,
		"SELECT count(*), min(s.key) FROM sluice_staging AS s WHERE NOT EXISTS "
		"(SELECT 1 FROM %.*s AS r WHERE r.%.*s::text COLLATE \"C\" = s.key)",
		STR_ARG(table), STR_ARG(column))
				  .p;
	TRY(ask(v, sql, "looking for scored keys that do not exist", &r, e));
	int64_t unknown = pg_cell_i64(r, 0, 0);
	if (unknown > 0)
		return FAIL(e, ERR_CHECK, "%" PRId64 " keys are not in %s, \"%.*s\" for one",
			unknown, v->policy->reference, STR_ARG(pg_cell_str(r, 0, 1)));
	buf_putf(saw, "every key is in %s", v->policy->reference);
	return OK;
}

static enum err check_coverage(struct verification *v, struct buf *saw, struct error *e)
{
	const char *open_rows = v->policy->open_rows;
	struct str table = STR_NONE, column = STR_NONE;
	PGresult *r = NULL;

	if (open_rows == NULL || open_rows[0] == '\0')
		return FAIL(e, ERR_CHECK,
			"[workflow %s] open_rows is not set: give the SQL condition on %s that "
			"names "
			"the rows that need a score",
			workflow(v), v->policy->reference);
	TRY(reference(v, &table, &column, e));
	const char *sql = arena_fmt(v->mem,
		"SELECT count(*), count(s.key) FROM (SELECT %.*s::text AS key FROM %.*s WHERE "
		"(%s)) "
		"AS r LEFT JOIN sluice_staging AS s ON s.key = r.key COLLATE \"C\"",
		STR_ARG(column), STR_ARG(table), open_rows)
				  .p;
	TRY(ask(v, sql, "counting the rows that need a score", &r, e));
	int64_t open = pg_cell_i64(r, 0, 0), scored = pg_cell_i64(r, 0, 1);
	double share = open > 0 ? (double)scored / (double)open : 1;
	if (!(share >= v->policy->min_coverage))
		return FAIL(e, ERR_CHECK,
			"%" PRId64 " of %" PRId64 " rows with %s have a score, %.4f of them; "
			"[workflow %s] min_coverage is %g: score and publish again",
			scored, open, open_rows, share, workflow(v), v->policy->min_coverage);
	buf_putf(saw, "%" PRId64 " of %" PRId64 " open rows", scored, open);
	return OK;
}

static enum err check_drift(struct verification *v, struct buf *saw, struct error *e)
{
	struct landed live;
	struct manifest before;

	TRY(release_db_landed(v->pg, workflow(v), 0, v->mem, &live, e));
	if (!live.exists) {
		buf_puts(saw, "no live version to compare with");
		return OK;
	}
	if (manifest_read(live.manifest, v->mem, &before, e) != OK)
		return error_wrap(e, "the live version's manifest");
	double psi = stats_psi(&v->stats, &before.stats);
	if (!(psi <= v->policy->max_psi))
		return FAIL(e, ERR_CHECK,
			"PSI against live version %" PRId64
			" is %.4f; [workflow %s] max_psi is %g: see "
			"what changed in the data or the model",
			live.version, psi, workflow(v), v->policy->max_psi);
	buf_putf(saw, "PSI %.4f against version %" PRId64, psi, live.version);
	return OK;
}

const struct release_check release_database_checks[] = {
	{"version", HAVE_SIGNED, 0, check_version},
	{"staging", HAVE_KEYS | HAVE_SCORES, HAVE_STAGED, stage},
	{"reference", HAVE_STAGED, 0, check_reference},
	{"coverage", HAVE_STAGED, 0, check_coverage},
	{"drift", HAVE_SCORES, 0, check_drift},
	{.name = NULL},
};
