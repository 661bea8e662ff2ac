/*
 * blame: who is at fault for a difference. Three records of a row are held against each other:
 * the source at the cut, the newest entry of history inside the cut, and the current table. Where
 * history is wrong too, the journal is read for what was sent.
 *
 * History is read once, whole, and the journal at most once: both only when there is something
 * to explain. The journal is asked for whole rows, so a value of it that is right while another
 * of the same row is wrong does not clear it.
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

/* Reads the journal from its oldest segment up to the cut; words are parallel to s->list. */
enum err blame_listen(const char *journal, const struct sides *sides, const struct subject *subject,
	const struct suspects *s, struct blame_word *words, struct arena *mem,
	struct error *e) MUST_CHECK;

#endif
