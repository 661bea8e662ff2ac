#include "pg_stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "clock.h"
#include "pg_error.h"
#include "pg_time.h"
#include "reader.h"

enum err pg_identify(struct pg *c, struct pg_system *out, struct error *e)
{
	PGresult *r = PQexec(c->conn, "IDENTIFY_SYSTEM");
	enum err rc = pg_check(c, r, "identifying the source system", e);
	uint64_t id = 0;
	int64_t timeline = 0;

	if (rc == OK) {
		timeline = pg_cell_i64(r, 0, 1);
		if (PQntuples(r) != 1 || PQnfields(r) < 3 || timeline <= 0 ||
			timeline > UINT32_MAX || !str_to_u64(pg_cell_str(r, 0, 0), &id) ||
			!lsn_parse(pg_cell_str(r, 0, 2), &out->flushed))
			rc = FAIL(e, ERR_INPUT,
				"identifying the source system: the answer to IDENTIFY_SYSTEM is "
				"not one that PostgreSQL gives");
	}
	out->system_id = id;
	out->timeline = (uint32_t)timeline;
	PQclear(r);
	return rc;
}

const char *pg_create_slot_sql(
	const char *slot, int server_version, bool standby, struct arena *mem)
{
	struct str name = pg_ident(mem, str_of(slot));
	bool follows = server_version >= 170000 && !standby;

	/* Options in parentheses came with PostgreSQL 15. */
	return arena_fmt(mem, "CREATE_REPLICATION_SLOT %.*s LOGICAL pgoutput %s", STR_ARG(name),
		follows ? "(SNAPSHOT 'export', FAILOVER true)" : "EXPORT_SNAPSHOT")
		.p;
}

enum err pg_create_slot(struct pg *c, const char *slot, struct arena *mem, lsn *consistent,
	struct str *snapshot, struct error *e)
{
	const char *standby = PQparameterStatus(c->conn, "in_hot_standby");
	const char *sql = pg_create_slot_sql(
		slot, c->server_version, standby != NULL && strcmp(standby, "on") == 0, mem);
	const char *doing = arena_fmt(mem, "creating the replication slot %s", slot).p;
	PGresult *r = PQexec(c->conn, sql);
	enum err rc = pg_check(c, r, doing, e);

	if (rc == OK &&
		(PQntuples(r) != 1 || PQnfields(r) < 3 ||
			!lsn_parse(pg_cell_str(r, 0, 1), consistent)))
		rc = FAIL(e, ERR_INPUT, "%s: the answer is not one that PostgreSQL gives", doing);
	if (rc == OK)
		*snapshot = arena_str(mem, pg_cell_str(r, 0, 2));
	PQclear(r);
	return rc;
}

/* A literal of the replication grammar, where a backslash is a backslash. */
static void put_literal(struct buf *b, struct str text)
{
	buf_putc(b, '\'');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\'')
			buf_putc(b, '\'');
		buf_putc(b, text.p[i]);
	}
	buf_putc(b, '\'');
}

