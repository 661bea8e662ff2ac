/*
 * window_frames: the messages of a window: copied out of the journal, and counted alike when
 * they are copied and when they are checked.
 */
#ifndef SLUICE_WINDOW_FRAMES_H
#define SLUICE_WINDOW_FRAMES_H

#include "journal.h"
#include "pgoutput.h"
#include "relset.h"
#include "window_answers.h"

/* What a relation of the stream is to the window. */
struct tally_relation {
	uint32_t relid;
	size_t table;                /* index into the window's tables; SIZE_MAX: none of them */
	bool other_relid, other_key; /* than the table has now */
	char name[2 * 63 + 2];       /* "schema.name", for messages */
};

struct tally {
	struct window_info *w; /* its tables' counts, messages, chain... are added to */
	struct pgoutput *decoder;
	struct tally_relation *relations;
	size_t n, cap;
	bool open;  /* inside a transaction */
	bool begun; /* the first one has begun */
	lsn end;    /* of the last one */
	lsn at;     /* where the one that is open commits */
	const struct answers *answers;
	struct arena mem;
};

/* The answers are borrowed; they tell renamed columns. */
void tally_init(struct tally *t, struct window_info *w, const struct answers *answers);
void tally_free(struct tally *t);

/* Adds one message that belongs to the window. ERR_USAGE for a change that cannot be replayed
 * onto the recorded state: the table was made anew, or has another key since. */
enum err tally_message(
	struct tally *t, const struct journal_record *rec, struct error *e) MUST_CHECK;

/* Copies what the journal `from` has of the window into a new one in `to`, and counts it. Raises
 * w->to to the end of the last transaction. */
enum err window_frames_copy(const char *from, const char *to, int64_t segment_size,
	const struct env *env, const struct answers *answers, struct window_info *w,
	struct error *e) MUST_CHECK;

/* Reads all messages of the window in `dir` and compares them with what `w` says of them. */
enum err window_frames_check(const char *dir, const struct env *env, const struct answers *answers,
	const struct window_info *w, struct error *e) MUST_CHECK;

#endif
