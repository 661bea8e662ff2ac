/*
 * pg_numeric: numeric's binary form: digits of base 10,000 with a weight, a sign and the number
 * of decimals to show. Private to the layer.
 */
#ifndef SLUICE_PG_NUMERIC_H
#define SLUICE_PG_NUMERIC_H

#include <stdbool.h>

#include "buf.h"
#include "str.h"
#include "type.h"

struct pg_numeric {
	uint16_t ndigits, dscale;
	int16_t weight; /* of the first digit: its value times 10,000 to this */
	uint16_t sign;
	const uint8_t *digits; /* big-endian, 2 bytes each */
};

/* False when these are not the bytes of a numeric. */
bool pg_numeric_read(struct str bytes, struct pg_numeric *out);

/* False when the decimal does not hold it exactly. */
bool pg_numeric_decimal(const struct pg_numeric *n, struct type t, int128 *out);

/* As numeric_out prints it. */
void pg_numeric_print(const struct pg_numeric *n, struct buf *out);

/* The same from the bytes for most of the numbers there are; false says nothing. */
bool pg_numeric_small(struct str bytes, struct type t, int128 *out);

#endif
