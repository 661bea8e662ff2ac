#include "pg_error.h"

#include <stdio.h>
#include <string.h>

/* The longest prefix comes first. */
static const struct {
	const char *prefix;
	enum err kind;
} kinds[] = {
	{"40001", ERR_CONFLICT},    /* serialization_failure: run the transaction again */
	{"40P01", ERR_CONFLICT},    /* deadlock_detected */
	{"42501", ERR_USAGE},       /* insufficient_privilege */
	{"42P01", ERR_NOT_FOUND},   /* undefined_table */
	{"42703", ERR_NOT_FOUND},   /* undefined_column */
	{"42704", ERR_NOT_FOUND},   /* undefined_object */
	{"42883", ERR_NOT_FOUND},   /* undefined_function */
	{"42P04", ERR_CONFLICT},    /* duplicate_database */
	{"42P06", ERR_CONFLICT},    /* duplicate_schema */
	{"42P07", ERR_CONFLICT},    /* duplicate_table */
	{"42710", ERR_CONFLICT},    /* duplicate_object */
	{"55006", ERR_CONFLICT},    /* object_in_use: the slot is active */
	{"55P03", ERR_CONFLICT},    /* lock_not_available */
	{"57P01", ERR_UNAVAILABLE}, /* admin_shutdown */
	{"57P02", ERR_UNAVAILABLE}, /* crash_shutdown */
	{"57P03", ERR_UNAVAILABLE}, /* cannot_connect_now */
	{"08", ERR_UNAVAILABLE},    /* connection_exception */
	{"22", ERR_INPUT},          /* data_exception */
	{"23", ERR_CONFLICT},       /* integrity_constraint_violation */
	{"28", ERR_USAGE},          /* invalid_authorization_specification */
	{"3D", ERR_NOT_FOUND},      /* invalid_catalog_name */
	{"3F", ERR_NOT_FOUND},      /* invalid_schema_name */
	{"53", ERR_UNAVAILABLE},    /* insufficient_resources */
};

enum err pg_sqlstate_kind(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strncmp(sqlstate, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return ERR_FAILED;
}

enum err pg_fail_connection(struct pg *c, const char *doing, struct error *e)
{
	struct str said = str_trim(str_of(PQerrorMessage(c->conn)));
	bool lost = PQstatus(c->conn) == CONNECTION_BAD;

	c->sqlstate[0] = '\0';
	return FAIL(e, lost ? ERR_UNAVAILABLE : ERR_FAILED, "%s: %s%.*s", doing,
		lost ? "the connection to PostgreSQL is lost: " : "", STR_ARG(said));
}

static bool is_ok(const PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
		status == PGRES_EMPTY_QUERY || status == PGRES_COPY_OUT ||
		status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
}

static const char *field(const PGresult *r, int code)
{
	const char *text = PQresultErrorField(r, code);

	return text != NULL ? text : "";
}

enum err pg_check(struct pg *c, const PGresult *r, const char *doing, struct error *e)
{
	c->sqlstate[0] = '\0';
	if (r != NULL && is_ok(r))
		return OK;
	const char *state = r != NULL ? field(r, PG_DIAG_SQLSTATE) : "";
	if (state[0] == '\0') /* the failure is libpq's, not the server's */
		return pg_fail_connection(c, doing, e);
	snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state);
	const char *detail = field(r, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = field(r, PG_DIAG_MESSAGE_HINT);
	return FAIL(e, pg_sqlstate_kind(state), "%s: PostgreSQL says %s (SQLSTATE %s)%s%s%s%s",
		doing, field(r, PG_DIAG_MESSAGE_PRIMARY), state, detail[0] != '\0' ? "; " : "",
		detail, hint[0] != '\0' ? "; hint: " : "", hint);
}
