/*
 * str: a view of bytes that somebody else owns. Two words, passed by value, never freed.
 * Not NUL-terminated; print it with "%.*s" and STR_ARG(s).
 */
#ifndef SLUICE_STR_H
#define SLUICE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct str {
	const char *p; /* may be NULL when n is 0 */
	size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_ARG(s)   (int)(s).n, (s).p ? (s).p : ""

struct str str_of(const char *cstr); /* NULL gives the empty view */
struct str str_make(const void *p, size_t n);

bool str_eq(struct str a, struct str b);
bool str_eqc(struct str a, const char *b);
bool str_ieq(struct str a, struct str b); /* ASCII case folded */
int str_cmp(struct str a, struct str b);  /* memcmp order, shorter first on a tie */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);            /* without ASCII white space at both ends */
struct str str_from(struct str s, size_t at); /* s without its first `at` bytes; at may exceed n */
ptrdiff_t str_find(struct str s, struct str needle); /* first offset, or -1 */
uint64_t str_hash(struct str s);

/* Cuts *rest at the first `sep`: head is what stood before it, *rest what follows.
 * False, with nothing changed, when there is no `sep`. */
bool str_cut(struct str *rest, char sep, struct str *head);

/* As str_cut, but the last piece (no `sep` left) counts too: iterate with
 * while (str_next(&rest, ',', &item)). An empty string has no pieces, and a `sep` at the very
 * end adds none: "a,b," is a and b. */
bool str_next(struct str *rest, char sep, struct str *head);

/* Whole-string number parsers: false when anything but the number is there, or out of range.
 * A double is decimal with an optional exponent; NaN and infinity are not numbers here. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_double(struct str s, double *out);

/* Edit distance, a swap of neighbours counting once, for "did you mean". Both at most 64 bytes,
 * else returns 64. */
size_t str_distance(struct str a, struct str b);

bool str_is_utf8(struct str s);
size_t str_utf8_length(const char *p, size_t n); /* of the well-formed sequence at p, else 0 */

#endif
