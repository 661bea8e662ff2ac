#include "pg_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "file.h"
#include "mem.h"
#include "pg_conn.h"
#include "pg_place.h"
#include "process.h"

#define READY_US     ((int64_t)120 * 1000000)
#define POLL_US      20000
#define FAST_US      ((int64_t)60 * 1000000)
#define IMMEDIATE_US ((int64_t)10 * 1000000)
#define LOG_TAIL     600

struct pg_server {
	struct arena mem;
	const struct env *env;
	struct pg_place place;
	struct process process;
	char **argv;
	const char *database;
	const char *conninfo;    /* to the database asked for */
	const char *maintenance; /* to the database postgres, which always exists */
};

/* Fit for logical replication, reachable through the socket alone; later settings win. */
static const char *const standing[] = {
	"listen_addresses=",
	"port=5432",
	"wal_level=logical",
	"max_wal_senders=10",
	"max_replication_slots=10",
	"max_connections=60",
	"max_prepared_transactions=20",
	"shared_buffers=128MB",
	"timezone=UTC",
	"log_timezone=UTC",
	"logging_collector=off",
	"log_destination=stderr",
};

#define STANDING (sizeof standing / sizeof *standing)

/* Words of a command line; the count is known before. */
struct words {
	char **at;
	size_t n;
	struct arena *mem;
};

static struct words words_make(struct arena *mem, size_t most)
{
	return (struct words){arena_array(mem, most + 1, sizeof(char *)), 0, mem};
}

static void word(struct words *w, const char *text)
{
	w->at[w->n++] = arena_cstr(w->mem, str_of(text));
}

static void setting(struct words *w, const char *text)
{
	word(w, "-c");
	word(w, text);
}

/* name='value' for a connection string. */
static const char *quoted(struct arena *mem, const char *name, const char *value)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_putf(&b, "%s='", name);
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			buf_putc(&b, '\\');
		buf_putc(&b, *p);
	}
	buf_putc(&b, '\'');
	const char *text = arena_cstr(mem, buf_str(&b));
	buf_free(&b);
	return text;
}

static void make_argv(struct pg_server *s, const char *const *settings)
{
	size_t given = 0;

	while (settings != NULL && settings[given] != NULL)
		given++;
	struct words w = words_make(&s->mem, 3 + 2 * (STANDING + 1 + given));
	word(&w, arena_fmt(&s->mem, "%s/postgres", s->place.bin).p);
	word(&w, "-D");
	word(&w, s->place.data);
	for (size_t i = 0; i < STANDING; i++)
		setting(&w, standing[i]);
	/* A list of directories: as identifiers are, a path is quoted to keep commas and spaces. */
	struct str socket = pg_ident(&s->mem, str_of(s->place.socket));
	setting(&w, arena_fmt(&s->mem, "unix_socket_directories=%.*s", STR_ARG(socket)).p);
	for (size_t i = 0; i < given; i++)
		setting(&w, settings[i]);
	s->argv = w.at;
}

/* A port matters where the settings have it listen on an address too. */
static const char *port_of(const char *const *settings)
{
	const char *port = "5432";

	for (; settings != NULL && *settings != NULL; settings++)
		if (strncmp(*settings, "port=", 5) == 0)
			port = *settings + 5;
	return port;
}

static const char *make_conninfo(
	struct pg_server *s, const char *database, const char *const *settings)
{
	const char *host = quoted(&s->mem, "host", s->place.socket);
	const char *name = quoted(&s->mem, "dbname", database);

	return arena_fmt(&s->mem, "%s port=%s user=postgres %s", host, port_of(settings), name).p;
}

/* Makes the cluster. A durable copy of what can be made again at once is not worth the wait. */
static enum err run_initdb(struct pg_server *s, struct error *e)
{
	static const char *const rest[] = {"-A", "trust", "-U", "postgres", "-E", "UTF8",
		"--no-locale", "--no-sync", "--no-instructions"};
	size_t nrest = sizeof rest / sizeof *rest;
	struct words w = words_make(&s->mem, 3 + nrest);
	struct buf out, err;
	int code = 0;

	word(&w, arena_fmt(&s->mem, "%s/initdb", s->place.bin).p);
	word(&w, "-D");
	word(&w, s->place.data);
	for (size_t i = 0; i < nrest; i++)
		word(&w, rest[i]);
	buf_init(&out, 1 << 20);
	buf_init(&err, 1 << 20);
	struct process_options po = pg_place_process(&s->place, w.at, -1);
	enum err rc = process_run(&po, &out, &err, &code, e);
	struct str said = str_trim(buf_str(&err));
	if (rc != OK)
		rc = error_wrap(e, "making a PostgreSQL cluster in %s", s->place.data);
	else if (code != 0)
		rc = FAIL(e, ERR_FAILED,
			"making a PostgreSQL cluster in %s: initdb ended with %d: %.*s",
			s->place.data, code, STR_ARG(said));
	buf_free(&out);
	buf_free(&err);
	return rc;
}

/* The end of the server's log, which says why it did not start. */
static struct str log_tail(struct pg_server *s)
{
	struct buf text;
	struct error ignored = {.kind = OK};
	struct str tail = STR("its log cannot be read");

	buf_init(&text, BUF_MAX_DEFAULT);
	if (file_read(s->place.log, &text, &ignored) == OK) {
		struct str all = str_trim(buf_str(&text));
		size_t skip = all.n > LOG_TAIL ? all.n - LOG_TAIL : 0;
		tail = arena_str(&s->mem, str_from(all, skip));
	}
	buf_free(&text);
	return tail;
}

