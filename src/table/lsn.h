/*
 * lsn: a byte position in PostgreSQL's write-ahead log, printed as "16/B374D848".
 * A struct, so that it cannot be mixed up with a count.
 */
#ifndef SLUICE_LSN_H
#define SLUICE_LSN_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

typedef struct {
	uint64_t v;
} lsn;

#define LSN_NONE ((lsn){0}) /* PostgreSQL's InvalidXLogRecPtr */
#define LSN_TEXT 20

bool lsn_parse(struct str s, lsn *out);
char *lsn_format(lsn at, char out[LSN_TEXT]);
static inline int lsn_cmp(lsn a, lsn b)
{
	return (a.v > b.v) - (a.v < b.v);
}
static inline lsn lsn_max(lsn a, lsn b)
{
	return a.v > b.v ? a : b;
}

#endif
