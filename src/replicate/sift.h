/*
 * sift: which rows of a table's changes the warehouse refuses. That is found by writing parts of
 * them in transactions that are given up. A row counts as refused when the warehouse takes
 * everything before it in the set, but not it.
 */
#ifndef SLUICE_SIFT_H
#define SLUICE_SIFT_H

#include "arena.h"
#include "env.h"
#include "fold.h"
#include "warehouse.h"

/* So many looks at one set find each row; a second or a minute of work. When they do not do, for
 * thousands of rows are refused, the stream does not stand still for the rest: rows that are not
 * told apart by then are put aside together, and a retry brings in those that are fine. */
#define SIFT_LOOKS 20000

/* One table's changes, and what is found out about them. */
struct sift_part {
	const struct table_changes *c;
	uint8_t *bad;        /* by row */
	struct str *reasons; /* by row */
	size_t nbad;
	struct batch *rest; /* without the bad ones; made by sift_rest() */
	struct fold fold;
};

struct sift {
	struct warehouse *w;
	const struct env *env;
	struct arena mem;
	struct sift_part *part; /* in work */
	size_t nbad;            /* of all parts */
	size_t looks;           /* taken, of all parts */
	size_t together;        /* rows that were put aside together */
	size_t most;            /* looks to take; 0: SIFT_LOOKS */
};

void sift_part_begin(struct sift *s, struct sift_part *p, const struct table_changes *c);
void sift_part_free(struct sift_part *p);

/*
 * Finds the part's rows. ERR_INPUT when the table itself is not fit (it or a column is gone), or
 * when a TRUNCATE is refused; other failures as the warehouse has them.
 */
enum err sift_part(struct sift *s, struct sift_part *p, struct error *e) MUST_CHECK;

/* The changes without the bad rows; they live until sift_part_free(). */
struct table_changes sift_rest(struct sift_part *p);

#endif
