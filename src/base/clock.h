/*
 * clock: time from outside, so that tests can hold it. Wall time is microseconds since 1970 UTC;
 * mono time never goes back and has no epoch. Also the textual forms of time that we read and
 * write.
 */
#ifndef SLUICE_CLOCK_H
#define SLUICE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct clock {
	int64_t (*wall_us)(struct clock *);
	int64_t (*mono_us)(struct clock *);
	void (*sleep_us)(struct clock *, int64_t us); /* may return early on a signal */
};

struct clock *clock_system(void); /* static, thread-safe */

struct clock_manual {
	struct clock base;
	int64_t now_us; /* both clocks; sleep adds to it */
};
void clock_manual_init(struct clock_manual *c, int64_t start_us);

int64_t clock_wall(struct clock *c);
int64_t clock_mono(struct clock *c);
void clock_sleep(struct clock *c, int64_t us);

/* "2017-03-01T12:34:56.123456Z" into out, at least CLOCK_TEXT bytes; returns out. */
#define CLOCK_TEXT 40
char *clock_format(int64_t wall_us, char *out, size_t n);

/* RFC 3339 with zone, "2017-03-01 12:34:56[.f][Z|+hh[:mm]]" or a bare date (midnight UTC). */
bool clock_parse(struct str s, int64_t *wall_us);

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back. */
int64_t clock_days(int64_t year, unsigned month, unsigned day);
void clock_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day);

#endif
