#include "app_db.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "embedded.h"

#define RECONNECT_US 250000
#define ATTEMPTS     4

/* A statement that takes longer is stuck behind something: the client has given up by then. */
#define SESSION "SET statement_timeout = '15s'; SET lock_timeout = '5s'"

/* What app_health calls the connection itself; statements go by their own numbers. */
#define CONNECTION 31
_Static_assert(STATEMENTS < CONNECTION, "every statement has a number in app_health");

static const struct {
	const char *file;
	int nparams;
	const char *doing;
} statements[] = {
	[STMT_PING] = {"sql/app/ping.sql", 0, "asking PostgreSQL whether it is there"},
	[STMT_BOOKING_CREATE] = {"sql/app/booking_create.sql", 31, "creating a booking"},
	[STMT_BOOKING_ACT] = {"sql/app/booking_act.sql", 9, "moving a booking to its next state"},
	[STMT_BOOKING_CHANGE] = {"sql/app/booking_change.sql", 21, "changing a booking"},
	[STMT_BOOKING_GET] = {"sql/app/booking_get.sql", 1, "reading a booking"},
	[STMT_BOOKING_WHY] = {"sql/app/booking_why.sql", 7, "reading a booking's state"},
	[STMT_BOOKING_LIST] = {"sql/app/booking_list.sql", 2, "listing bookings"},
	[STMT_BOOKING_LIST_STATUS] = {"sql/app/booking_list_status.sql", 3,
		"listing bookings by status"},
	[STMT_GUEST_GET] = {"sql/app/guest_get.sql", 1, "reading a guest"},
	[STMT_GUEST_ERASE] = {"sql/app/guest_erase.sql", 2, "erasing a guest"},
	[STMT_KEY_GET] = {"sql/app/key_get.sql", 1, "reading the answer kept for a key"},
	[STMT_OUTBOX_TAKE] = {"sql/app/outbox_take.sql", 1, "turning outbox rows into tasks"},
	[STMT_GATE_STATE] = {"sql/app/gate_state.sql", 1, "reading the gate"},
	[STMT_RECONFIRM] = {"sql/app/reconfirm.sql", 2, "making reconfirmation tasks"},
	[STMT_KEYS_EXPIRE] = {"sql/app/keys_expire.sql", 0, "removing old idempotency keys"},
};

void app_db_init(struct app_db *db, const struct pg_options *o, const struct env *env)
{
	*db = (struct app_db){.o = *o, .env = env};
}

void app_db_close(struct app_db *db)
{
	pg_close(db->pg);
	db->pg = NULL;
	memset(db->prepared, 0, sizeof db->prepared);
}

/* An idle connection that was closed at the other end is readable: reading finds the end. */
static bool is_alive(PGconn *conn)
{
	struct pollfd p = {.fd = PQsocket(conn), .events = POLLIN};

	for (int i = 0; i < 4 && PQstatus(conn) == CONNECTION_OK; i++) {
		if (poll(&p, 1, 0) <= 0)
			return true;
		if (PQconsumeInput(conn) == 0)
			return false;
	}
	return false;
}

static enum err connect_now(struct app_db *db, struct error *e)
{
	int64_t now = clock_mono(db->env->clock);

	/* Many requests wait for the same server: they need not all knock. */
	if (now < db->retry_at_us)
		return FAIL(e, ERR_UNAVAILABLE,
			"connecting to PostgreSQL: it did not answer a moment ago; try again "
			"shortly");
	enum err rc = pg_open(&db->pg, &db->o, db->env, e);
	/* Refused or away is the same to a request: it is not at fault, and it may come again. */
	if (rc != OK)
		rc = e->kind = ERR_UNAVAILABLE;
	if (rc == OK) {
		rc = pg_exec(db->pg, SESSION, "setting the session's limits", e);
		if (rc != OK)
			app_db_close(db);
	}
	db->retry_at_us = rc == OK ? 0 : clock_mono(db->env->clock) + RECONNECT_US;
	return rc;
}

static enum err ready(struct app_db *db, struct error *e)
{
	if (db->migrated != NULL && !atomic_load(db->migrated))
		return FAIL(e, ERR_UNAVAILABLE,
			"using the database: its schema is not up to date yet; try again shortly");
	if (db->pg != NULL && !is_alive(db->pg->conn))
		app_db_close(db);
	return db->pg != NULL ? OK : connect_now(db, e);
}

static void take_field(char *into, size_t n, const PGresult *r, int field)
{
	const char *text = PQresultErrorField(r, field);

	(void)snprintf(into, n, "%s", text != NULL ? text : "");
}

static bool sqlstate_starts(const struct app_db *db, const char *prefix)
{
	return strncmp(db->sqlstate, prefix, strlen(prefix)) == 0;
}

