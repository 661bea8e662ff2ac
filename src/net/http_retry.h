/*
 * http_retry: when to ask again. Pure.
 */
#ifndef SLUICE_HTTP_RETRY_H
#define SLUICE_HTTP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "rnd.h"
#include "str.h"

/* True for answers after which the same request may succeed: 408, 425, 429, 500, 502, 503, 504. */
bool http_retry_status(unsigned status);

/* Seconds from a Retry-After header given as a number, in us; -1 when absent or a date. */
int64_t http_retry_after_us(struct str header);

/* How long to wait before attempt `next` (2 is the first repetition): anything between nothing and
 * 100 ms doubled each time, at most 10 s; never less than what the server asked for. */
int64_t http_retry_wait_us(unsigned next, int64_t retry_after_us, struct rnd *rnd);

#endif
