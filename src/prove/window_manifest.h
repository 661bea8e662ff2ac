/*
 * window_manifest: the file window.json. Each line is a JSON object whose last member is the
 * CRC32C of the line before it, so that damage is found with its line; the last line has the
 * SHA-256 of all lines before it.
 */
#ifndef SLUICE_WINDOW_MANIFEST_H
#define SLUICE_WINDOW_MANIFEST_H

#include "window.h"

/* Writes DIR/window.json, durably, and sets w->sha256. */
enum err window_manifest_write(const char *dir, struct window_info *w, struct error *e) MUST_CHECK;

/* What the text of a manifest says; `path` names it in errors, which are as of window_read(). */
enum err window_manifest_parse(
	const char *path, struct str text, struct window_info *out, struct error *e) MUST_CHECK;

/* One SHA-256 over the names, rows and digests of all tables; sums are parallel to w->tables. */
void window_digest_all(
	const struct window_info *w, const struct window_sum *sums, char out[ENC_SHA256_TEXT]);

#endif
