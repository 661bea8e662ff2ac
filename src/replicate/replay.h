/*
 * replay: a stretch of journal applied to a warehouse of its own, by the code that applies it
 * live. Nothing but the directory and the warehouse is touched: no source, no slot.
 */
#ifndef SLUICE_REPLAY_H
#define SLUICE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replicate.h"
#include "table.h"

struct replicate_replay {
	const char *journal; /* directory; nobody writes to it */
	int64_t batch_rows;
	int64_t flush_interval_us; /* the longest that rows are collected */
	bool at_speed;             /* transactions come as far apart as they were committed */
	/* Types that the stream leaves out (domains), as the source would tell them. */
	const struct table *const *shapes;
	size_t nshapes;
};

/*
 * Applies what the journal holds after the warehouse's position, to its end. The warehouse has
 * the tables as they were at that position, and the marks "position", "snapshot:..." and
 * "shape:...". A replay that was cut short goes on where it stood. ERR_CHECK when the journal is
 * damaged, ends inside a transaction, or speaks of a table that the warehouse does not have;
 * ERR_INTERRUPTED when env->stop is set.
 */
enum err replicate_replay(const struct replicate_replay *o, struct warehouse *w,
	const struct env *env, struct replicate_result *out, struct error *e) MUST_CHECK;

#endif
