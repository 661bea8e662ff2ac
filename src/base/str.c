#include "str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

struct str str_of(const char *cstr)
{
	return cstr != NULL ? str_make(cstr, strlen(cstr)) : STR_NONE;
}

struct str str_make(const void *p, size_t n)
{
	return (struct str){p, n};
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eqc(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (order != 0)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_make(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = str_from(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_from(struct str s, size_t at)
{
	if (at >= s.n)
		return str_make(s.p != NULL ? s.p + s.n : NULL, 0);
	return str_make(s.p + at, s.n - at);
}

ptrdiff_t str_find(struct str s, struct str needle)
{
	if (needle.n == 0)
		return 0;
	const char *at = s.n > 0 ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at != NULL ? at - s.p : -1;
}

/* FNV-1a, then the finalizer of MurmurHash3 so that the low bits depend on every byte. */
uint64_t str_hash(struct str s)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdU;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53U;
	return h ^ h >> 33;
}

bool str_cut(struct str *rest, char sep, struct str *head)
{
	const char *at = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;

	if (at == NULL)
		return false;
	*head = str_make(rest->p, (size_t)(at - rest->p));
	*rest = str_from(*rest, head->n + 1);
	return true;
}

bool str_next(struct str *rest, char sep, struct str *head)
{
	if (rest->n == 0)
		return false;
	if (!str_cut(rest, sep, head)) {
		*head = *rest;
		*rest = STR_NONE;
	}
	return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n > 0 && s.p[0] == '+')
		s = str_from(s, 1);
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10U, &v) ||
			__builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t magnitude;

	if (negative) {
		s = str_from(s, 1);
		if (s.n > 0 && s.p[0] == '+')
			return false;
	}
	if (!str_to_u64(s, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1U : 0U))
		return false;
	*out = negative ? (int64_t)(0U - magnitude) : (int64_t)magnitude;
	return true;
}

static size_t skip_digits(struct str s, size_t at)
{
	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at;
}

static size_t skip_sign(struct str s, size_t at)
{
	return at < s.n && (s.p[at] == '+' || s.p[at] == '-') ? at + 1 : at;
}

/* [sign] digits [. digits] [e [sign] digits], with a digit on one side of the point at least. */
static bool is_decimal(struct str s)
{
	size_t whole = skip_sign(s, 0);
	size_t at = skip_digits(s, whole);
	size_t digits = at - whole;

	if (at < s.n && s.p[at] == '.') {
		size_t fraction = at + 1;
		at = skip_digits(s, fraction);
		digits += at - fraction;
	}
	if (digits == 0)
		return false;
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		size_t exponent = skip_sign(s, at + 1);
		at = skip_digits(s, exponent);
		if (at == exponent)
			return false;
	}
	return at == s.n;
}

bool str_to_double(struct str s, double *out)
{
	char small[64];
	char *text = small;

	if (!is_decimal(s))
		return false;
	if (s.n < sizeof small) {
		memcpy(small, s.p, s.n);
		small[s.n] = '\0';
	} else {
		text = mem_cstr(s);
	}
	double v = strtod(text, NULL);
	if (text != small)
		mem_free(text);
	if (isinf(v))
		return false;
	*out = v;
	return true;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
size_t str_distance(struct str a, struct str b)
{
	size_t rows[3][65];

	if (a.n > 64 || b.n > 64)
		return 64;
	for (size_t j = 0; j <= b.n; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *now = rows[i % 3];
		const size_t *last = rows[(i + 2) % 3];
		const size_t *before = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t change = a.p[i - 1] != b.p[j - 1];
			size_t d = least(last[j], now[j - 1]) + 1;
			d = least(d, last[j - 1] + change);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				d = least(d, before[j - 2] + 1);
			now[j] = d;
		}
	}
	return rows[a.n % 3][b.n];
}

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), or 0. */
size_t str_utf8_length(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (length > n)
		return 0;
	/* The second byte excludes overlong forms, surrogates and what lies past U+10FFFF. */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

bool str_is_utf8(struct str s)
{
	while (s.n > 0) {
		size_t length = str_utf8_length(s.p, s.n);
		if (length == 0)
			return false;
		s = str_from(s, length);
	}
	return true;
}
