/* A private PostgreSQL and a DuckDB that hold the same tables, for the tests of proving. */
#ifndef SLUICE_PROVE_FIXTURE_H
#define SLUICE_PROVE_FIXTURE_H

#include "unit.h"

#include "env.h"
#include "pg_conn.h"
#include "pg_server.h"
#include "reconcile.h"
#include "rnd.h"
#include "warehouse.h"

#define PUBLICATION "sluice"
#define ITEMS       300 /* rows of public.items: ids 1..ITEMS */

struct fixture {
	char dir[128], url[256];
	struct rnd rnd;
	struct env env;
	struct pg_server *server;
	struct warehouse *warehouse;
	struct pg *pg; /* an ordinary session on the source */
};

/* Starts the server, makes tables with rows of every landing and copies them across. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Empties the warehouse of the publication's tables and copies them across at one cut. */
void fixture_copy(struct fixture *f);

/* Takes the tables and the marks away, for replication to begin from nothing. */
void fixture_empty(struct fixture *f);

/* One statement, in the source or in the warehouse; the test fails when it does. */
void source_run(struct fixture *f, const char *sql);
void warehouse_run(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* reconcile() with `reach` doing nothing: what is in the warehouse is what there is. */
enum err reconcile_now(struct fixture *f, const char *table, size_t max_keys,
	struct reconcile_report *out, struct error *e);

const struct reconcile_table *report_table(const struct reconcile_report *r, const char *name);

/* The reach of reconcile_now. */
enum err reached(void *arg, lsn at, struct error *e);

#endif
