#include "clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static int64_t system_wall(struct clock *c)
{
	(void)c;
	return read_us(CLOCK_REALTIME);
}

static int64_t system_mono(struct clock *c)
{
	(void)c;
	return read_us(CLOCK_MONOTONIC);
}

static void system_sleep(struct clock *c, int64_t us)
{
	(void)c;
	struct timespec t = {.tv_sec = us / SECOND_US, .tv_nsec = us % SECOND_US * 1000};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

struct clock *clock_system(void)
{
	static struct clock c = {system_wall, system_mono, system_sleep};

	return &c;
}

/* Atomic, so that a test may move time under running threads. */
static int64_t manual_now(struct clock *c)
{
	return __atomic_load_n(&((struct clock_manual *)c)->now_us, __ATOMIC_SEQ_CST);
}

static void manual_sleep(struct clock *c, int64_t us)
{
	__atomic_add_fetch(&((struct clock_manual *)c)->now_us, us, __ATOMIC_SEQ_CST);
}

void clock_manual_init(struct clock_manual *c, int64_t start_us)
{
	*c = (struct clock_manual){{manual_now, manual_now, manual_sleep}, start_us};
}

int64_t clock_wall(struct clock *c)
{
	return c->wall_us(c);
}

int64_t clock_mono(struct clock *c)
{
	return c->mono_us(c);
}

void clock_sleep(struct clock *c, int64_t us)
{
	if (us > 0)
		c->sleep_us(c, us);
}

/* Howard Hinnant's days_from_civil: years begin in March, so that the leap day comes last. */
int64_t clock_days(int64_t year, unsigned month, unsigned day)
{
	assert(month >= 1 && month <= 12 && day >= 1 && day <= 31);
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void clock_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

char *clock_format(int64_t wall_us, char *out, size_t n)
{
	int64_t days = wall_us / DAY_US, us = wall_us % DAY_US;
	unsigned month, day;
	int64_t year;

	assert(n >= CLOCK_TEXT);
	if (us < 0) {
		us += DAY_US;
		days--;
	}
	clock_civil(days, &year, &month, &day);
	int64_t s = us / SECOND_US;
	snprintf(out, n, "%04" PRId64 "-%02u-%02uT%02d:%02d:%02d.%06dZ", year, month, day,
		(int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60), (int)(us % SECOND_US));
	return out;
}

/* The parser: each piece takes what it wants off the front and says whether it was there. */

static bool digits(struct str *s, size_t n, int64_t *out)
{
	int64_t v = 0;

	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*out = v;
	*s = str_from(*s, n);
	return true;
}

static bool mark(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

static unsigned month_length(int64_t year, unsigned month)
{
	static const unsigned char length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return length[month - 1] + (month == 2 && leap ? 1U : 0U);
}

static bool parse_date(struct str *s, int64_t *days)
{
	size_t year_digits = 0;
	int64_t year, month, day;

	/* PostgreSQL and clock_format() write the years after 9999 with as many digits as needed.
	 */
	while (year_digits < s->n && s->p[year_digits] != '-')
		year_digits++;
	if (year_digits < 4 || year_digits > 6)
		return false;
	if (!digits(s, year_digits, &year) || !mark(s, '-') || !digits(s, 2, &month) ||
		!mark(s, '-') || !digits(s, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_length(year, (unsigned)month))
		return false;
	*days = clock_days(year, (unsigned)month, (unsigned)day);
	return true;
}

/* What is finer than a microsecond is dropped. */
static bool parse_fraction(struct str *s, int64_t *us)
{
	int64_t unit = SECOND_US / 10, digit;

	*us = 0;
	if (!mark(s, '.'))
		return true;
	if (!digits(s, 1, &digit))
		return false;
	do {
		*us += digit * unit;
		unit /= 10;
	} while (digits(s, 1, &digit));
	return true;
}

static bool parse_time(struct str *s, int64_t *us)
{
	int64_t hour, minute, second, fraction;

	if (!digits(s, 2, &hour) || !mark(s, ':') || !digits(s, 2, &minute) || !mark(s, ':') ||
		!digits(s, 2, &second) || !parse_fraction(s, &fraction))
		return false;
	if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second, as RFC 3339 allows */
		return false;
	*us = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction;
	return true;
}

static bool parse_zone(struct str *s, int64_t *us)
{
	int64_t hour, minute = 0;

	*us = 0;
	if (mark(s, 'Z') || mark(s, 'z') || s->n == 0)
		return true;
	int sign = mark(s, '+') ? 1 : mark(s, '-') ? -1 : 0;
	if (sign == 0 || !digits(s, 2, &hour))
		return false;
	if (s->n > 0) {
		mark(s, ':');
		if (!digits(s, 2, &minute))
			return false;
	}
	if (hour > 23 || minute > 59)
		return false;
	*us = sign * (hour * 60 + minute) * 60 * SECOND_US;
	return true;
}

bool clock_parse(struct str s, int64_t *wall_us)
{
	int64_t days, time = 0, zone = 0;

	if (!parse_date(&s, &days))
		return false;
	if (s.n > 0) {
		if (!mark(&s, 'T') && !mark(&s, 't') && !mark(&s, ' '))
			return false;
		if (!parse_time(&s, &time) || !parse_zone(&s, &zone) || s.n > 0)
			return false;
	}
	int64_t us;
	if (__builtin_mul_overflow(days, DAY_US, &us) ||
		__builtin_add_overflow(us, time - zone, &us))
		return false;
	*wall_us = us;
	return true;
}
