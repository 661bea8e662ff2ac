/*
 * source: connections to the source, and whether it is the one that the journal knows.
 */
#ifndef SLUICE_SOURCE_H
#define SLUICE_SOURCE_H

#include "cut.h"
#include "journal.h"
#include "pg_catalog.h"
#include "pg_conn.h"
#include "pg_stream.h"
#include "replicate.h"

/* The remedy that works when journal and source no longer belong together: slot, journal. */
#define SOURCE_AFRESH                                                                              \
	"drop the slot (SELECT pg_drop_replication_slot('%s')) where it is still there, move "     \
	"away the journal's directory %s and the warehouse's file (see [warehouse] url), and run " \
	"sluice init to start afresh"

enum err source_open(struct pg **out, const struct replicate_options *o, const struct env *env,
	bool replication, struct error *e) MUST_CHECK;

struct source_state {
	struct pg_slot slot; /* what it has been told */
	lsn flushed;         /* how far the server's log reached */
};

/*
 * Looks whether server and slot are those of the journal, and how they stand. ERR_CHECK with the
 * remedy when they are not; ERR_CONFLICT while another connection streams from the slot: then
 * *out is filled all the same.
 */
enum err source_check(const struct replicate_options *o, const struct journal_identity *id,
	const struct env *env, struct source_state *out, struct arena *mem,
	struct error *e) MUST_CHECK;

/* ERR_CHECK when the server's log ends before what the journal has of it: the server was restored
 * from an older copy, and what it writes from now on would be taken for known. */
enum err source_check_end(const struct replicate_options *o, const struct source_state *s,
	lsn journal_end, struct error *e) MUST_CHECK;

/* pg_current_snapshot() of this moment. */
enum err source_snapshot(
	struct pg *c, struct arena *mem, struct cut *out, struct error *e) MUST_CHECK;

/*
 * Waits until every transaction that `consistent` sees is visible to new snapshots. A commit is
 * in the log, and so may lie before a slot's consistent point, a moment before it is visible (or
 * longer, with synchronous replication): a snapshot taken in between would miss it.
 */
enum err source_join(struct pg *c, const struct cut *consistent, const struct env *env,
	struct error *e) MUST_CHECK;

#endif
