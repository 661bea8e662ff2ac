/*
 * pg_text: PostgreSQL's text forms of values (ISO dates, intervals in postgres style), read by
 * hand: no locale, no copy. Each is false when the text is not the form that PostgreSQL writes
 * or its value does not fit. Private to the layer.
 */
#ifndef SLUICE_PG_TEXT_H
#define SLUICE_PG_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"
#include "type.h"

bool pg_text_bool(struct str s, uint8_t *out);
bool pg_text_int(struct str s, int64_t min, int64_t max, int64_t *out);
bool pg_text_float4(struct str s, float *out);
bool pg_text_float8(struct str s, double *out);
bool pg_text_decimal(struct str s, struct type t, int128 *out);
bool pg_text_money(struct str s, struct type t, int128 *out); /* "-$1,234.50": lc_monetary C */
bool pg_text_uuid(struct str s, struct uuid *out);

bool pg_text_date(struct str s, int32_t *out);
bool pg_text_time(struct str s, int64_t *out);
bool pg_text_timestamp(struct str s, bool zoned, int64_t *out);
bool pg_text_interval(struct str s, struct interval *out);

/* 10 to the n-th, n at most 38. */
uint128 pg_pow10(unsigned n);

#endif
