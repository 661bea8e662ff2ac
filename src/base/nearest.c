#include "nearest.h"

#include <stdio.h>

struct nearest nearest_to(struct str word)
{
	return (struct nearest){.word = word};
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t d = str_distance(n->word, str_of(candidate));

	if (n->best == NULL || d < n->distance) {
		n->best = candidate;
		n->distance = d;
	}
}

/* Two slips, or one in three letters of a long word; a short word needs more in common. */
bool nearest_is_near(const struct nearest *n)
{
	if (n->best == NULL)
		return false;
	size_t most = n->word.n <= 3 ? 1 : n->word.n <= 6 ? 2 : n->word.n / 3;
	return n->distance <= most;
}

const char *nearest_hint(const struct nearest *n, char out[NEAREST_HINT])
{
	out[0] = '\0';
	if (nearest_is_near(n))
		snprintf(out, NEAREST_HINT, "; did you mean \"%s\"?", n->best);
	return out;
}
