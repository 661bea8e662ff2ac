/*
 * world: what the hand-back tests stand on: a directory, an object store in it, two key pairs,
 * and releases made to measure. world_pg_* adds a private PostgreSQL with a table of bookings.
 */
#ifndef SLUICE_TEST_WORLD_H
#define SLUICE_TEST_WORLD_H

#include "unit.h"

#include "arena.h"
#include "clock.h"
#include "env.h"
#include "handback.h"
#include "pg_conn.h"
#include "release_data.h"
#include "release_manifest.h"
#include "release_store.h"
#include "rnd.h"
#include "store.h"

#define WORKFLOW "cancel-risk"

struct world {
	char dir[128], url[192];
	char key[192], pub[192], other_key[192], other_pub[192];
	struct store *store;
	struct clock_manual clock;
	struct rnd rnd;
	struct env env;
	struct arena mem;
	struct release_policy policy;
	struct pg *pg; /* NULL without a server */
};

void world_open(struct world *w);
void world_close(struct world *w);

/* One server for all tests of a program; NULL conninfo before. */
int world_pg_start(void **state);
int world_pg_stop(void **state);
/* A connection of its own, to close with pg_close(). */
struct pg *world_pg_connect(struct world *w);
/* Bookings 1..n, the first `open` of them booked; no schema sluice. */
void world_bookings(struct world *w, int n, int open);

/* A release made to measure. Zero members take what a good release has. */
struct measure {
	int64_t version;     /* 0: after HEAD */
	int rows;            /* keys 1..rows; 0: 100 */
	double shift;        /* added to every score, which is then held within 0..1 */
	const char *sign_by; /* key file; NULL: the trusted pair's */
	/* Changes the rows before they are written; may be NULL. */
	void (*row)(int i, char key[64], double *score);
	/* Changes the manifest before it is signed; may be NULL. */
	void (*manifest)(struct world *w, struct manifest *m);
	bool keep_head; /* do not move HEAD */
};
/* Writes it to the store; gives its version. */
int64_t world_release(struct world *w, const struct measure *how);

enum err world_land(struct world *w, int64_t version, struct land_result *out, struct error *e);
/* The check of that name; fails the test when there is none. */
const struct check *world_check(const struct checks *c, const char *name);
int64_t world_count(struct world *w, const char *sql);
/* Changes one bit of what the store holds. */
void world_flip_byte(struct world *w, struct str key, size_t at);
/* Makes one byte of what the store holds `to`, or `other` where it is that already. */
void world_change_byte(struct world *w, struct str key, size_t at, char to, char other);

#endif
