/*
 * window_answers: what live apply took from the source within a window beside the stream (see
 * answers.h), as a file of the window: one JSON object a line.
 */
#ifndef SLUICE_WINDOW_ANSWERS_H
#define SLUICE_WINDOW_ANSWERS_H

#include "window.h"

#define WINDOW_ANSWERS "answers.jsonl"

/* Writes DIR/answers.jsonl, durably; none when there is nothing to say. ERR_USAGE, naming the table
 * and the position from which it can be recorded, when one was copied again within the window. */
enum err window_answers_write(const char *dir, struct warehouse *w, const struct window_info *info,
	struct error *e) MUST_CHECK;

/* Puts them into the scratch warehouse; nothing when the window has none. */
enum err window_answers_load(const char *dir, struct warehouse *w, struct error *e) MUST_CHECK;

#endif
