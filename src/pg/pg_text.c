#include "pg_text.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "enc.h"

bool pg_text_bool(struct str s, uint8_t *out)
{
	if (str_eqc(s, "t") || str_eqc(s, "true"))
		*out = 1;
	else if (str_eqc(s, "f") || str_eqc(s, "false"))
		*out = 0;
	else
		return false;
	return true;
}

bool pg_text_int(struct str s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	size_t i = negative ? 1 : 0;
	uint64_t v = 0;

	if (s.n == i || s.n - i > 19) /* 19 digits cannot overflow 64 bits */
		return false;
	for (; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*out = (int64_t)(negative ? -v : v);
	return *out >= min && *out <= max;
}

uint128 pg_pow10(unsigned n)
{
	static const uint64_t small[] = {1U, 10U, 100U, 1000U, 10000U, 100000U, 1000000U, 10000000U,
		100000000U, 1000000000U, 10000000000U, 100000000000U, 1000000000000U,
		10000000000000U, 100000000000000U, 1000000000000000U, 10000000000000000U,
		100000000000000000U, 1000000000000000000U, 10000000000000000000U};

	assert(n <= DECIMAL_MAX_PRECISION);
	return n <= 19 ? small[n] : (uint128)small[19] * small[n - 19];
}

/* Digits before and after the point. Zeros beyond the scale say nothing and are passed over. */
static bool digits_decimal(struct str s, size_t i, unsigned scale, uint128 *out, unsigned *frac)
{
	uint128 v = 0;
	unsigned significant = 0;
	bool point = false;

	if (i == s.n)
		return false;
	for (*frac = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
		if (s.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit > 9)
			return false;
		if (point && *frac == scale) {
			if (digit != 0)
				return false;
			continue;
		}
		if ((v != 0 || digit != 0) && ++significant > DECIMAL_MAX_PRECISION)
			return false;
		*frac += point;
		v = v * 10 + digit;
	}
	*out = v;
	return s.p[s.n - 1] != '.';
}

bool pg_text_decimal(struct str s, struct type t, int128 *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	unsigned frac;
	uint128 v;

	if (!digits_decimal(s, negative ? 1 : 0, t.scale, &v, &frac))
		return false;
	uint128 limit = pg_pow10(t.precision), up = pg_pow10(t.scale - frac);
	if (v > (limit - 1) / up)
		return false;
	v *= up;
	*out = negative ? -(int128)v : (int128)v;
	return true;
}

bool pg_text_money(struct str s, struct type t, int128 *out)
{
	char plain[32]; /* "-92233720368547758.08" and its commas are 28 */
	size_t n = 0, at = s.n > 0 && s.p[0] == '-';

	if (at == s.n || s.p[at] != '$' || s.n >= sizeof plain)
		return false;
	if (at > 0)
		plain[n++] = '-';
	while (++at < s.n)
		if (s.p[at] != ',')
			plain[n++] = s.p[at];
	return pg_text_decimal(str_make(plain, n), t, out);
}

/* A decimal number taken apart: mantissa times 10 to the exponent. */
struct scientific {
	uint64_t mantissa;
	int exponent;
	bool negative;
};

/* False when it is no plain number or has more digits than 64 bits hold: the long way, then. */
static bool take_apart(struct str s, struct scientific *out)
{
	size_t i = 0;
	int digits = 0, exponent = 0;
	bool point = false;

	*out = (struct scientific){.negative = s.n > 0 && s.p[0] == '-'};
	for (i = out->negative; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
		if (s.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit > 9)
			break;
		if (++digits > 19)
			return false;
		out->mantissa = out->mantissa * 10 + digit;
		out->exponent -= point;
	}
	if (digits == 0)
		return false;
	if (i < s.n) {
		int64_t e;
		size_t plus = i + 1 < s.n && s.p[i + 1] == '+';
		if (s.p[i] != 'e' || !pg_text_int(str_from(s, i + 1 + plus), -400, 400, &e))
			return false;
		exponent = (int)e;
	}
	out->exponent += exponent;
	return true;
}

/* NUL-terminated in room of 64 bytes, more than any float PostgreSQL prints; false if not so. */
static bool terminated(struct str s, char room[64])
{
	if (s.n == 0 || s.n >= 64 || s.p[0] == ' ')
		return false;
	memcpy(room, s.p, s.n);
	room[s.n] = '\0';
	return true;
}

static bool special(struct str s, double *out)
{
	if (str_eqc(s, "NaN"))
		*out = (double)NAN;
	else if (str_eqc(s, "Infinity"))
		*out = (double)INFINITY;
	else if (str_eqc(s, "-Infinity"))
		*out = -(double)INFINITY;
	else
		return false;
	return true;
}

/* Only what starts like a number: strtod would also read "nan(...)", "0x1p3" and "inf". */
static bool looks_decimal(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr("0123456789+-.e", s.p[i]) == NULL)
			return false;
	return true;
}

/* Where mantissa and power of ten are exact as doubles, one operation rounds correctly
 * (Clinger, "How to read floating point numbers accurately", 1990). */
bool pg_text_float8(struct str s, double *out)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	struct scientific n;
	char room[64], *end;

	if (take_apart(s, &n) && n.mantissa <= (uint64_t)1 << 53 && abs(n.exponent) <= 22) {
		double v = (double)n.mantissa;
		v = n.exponent < 0 ? v / powers[-n.exponent] : v * powers[n.exponent];
		*out = n.negative ? -v : v;
		return true;
	}
	if (special(s, out))
		return true;
	if (!looks_decimal(s) || !terminated(s, room))
		return false;
	*out = strtod(room, &end);
	return *end == '\0' && isfinite(*out);
}

bool pg_text_float4(struct str s, float *out)
{
	static const float powers[] = {
		1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F, 1e6F, 1e7F, 1e8F, 1e9F, 1e10F};
	struct scientific n;
	char room[64], *end;
	double v;

	if (take_apart(s, &n) && n.mantissa <= (uint64_t)1 << 24 && abs(n.exponent) <= 10) {
		float f = (float)n.mantissa;
		f = n.exponent < 0 ? f / powers[-n.exponent] : f * powers[n.exponent];
		*out = n.negative ? -f : f;
		return true;
	}
	if (special(s, &v)) {
		*out = (float)v;
		return true;
	}
	if (!looks_decimal(s) || !terminated(s, room))
		return false;
	*out = strtof(room, &end);
	return *end == '\0' && isfinite(*out);
}

bool pg_text_uuid(struct str s, struct uuid *out)
{
	static const struct {
		size_t text, byte, n;
	} groups[] = {{0, 0, 8}, {9, 4, 4}, {14, 6, 4}, {19, 8, 4}, {24, 10, 12}};

	if (s.n != 36 || s.p[8] != '-' || s.p[13] != '-' || s.p[18] != '-' || s.p[23] != '-')
		return false;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		if (!enc_unhex(
			    str_make(s.p + groups[i].text, groups[i].n), out->b + groups[i].byte))
			return false;
	return true;
}
