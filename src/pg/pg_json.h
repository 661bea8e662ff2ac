/*
 * pg_json: JSON out of PostgreSQL's text of arrays and of hstore, exactly or not at all. Private
 * to the layer.
 *
 * An array becomes nested lists, one level for each dimension: {{1,NULL},{3,4}} is
 * [[1,null],[3,4]]. What JSON cannot say is refused: bounds that do not begin at 1. An hstore
 * becomes an object of strings and nulls.
 */
#ifndef SLUICE_PG_JSON_H
#define SLUICE_PG_JSON_H

#include <stdbool.h>

#include "buf.h"
#include "str.h"
#include "type.h"

/* Appends to out. False when the text is not of the form, or JSON cannot hold it; what stands in
 * out is then of no use. */
bool pg_json_make(struct str text, enum type_form form, struct buf *out);

/* True when the text is JSON made by pg_json_make() already, not PostgreSQL's own text: an array
 * of PostgreSQL never ends in ']', an hstore never begins with '{'. */
bool pg_json_is_made(struct str text, enum type_form form);

/* True when every \u escape names a character: PostgreSQL's type json also takes half a surrogate
 * pair, which no other reader of JSON does. */
bool pg_json_readable(struct str text);

#endif
