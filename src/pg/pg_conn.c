#include "pg_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "guard.h"
#include "mem.h"
#include "pg_error.h"
#include "pg_token.h"
#include "secret.h"

#define MAX_PARAMETERS  80
#define CONNECT_TIMEOUT "10"

/* Values arrive in one form only, whatever the server's, the database's or the role's settings. */
#define SESSION                                                                                    \
	"-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC "                              \
	"-c extra_float_digits=3 -c bytea_output=hex -c lc_monetary=C "                            \
	"-c quote_all_identifiers=off"

struct parameters {
	const char *names[MAX_PARAMETERS], *values[MAX_PARAMETERS];
	size_t n;
};

/* Sets a parameter, over an earlier value. */
static void parameter(struct parameters *p, const char *name, const char *value)
{
	size_t i = 0;

	while (i < p->n && strcmp(p->names[i], name) != 0)
		i++;
	assert(i < MAX_PARAMETERS - 1);
	p->names[i] = name;
	p->values[i] = value;
	if (i == p->n)
		p->n++;
}

static const char *parameter_value(const struct parameters *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->names[i], name) == 0)
			return p->values[i];
	return NULL;
}

static void take_given(struct parameters *p, const PQconninfoOption *given)
{
	for (; given->keyword != NULL; given++)
		if (given->val != NULL && given->val[0] != '\0')
			parameter(p, given->keyword, given->val);
}

/* A peer that is gone without a word is noticed within a minute: after 20 s of silence it is asked
 * four times, and what is sent must be acknowledged within 30 s. */
static void take_liveness(struct parameters *p)
{
	static const char *const ours[][2] = {{"keepalives", "1"}, {"keepalives_idle", "20"},
		{"keepalives_interval", "10"}, {"keepalives_count", "4"},
		{"tcp_user_timeout", "30000"}};

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (parameter_value(p, ours[i][0]) == NULL)
			parameter(p, ours[i][0], ours[i][1]);
}

static void take_ours(struct parameters *p, const struct pg_options *o, struct arena *mem)
{
	const char *theirs = parameter_value(p, "options");

	if (theirs == NULL)
		theirs = getenv("PGOPTIONS");
	/* Ours come last, and win. */
	parameter(p, "options", theirs != NULL ? arena_fmt(mem, "%s " SESSION, theirs).p : SESSION);
	parameter(p, "client_encoding", "UTF8");
	if (parameter_value(p, "connect_timeout") == NULL)
		parameter(p, "connect_timeout", CONNECT_TIMEOUT);
	take_liveness(p);
	if (o->password != NULL)
		parameter(p, "password", o->password);
	if (o->application != NULL)
		parameter(p, "application_name", o->application);
	if (o->replication)
		parameter(p, "replication", "database");
}

/* Server notices are not errors; they go to the log and not, as libpq has it, to stderr. */
static void on_notice(void *arg, const PGresult *r)
{
	struct pg *c = arg;
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	log_debug(c->env->log, "pg", text != NULL ? text : "notice");
}

/* libpq's text for a server that is not there goes over two lines and ends in one. */
static struct str one_line(struct arena *mem, const char *text)
{
	char *copy = arena_cstr(mem, str_trim(str_of(text)));

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	return str_of(copy);
}

/*
 * The SQLSTATE in a refusal, as libpq puts it into a verbose message: "FATAL:  28P01: ...". Two
 * spaces stand only before what the server says, whatever its language.
 */
static bool find_state(const char *message, char state[6])
{
	const char *at = strstr(message, ":  ");

	if (at == NULL || strlen(at) < 9 || at[8] != ':')
		return false;
	memcpy(state, at + 3, 5);
	state[5] = '\0';
	return true;
}

/* A value of the connection string that libpq does not take: "invalid sslmode value: ...". */
static bool is_bad_option(const char *message)
{
	return strncmp(message, "invalid ", 8) == 0 || strstr(message, "invalid integer value") ||
		strstr(message, "invalid port number") || strstr(message, "could not match");
}

/* The server is not the one that the connection string trusts, or cannot be asked who it is. Lost
 * connections have another text ("SSL SYSCALL error", "unexpected eof"). */
static bool is_bad_tls(const char *message)
{
	return strstr(message, "certificate") != NULL ||
		strstr(message, "does not support SSL") != NULL;
}

/* What the caller can do about a refusal: one of the server's or the role's will not pass by
 * itself, one for want of room may. */
static enum err kind_of_refusal(const char *state)
{
	enum err kind = pg_sqlstate_kind(state);

