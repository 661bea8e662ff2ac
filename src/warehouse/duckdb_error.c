#include "duckdb_driver.h"

#include <string.h>

/* Decided once, here: what may be tried again, and what never helps. */
static enum err kind_of(duckdb_error_type type, const char *message)
{
	if (type == DUCKDB_ERROR_TRANSACTION || type == DUCKDB_ERROR_OUT_OF_MEMORY ||
		type == DUCKDB_ERROR_IO)
		return ERR_UNAVAILABLE;
	if (type == DUCKDB_ERROR_INTERRUPT)
		return ERR_INTERRUPTED;
	if (type == DUCKDB_ERROR_FATAL || type == DUCKDB_ERROR_INTERNAL)
		return ERR_FAILED;
	/* Some calls of the C interface lose the type; the text begins with it. */
	if (strncmp(message, "TransactionContext Error", 24) == 0 ||
		strncmp(message, "IO Error", 8) == 0 ||
		strncmp(message, "Out of Memory Error", 19) == 0)
		return ERR_UNAVAILABLE;
	if (strncmp(message, "FATAL Error", 11) == 0 || strncmp(message, "INTERNAL Error", 14) == 0)
		return ERR_FAILED;
	return ERR_INPUT;
}

static const char *next_step(enum err kind)
{
	if (kind == ERR_UNAVAILABLE)
		return "try again; if it stays, look at disk space and [warehouse] memory_limit";
	if (kind == ERR_FAILED)
		return "restart this process; what was not committed is read again";
	return "correct the statement or the rows";
}

enum err duck_fail(struct error *e, duckdb_error_type type, const char *doing, const char *message)
{
	if (message == NULL || message[0] == '\0')
		message = "DuckDB gives no reason";
	enum err kind = kind_of(type, message);
	size_t n = strlen(message);
	while (n > 0 && (message[n - 1] == '\n' || message[n - 1] == ' '))
		n--;
	if (kind == ERR_INTERRUPTED)
		return error_set(e, kind, __func__, "%s: interrupted", doing);
	return error_set(e, kind, __func__, "%s: %.*s (%s)", doing, (int)(n < 800 ? n : 800),
		message, next_step(kind));
}

enum err duck_fail_appender(struct error *e, duckdb_appender a, const char *doing)
{
	duckdb_error_data data = a != NULL ? duckdb_appender_error_data(a) : NULL;
	enum err rc;

	if (data != NULL && duckdb_error_data_has_error(data))
		rc = duck_fail(e, duckdb_error_data_error_type(data), doing,
			duckdb_error_data_message(data));
	else
		rc = duck_fail(e, DUCKDB_ERROR_INVALID_INPUT, doing, NULL);
	duckdb_destroy_error_data(&data);
	return rc;
}
