#include "print_float.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* d.ddd x 10^exponent */
struct digits {
	char d[20];
	int n, exponent;
};

/* A number is mantissa x 2^exponent. */
struct binary {
	uint64_t mantissa;
	int exponent;
};

__extension__ typedef unsigned __int128 wide;

/* n significant digits of v; a tie goes to the even digit. */
static void round_to(double v, int n, struct digits *out)
{
	char text[40];

	snprintf(text, sizeof text, "%.*e", n - 1, v);
	out->d[0] = text[0];
	if (n > 1)
		memcpy(out->d + 1, text + 2, (size_t)n - 1);
	out->n = n;
	out->exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
}

/* The next larger decimal of the same length. */
static void step_up(struct digits *x)
{
	int i = x->n - 1;

	while (i >= 0 && x->d[i] == '9')
		x->d[i--] = '0';
	if (i >= 0) {
		x->d[i]++;
	} else {
		x->d[0] = '1';
		x->exponent++;
	}
}

static bool reads_back(const struct digits *x, double v, bool single)
{
	char text[40];

	snprintf(text, sizeof text, "%c.%.*se%d", x->d[0], x->n - 1, x->d + 1, x->exponent);
	return single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

static int strip_twos(wide *v)
{
	int n = 0;

	for (; (*v & 1) == 0; n++)
		*v >>= 1;
	return n;
}

/*
 * True when the decimal is this number exactly. Both sides are taken apart into odd part and
 * power of two. More than 27 fives are in neither: 17 digits and 55 bits have not the room.
 */
static bool is_exactly(const struct digits *x, struct binary to)
{
	wide decimal = 0, number = to.mantissa;
	int power = x->exponent - (x->n - 1);

	for (int i = 0; i < x->n; i++)
		decimal = decimal * 10 + (unsigned)(x->d[i] - '0');
	if (abs(power) > 27 || decimal == 0)
		return false;
	for (int i = 0; i < abs(power); i++)
		*(power > 0 ? &decimal : &number) *= 5;
	int decimal_twos = strip_twos(&decimal) + power;
	return decimal_twos == strip_twos(&number) + to.exponent && decimal == number;
}

/*
 * Halfway to a neighbour some readers round one way and some the other, so PostgreSQL does not
 * take such a decimal although it is shorter: 1e23 is printed as 9.999999999999999e+22.
 */
static bool is_halfway(const struct digits *x, double v, bool single)
{
	const int digits = single ? 24 : 53, least = single ? -149 : -1074;
	int exponent;
	double fraction = frexp(v, &exponent);

	exponent -= digits;
	if (exponent < least) /* denormal: fewer bits */
		exponent = least;
	uint64_t m = (uint64_t)ldexp(v, -exponent);
	bool narrow = fraction == 0.5 && exponent > least; /* the gap below is half the gap above */

	return is_exactly(x, (struct binary){2 * m + 1, exponent - 1}) ||
		is_exactly(x,
			narrow ? (struct binary){4 * m - 1, exponent - 2}
			       : (struct binary){2 * m - 1, exponent - 1});
}

static bool stands_for(const struct digits *x, double v, bool single)
{
	return reads_back(x, v, single) && !is_halfway(x, v, single);
}

/* At a power of two the gap below is half the gap above, so the shortest decimal may be the one
 * above although the one below is nearer. */
static void shortest(double v, bool single, struct digits *out)
{
	int most = single ? 9 : 17;

	for (int n = 1; n <= most; n++) {
		round_to(v, n, out);
		if (stands_for(out, v, single))
			break;
		step_up(out);
		if (stands_for(out, v, single))
			break;
	}
	while (out->n > 1 && out->d[out->n - 1] == '0')
		out->n--;
}

static void put_zeros(struct buf *out, int n)
{
	for (int i = 0; i < n; i++)
		buf_putc(out, '0');
}

static void print_plain(const struct digits *x, struct buf *out)
{
	int whole = x->exponent + 1;

	if (whole <= 0) {
		buf_puts(out, "0.");
		put_zeros(out, -whole);
		buf_put(out, str_make(x->d, (size_t)x->n));
	} else if (whole >= x->n) {
		buf_put(out, str_make(x->d, (size_t)x->n));
		put_zeros(out, whole - x->n);
	} else {
		buf_put(out, str_make(x->d, (size_t)whole));
		buf_putc(out, '.');
		buf_put(out, str_make(x->d + whole, (size_t)(x->n - whole)));
	}
}

static void print_scientific(const struct digits *x, struct buf *out)
{
	buf_putc(out, x->d[0]);
	if (x->n > 1) {
		buf_putc(out, '.');
		buf_put(out, str_make(x->d + 1, (size_t)x->n - 1));
	}
	buf_putf(out, "e%c%02d", x->exponent < 0 ? '-' : '+', abs(x->exponent));
}

static void print(double v, bool single, struct buf *out)
{
	struct digits x;

	if (isnan(v)) {
		buf_puts(out, "NaN");
		return;
	}
	if (signbit(v))
		buf_putc(out, '-');
	v = fabs(v);
	if (isinf(v)) {
		buf_puts(out, "Infinity");
		return;
	}
	if (v == 0) {
		buf_putc(out, '0');
		return;
	}
	shortest(v, single, &x);
	if (x.exponent >= -4 && x.exponent < (single ? 6 : 15))
		print_plain(&x, out);
	else
		print_scientific(&x, out);
}

void print_float4(float v, struct buf *out)
{
	print((double)v, true, out);
}

void print_float8(double v, struct buf *out)
{
	print(v, false, out);
}
