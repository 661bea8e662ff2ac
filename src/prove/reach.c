#include "reconcile.h"
#include "replicate.h"

#define LOOK_EVERY_US 50000

static enum err gave_up(lsn at, lsn stands, int64_t patience_us, struct error *e)
{
	char want[LSN_TEXT], have[LSN_TEXT];
	long long seconds = (long long)(patience_us / 1000000);

	lsn_format(at, want);
	if (stands.v == 0)
		return FAIL(e, ERR_UNAVAILABLE,
			"waiting for the warehouse to reach %s: nothing has been replicated into "
			"it yet, and %lld s went by; start `sluice up` or `sluice replicate`",
			want, seconds);
	return FAIL(e, ERR_UNAVAILABLE,
		"waiting for the warehouse to reach %s: it stands at %s and has not moved for %lld "
		"s; "
		"check that `sluice up` or `sluice replicate` runs, and what `sluice status` says "
		"of "
		"the slot",
		want, lsn_format(stands, have), seconds);
}

enum err reach_polling(void *arg, lsn at, struct error *e)
{
	const struct reach_polling *p = arg;
	struct replicate_position stands = {.at = LSN_NONE};
	lsn seen = LSN_NONE;
	int64_t moved_at = clock_mono(p->env->clock);

	for (;;) {
		TRY(env_check(p->env, e));
		TRY(replicate_position(p->warehouse, &stands, e));
		if (stands.found && lsn_cmp(stands.at, at) >= 0)
			return OK;
		int64_t now = clock_mono(p->env->clock);
		if (lsn_cmp(stands.at, seen) != 0)
			moved_at = now;
		seen = stands.at;
		if (now - moved_at >= p->patience_us)
			return gave_up(at, stands.at, p->patience_us, e);
		env_sleep(p->env, LOOK_EVERY_US);
	}
}
