/*
 * window_file: the checksums of one file, and finding where it is damaged. A block's CRC32C is
 * linear in its bits, so it tells not only that one bit has flipped but which.
 */
#ifndef SLUICE_WINDOW_FILE_H
#define SLUICE_WINDOW_FILE_H

#include "window.h"

#define WINDOW_BLOCK ((size_t)1 << 16)

/* Fills bytes, sha256 and blocks (in mem) of DIR/PATH. */
enum err window_file_sum(
	const char *dir, struct arena *mem, struct window_file *f, struct error *e) MUST_CHECK;

/* ERR_CHECK naming file and byte when DIR/PATH is not what `f` says. */
enum err window_file_check(
	const char *dir, const struct window_file *f, struct error *e) MUST_CHECK;

/* Every file below `dir` but the manifest, sorted, as paths within it; in mem. */
enum err window_files(const char *dir, struct arena *mem, struct window_file **out, size_t *n,
	struct error *e) MUST_CHECK;

/* The byte of `n` in which one flipped bit turns the checksum `was` into that of the bytes as
 * they are; -1 when no single bit does. */
int64_t window_flipped_byte(const char *p, size_t n, uint32_t was);

#endif