/* Whatever else the server says is a fault of the schema or of ours, never of a client. */
static enum err kind_of(const struct app_db *db)
{
	static const struct {
		const char *prefix;
		enum err kind;
	} kinds[] = {
		{"08", ERR_UNAVAILABLE},    /* connection lost */
		{"40", ERR_UNAVAILABLE},    /* deadlock, serialization: rolled back */
		{"53", ERR_UNAVAILABLE},    /* out of connections, disk, memory */
		{"57", ERR_UNAVAILABLE},    /* shutting down, statement timeout */
		{"55P03", ERR_UNAVAILABLE}, /* lock timeout */
		{"25006", ERR_UNAVAILABLE}, /* read-only: a failover is under way */
		{"23", ERR_CONFLICT},       /* constraints */
	};

	if (PQstatus(db->pg->conn) != CONNECTION_OK)
		return ERR_UNAVAILABLE;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (sqlstate_starts(db, kinds[i].prefix))
			return kinds[i].kind;
	return ERR_FAILED;
}

static enum err check(struct app_db *db, const PGresult *r, const char *doing, struct error *e)
{
	ExecStatusType status = PQresultStatus(r);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return OK;
	take_field(db->sqlstate, sizeof db->sqlstate, r, PG_DIAG_SQLSTATE);
	take_field(db->constraint, sizeof db->constraint, r, PG_DIAG_CONSTRAINT_NAME);
	struct str said = str_of(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
	if (said.n == 0)
		said = str_trim(str_of(PQerrorMessage(db->pg->conn)));
	enum err rc = FAIL(e, kind_of(db), "%s: %.*s (SQLSTATE %s)", doing, STR_ARG(said),
		db->sqlstate[0] != '\0' ? db->sqlstate : "none");
	if (PQstatus(db->pg->conn) != CONNECTION_OK)
		app_db_close(db);
	return rc;
}

static enum err prepare(struct app_db *db, enum app_statement which, struct error *e)
{
	const struct embedded_file *f = embedded_find(statements[which].file);

	if (db->prepared[which])
		return OK;
	if (f == NULL)
		return FAIL(e, ERR_BUG, "%s: %s is not in this program", statements[which].doing,
			statements[which].file);
	PGresult *r = PQprepare(
		db->pg->conn, statements[which].file, f->data, statements[which].nparams, NULL);
	enum err rc = check(db, r, statements[which].doing, e);
	PQclear(r);
	db->prepared[which] = rc == OK;
	return rc;
}

static void clear_result(void *r)
{
	PQclear(r);
}

static enum err run_once(struct app_db *db, enum app_statement which, const char *const *params,
	struct arena *mem, PGresult **out, struct error *e)
{
	TRY(ready(db, e));
	TRY(prepare(db, which, e));
	assert(db->pg != NULL);
	PGresult *r = PQexecPrepared(db->pg->conn, statements[which].file,
		statements[which].nparams, params, NULL, NULL, 0);
	enum err rc = check(db, r, statements[which].doing, e);
	if (rc != OK) {
		PQclear(r);
		return rc;
	}
	arena_defer(mem, clear_result, r);
	*out = r;
	return OK;
}

void app_db_note_connection(struct app_health *h, enum err rc, const struct error *e)
{
	if (rc == ERR_UNAVAILABLE)
		app_health_fails(h, CONNECTION, "connecting to PostgreSQL", e->text);
	else
		app_health_works(h, CONNECTION, "connecting to PostgreSQL");
}

/* A statement that waits in vain for a lock says nothing about the others, nor they about it. */
static void note(struct app_db *db, enum app_statement which, enum err rc, const struct error *e)
{
	if (db->health == NULL)
		return;
	app_db_note_connection(db->health, db->pg == NULL ? rc : OK, e);
	if (rc == OK)
		app_health_works(db->health, which, statements[which].doing);
	else if (rc == ERR_UNAVAILABLE && db->pg != NULL)
		app_health_fails(db->health, which, statements[which].doing, e->text);
}

enum err app_db_run(struct app_db *db, enum app_statement which, const char *const *params,
	struct arena *mem, PGresult **out, struct error *e)
{
	enum err rc = OK;

	assert(which < STATEMENTS);
	*out = NULL;
	for (int i = 0; i < ATTEMPTS; i++) {
		db->sqlstate[0] = '\0';
		db->constraint[0] = '\0';
		rc = run_once(db, which, params, mem, out, e);
		if (rc == OK || !(sqlstate_starts(db, "40001") || sqlstate_starts(db, "40P01")))
			break;
	}
	note(db, which, rc, e);
	return rc;
}

bool app_db_lacks(const struct app_db *db)
{
	return sqlstate_starts(db, "42P01") || sqlstate_starts(db, "3F");
}

int64_t app_db_touched(PGresult *r)
{
	int64_t n = 0;

	return str_to_i64(str_of(PQcmdTuples(r)), &n) ? n : 0;
}
