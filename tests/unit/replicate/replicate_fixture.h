/* What the tests of replication share: surroundings, one private server a program, and for each
 * test a source schema, a slot, a journal and a warehouse of its own. */
#ifndef SLUICE_REPLICATE_FIXTURE_H
#define SLUICE_REPLICATE_FIXTURE_H

#include "unit.h"

#include "env.h"
#include "failpoint.h"
#include "metrics.h"
#include "pg_conn.h"
#include "pg_server.h"
#include "replicate.h"
#include "warehouse.h"

struct fixture {
	struct env env;
	struct rnd rnd;
	char dir[128];
	struct pg_server *server;
	struct pg *pg; /* an ordinary session */
	unsigned n;    /* tests begun */
	/* Of the test in work. */
	char slot[32], publication[32], journal[192], url[192], tables[64];
	struct warehouse *w;
	struct replicate_options o;
	struct arena mem;
};

int fixture_start(void **state); /* cmocka group setup */
int fixture_stop(void **state);
int fixture_begin(void **state); /* of each test: schema public is empty */
int fixture_end(void **state);

void source_run(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
void open_warehouse(struct fixture *f);
void close_warehouse(struct fixture *f);
void init_ok(struct fixture *f);

/* replicate_run() up to what the source has now. */
enum err catch_up(struct fixture *f, struct replicate_result *out, struct error *e);
void catch_up_ok(struct fixture *f);

/* Arms failpoints for what follows; NULL disarms. */
void arm(struct fixture *f, const char *spec);

/*
 * The table's content must be the same on both sides, and history must tell the same: `columns`
 * is an SQL list of text expressions that both engines understand; ordered by it. Gives the rows.
 */
int64_t assert_same(struct fixture *f, const char *table, const char *columns);
/* Both answers as text; in mem. */
const char *source_text(struct fixture *f, const char *sql);
const char *warehouse_text_of(struct fixture *f, const char *sql);
int64_t warehouse_count(struct fixture *f, const char *sql);

#endif
