/*
 * pg_server: a private PostgreSQL for the demonstration and the tests: found on this machine,
 * its data in a directory of ours, reachable through a Unix socket only, so no port is taken.
 * PostgreSQL refuses to run as root: as root it runs as the user postgres (or nobody), in the
 * given directory when that user can reach it, else in a directory of its own under /tmp that
 * is removed with it (data kept from one start to the next needs a directory it can reach). A
 * path too long for a socket puts only the socket under /tmp.
 *
 * The server ends with the thread that started it, even when that is killed. What a killed run
 * left is stopped and cleared by the next start in the same directory.
 */
#ifndef SLUICE_PG_SERVER_H
#define SLUICE_PG_SERVER_H

#include "arena.h"
#include "env.h"
#include "err.h"

struct pg_server;

struct pg_server_options {
	const char *dir;             /* created; holds data/ and log */
	const char *database;        /* created when absent */
	const char *const *settings; /* "name=value", NULL-terminated; may be NULL */
	bool keep_data; /* a cluster that stands there is started again, not made anew */
};

/* wal_level=logical and settings fit for replication are set unless `settings` says otherwise.
 * ERR_CONFLICT when another process runs a server in `dir`. *out is NULL on failure. */
enum err pg_server_start(struct pg_server **out, const struct pg_server_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
const char *pg_server_conninfo(const struct pg_server *s); /* as user postgres */
/* Stops and starts it again: fast, or immediate, as after a crash. */
enum err pg_server_restart(struct pg_server *s, bool immediate, struct error *e) MUST_CHECK;
/* NULL is fine; frees s. remove_data: data/, the log, and `dir` itself when nothing else is in it.
 */
void pg_server_stop(struct pg_server *s, bool remove_data);

#endif
