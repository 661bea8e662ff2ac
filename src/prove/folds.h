/*
 * folds: history folded by key: the newest entry of each key inside a cut, as hashes. Entries are
 * read in whatever order they come; one reading serves two cuts. Memory is 88 bytes a slot, and at
 * most three slots in four are in use.
 */
#ifndef SLUICE_FOLDS_H
#define SLUICE_FOLDS_H

#include <stdbool.h>
#include <stddef.h>

#include "rows.h"

#define FOLD_CUTS 2

/* Where an entry stands in the log. */
struct fold_place {
	uint64_t lsn;
	uint32_t seq;
};

struct fold_version {
	struct fold_place place;
	bool told; /* the cut has an entry of the key */
	bool deleted;
	struct rowhash row;
};

struct fold {
	struct rowhash key;
	bool used;
	bool marked; /* the caller's */
	struct fold_version at[FOLD_CUTS];
};

struct folds {
	const struct cut *cut[FOLD_CUTS];
	size_t ncuts;
	struct fold *slots;
	size_t cap, n;
	struct {
		bool is;
		struct fold_place place;
	} cleared[FOLD_CUTS]; /* the last truncation inside each cut */
	/* Only keys of which these bits of the hash are so; set after folds_init(). */
	uint64_t class_mask, class;
};

/* The cuts are borrowed; `later` may be NULL. */
void folds_init(struct folds *f, const struct cut *cut, const struct cut *later);
void folds_free(struct folds *f); /* zeroed is fine */

/* Reads the entries that the condition picks: NULL: of the part that subject->where picks. Errors
 * as of rows_read(). */
enum err folds_read(struct folds *f, const struct sides *s, const struct subject *subject,
	const struct buf *where, struct error *e) MUST_CHECK;

struct fold *folds_find(const struct folds *f, struct rowhash key); /* NULL: not read */
/* The key has a row at that cut: at[which].row. */
bool fold_alive(const struct folds *f, const struct fold *x, size_t which);

#endif
