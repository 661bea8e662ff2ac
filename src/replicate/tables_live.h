/*
 * tables_live: one table of a replication that goes on: taken up, let go, copied again, held
 * back. What is wished for is written into the source's publication and the warehouse's marks
 * first, so a crash at any moment leaves it wished for; where replication runs in this process it
 * is told at once, and otherwise finds it when it starts. Doing the same again changes nothing.
 *
 * A table that is held back has no changes applied; they stay in the journal, for as long as its
 * retention says. Letting it go on applies them in their order, see catch_up.h; where the journal
 * does not reach back any more, the table is copied again over the rows that stand there.
 */
#ifndef SLUICE_TABLES_LIVE_H
#define SLUICE_TABLES_LIVE_H

#include "replicate.h"

struct tables_live {
	const struct replicate_options *o;
	struct warehouse *w;
	const struct env *env;
	struct replicate *running; /* NULL: replication does not run in this process */
};

/* Publishes the table. ERR_NOT_FOUND when the source has none of that name, ERR_USAGE when it
 * has nothing that tells its rows apart. *changed is false when it was published already. */
enum err tables_add(const struct tables_live *t, struct str schema, struct str name, bool *changed,
	struct error *e) MUST_CHECK;

/* Takes it out of the publication; with `purge` its rows and history go too. ERR_USAGE when the
 * publication names it in no list of its own (FOR ALL TABLES, TABLES IN SCHEMA). */
enum err tables_drop(const struct tables_live *t, struct str schema, struct str name, bool purge,
	bool *changed, struct error *e) MUST_CHECK;

/* ERR_NOT_FOUND when the table was never replicated. Copying again one that is held back is
 * ERR_USAGE. */
enum err tables_resync(const struct tables_live *t, struct str schema, struct str name,
	struct error *e) MUST_CHECK;
enum err tables_pause(const struct tables_live *t, struct str schema, struct str name,
	bool *changed, struct error *e) MUST_CHECK;

#define TABLES_WHY 1024

struct tables_resumed {
	bool changed;
	bool copies;          /* it is copied again; otherwise it catches up from the journal */
	char why[TABLES_WHY]; /* why it is copied */
};
enum err tables_resume(const struct tables_live *t, struct str schema, struct str name,
	struct tables_resumed *out, struct error *e) MUST_CHECK;

#endif
