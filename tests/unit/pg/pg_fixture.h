/* What the tests of the pg layer share: surroundings, one private server a program, a session. */
#ifndef SLUICE_PG_FIXTURE_H
#define SLUICE_PG_FIXTURE_H

#include "unit.h"

#include "arena.h"
#include "env.h"
#include "pg_conn.h"
#include "pg_server.h"

struct fixture {
	struct env env;
	struct rnd rnd;
	char dir[128];
	struct pg_server *server;
	struct pg *pg; /* an ordinary session */
	struct arena mem;
};

/* cmocka group setup and teardown; *state is a struct fixture. */
int fixture_start(void **state);
int fixture_stop(void **state);

struct pg *fixture_open(struct fixture *f, bool replication);
void fixture_exec(struct fixture *f, const char *sql);
PGresult *fixture_query(struct fixture *f, const char *sql);
const char *fixture_cell(struct fixture *f, const char *sql); /* the first cell of the answer */

#endif
