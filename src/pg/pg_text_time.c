#include <string.h>

#include "clock.h"
#include "pg_text.h"

#define US_SECOND INT64_C(1000000)
#define US_DAY    INT64_C(86400000000)

/* What is left of the text. */
struct scan {
	const char *p, *end;
};

static struct scan scan_of(struct str s)
{
	return (struct scan){s.p, s.p + s.n};
}

static bool at_end(const struct scan *s)
{
	return s->p == s->end;
}

static bool mark(struct scan *s, char c)
{
	if (at_end(s) || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool marks(struct scan *s, const char *text, size_t n)
{
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
		return false;
	s->p += n;
	return true;
}

/* Between `least` and `most` digits, at most 18. */
static bool digits(struct scan *s, int least, int most, int64_t *out)
{
	int n = 0;
	int64_t v = 0;

	while (n < most && !at_end(s) && *s->p >= '0' && *s->p <= '9') {
		v = v * 10 + (*s->p++ - '0');
		n++;
	}
	*out = v;
	return n >= least;
}

/* ".5": up to six digits of a second, in microseconds. */
static bool fraction(struct scan *s, int64_t *us)
{
	const char *from = s->p + 1;
	int64_t v;

	*us = 0;
	if (!mark(s, '.'))
		return true;
	if (!digits(s, 1, 6, &v))
		return false;
	for (ptrdiff_t n = s->p - from; n < 6; n++)
		v *= 10;
	*us = v;
	return true;
}

/* "HH:MM:SS.ffffff"; hours of any length, as an interval has them. */
static bool clock_time(struct scan *s, int hour_digits, int64_t *hours, int64_t *us)
{
	int64_t minutes, seconds, part;

	if (!digits(s, 2, hour_digits, hours) || !mark(s, ':') || !digits(s, 2, 2, &minutes) ||
		!mark(s, ':') || !digits(s, 2, 2, &seconds) || !fraction(s, &part))
		return false;
	*us = (minutes * 60 + seconds) * US_SECOND + part;
	return minutes < 60 && seconds < 60;
}

struct day {
	int64_t year, month, day;
};

static bool scan_day(struct scan *s, struct day *out)
{
	return digits(s, 4, 7, &out->year) && mark(s, '-') && digits(s, 2, 2, &out->month) &&
		mark(s, '-') && digits(s, 2, 2, &out->day);
}

/* Days since 1970; false for a day that the calendar does not have. */
static bool to_days(const struct day *d, bool bc, int64_t *out)
{
	static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t year = bc ? 1 - d->year : d->year;

	if (d->year < 1 || d->month < 1 || d->month > 12 || d->day < 1 ||
		d->day > lengths[d->month - 1])
		return false;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (d->month == 2 && d->day == 29 && !leap)
		return false;
	*out = clock_days(year, (unsigned)d->month, (unsigned)d->day);
	return true;
}

bool pg_text_date(struct str text, int32_t *out)
{
	struct scan s = scan_of(text);
	struct day d;
	int64_t days;

	if (text.n > 0 && (text.p[0] == 'i' || text.p[0] == '-')) {
		*out = text.p[0] == 'i' ? INT32_MAX : -INT32_MAX;
		return str_eqc(text, text.p[0] == 'i' ? "infinity" : "-infinity");
	}
	if (!scan_day(&s, &d))
		return false;
	bool bc = marks(&s, " BC", 3);
	if (!at_end(&s) || !to_days(&d, bc, &days) || days <= -INT32_MAX || days >= INT32_MAX)
		return false;
	*out = (int32_t)days;
	return true;
}

bool pg_text_time(struct str text, int64_t *out)
{
	struct scan s = scan_of(text);
	int64_t hours, us;

	if (!clock_time(&s, 2, &hours, &us) || !at_end(&s))
		return false;
	*out = hours * 3600 * US_SECOND + us;
	return *out <= US_DAY;
}

/* "+HH[:MM[:SS]]", in microseconds east of UTC. */
static bool zone(struct scan *s, int64_t *us)
{
	int64_t hours, minutes = 0, seconds = 0;
	bool west = mark(s, '-');

	if (!west && !mark(s, '+'))
		return false;
	if (!digits(s, 2, 2, &hours) || (mark(s, ':') && !digits(s, 2, 2, &minutes)) ||
		(mark(s, ':') && !digits(s, 2, 2, &seconds)))
		return false;
	*us = ((hours * 60 + minutes) * 60 + seconds) * US_SECOND * (west ? -1 : 1);
	return true;
}

/* What int64 microseconds since 1970 hold, without the two that mean the infinities. */
static bool to_us(int64_t days, int64_t us_of_day, int64_t *out)
{
	int64_t us;

	if (__builtin_mul_overflow(days, US_DAY, &us) || __builtin_add_overflow(us, us_of_day, &us))
		return false;
	*out = us;
	return us < INT64_MAX && us > -INT64_MAX;
}

bool pg_text_timestamp(struct str text, bool zoned, int64_t *out)
{
	struct scan s = scan_of(text);
	struct day d;
	int64_t days, hours, us, east = 0;

	if (text.n > 0 && (text.p[0] == 'i' || text.p[0] == '-')) {
		*out = text.p[0] == 'i' ? INT64_MAX : -INT64_MAX;
		return str_eqc(text, text.p[0] == 'i' ? "infinity" : "-infinity");
	}
	if (!scan_day(&s, &d) || !mark(&s, ' ') || !clock_time(&s, 2, &hours, &us) || hours > 23)
		return false;
	if (zoned && !zone(&s, &east))
		return false;
	bool bc = marks(&s, " BC", 3);
	if (!at_end(&s) || !to_days(&d, bc, &days))
		return false;
	return to_us(days, hours * 3600 * US_SECOND + us - east, out);
}

/* "N unit" as often as there is one; a unit may be in the plural. */
static bool interval_part(struct scan *s, bool negative, int64_t n, int64_t *months, int64_t *days)
{
	static const struct {
		const char *name;
		size_t length;
		int months, days;
	} units[] = {{"year", 4, 12, 0}, {"mon", 3, 1, 0}, {"day", 3, 0, 1}};

	if (negative)
		n = -n;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (!marks(s, units[i].name, units[i].length))
			continue;
		mark(s, 's');
		*months += n * units[i].months;
		*days += n * units[i].days;
		return at_end(s) || mark(s, ' ');
	}
	return false;
}

static bool interval_time(struct scan *s, bool negative, int64_t *out)
{
	int64_t hours, rest, us;

	if (!clock_time(s, 10, &hours, &rest) || !at_end(s))
		return false;
	/* Negative from the start: -INT64_MIN does not exist. */
	if (__builtin_mul_overflow(negative ? -hours : hours, 3600 * US_SECOND, &us) ||
		__builtin_add_overflow(us, negative ? -rest : rest, &us))
		return false;
	*out = us;
	return true;
}

bool pg_text_interval(struct str text, struct interval *out)
{
	struct scan s = scan_of(text);
	int64_t months = 0, days = 0, us = 0;

	if (text.n == 0)
		return false;
	while (!at_end(&s)) {
		bool negative = mark(&s, '-');
		if (!negative)
			mark(&s, '+');
		struct scan number = s;
		int64_t n;
		if (!digits(&s, 1, 10, &n))
			return false;
		if (mark(&s, ' ')) {
			if (!interval_part(&s, negative, n, &months, &days) || months > INT32_MAX ||
				months < INT32_MIN || days > INT32_MAX || days < INT32_MIN)
				return false;
		} else {
			s = number;
			if (!interval_time(&s, negative, &us))
				return false;
		}
	}
	*out = (struct interval){(int32_t)months, (int32_t)days, us};
	return true;
}
