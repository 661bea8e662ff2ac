/*
 * app_db: the reservation service's own connection to PostgreSQL: prepared statements from
 * sql/app, opened when first needed and again after it was lost. One thread at a time; each
 * handler thread and each worker has its own.
 */
#ifndef SLUICE_APP_DB_H
#define SLUICE_APP_DB_H

#include "app_health.h"
#include "pg_conn.h"

/* In the order of the table in app_db.c. */
enum app_statement {
	STMT_PING,
	STMT_BOOKING_CREATE,
	STMT_BOOKING_ACT,
	STMT_BOOKING_CHANGE,
	STMT_BOOKING_GET,
	STMT_BOOKING_WHY,
	STMT_BOOKING_LIST,
	STMT_BOOKING_LIST_STATUS,
	STMT_GUEST_GET,
	STMT_GUEST_ERASE,
	STMT_KEY_GET,
	STMT_OUTBOX_TAKE,
	STMT_GATE_STATE,
	STMT_RECONFIRM,
	STMT_KEYS_EXPIRE,
	STATEMENTS,
};

struct app_db {
	struct pg_options o; /* its strings are the caller's and must outlive this */
	const struct env *env;
	struct pg *pg;               /* NULL while there is no connection */
	struct app_health *health;   /* told what works and what does not; may be NULL */
	const atomic_bool *migrated; /* no connection is used before; NULL: it is */
	bool prepared[STATEMENTS];
	int64_t retry_at_us; /* mono; no attempt to connect before */
	char sqlstate[6];    /* of the last failure, "" when it had none */
	char constraint[64]; /* that it broke, "" when none */
};

/* The caller may then set health and migrated. */
void app_db_init(struct app_db *db, const struct pg_options *o, const struct env *env);
void app_db_close(struct app_db *db); /* usable again after app_db_init */

/*
 * Runs a statement in a transaction of its own; params are text, NULL is SQL NULL, as many as the
 * statement has. The result is cleared with mem. A lost connection is noticed before anything is
 * sent and opened again; deadlocks and serialization failures are tried again, because nothing
 * of them stays. ERR_UNAVAILABLE: PostgreSQL is away, or too slow, and what was sent may or may
 * not have been done. ERR_CONFLICT: a constraint, see `constraint`. ERR_FAILED: anything else.
 */
enum err app_db_run(struct app_db *db, enum app_statement which, const char *const *params,
	struct arena *mem, PGresult **out, struct error *e) MUST_CHECK;

/* Tells db->health about the connection as a whole, as app_db_run does. */
void app_db_note_connection(struct app_health *h, enum err rc, const struct error *e);

/* True when the last failure was a table or a schema that is not there. */
bool app_db_lacks(const struct app_db *db);

/* Rows that the last command of a result touched. */
int64_t app_db_touched(PGresult *r);

#endif
