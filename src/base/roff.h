/*
 * roff: text for man pages, in the man(7) macros.
 */
#ifndef SLUICE_ROFF_H
#define SLUICE_ROFF_H

#include "buf.h"
#include "str.h"

/* The text as roff prints it literally: backslashes, dashes and leading dots escaped. */
void roff_text(struct buf *out, struct str text);

/* Words broken over lines of at most `width` columns; every line after the first is indented by
 * `indent` blanks, or by `prefix` when it is not NULL. For plain text, not roff. */
void text_wrap(struct buf *out, struct str text, size_t column, size_t width, size_t indent,
	const char *prefix);

#endif
