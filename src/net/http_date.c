#include "http_date.h"

#include "clock.h"

static bool two(struct str s, size_t at, unsigned most, unsigned *out)
{
	uint64_t v;

	if (!str_to_u64(str_make(s.p + at, 2), &v) || v > most)
		return false;
	*out = (unsigned)v;
	return true;
}

static unsigned month_of(struct str name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (unsigned i = 0; i < 12; i++)
		if (str_eq(name, str_make(names + 3 * i, 3)))
			return i + 1;
	return 0;
}

bool http_date_parse(struct str s, int64_t *wall_us)
{
	unsigned day, hour, minute, second;
	uint64_t year;

	if (s.n != 29 || !str_ends(s, STR(" GMT")) || s.p[3] != ',' || s.p[19] != ':' ||
		s.p[22] != ':')
		return false;
	unsigned month = month_of(str_make(s.p + 8, 3));
	if (month == 0 || !two(s, 5, 31, &day) || day == 0 || !two(s, 17, 23, &hour) ||
		!two(s, 20, 59, &minute) || !two(s, 23, 60, &second) ||
		!str_to_u64(str_make(s.p + 12, 4), &year))
		return false;
	*wall_us = (clock_days((int64_t)year, month, day) * 86400 + hour * 3600 + minute * 60 +
			   second) *
		INT64_C(1000000);
	return true;
}
