/*
 * snapshot: the rows that a table has before the stream speaks of it. Threads of their own copy
 * them, range by range, while apply goes on with the stream.
 *
 * How a copy joins the stream. A cut C0 is taken first; changes that it includes are left out of
 * the stream for this table, all others are applied as they come, upserts by key. Each range of
 * blocks is read in a short transaction of its own, at a cut Cj after C0, and written once all
 * changes up to Cj are applied. A row of it is kept only if no applied change outside C0 has
 * touched its key. This is exact: the row of an untouched key is the same at every cut since C0,
 * and the state of a touched key comes whole from the stream; so it does not matter at which cut
 * a row was read, nor whether an update moved it from a range still to be read into one that was,
 * or the other way round. What the stream leaves out of a touched key (unchanged TOASTed values)
 * is fetched by key at the end, see snapshot_fill.c.
 *
 * Where what the blocks say about rows no longer holds (TRUNCATE, VACUUM FULL, another shape,
 * other partitions) the copy begins anew at another C0 and goes over the rows that stand there.
 * Rows that it does not meet go at its end: so does `sluice table resync`, and meanwhile readers
 * see the rows that were there before. History goes on: rows copied stand in it as 'r' at the
 * floor, which lies after every change of the table that was applied before C0 and before every
 * change outside it; what lies between the two is taken together by them.
 *
 * A table without a key is read in one transaction at C0 and written in one, and after a crash
 * from its beginning: nothing would tell its rows apart.
 */
#ifndef SLUICE_SNAPSHOT_H
#define SLUICE_SNAPSHOT_H

#include "batch.h"
#include "engine.h"
#include "pg_catalog.h"

struct snapshots;
struct table_copy;

/* Starts and ends the threads. The first error that ended them, if one did. */
enum err snapshots_start(struct replicate *r, struct error *e) MUST_CHECK;
enum err snapshots_stop(struct replicate *r, struct error *e);

/* Looks for new tables and for wishes now. Any thread. */
void snapshots_poke(struct replicate *r);

/* ---- the apply thread's side; `s` NULL (a replay) is fine ---- */

/* Sets the mark "position" where there is none: the slot's beginning. */
enum err snapshot_position(struct replicate *r, struct error *e) MUST_CHECK;

/* Counts up when what snapshot_join() said may no longer hold. */
unsigned snapshot_generation(struct snapshots *s);

/*
 * How the table stands: *copy is NULL when it is whole, and changes that *cut includes are to be
 * left out; otherwise snapshot_skips() says which. A table that is not known yet is put down to
 * be copied. `known`: the cut of a table that is whole has been read already. *cut lives in
 * mem, which is reset when it is read.
 */
enum err snapshot_join(struct snapshots *s, const struct table *t, bool known, struct arena *mem,
	struct table_copy **copy, struct cut *cut, struct error *e) MUST_CHECK;
/* *epoch changes when the table in the warehouse may have got another shape by a new beginning. */
bool snapshot_skips(struct table_copy *c, uint64_t xid, lsn commit, unsigned *epoch);

/* Before the rows are written: holds back what the copy writes until snapshot_release(), and
 * notes their keys. Gives the copy's floor: what stands in the warehouse from before it may be out
 * of date, see table_changes.floor. LSN_NONE when the table is whole. */
lsn snapshot_hold(struct snapshots *s, struct table_copy *c, const struct batch *rows);
/* Before a transaction of the warehouse is opened that rows of any table may be written in. */
void snapshot_hold_all(struct snapshots *s);
void snapshot_release(struct snapshots *s); /* after the commit, or its failure */

/* While the table's shape is adapted: keeps the copy from writing. */
void snapshot_lock(struct table_copy *c);
/* `now`: what the warehouse has; the copy begins anew when it reads another shape. */
void snapshot_unlock(struct table_copy *c, const struct table *now);

/* Nothing is collected, and no transaction is open: what generation says is obeyed. */
void snapshot_obeyed(struct snapshots *s, unsigned generation);

/*
 * Has the table copied again over the rows that stand there, without waiting for it: what the
 * catalog has of it at `seen` (a position of the log) is to be in the copy. The wish is a mark
 * when this returns. *begins is false when a copy begun after `seen` has it already, or when the
 * table has not been taken up yet. The apply thread's, between transactions, nothing collected.
 */
enum err snapshot_resync(struct snapshots *s, const struct table *t, lsn seen, bool *begins,
	struct error *e) MUST_CHECK;

/* From now on a partition of these tables that comes or goes is seen by the catalog's watch: until
 * then the copy of a partitioned table does not end. */
void snapshot_watched(struct snapshots *s, const struct pg_tables *all);

/* ---- live operations on one table; any thread; see tables_live.h ---- */

enum snapshot_wish { WISH_RESYNC, WISH_PAUSE, WISH_RESUME };

/* What the table's marks say must be so already: a crash changes nothing. The copy need not be
 * done when this returns. ERR_NOT_FOUND when no table of that name is known. */
enum err snapshot_obey_wish(struct replicate *r, struct str schema, struct str name,
	enum snapshot_wish wish, struct error *e) MUST_CHECK;

/* ---- a table that keeps its rows while it is held back: see catch_up.h; the apply thread ---- */

/* What its mark says must be so already. Its changes are left out from now on. False when it is
 * not whole: then nothing is done. */
bool snapshot_hold_back(struct replicate *r, struct str schema, struct str name);
/* It catches up, if it is held back and whole. */
bool snapshot_begin_catching(struct replicate *r, struct str schema, struct str name);
/* It is with the others again; or `anew`, copied again. */
void snapshot_let_go(struct replicate *r, uint32_t relid, bool anew);

struct snapshot_catching {
	uint32_t relid;
	struct str schema, name; /* in mem */
};
/* A table that catches up; false: none. */
bool snapshot_catching(struct replicate *r, struct arena *mem, struct snapshot_catching *out);

struct snapshot_sight {
	bool known, whole, paused, catching; /* catching: paused is true too */
	uint64_t rows;
	struct error error; /* of the last try; kind OK: none */
};
void snapshot_look(
	struct replicate *r, struct str schema, struct str name, struct snapshot_sight *out);

#endif