enum err pg_stream_start(struct pg *c, const char *slot, lsn from, int proto_version,
	const char *publication, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	char at[LSN_TEXT];
	struct str name = pg_ident(&mem, str_of(slot));
	/* The option is a list of identifiers inside a literal. */
	struct str list = pg_ident(&mem, str_of(publication));

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_putf(&sql, "START_REPLICATION SLOT %.*s LOGICAL %s (proto_version '%d', ",
		STR_ARG(name), lsn_format(from, at), proto_version);
	if (proto_version >= 2)
		buf_puts(&sql, "streaming 'on', ");
	buf_puts(&sql, "publication_names ");
	put_literal(&sql, list);
	buf_putc(&sql, ')');
	const char *doing = arena_fmt(&mem, "starting replication from slot %s at %s", slot, at).p;
	PGresult *r = PQexec(c->conn, buf_cstr(&sql));
	enum err rc = pg_check(c, r, doing, e);
	if (rc == OK && PQresultStatus(r) != PGRES_COPY_BOTH)
		rc = FAIL(e, ERR_FAILED, "%s: the server did not start to stream", doing);
	PQclear(r);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

static enum err parse_message(struct str bytes, struct pg_message *out, struct error *e)
{
	struct reader r = reader_of(bytes);
	uint8_t kind = read_u8(&r);

	if (kind == 'w') {
		out->kind = PG_DATA;
		out->start.v = read_be64(&r);
		out->end.v = read_be64(&r);
		out->sent_us = read_pg_time(&r);
		out->payload = read_bytes(&r, reader_left(&r));
	} else if (kind == 'k') {
		out->kind = PG_KEEPALIVE;
		out->end.v = read_be64(&r);
		out->start = out->end;
		out->sent_us = read_pg_time(&r);
		out->reply_requested = read_u8(&r) != 0;
	} else {
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a message of unknown kind 0x%02x", kind);
	}
	if (r.bad || reader_left(&r) > 0)
		return FAIL(e, ERR_INPUT,
			"reading the replication stream: a message '%c' of %zu bytes is malformed",
			kind, bytes.n);
	return OK;
}

/* The stream has ended: by an error of the server, by its shutdown, or with the connection. */
static enum err ended(struct pg *c, struct error *e)
{
	static const char doing[] = "reading the replication stream";
	PGresult *r = PQgetResult(c->conn);
	enum err rc = r != NULL ? pg_check(c, r, doing, e) : OK;

	PQclear(r);
	if (rc != OK)
		return rc;
	if (PQstatus(c->conn) == CONNECTION_BAD)
		return pg_fail_connection(c, doing, e);
	return FAIL(e, ERR_UNAVAILABLE, "%s: the server has ended it; connect again", doing);
}

/* Takes a message that has arrived whole; *got is false when there is none. */
static enum err take(struct pg *c, struct pg_message *out, bool *got, struct error *e)
{
	PQfreemem(c->received);
	c->received = NULL;
	int n = PQgetCopyData(c->conn, &c->received, 1);

	*got = n > 0;
	c->burst += n > 0;
	if (n > 0)
		return parse_message(str_make(c->received, (size_t)n), out, e);
	if (n == 0)
		return OK;
	if (n == -1)
		return ended(c, e);
	return pg_fail_connection(c, "reading the replication stream", e);
}

enum wait_result { WAIT_DATA, WAIT_WAKE, WAIT_TIMEOUT };

static enum err wait_data(
	struct pg *c, int64_t timeout_us, int wake_fd, enum wait_result *out, struct error *e)
{
	struct pollfd fds[2] = {
		{.fd = PQsocket(c->conn), .events = POLLIN},
		{.fd = wake_fd, .events = POLLIN}, /* poll passes over -1 */
	};
	struct timespec t = {
		.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
	int n = ppoll(fds, 2, &t, NULL);

	if (n < 0 && errno != EINTR)
		return FAIL_ERRNO(e, ERR_FAILED, "waiting for the replication stream");
	*out = WAIT_TIMEOUT;
	if (n > 0)
		*out = fds[0].revents != 0 ? WAIT_DATA : WAIT_WAKE;
	else if (n < 0)
		*out = WAIT_WAKE; /* a signal: the caller looks what it asks for */
	return OK;
}

#define BURST    64 /* messages */
#define DENSE_US 20 /* between two of them at most */
#define NAP_US   250

void pg_stream_gather(struct pg *c)
{
	c->gathers = true;
}

/* A nap is short enough for what a local socket holds. */
static void gather(struct pg *c, int64_t now)
{
	unsigned n = c->burst - c->burst_was;

	if (now - c->dry_us > (int64_t)n * DENSE_US + NAP_US)
		c->burst = 0;
	c->burst_was = c->burst;
	c->dry_us = now;
	if (!c->gathers || c->burst < BURST)
		return;
	const struct timespec nap = {.tv_nsec = NAP_US * 1000};
	(void)nanosleep(&nap, NULL);
}

enum err pg_stream_receive(
	struct pg *c, int64_t timeout_us, int wake_fd, struct pg_message *out, struct error *e)
{
	int64_t until = -1;
	bool got = false;

	*out = (struct pg_message){.kind = PG_NOTHING};
	for (;;) {
		TRY(take(c, out, &got, e));
		if (got)
			return OK;
		/* A socket waits in real time, whatever clock the program was given. */
		int64_t now = clock_mono(clock_system());
		if (until < 0)
			gather(c, now);
		if (until < 0)
			until = now + (timeout_us > 0 ? timeout_us : 0);
		enum wait_result what = WAIT_TIMEOUT;
		TRY(wait_data(c, until > now ? until - now : 0, wake_fd, &what, e));
		if (what != WAIT_DATA)
			return OK;
		if (PQconsumeInput(c->conn) == 0)
			return pg_fail_connection(c, "reading the replication stream", e);
	}
}

enum err pg_stream_feedback(struct pg *c, lsn written, lsn flushed, bool ask_reply, struct error *e)
{
	static const char doing[] = "acknowledging the replication stream";
	struct buf b;
	int64_t now = clock_wall(c->env->clock);

	buf_init(&b, 64);
	buf_put_u8(&b, 'r');
	buf_put_be64(&b, written.v);
	buf_put_be64(&b, flushed.v);
	buf_put_be64(&b, flushed.v); /* applied */
	buf_put_be64(&b, (uint64_t)(now - PG_EPOCH_US));
	buf_put_u8(&b, ask_reply ? 1 : 0);
	int put = PQputCopyData(c->conn, b.p, (int)b.n);
	int left = put == 1 ? PQflush(c->conn) : -1;
	buf_free(&b);
	if (put != 1 || left != 0)
		return pg_fail_connection(c, doing, e);
	return OK;
}
