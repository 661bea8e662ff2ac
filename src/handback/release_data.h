/*
 * release_data: data files. A file is gzip (RFC 1952, no time, no name) around CSV (RFC 4180 with
 * line feeds): "key,score", then a line a row. The same rows give the same bytes. Scores are
 * written so that they read back exactly. Private to src/handback.
 */
#ifndef SLUICE_RELEASE_DATA_H
#define SLUICE_RELEASE_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "enc.h"
#include "err.h"
#include "str.h"

#define DATA_HEADER "key,score"

struct data_file {
	struct str bytes;
	char sha256[ENC_SHA256_TEXT];
	int64_t rows;
};

/* Takes one finished file; its bytes are valid during the call. */
typedef enum err data_file_fn(void *arg, const struct data_file *f, struct error *e);

struct data_writer;

struct data_writer *data_writer_new(int64_t rows_per_file, data_file_fn *fn, void *arg);
void data_writer_free(struct data_writer *w); /* NULL is fine */
enum err data_writer_add(
	struct data_writer *w, struct str key, double score, struct error *e) MUST_CHECK;
/* Hands over the last file. At least one is always handed over, be it without rows. */
enum err data_writer_finish(struct data_writer *w, struct error *e) MUST_CHECK;

/* Rows as they were read: nothing is known yet of their keys and scores. */
struct data_rows {
	struct arena mem; /* holds the keys */
	struct str *keys;
	double *scores; /* NaN where the text is no number */
	size_t n, cap;
	size_t foreign_headers; /* files whose first line is not DATA_HEADER */
};

void data_rows_free(struct data_rows *r); /* ready when zeroed */
/* Appends the rows of one file. ERR_INPUT when it is no gzip, has bytes after its end, unpacks to
 * more than `limit` bytes, or a line has not two fields. */
enum err data_rows_read(
	struct data_rows *r, struct str gz, size_t limit, struct error *e) MUST_CHECK;

#endif
