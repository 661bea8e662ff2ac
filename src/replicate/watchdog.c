#include "watchdog.h"

static const char *const names[WATCHDOG_STAGES] = {
	[WATCHDOG_SOURCE] = "source",
	[WATCHDOG_CAPTURE] = "capture",
	[WATCHDOG_APPLY] = "apply",
	[WATCHDOG_SNAPSHOT] = "snapshot",
};

const char *watchdog_stage_name(enum watchdog_stage stage)
{
	return stage < WATCHDOG_STAGES ? names[stage] : "none";
}

void watchdog_init(struct watchdog *w, int64_t limit_us)
{
	*w = (struct watchdog){.limit_us = limit_us};
}

/* The source is asked for a sign of life when it is idle, so its silence is never idleness. When
 * capture itself does not turn, nobody has asked. */
static bool source_moved(const struct watchdog_sight *was, const struct watchdog_sight *now)
{
	return now->heard != was->heard || now->connected != was->connected ||
		(now->connected && now->capture_turns == was->capture_turns);
}

/* Without a connection it waits before its next try; that is the source's fault, not capture's. */
static bool capture_moved(const struct watchdog_sight *was, const struct watchdog_sight *now)
{
	return !now->connected || now->capture_turns != was->capture_turns;
}

static bool apply_moved(const struct watchdog_sight *was, const struct watchdog_sight *now)
{
	if (now->snapshotting || now->durable.v <= now->applied.v)
		return true; /* no work, or not its turn */
	return now->applied.v != was->applied.v || now->applied_rows != was->applied_rows ||
		was->durable.v <= was->applied.v ||
		(!now->apply_failing && now->apply_turns != was->apply_turns);
}

static bool snapshot_moved(const struct watchdog_sight *was, const struct watchdog_sight *now)
{
	return !now->snapshotting || !was->snapshotting || now->snapshot_rows != was->snapshot_rows;
}

static bool (*const moved[WATCHDOG_STAGES])(
	const struct watchdog_sight *was, const struct watchdog_sight *now) = {
	[WATCHDOG_SOURCE] = source_moved,
	[WATCHDOG_CAPTURE] = capture_moved,
	[WATCHDOG_APPLY] = apply_moved,
	[WATCHDOG_SNAPSHOT] = snapshot_moved,
};

bool watchdog_look(struct watchdog *w, const struct watchdog_sight *now, int64_t mono_us)
{
	bool changed = false;

	for (int s = 0; s < WATCHDOG_STAGES; s++) {
		if (!w->begun || moved[s](&w->last, now))
			w->since[s] = mono_us;
		bool stalled = mono_us - w->since[s] >= w->limit_us;
		changed |= stalled != w->stalled[s];
		w->stalled[s] = stalled;
	}
	w->last = *now;
	w->begun = true;
	return changed;
}

enum watchdog_stage watchdog_first(const struct watchdog *w)
{
	int s = 0;

	while (s < WATCHDOG_STAGES && !w->stalled[s])
		s++;
	return (enum watchdog_stage)s;
}
