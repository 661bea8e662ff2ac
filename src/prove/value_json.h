/*
 * value_json: a column's value as JSON. Numbers of every width and decimals are JSON numbers
 * with all their digits; JSON columns stand as they are; NaN and the infinities are strings, for
 * JSON has no such numbers; everything else is the text PostgreSQL would print.
 */
#ifndef SLUICE_VALUE_JSON_H
#define SLUICE_VALUE_JSON_H

#include <stddef.h>

#include "buf.h"
#include "json.h"
#include "vec.h"

/* key NULL in arrays. scratch is overwritten. The result has no line break in it. */
void value_json(
	struct json_out *j, const char *key, const struct vec *v, size_t row, struct buf *scratch);

#endif
