/*
 * pg_error: what a failure of PostgreSQL means to the caller. Private to the layer.
 */
#ifndef SLUICE_PG_ERROR_H
#define SLUICE_PG_ERROR_H

#include "pg_conn.h"

/* OK when the result is one: rows, a command done, COPY begun. Otherwise records the failure, its
 * SQLSTATE in the connection too. */
enum err pg_check(struct pg *c, const PGresult *r, const char *doing, struct error *e) MUST_CHECK;

/* The failure in PQerrorMessage, for calls that give no result. */
enum err pg_fail_connection(struct pg *c, const char *doing, struct error *e);

/* What a SQLSTATE asks of the caller: see pg_conn.h. */
enum err pg_sqlstate_kind(const char *sqlstate);

#endif