	if (kind == ERR_USAGE || kind == ERR_NOT_FOUND || kind == ERR_INPUT)
		return ERR_USAGE;
	return ERR_UNAVAILABLE;
}

/* libpq gives the SQLSTATE of a failed connection in a verbose message only, and that can be
 * asked for only once there is a connection: a server that has refused is asked a second time. */
static enum err kind_of_failure(struct pg *c)
{
	char state[6];

	if (is_bad_option(PQerrorMessage(c->conn)) || is_bad_tls(PQerrorMessage(c->conn)))
		return ERR_USAGE;
	if (strstr(PQerrorMessage(c->conn), ":  ") == NULL)
		return PQconnectionNeedsPassword(c->conn) ? ERR_USAGE : ERR_UNAVAILABLE;
	PGVerbosity before = PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);
	PQreset(c->conn);
	PQsetErrorVerbosity(c->conn, before);
	if (PQstatus(c->conn) == CONNECTION_OK)
		return OK;
	return find_state(PQerrorMessage(c->conn), state) ? kind_of_refusal(state)
							  : ERR_UNAVAILABLE;
}

static bool is_bad_password(const struct pg *c)
{
	char state[6];

	return find_state(PQerrorMessage(c->conn), state) && strcmp(state, "28P01") == 0;
}

static enum err connect_with(struct pg *c, const struct parameters *p, const struct pg_options *o,
	struct arena *mem, struct error *e)
{
	c->conn = PQconnectdbParams(p->names, p->values, 0);
	bool may_change = parameter_value(p, "password") != NULL && o->password_file != NULL;
	if (c->conn == NULL)
		return FAIL(e, ERR_FAILED, "connecting to PostgreSQL: out of memory");
	struct str said = one_line(mem, PQerrorMessage(c->conn));
	enum err kind = PQstatus(c->conn) == CONNECTION_OK ? OK : kind_of_failure(c);
	if (kind == ERR_USAGE && is_bad_tls(said.p))
		return FAIL(e, ERR_USAGE,
			"connecting to PostgreSQL at %.*s: %.*s; correct the host name, or sslmode "
			"and sslrootcert in the connection string: the server must show a "
			"certificate for that name, signed by that authority",
			STR_ARG(pg_describe(c, mem)), STR_ARG(said));
	if (kind == ERR_USAGE && may_change && is_bad_password(c))
		return FAIL(e, ERR_UNAVAILABLE,
			"connecting to PostgreSQL at %.*s: %.*s; the password was read from %s, "
			"and is read again for the next try",
			STR_ARG(pg_describe(c, mem)), STR_ARG(said), o->password_file);
	if (kind == ERR_USAGE)
		return FAIL(e, ERR_USAGE,
			"connecting to PostgreSQL at %.*s: %.*s; correct database, user and "
			"password, or the connection's options",
			STR_ARG(pg_describe(c, mem)), STR_ARG(said));
	if (kind != OK)
		return FAIL(e, ERR_UNAVAILABLE,
			"connecting to PostgreSQL at %.*s: %.*s; check that it runs and that "
			"address, user and password are right",
			STR_ARG(pg_describe(c, mem)), STR_ARG(said));
	c->server_version = PQserverVersion(c->conn);
	PQsetNoticeReceiver(c->conn, on_notice, c);
	return OK;
}

/* While the file is being replaced it may not be there: that passes. */
static enum err take_password_file(
	struct parameters *p, const char *path, struct secret *now, struct error *e)
{
	enum err rc = secret_read_file(now, path, e);

	if (rc == OK)
		parameter(p, "password", secret_reveal(now));
	else if (e != NULL)
		rc = e->kind = ERR_UNAVAILABLE;
	return rc == OK ? OK : error_wrap(e, "connecting to PostgreSQL: reading the password");
}

static enum err take_token(
	struct parameters *p, const struct pg_token *token, struct secret *now, struct error *e)
{
	enum err rc = pg_token_for(token, parameter_value(p, "host"), parameter_value(p, "port"),
		parameter_value(p, "user"), parameter_value(p, "sslmode"), now, e);

	if (rc == OK) {
		parameter(p, "password", secret_reveal(now));
		/* Encryption by GSSAPI would come before TLS, and prove another name. */
		parameter(p, "gssencmode", "disable");
	}
	return rc;
}

enum err pg_open(
	struct pg **out, const struct pg_options *o, const struct env *env, struct error *e)
{
	struct arena mem = {0};
	struct parameters p = {.n = 0};
	struct secret now = {0};
	char *message = NULL;
	PQconninfoOption *given = PQconninfoParse(o->conninfo, &message);

