/*
 * window_parts: what the commands about windows have in common.
 */
#ifndef SLUICE_WINDOW_PARTS_H
#define SLUICE_WINDOW_PARTS_H

#include "command.h"
#include "window.h"

/* The directory of all windows, beside the journal; in c->mem. */
const char *window_parts_dir(struct context *c);

/* An object of JSON in *b: begun, and ended, printed and freed. */
void window_parts_head(struct json_out *j, struct buf *b);
void window_parts_emit(struct context *c, struct json_out *j, struct buf *b);
/* Its members about a window. */
void window_parts_info(struct json_out *j, const struct window_info *w);

/* Pushes the window of that name and says so; after_record: to people only, since the answer has
 * been given. */
enum err window_parts_push(
	struct context *c, const char *name, bool after_record, struct error *e) MUST_CHECK;

#endif
