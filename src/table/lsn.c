#include "lsn.h"

#include <stdio.h>

static bool parse_half(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 8)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return false;
		v = v << 4 | digit;
	}
	*out = v;
	return true;
}

bool lsn_parse(struct str s, lsn *out)
{
	struct str high;
	uint64_t hi, lo;

	if (!str_cut(&s, '/', &high) || !parse_half(high, &hi) || !parse_half(s, &lo))
		return false;
	out->v = hi << 32 | lo;
	return true;
}

char *lsn_format(lsn at, char out[LSN_TEXT])
{
	snprintf(out, LSN_TEXT, "%X/%X", (unsigned)(at.v >> 32), (unsigned)(at.v & 0xffffffffU));
	return out;
}
