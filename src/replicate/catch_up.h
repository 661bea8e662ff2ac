/*
 * catch_up: a table that was held back is brought level from the journal, by the code that
 * applies the main stream and in its thread, a bounded step at a time between steps of that
 * stream. How far it is stands in the table's mark and is committed with its rows; once it stands
 * where the main stream stands, the mark goes, in one transaction with the last of them, and the
 * main stream takes the table over.
 */
#ifndef SLUICE_CATCH_UP_H
#define SLUICE_CATCH_UP_H

#include "apply.h"

/* Of one run of apply: ready when zeroed. One table at a time. */
struct catch_up {
	bool open;
	struct apply_apart apart;
	struct arena mem; /* of apart */
	struct apply a;
};

/* One step, if a table catches up: main->hurry says whether there is more to do. `main` must be
 * between transactions. Where the journal does not reach back, or is damaged, the table is copied
 * again. */
enum err catch_up_step(struct catch_up *c, struct apply *main, struct error *e) MUST_CHECK;
void catch_up_close(struct catch_up *c);

#endif
