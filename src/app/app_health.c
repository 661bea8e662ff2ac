#include "app_health.h"

#include <assert.h>

#define THINGS   32
#define QUIET_US (10 * 1000000LL)

void app_health_fails(struct app_health *h, unsigned thing, const char *what, const char *why)
{
	unsigned bit = 1U << thing;

	assert(thing < THINGS);
	if (atomic_fetch_or(&h->bad, bit) & bit)
		return;
	log_warn(h->log, "app",
		"requests are answered with 503; they are served as soon as the database does this",
		F_CSTR("doing", what), F_CSTR("why", why));
}

void app_health_works(struct app_health *h, unsigned thing, const char *what)
{
	unsigned bit = 1U << thing;

	assert(thing < THINGS);
	/* The usual case writes nothing that other threads read. */
	if ((atomic_load(&h->bad) & bit) == 0 || (atomic_fetch_and(&h->bad, ~bit) & bit) == 0)
		return;
	log_info(h->log, "app", "the database does this again", F_CSTR("doing", what));
}

void app_health_crowded(struct app_health *h, int64_t now_us)
{
	int64_t until = atomic_load(&h->quiet_us);

	if (now_us < until ||
		!atomic_compare_exchange_strong(&h->quiet_us, &until, now_us + QUIET_US))
		return;
	log_warn(h->log, "app",
		"requests are answered with 503: more wait than the threads keep up with; raise "
		"[app] threads or run another API");
}
