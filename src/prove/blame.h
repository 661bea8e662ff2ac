/*
 * blame: who is at fault for a difference. Three records of a row are held against each other:
 * the source at the cut, the newest entry of history inside the cut, and the current table. Where
 * history is wrong too, the journal is read for what was sent. Where it has no word of the row, the
 * source says when it wrote it: before the table's first copy, then nothing was to be sent and the
 * copy is wrong; after it, then a journal that reaches back to the copy lacks what was to be sent.
 *
 * History is read once, as far as the range goes, and the journal at most once: both only when
 * there is something to explain. Of a table whose rows are told apart by all their columns, history
 * is asked how often each row came and went, and the journal is not asked: it may not reach back to
 * the first of them. The journal is asked for whole rows, so a value of it that is right while
 * another of the same row is wrong does not clear it.
 */
#ifndef SLUICE_BLAME_H
#define SLUICE_BLAME_H

#include "suspects.h"

/* Sets `blame` of every suspect; they are sorted and have been seen on both sides. `journal` is
 * its directory or NULL. A journal that cannot be read tells nothing: that is logged, and no
 * error. Fails when history cannot be read. */
enum err blame_suspects(struct suspects *s, const struct sides *sides,
	const struct subject *subject, const char *journal, struct arena *mem,
	struct error *e) MUST_CHECK;

/* The last that the journal says of a suspect's row, inside the cut. */
struct blame_word {
	bool heard;
	bool alive;              /* false: deleted, or truncated */
	bool *known;             /* ncolumns: the journal still has the value */
	struct rowhash *columns; /* where known */
};

/* Reads the journal from its oldest segment, which begins at *begins, up to the cut; words are
 * parallel to s->list. */
enum err blame_listen(const char *journal, const struct sides *sides, const struct subject *subject,
	const struct suspects *s, struct blame_word *words, lsn *begins, struct arena *mem,
	struct error *e) MUST_CHECK;

enum blame_written {
	WRITTEN_UNKNOWN,     /* the source has not the row, or cannot tell */
	WRITTEN_BEFORE_COPY, /* the first copy, whole, had it as it is at the cut */
	WRITTEN_AFTER_COPY,  /* the stream had to bring it, later than *since */
};

/* Asks the source, in the transaction of the cut, when it wrote the suspects' rows; `out` is
 * parallel to s->list and zeroed. What cannot be found out stays unknown: that is logged, and no
 * error. */
void blame_written(const struct sides *sides, const struct subject *subject,
	const struct suspects *s, enum blame_written *out, lsn *since);

#endif
