/*
 * watchdog: tells a stall from idleness. It is shown, again and again, how far each stage of a
 * replication has come and what lies before it; a stage that has work and has not moved for
 * `limit_us` has stalled. Pure: the time is an argument, so that a test can hold it. One thread.
 */
#ifndef SLUICE_WATCHDOG_H
#define SLUICE_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lsn.h"

enum watchdog_stage {
	WATCHDOG_SOURCE,  /* the server does not say a word, though it was asked to */
	WATCHDOG_CAPTURE, /* our own reading and the journal */
	WATCHDOG_APPLY,   /* from the journal to the warehouse */
	WATCHDOG_SNAPSHOT,
	WATCHDOG_STAGES
};

/* "source", "capture", "apply", "snapshot". */
const char *watchdog_stage_name(enum watchdog_stage stage);

/* What is seen at one moment. Counters only ever grow while their stage works; what they count
 * does not matter. */
struct watchdog_sight {
	bool connected;         /* the source streams */
	uint64_t heard;         /* messages from the source, keepalives included */
	uint64_t capture_turns; /* of capture's loop, which turns also when nothing comes */
	lsn durable, applied;   /* in the journal, in the warehouse */
	uint64_t applied_rows;  /* committed in the warehouse */
	uint64_t apply_turns;   /* records read, pieces written */
	bool apply_failing;     /* it has failed since its last success: its turns are repeats */
	bool snapshotting;
	uint64_t snapshot_rows;
};

struct watchdog {
	int64_t limit_us;
	struct watchdog_sight last;
	int64_t since[WATCHDOG_STAGES]; /* mono: of its last move, or of its work's beginning */
	bool stalled[WATCHDOG_STAGES];
	bool begun;
};

void watchdog_init(struct watchdog *w, int64_t limit_us);

/* Looks. Returns true when some stage has stalled or come on again with this look; `stalled` and
 * `since` then say which and since when. */
bool watchdog_look(struct watchdog *w, const struct watchdog_sight *now, int64_t mono_us);

/* The first stage that stands still, in the order in which rows flow; WATCHDOG_STAGES: none. */
enum watchdog_stage watchdog_first(const struct watchdog *w);

#endif
