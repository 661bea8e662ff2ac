/* Rows into a temporary table by COPY. */
#include "release_db.h"

#include <string.h>

#define PIECE ((size_t)64 << 10)

/* Text format: backslash, tab, line feed and carriage return are written as escapes. */
static void put_escaped(struct buf *b, struct str s)
{
	static const char plain[] = "\\\t\n\r", letter[] = "\\tnr";

	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] != '\0' ? strchr(plain, s.p[i]) : NULL;
		if (at == NULL) {
			buf_putc(b, s.p[i]);
			continue;
		}
		buf_putc(b, '\\');
		buf_putc(b, letter[at - plain]);
	}
}

static enum err refused(struct pg *c, const char *why, struct error *e)
{
	bool lost = PQstatus(c->conn) != CONNECTION_OK;

	return FAIL(e, lost ? ERR_UNAVAILABLE : ERR_FAILED,
		"copying scores to PostgreSQL: %.*s; nothing was kept",
		STR_ARG(str_trim(str_of(why))));
}

static enum err send_rows(
	struct pg *c, const struct data_rows *rows, struct buf *b, struct error *e)
{
	for (size_t i = 0; i < rows->n; i++) {
		put_escaped(b, rows->keys[i]);
		buf_putc(b, '\t');
		buf_put_f64(b, rows->scores[i]);
		buf_putc(b, '\n');
		if (b->n < PIECE && i + 1 < rows->n)
			continue;
		if (PQputCopyData(c->conn, b->p, (int)b->n) != 1)
			return refused(c, PQerrorMessage(c->conn), e);
		buf_reset(b);
	}
	return OK;
}

/* Ends COPY and takes every result, so that the connection can be used again. */
static enum err finish(struct pg *c, enum err rc, struct error *e)
{
	if (PQputCopyEnd(c->conn, rc == OK ? NULL : "the sender gave up") != 1 && rc == OK)
		rc = refused(c, PQerrorMessage(c->conn), e);
	for (PGresult *r; (r = PQgetResult(c->conn)) != NULL; PQclear(r))
		if (rc == OK && PQresultStatus(r) != PGRES_COMMAND_OK)
			rc = refused(c, PQresultErrorMessage(r), e);
	return rc;
}

enum err release_db_stage(struct pg *c, const struct data_rows *rows, struct error *e)
{
	struct buf b;

	TRY(pg_exec(c,
		"CREATE TEMPORARY TABLE sluice_staging (key text COLLATE \"C\", "
		"score double precision) ON COMMIT DROP",
		"making the staging table", e));
	TRY(pg_exec(
		c, "COPY sluice_staging (key, score) FROM STDIN", "starting to copy scores", e));
	buf_init(&b, BUF_MAX_DEFAULT);
	enum err rc = send_rows(c, rows, &b, e);
	buf_free(&b);
	TRY(finish(c, rc, e));
	return pg_exec(c, "ANALYZE sluice_staging", "counting the staged scores", e);
}
