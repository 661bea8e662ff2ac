#include "pg_numeric.h"

#include <stdio.h>

#include "pg_text.h"
#include "reader.h"

#define SIGN_POSITIVE 0x0000
#define SIGN_NEGATIVE 0x4000
#define SIGN_NAN      0xC000
#define SIGN_PINF     0xD000
#define SIGN_NINF     0xF000
#define DSCALE_MAX    0x3FFF

static unsigned digit_at(const struct pg_numeric *n, int i)
{
	if (i < 0 || i >= n->ndigits)
		return 0;
	return (unsigned)n->digits[2 * i] << 8 | n->digits[2 * i + 1];
}

bool pg_numeric_read(struct str bytes, struct pg_numeric *out)
{
	struct reader r = reader_of(bytes);

	out->ndigits = read_be16(&r);
	out->weight = (int16_t)read_be16(&r);
	out->sign = read_be16(&r);
	out->dscale = read_be16(&r);
	out->digits = r.p;
	if (r.bad || out->dscale > DSCALE_MAX || reader_left(&r) != 2 * (size_t)out->ndigits)
		return false;
	for (int i = 0; i < out->ndigits; i++)
		if (digit_at(out, i) > 9999)
			return false;
	return out->sign == SIGN_POSITIVE || out->sign == SIGN_NEGATIVE || out->sign == SIGN_NAN ||
		out->sign == SIGN_PINF || out->sign == SIGN_NINF;
}

/* Ten to the n, as long as it can matter: false above 38. */
static bool scaled_up(uint128 v, int n, uint128 limit, uint128 *out)
{
	if (v == 0) {
		*out = 0;
		return true;
	}
	if (n > DECIMAL_MAX_PRECISION)
		return false;
	uint128 up = pg_pow10((unsigned)n);
	if (v > (limit - 1) / up)
		return false;
	*out = v * up;
	return true;
}

static bool scaled_down(uint128 v, int n, uint128 limit, uint128 *out)
{
	if (n > DECIMAL_MAX_PRECISION)
		return false;
	uint128 down = pg_pow10((unsigned)n);
	if (v % down != 0 || v / down >= limit)
		return false;
	*out = v / down;
	return true;
}

static void print_whole(const struct pg_numeric *n, struct buf *out)
{
	if (n->weight < 0) {
		buf_putc(out, '0');
		return;
	}
	buf_putf(out, "%u", digit_at(n, 0));
	for (int i = 1; i <= n->weight; i++)
		buf_putf(out, "%04u", digit_at(n, i));
}

static void print_fraction(const struct pg_numeric *n, struct buf *out)
{
	char four[8];
	int left = n->dscale;

	if (left > 0)
		buf_putc(out, '.');
	for (int i = n->weight + 1; left > 0; i++, left -= 4) {
		snprintf(four, sizeof four, "%04u", digit_at(n, i));
		buf_put(out, str_make(four, left < 4 ? (size_t)left : 4));
	}
}

void pg_numeric_print(const struct pg_numeric *n, struct buf *out)
{
	switch (n->sign) {
	case SIGN_NAN:
		buf_puts(out, "NaN");
		return;
	case SIGN_PINF:
		buf_puts(out, "Infinity");
		return;
	case SIGN_NINF:
		buf_puts(out, "-Infinity");
		return;
	case SIGN_NEGATIVE:
		buf_putc(out, '-');
		break;
	default:
		break;
	}
	print_whole(n, out);
	print_fraction(n, out);
}

/* Ten groups of four digits pass 128 bits though 38 digits of them may be all there are. */
static bool long_decimal(const struct pg_numeric *n, struct type t, int128 *out)
{
	struct buf text;

	if (n->weight > DECIMAL_MAX_PRECISION / 4) /* more than 38 digits before the point */
		return false;
	buf_init(&text, BUF_MAX_DEFAULT);
	pg_numeric_print(n, &text);
	bool fits = pg_text_decimal(buf_str(&text), t, out);
	buf_free(&text);
	return fits;
}

bool pg_numeric_decimal(const struct pg_numeric *n, struct type t, int128 *out)
{
	uint128 v = 0, scaled, limit = pg_pow10(t.precision);
	int last = n->ndigits - 1;

	if (n->sign != SIGN_POSITIVE && n->sign != SIGN_NEGATIVE)
		return false;
	/* Zero digits at the end only move the point. */
	while (last >= 0 && digit_at(n, last) == 0)
		last--;
	for (int i = 0; i <= last; i++) {
		if (v > ((uint128)-1 - 9999) / 10000)
			return long_decimal(n, t, out);
		v = v * 10000 + digit_at(n, i);
	}
	int exponent = 4 * (n->weight - last) + t.scale;
	if (v == 0)
		exponent = 0;
	bool fits = exponent >= 0 ? scaled_up(v, exponent, limit, &scaled)
				  : scaled_down(v, -exponent, limit, &scaled);
	if (!fits)
		return false;
	*out = n->sign == SIGN_NEGATIVE ? -(int128)scaled : (int128)scaled;
	return true;
}

/* 0 to 4 digits of base 10000 fit 64 bits with room to move the point. */
bool pg_numeric_small(struct str bytes, struct type t, int128 *out)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	uint64_t v = 0, power;

	if (bytes.n < 10 || bytes.n > 16 || bytes.n % 2 != 0 || p[0] != 0)
		return false;
	unsigned n = p[1];
	unsigned sign = (unsigned)p[4] << 8 | p[5];
	if (bytes.n != 8 + 2 * (size_t)n || (sign != SIGN_POSITIVE && sign != SIGN_NEGATIVE))
		return false;
	if (((unsigned)p[6] << 8 | p[7]) > DSCALE_MAX)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned digit = (unsigned)p[8 + 2 * i] << 8 | p[9 + 2 * i];
		if (digit > 9999)
			return false;
		v = v * 10000 + digit;
	}
	int weight = (int16_t)(uint16_t)((unsigned)p[2] << 8 | p[3]);
	int exponent = 4 * (weight - (int)n + 1) + t.scale;
	if (v == 0 || exponent < -16 || exponent > 16)
		return false;
	power = (uint64_t)pg_pow10((unsigned)(exponent < 0 ? -exponent : exponent));
	if (exponent < 0 ? v % power != 0 : __builtin_mul_overflow(v, power, &v))
		return false;
	v = exponent < 0 ? v / power : v;
	if (t.precision <= 19 && v >= (uint64_t)pg_pow10(t.precision))
		return false;
	*out = sign == SIGN_NEGATIVE ? -(int128)v : (int128)v;
	return true;
}
