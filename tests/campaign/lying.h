/* Two liars between the source and the warehouse: a journal whose messages were altered before
 * they were applied, and a warehouse that alters rows on their way in. */
#ifndef SLUICE_LYING_H
#define SLUICE_LYING_H

#include "env.h"
#include "lsn.h"
#include "warehouse.h"

enum lie {
	LIE_BIT,         /* one bit of the column n */
	LIE_SPACE,       /* one space after the column name */
	LIE_MICROSECOND, /* one microsecond in the column at */
	LIE_NAME,        /* the column name is `text` */
	LIE_KEY,         /* the change is of the key `text` */
	LIE_DROP,        /* the change is not there; in a journal only */
};

/* What is done to one change, known by its table, key and kind. Tables have the columns id, n,
 * name, at; id is bigint or text. */
struct alteration {
	const char *table;
	char key[40];
	char op; /* 'I', 'U', 'D' */
	enum lie lie;
	unsigned bit; /* LIE_BIT, in the warehouse */
	char text[64];
	bool done;
};

struct alterations {
	struct alteration *list;
	size_t n;
};

/* Writes the journal of `dir` anew; of what follows `after`, the alterations are made. Nobody may
 * have the journal open. The test fails when it cannot. */
void forge_journal(const char *dir, lsn after, struct alterations *lies, const struct env *env);

/* A warehouse that makes the alterations in what it is given and passes everything on; while `away`
 * it takes no changes. Borrows inner. */
struct lying {
	struct warehouse base;
	struct warehouse *inner;
	struct alterations *lies;
	bool away;
};
struct warehouse *lying_open(struct lying *l, struct warehouse *inner, struct alterations *lies);

#endif
