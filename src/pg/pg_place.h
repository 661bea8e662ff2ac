/*
 * pg_place: where a private PostgreSQL lives: its programs, the user it runs as, its directories.
 * Private to pg_server.
 */
#ifndef SLUICE_PG_PLACE_H
#define SLUICE_PG_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "arena.h"
#include "err.h"
#include "process.h"

struct pg_place {
	const char *dir; /* as asked for, absolute */
	const char *bin; /* holds initdb and postgres */
	const char *data, *log;
	const char *socket;  /* directory */
	const char *own_tmp; /* ours under /tmp, removed on stop; NULL when there is none */
	bool switch_user;    /* we are root and PostgreSQL refuses to be */
	uid_t uid;
	gid_t gid;
	int lock_fd; /* held as long as the server is ours; -1 when not */
};

/*
 * Finds and makes all of it, in mem. Locks `dir`: ERR_CONFLICT when another process has it. What
 * an earlier run that was killed left under /tmp is named in *left (else NULL), for the caller
 * to stop and remove.
 */
enum err pg_place_find(struct pg_place *p, const char *dir, struct arena *mem, const char **left,
	struct error *e) MUST_CHECK;

/* Makes the directories, owned by the user of the server. data/ is emptied unless keep_data. */
enum err pg_place_make(
	struct pg_place *p, bool keep_data, struct arena *mem, struct error *e) MUST_CHECK;

/* True when the data is under /tmp and goes with the server. */
bool pg_place_is_tmp(const struct pg_place *p);

/* Removes what is ours under /tmp, and with remove_data the data as well; unlocks. */
void pg_place_leave(struct pg_place *p, bool remove_data);

/* Stops the postmaster that runs on this data directory, whoever started it. Fine when none. */
enum err pg_place_stop_stale(const char *data, struct error *e) MUST_CHECK;

/* The options that run argv as the server's user with its output in fd. */
struct process_options pg_place_process(const struct pg_place *p, char *const *argv, int fd);

#endif
