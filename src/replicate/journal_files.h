/*
 * journal_files: the names of a journal's segments, and reading one front to back, compressed
 * or not.
 */
#ifndef SLUICE_JOURNAL_FILES_H
#define SLUICE_JOURNAL_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "segment.h"

#define SEGMENT_PATH 4096

enum segment_form { SEGMENT_RAW, SEGMENT_ZST, SEGMENT_TMP };

/* "DIR/0000000000000001.seg", ".seg.zst" or ".seg.tmp". */
void segment_path(char out[SEGMENT_PATH], const char *dir, uint64_t number, enum segment_form form);

struct segment_file {
	uint64_t number;
	enum segment_form form; /* RAW when both forms stand there */
	lsn first;
	uint64_t bytes;
	int64_t changed_us; /* last written */
};

struct segment_list {
	struct segment_file *items; /* ascending, without gaps */
	size_t n;
};

/* Every segment of the directory with its first LSN. ERR_CHECK when one is missing in between. */
enum err segment_list_read(const char *dir, struct segment_list *out, struct error *e) MUST_CHECK;
void segment_list_free(struct segment_list *l);

/* Bytes of one segment in order, decompressed. */
struct segment_bytes;
/* Either form, whichever stands there. ERR_NOT_FOUND. *raw says which. */
enum err segment_bytes_open(struct segment_bytes **out, const char *dir, uint64_t number, bool *raw,
	struct error *e) MUST_CHECK;
void segment_bytes_close(struct segment_bytes *b);
enum err segment_bytes_read(struct segment_bytes *b, char *into, size_t n, size_t *got,
	struct error *e) MUST_CHECK; /* 0 at the end */
const char *segment_bytes_path(const struct segment_bytes *b);

/* Compresses a sealed segment beside itself, then removes the raw form. */
enum err segment_compress(const char *dir, uint64_t number, struct error *e) MUST_CHECK;

#endif
