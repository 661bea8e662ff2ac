/*
 * nearest: the known word that is closest to one that is not known, for "did you mean".
 *
 *	struct nearest n = nearest_to(word);
 *	nearest_try(&n, "replicate"); ...
 *	... "unknown command \"%.*s\"%s", STR_ARG(word), nearest_hint(&n, hint, sizeof hint)
 */
#ifndef SLUICE_NEAREST_H
#define SLUICE_NEAREST_H

#include <stddef.h>

#include "str.h"

struct nearest {
	struct str word;
	const char *best; /* the closest candidate so far, near or not; NULL before the first */
	size_t distance;
};

struct nearest nearest_to(struct str word);
void nearest_try(struct nearest *n, const char *candidate); /* must outlive n */
bool nearest_is_near(const struct nearest *n); /* close enough to be a slip of the finger */

/* "; did you mean \"best\"?", or "" when nothing is near. Returns out. */
#define NEAREST_HINT 96
const char *nearest_hint(const struct nearest *n, char out[NEAREST_HINT]);

#endif
