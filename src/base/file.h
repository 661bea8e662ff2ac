/*
 * file: whole-file helpers. Paths are NUL-terminated. Every error names the path and errno.
 */
#ifndef SLUICE_FILE_H
#define SLUICE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "str.h"

enum err file_read(const char *path, struct buf *out, struct error *e) MUST_CHECK;

/* Writes to PATH.tmp-PID, fsyncs it, renames it over PATH and fsyncs the directory: after a
 * crash PATH holds the old content or the new. */
enum err file_write_atomic(const char *path, struct str content, struct error *e) MUST_CHECK;

/* As file_write_atomic, but ERR_CONFLICT when PATH exists already (link(2) makes it atomic). */
enum err file_write_new(const char *path, struct str content, struct error *e) MUST_CHECK;

enum err file_mkdirs(const char *path, struct error *e) MUST_CHECK; /* like mkdir -p, mode 0755 */
enum err file_fsync_dir(const char *path, struct error *e) MUST_CHECK;
enum err file_remove_tree(const char *path, struct error *e) MUST_CHECK; /* absent is fine */
bool file_exists(const char *path);

/* Calls fn for each name in the directory (not . and ..), sorted bytewise. An absent directory
 * has no names. */
enum err file_list(const char *dir, enum err (*fn)(void *arg, const char *name, struct error *e),
	void *arg, struct error *e) MUST_CHECK;

/* write(2) until all is written. */
enum err file_write_all(
	int fd, const void *p, size_t n, const char *path, struct error *e) MUST_CHECK;

#endif
