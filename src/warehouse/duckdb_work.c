/*
 * Long statements. DuckDB's own call keeps the thread that waits for the engine's threads busy
 * with asking whether they are done; this one sleeps between two questions.
 */
#include "duckdb_driver.h"

#include <time.h>

#define NAP_NS 100000

static void nap(void)
{
	const struct timespec t = {.tv_nsec = NAP_NS};

	(void)nanosleep(&t, NULL);
}

static enum err run(duckdb_pending_result p, const char *doing, struct error *e)
{
	duckdb_pending_state state = DUCKDB_PENDING_RESULT_NOT_READY;
	duckdb_result result;
	enum err rc = OK;

	while (!duckdb_pending_execution_is_finished(state)) {
		state = duckdb_pending_execute_task(p);
		if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE)
			nap();
	}
	if (duckdb_execute_pending(p, &result) != DuckDBSuccess)
		rc = duck_fail(
			e, duckdb_result_error_type(&result), doing, duckdb_result_error(&result));
	duckdb_destroy_result(&result);
	return rc;
}

enum err duck_work(duckdb_connection c, struct buf *sql, const char *doing, struct error *e)
{
	duckdb_prepared_statement ps = NULL;
	duckdb_pending_result pending = NULL;
	enum err rc = OK;

	if (!buf_ok(sql))
		return FAIL(e, ERR_BUG, "%s: the SQL is larger than %zu bytes", doing, sql->max);
	if (duckdb_prepare(c, buf_cstr(sql), &ps) != DuckDBSuccess)
		rc = duck_fail(e, DUCKDB_ERROR_INVALID_INPUT, doing, duckdb_prepare_error(ps));
	else if (duckdb_pending_prepared(ps, &pending) != DuckDBSuccess)
		rc = duck_fail(e, DUCKDB_ERROR_INVALID, doing, duckdb_pending_error(pending));
	else
		rc = run(pending, doing, e);
	duckdb_destroy_pending(&pending);
	duckdb_destroy_prepare(&ps);
	return rc;
}

enum err duck_commit(duckdb_connection c, const char *doing, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 64);
	buf_puts(&sql, "COMMIT");
	enum err rc = duck_work(c, &sql, doing, e);
	buf_free(&sql);
	return rc;
}