	*out = NULL;
	if (o->guard != NULL && o->guard->broken.kind != OK) {
		PQconninfoFree(given);
		PQfreemem(message);
		if (e != NULL)
			*e = o->guard->broken;
		return o->guard->broken.kind;
	}
	if (given == NULL) {
		/* libpq's own message may quote the string, and with it a password. */
		PQfreemem(message);
		return FAIL(e, ERR_USAGE,
			"reading the PostgreSQL connection string: it is not of the form "
			"\"host=... dbname=...\" or \"postgresql://host/dbname\" (not shown, as it "
			"may hold a password)");
	}
	struct pg *c = mem_zalloc(sizeof *c);
	c->env = env;
	c->guard = o->guard;
	take_given(&p, given);
	take_ours(&p, o, &mem);
	enum err rc = OK;
	if (o->token == NULL && o->password_file != NULL)
		rc = take_password_file(&p, o->password_file, &now, e);
	if (rc == OK && o->token != NULL)
		rc = take_token(&p, o->token, &now, e);
	if (rc == OK)
		rc = connect_with(c, &p, o, &mem, e);
	secret_free(&now);
	PQconninfoFree(given);
	arena_free(&mem);
	if (rc != OK)
		pg_close(c);
	else
		*out = c;
	return rc;
}

void pg_close(struct pg *c)
{
	if (c == NULL)
		return;
	PQfreemem(c->received);
	PQfinish(c->conn);
	mem_free(c);
}

enum err pg_exec(struct pg *c, const char *sql, const char *doing, struct error *e)
{
	PGresult *r = PQexec(c->conn, sql);
	enum err rc = pg_check(c, r, doing, e);

	PQclear(r);
	return rc;
}

static void clear_result(void *r)
{
	PQclear(r);
}

enum err pg_query(struct pg *c, const char *sql, int nparams, const char *const *params,
	const char *doing, struct arena *mem, PGresult **out, struct error *e)
{
	PGresult *r = PQexecParams(c->conn, sql, nparams, NULL, params, NULL, NULL, 0);
	enum err rc = pg_check(c, r, doing, e);

	*out = NULL;
	if (rc != OK) {
		PQclear(r);
		return rc;
	}
	arena_defer(mem, clear_result, r);
	*out = r;
	return OK;
}

const char *pg_cell(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

struct str pg_cell_str(const PGresult *r, int row, int col)
{
	if (PQgetisnull(r, row, col))
		return STR_NONE;
	return str_make(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

int64_t pg_cell_i64(const PGresult *r, int row, int col)
{
	int64_t v = 0;

	return str_to_i64(pg_cell_str(r, row, col), &v) ? v : 0;
}

bool pg_cell_bool(const PGresult *r, int row, int col)
{
	return str_eqc(pg_cell_str(r, row, col), "t");
}

bool pg_failed_with(const struct pg *c, const char *sqlstate)
{
	return strcmp(c->sqlstate, sqlstate) == 0;
}

/* One quote at each end, doubled inside. */
static void put_quoted(struct buf *b, struct str text, char quote)
{
	buf_putc(b, quote);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == quote)
			buf_putc(b, quote);
		buf_putc(b, text.p[i]);
	}
	buf_putc(b, quote);
}

struct str pg_ident(struct arena *mem, struct str name)
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	put_quoted(&b, name, '"');
	struct str quoted = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return quoted;
}

struct str pg_literal(struct arena *mem, struct str text)
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	if (text.n == 0 || memchr(text.p, '\\', text.n) == NULL) {
		put_quoted(&b, text, '\'');
	} else {
		/* The E form reads a backslash alike whatever standard_conforming_strings says. */
		buf_puts(&b, " E");
		struct buf doubled;
		buf_init(&doubled, BUF_MAX_DEFAULT);
		for (size_t i = 0; i < text.n; i++) {
			if (text.p[i] == '\\')
				buf_putc(&doubled, '\\');
			buf_putc(&doubled, text.p[i]);
		}
		put_quoted(&b, buf_str(&doubled), '\'');
		buf_free(&doubled);
	}
	struct str quoted = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return quoted;
}

static const char *or_unknown(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : "?";
}

struct str pg_describe(const struct pg *c, struct arena *mem)
{
	return arena_fmt(mem, "host %s port %s database %s user %s", or_unknown(PQhost(c->conn)),
		or_unknown(PQport(c->conn)), or_unknown(PQdb(c->conn)),
		or_unknown(PQuser(c->conn)));
}