/* Is it ready? Asked of the server itself; as long as it says no, the process must live. */
static enum err wait_ready(struct pg_server *s, struct error *e)
{
	struct clock *clock = clock_system(); /* a real process takes real time */
	int64_t until = clock_mono(clock) + READY_US;

	for (;;) {
		bool ended = false;
		int code = 0;
		if (PQping(s->maintenance) == PQPING_OK)
			return OK;
		TRY(process_wait_for(&s->process, clock, POLL_US, &ended, &code, e));
		if (ended)
			return FAIL(e, ERR_FAILED,
				"starting PostgreSQL in %s: it ended with %d; its log %s says: "
				"%.*s",
				s->place.data, code, s->place.log, STR_ARG(log_tail(s)));
		TRY(env_check(s->env, e));
		if (clock_mono(clock) > until)
			return FAIL(e, ERR_UNAVAILABLE,
				"starting PostgreSQL in %s: not ready after %d s; its log %s says: "
				"%.*s",
				s->place.data, (int)(READY_US / 1000000), s->place.log,
				STR_ARG(log_tail(s)));
	}
}

static void stop_process(struct pg_server *s, int signal)
{
	struct clock *clock = clock_system();
	bool ended = false;
	int code;

	if (s->process.pid <= 0)
		return;
	kill(s->process.pid, signal);
	/* What does not end in peace is stopped harder; WAL makes the data whole again. */
	if (process_wait_for(&s->process, clock, FAST_US, &ended, &code, NULL) == OK && ended)
		return;
	kill(s->process.pid, SIGQUIT);
	if (process_wait_for(&s->process, clock, IMMEDIATE_US, &ended, &code, NULL) == OK && ended)
		return;
	process_stop(&s->process, clock, 0);
}

static enum err run_postgres(struct pg_server *s, struct error *e)
{
	int fd = open(s->place.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "opening the log %s of PostgreSQL", s->place.log);
	struct process_options po = pg_place_process(&s->place, s->argv, fd);
	enum err rc = process_start(&s->process, &po, e);
	close(fd);
	if (rc == OK)
		rc = wait_ready(s, e);
	return rc;
}

static enum err create_database(struct pg_server *s, struct error *e)
{
	struct arena mem = {0};
	struct pg_options o = {.conninfo = s->maintenance};
	struct pg *c = NULL;
	PGresult *r = NULL;

	enum err rc = pg_open(&c, &o, s->env, e);
	if (rc == OK)
		rc = pg_query(c, "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", 1,
			&s->database, "looking for the database", &mem, &r, e);
	if (rc == OK && PQntuples(r) == 0) {
		struct str name = pg_ident(&mem, str_of(s->database));
		rc = pg_exec(c, arena_fmt(&mem, "CREATE DATABASE %.*s", STR_ARG(name)).p,
			"creating the database", e);
	}
	pg_close(c);
	arena_free(&mem);
	return rc;
}

/* Clears away what runs of this directory that were killed have left. */
static enum err clear_left(struct pg_server *s, const char *left, struct error *e)
{
	const char *here = arena_fmt(&s->mem, "%s/data", s->place.dir).p;

	TRY(pg_place_stop_stale(here, e));
	if (left == NULL)
		return OK;
	TRY(pg_place_stop_stale(arena_fmt(&s->mem, "%s/data", left).p, e));
	return file_remove_tree(left, e);
}

static enum err start(struct pg_server *s, const struct pg_server_options *o, struct error *e)
{
	const char *left = NULL;

	TRY(pg_place_find(&s->place, o->dir, &s->mem, &left, e));
	TRY(clear_left(s, left, e));
	TRY(pg_place_make(&s->place, o->keep_data, &s->mem, e));
	s->database = arena_cstr(&s->mem, str_of(o->database != NULL ? o->database : "postgres"));
	s->conninfo = make_conninfo(s, s->database, o->settings);
	s->maintenance = make_conninfo(s, "postgres", o->settings);
	make_argv(s, o->settings);
	if (!file_exists(arena_fmt(&s->mem, "%s/PG_VERSION", s->place.data).p))
		TRY(run_initdb(s, e));
	TRY(run_postgres(s, e));
	return create_database(s, e);
}

enum err pg_server_start(struct pg_server **out, const struct pg_server_options *o,
	const struct env *env, struct error *e)
{
	struct pg_server *s = mem_zalloc(sizeof *s);

	*out = NULL;
	s->env = env;
	s->place.lock_fd = -1;
	enum err rc = start(s, o, e);
	if (rc != OK) {
		pg_server_stop(s, false);
		return rc;
	}
	*out = s;
	return OK;
}

const char *pg_server_conninfo(const struct pg_server *s)
{
	return s->conninfo;
}

enum err pg_server_restart(struct pg_server *s, bool immediate, struct error *e)
{
	stop_process(s, immediate ? SIGQUIT : SIGINT);
	return run_postgres(s, e);
}

void pg_server_stop(struct pg_server *s, bool remove_data)
{
	if (s == NULL)
		return;
	/* Data about to be removed needs no checkpoint. */
	bool kept = !remove_data && !pg_place_is_tmp(&s->place);
	stop_process(s, kept ? SIGINT : SIGQUIT);
	pg_place_leave(&s->place, remove_data);
	arena_free(&s->mem);
	mem_free(s);
}
