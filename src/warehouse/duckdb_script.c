#include "duckdb_driver.h"

#include "mem.h"

static enum err run_statement(duckdb_connection c, duckdb_extracted_statements all, idx_t i,
	const char *doing, struct error *e)
{
	duckdb_prepared_statement ps = NULL;
	duckdb_result result;
	enum err rc = OK;

	if (duckdb_prepare_extracted_statement(c, all, i, &ps) != DuckDBSuccess) {
		rc = duck_fail(e, DUCKDB_ERROR_INVALID, doing, duckdb_prepare_error(ps));
	} else if (duckdb_prepared_statement_type(ps) == DUCKDB_STATEMENT_TYPE_TRANSACTION) {
		rc = FAIL(e, ERR_INPUT,
			"%s: statement %llu begins or ends a transaction; a script is one "
			"transaction already",
			doing, (unsigned long long)i + 1);
	} else {
		if (duckdb_execute_prepared(ps, &result) != DuckDBSuccess)
			rc = duck_fail(e, duckdb_result_error_type(&result), doing,
				duckdb_result_error(&result));
		duckdb_destroy_result(&result);
	}
	duckdb_destroy_prepare(&ps);
	return rc;
}

static enum err run_statements(
	duckdb_connection c, const char *sql, const char *doing, struct error *e)
{
	duckdb_extracted_statements all = NULL;
	idx_t n = duckdb_extract_statements(c, sql, &all);
	const char *message = duckdb_extract_statements_error(all);
	enum err rc = OK;

	if (message != NULL && message[0] != '\0')
		rc = duck_fail(e, DUCKDB_ERROR_PARSER, doing, message);
	for (idx_t i = 0; i < n && rc == OK; i++)
		rc = run_statement(c, all, i, doing, e);
	duckdb_destroy_extracted(&all);
	return rc;
}

enum err duck_script_within(duckdb_connection c, struct str sql, struct error *e)
{
	char *text = mem_cstr(sql);
	enum err rc = run_statements(c, text, "running SQL in the warehouse", e);

	mem_free(text);
	return rc;
}

enum err duck_script(struct warehouse *w, struct str sql, struct error *e)
{
	struct duck *d = duck_of(w);
	duckdb_connection c = NULL;

	TRY(duck_connect(d, &c, e));
	enum err rc = duck_execs(c, "BEGIN", "running SQL in the warehouse", e);
	if (rc == OK)
		rc = duck_script_within(c, sql, e);
	if (rc == OK)
		rc = duck_execs(c, "COMMIT", "running SQL in the warehouse", e);
	duckdb_disconnect(&c); /* rolls back what was not committed */
	return rc;
}

static enum err take_text(void *arg, const struct chunk *c, struct error *e)
{
	return buf_add(arg, vec_text(&c->cols[0], 0), e);
}

enum err duck_mark(struct warehouse *w, struct str name, struct buf *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "SELECT value FROM ops.marks WHERE name = ");
	sql_text(&sql, name);
	enum err rc = duck_query(w, buf_str(&sql), take_text, out, e);
	if (rc != OK)
		rc = error_wrap(e, "reading the mark %.*s", STR_ARG(name));
	buf_free(&sql);
	return rc;
}
