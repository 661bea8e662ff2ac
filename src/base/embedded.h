/*
 * embedded: the text files carried inside the program, under the names they have in the source
 * tree: "sql/migrations/0001_reservations.sql". Generated at build time by tools/embed.c.
 */
#ifndef SLUICE_EMBEDDED_H
#define SLUICE_EMBEDDED_H

#include <stddef.h>

#include "str.h"

struct embedded_file {
	const char *name;
	const char *data; /* NUL-terminated; the NUL is not counted */
	size_t size;
};

const struct embedded_file *embedded_find(const char *name); /* NULL when there is none */
struct str embedded_text(const struct embedded_file *f);

/* Calls fn for each file whose name starts with `prefix`, sorted bytewise by name, until one
 * call does not return OK; gives what that call returned. */
enum err embedded_each(const char *prefix,
	enum err (*fn)(void *arg, const struct embedded_file *f, struct error *e), void *arg,
	struct error *e) MUST_CHECK;

/* All of them, sorted bytewise by name. The generated table. */
extern const struct embedded_file embedded_files[];
extern const size_t embedded_count;

#endif
