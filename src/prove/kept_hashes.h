/*
 * kept_hashes: the hash of every row of a range, as it was when the range was last found equal, in
 * a file of its own. A check of the changes takes the hashes of old versions from it: without it
 * history is asked, which costs a reading of the whole table.
 *
 * The file is a convenience. What it holds is known by its sum: it speaks only for the digest that
 * its rows add up to, so that a file that is old, foreign, torn or missing is not used, and never
 * gives a wrong answer. Every piece is under a checksum. Nothing is synced to the disk.
 *
 * A row takes 24 bytes, grouped by its key's hash so that a key is found with one small read; what
 * later checks have changed is appended, 40 bytes a key.
 */
#ifndef SLUICE_KEPT_HASHES_H
#define SLUICE_KEPT_HASHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "canon.h"
#include "err.h"
#include "str.h"

/* The rows of a range while they are read. Zeroed is empty. */
struct hash_row {
	struct rowhash key, row;
};
struct hash_rows {
	struct hash_row *list;
	size_t n, cap;
	bool over; /* more than are kept: nothing is written */
};
#define HASH_ROWS_MOST ((size_t)8 << 20) /* 256 MiB while they are read */

void hash_rows_add(
	struct hash_rows *h, const struct rowhash *keys, const struct rowhash *rows, size_t n);
void hash_rows_free(struct hash_rows *h);

/* DIR/NAME.hashes, in mem, for a range of a table. */
struct str kept_hashes_path(
	struct str dir, struct str table, uint32_t number, uint32_t of, struct arena *mem);

/* Replaces the file, and makes its directory. `sum` is the digest of the rows. */
enum err kept_hashes_write(const char *path, const struct hash_rows *rows, const struct digest *sum,
	struct error *e) MUST_CHECK;

struct kept_hashes;

/* *out is NULL when there is no file that speaks for `sum`. An error says why a file that is there
 * cannot be read; the caller may go on without it. */
enum err kept_hashes_open(const char *path, const struct digest *sum, struct kept_hashes **out,
	struct error *e) MUST_CHECK;
void kept_hashes_close(struct kept_hashes *k); /* NULL is fine */

/* The hash of the key's row; *found is false when the range has none. */
enum err kept_hashes_find(struct kept_hashes *k, struct rowhash key, bool *found,
	struct rowhash *row, struct error *e) MUST_CHECK;

/* What a check has found of these keys; `sum` is the digest afterwards. The old digest is spoken
 * for as well, until something else is appended to it. */
struct kept_change {
	struct rowhash key, row;
	uint64_t alive; /* 0: the key has no row, and row is nothing */
};
enum err kept_hashes_append(struct kept_hashes *k, const struct kept_change *list, size_t n,
	const struct digest *sum, struct error *e) MUST_CHECK;

#endif
