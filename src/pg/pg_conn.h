/*
 * pg_conn: a PostgreSQL connection over libpq with our errors. A lost connection is
 * ERR_UNAVAILABLE; an error from the server carries its SQLSTATE and the statement's purpose.
 * Kinds by SQLSTATE: a server that goes down or has no resources ERR_UNAVAILABLE; serialization
 * failure, deadlock, a lock or slot in use, what exists already, a constraint ERR_CONFLICT; what
 * does not exist ERR_NOT_FOUND; no permission ERR_USAGE; bad data ERR_INPUT; else ERR_FAILED.
 * One thread at a time for each connection.
 */
#ifndef SLUICE_PG_CONN_H
#define SLUICE_PG_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "env.h"
#include "err.h"
#include "str.h"

struct guard;
struct pg_token;

struct pg {
	PGconn *conn;
	const struct env *env;
	int server_version;        /* 150018 */
	const struct guard *guard; /* as pg_options say */
	char sqlstate[6];          /* of the last failure; "" when it had none */
	char *received;            /* pg_stream's: the message handed out last */
	bool gathers;              /* pg_stream's: see pg_stream_gather() */
	unsigned burst, burst_was; /* pg_stream's: messages without a pause, and at the last wait */
	int64_t dry_us;            /* pg_stream's: when it last had to wait */
};

struct pg_options {
	const char *conninfo;      /* libpq connection string or URI */
	const char *password;      /* NULL: as conninfo and the environment say */
	const char *password_file; /* read anew for each connection, over `password`; may be NULL.
				      A password that is then refused is ERR_UNAVAILABLE: it may be
				      about to change */
	const struct pg_token *token; /* makes the password, over those above; NULL: none */
	const char *application;      /* application_name */
	bool replication;             /* replication=database */
	/* What pg_catalog and pg_copy put in the place of personal data; NULL: nothing. A guard
	 * that is broken gives its error. Must outlive the connection. */
	const struct guard *guard;
};

/* Sessions get: UTC, ISO dates, intervals as postgres style, extra_float_digits 3, hex bytea,
 * client_encoding UTF8. A connection string that cannot be read, a role or database that is refused
 * and a certificate that does not fit are ERR_USAGE, a server that is not there ERR_UNAVAILABLE.
 * Waits at most connect_timeout, 10 s unless the string says; a peer that has vanished is noticed
 * within a minute (TCP keepalives and tcp_user_timeout, unless the string says). */
enum err pg_open(struct pg **out, const struct pg_options *o, const struct env *env,
	struct error *e) MUST_CHECK;
void pg_close(struct pg *c); /* NULL is fine */

/* Runs SQL without an answer; several statements are allowed. `doing` opens the error's
 * sentence: "creating the publication sluice". */
enum err pg_exec(struct pg *c, const char *sql, const char *doing, struct error *e) MUST_CHECK;

/* Runs one statement with text parameters ($1...; NULL is SQL NULL). The result is cleared when
 * mem is reset. */
enum err pg_query(struct pg *c, const char *sql, int nparams, const char *const *params,
	const char *doing, struct arena *mem, PGresult **out, struct error *e) MUST_CHECK;

/* Cell access for pg_query results: NULL when SQL NULL. */
const char *pg_cell(const PGresult *r, int row, int col);
struct str pg_cell_str(const PGresult *r, int row, int col);
int64_t pg_cell_i64(const PGresult *r, int row, int col); /* 0 when NULL or no integer */
bool pg_cell_bool(const PGresult *r, int row, int col);

/* True when the last failure had this SQLSTATE. */
bool pg_failed_with(const struct pg *c, const char *sqlstate);

/* "name" quoted for SQL, in mem. */
struct str pg_ident(struct arena *mem, struct str name);
struct str pg_literal(struct arena *mem, struct str text);

/* Host, port, database and user of a connection for messages; never the password. */
struct str pg_describe(const struct pg *c, struct arena *mem);

#endif
