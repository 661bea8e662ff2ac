/*
 * window_answers: what live apply took from the source within a window beside the stream (see
 * answers.h), as a file of the window: one JSON object a line.
 */
#ifndef SLUICE_WINDOW_ANSWERS_H
#define SLUICE_WINDOW_ANSWERS_H

#include "answers.h"
#include "pgoutput.h"
#include "window.h"

#define WINDOW_ANSWERS "answers.jsonl"

/* Writes DIR/answers.jsonl, durably; none when there is nothing to say. */
enum err window_answers_write(const char *dir, struct warehouse *w, const struct window_info *info,
	struct error *e) MUST_CHECK;

/* What it says; empty when there is none. In mem. */
enum err window_answers_read(
	const char *dir, struct arena *mem, struct answers *out, struct error *e) MUST_CHECK;

/* ERR_USAGE, naming the table and the position from which it can be recorded, when one was copied
 * again within the window. */
enum err window_answers_check(
	const struct answers *all, const struct window_info *info, struct error *e) MUST_CHECK;

/* The columns that a relation of the stream had, with their numbers: the newest shape of it that
 * was known at the position and has these names in this order; NULL when there is none. */
const struct table *window_answers_shape(
	const struct answers *all, lsn at, const struct pgoutput_relation *r, struct arena *mem);

/* Puts them into the scratch warehouse; nothing when the window has none. */
enum err window_answers_load(const char *dir, struct warehouse *w, struct error *e) MUST_CHECK;

#endif
