/*
 * http_date: the time in a Date header. Pure.
 */
#ifndef SLUICE_HTTP_DATE_H
#define SLUICE_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, the form that must be sent), as wall time in us. */
bool http_date_parse(struct str s, int64_t *wall_us);

#endif
