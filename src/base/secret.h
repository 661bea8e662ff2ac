/*
 * secret: text that must not be printed. The bytes can be had only by secret_reveal(), so a
 * search for that name finds every use. Wiped when freed.
 */
#ifndef SLUICE_SECRET_H
#define SLUICE_SECRET_H

#include "err.h"
#include "str.h"

struct secret {
	char *hidden; /* never read directly; NUL-terminated or NULL */
	size_t length;
	const char *file; /* that conf read it from, for who reads it anew; NULL: none */
};

void secret_set(struct secret *s, struct str plain); /* copies; replaces what was there */
void secret_free(struct secret *s);
bool secret_is_set(const struct secret *s);
const char *secret_reveal(const struct secret *s); /* "" when not set; do not keep, do not log */

/* Reads a file, without one trailing newline. The error names the path, never the content. */
enum err secret_read_file(struct secret *s, const char *path, struct error *e) MUST_CHECK;

#endif
