/* part_json: a part, and what comparing it found, as the JSON in which it is kept. */
#ifndef SLUICE_PART_JSON_H
#define SLUICE_PART_JSON_H

#include "parts.h"

/* Overwrites out. */
void part_json_write(const struct part *p, struct buf *out);
/* Into *out but for the table; everything lives in mem. */
enum err part_json_read(
	struct str text, struct arena *mem, struct part *out, struct error *e) MUST_CHECK;

#endif
