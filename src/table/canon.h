/*
 * canon: one row, one canonical run of bytes, one 128-bit hash. Equal rows give equal bytes
 * whichever side they are read from, different rows different bytes: every value is written
 * with a type tag and, where its size varies, its length; NULL is a tag of its own.
 *
 * Integers of every width as 64 bits; decimals as sign, digits without trailing zeros and
 * exponent (1.0 equals 1.00); floats as the bits of a double after -0 -> 0 and one NaN; times as
 * microseconds; text, bytes and JSON text raw. A value kept in `_exact` is written as that text
 * under its own tag. Rows are hashed with XXH3-128 and summed modulo 2^128, so a set of rows has
 * one digest whatever its order, and duplicates count.
 */
#ifndef SLUICE_CANON_H
#define SLUICE_CANON_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "buf.h"
#include "vec.h"

struct digest {
	uint64_t lo, hi; /* sum modulo 2^128 */
	uint64_t rows;
};

#define DIGEST_TEXT 40 /* 32 hex digits and a NUL fit */

struct rowhash {
	uint64_t lo, hi;
};

void digest_add(struct digest *d, struct rowhash h);
void digest_sub(struct digest *d, struct rowhash h);
void digest_merge(struct digest *d, const struct digest *other);
bool digest_eq(const struct digest *a, const struct digest *b); /* rows too */
char *digest_format(const struct digest *d, char out[DIGEST_TEXT]);

/* Appends the canonical bytes of one value. `exact` is its `_exact` text, or .p NULL. */
void canon_value(struct buf *out, const struct vec *v, size_t row, struct str exact);

/*
 * The hash of one row over `ncols` columns. exact_json is the row's `_exact` (JSON object by
 * column name) or empty; names are then needed to look columns up. scratch is reused.
 */
enum err canon_row(const struct vec *cols, const char *const *names, size_t ncols, size_t row,
	struct str exact_json, struct buf *scratch, struct rowhash *out,
	struct error *e) MUST_CHECK;

/*
 * The same for the rows `from` to `from + n` at once, none of which has an `_exact`: row[i] over
 * all columns, key[i] over the columns that `keys` lists.
 */
enum err canon_rows(const struct vec *cols, size_t ncols, const uint16_t *keys, size_t nkeys,
	size_t from, size_t n, struct buf *scratch, struct rowhash *row, struct rowhash *key,
	struct error *e) MUST_CHECK;

#endif
