/* array_text: what pg_json makes of arrays and hstore, turned back into PostgreSQL's text. Written
 * for the tests alone, so that the way there has a judge. */
#ifndef SLUICE_ARRAY_TEXT_H
#define SLUICE_ARRAY_TEXT_H

#include "buf.h"
#include "type.h"

void array_text(struct str json, enum type_form form, struct buf *out);

#endif
