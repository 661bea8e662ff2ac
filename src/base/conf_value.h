/*
 * conf_value: one configuration value between its text and its place in a struct. Inside the
 * base layer only; everybody else uses conf.h.
 */
#ifndef SLUICE_CONF_VALUE_H
#define SLUICE_CONF_VALUE_H

#include "conf.h"

/* Puts the text where the key says. `where` begins the error: "sluice.conf:12: [source] port".
 * Text taken is copied into mem. */
enum err conf_value_set(const struct conf_key *key, struct str text, void *section,
	const char *where, struct arena *mem, struct error *e) MUST_CHECK;

/* The value in force as text that conf_value_set would read back, except for secrets. */
void conf_value_print(const struct conf_key *key, const void *section, struct buf *out);

/* "integer from 1 to 65535", "one of merge, cdc", ...: for documentation. */
void conf_value_type(const struct conf_key *key, struct buf *out);

#endif
