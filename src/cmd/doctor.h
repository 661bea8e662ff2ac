/*
 * doctor: the checks of `sluice doctor`. Each looks at one requirement and says what it found
 * and, when that will not do, how to mend it. A check whose dependency is down says no with the
 * reason: nothing is taken to be well that could not be looked at.
 */
#ifndef SLUICE_DOCTOR_H
#define SLUICE_DOCTOR_H

#include <stdbool.h>

#include "command.h"
#include "pg_catalog.h"
#include "pg_conn.h"

struct finding {
	bool ok;
	struct str detail; /* in the arena of the run */
	struct str fix;    /* empty when ok */
};

/* What the checks share: the source is connected to once. */
struct doctor {
	struct context *c;
	struct arena *mem;
	struct pg *source; /* NULL: down, and `down` says why */
	struct str down;
	struct pg_tables tables; /* that [source] tables names; set by their check */
	bool tables_known;
};

struct doctor_check {
	const char *name;
	bool source; /* needs the source: answered by `down` when it is not there */
	void (*look)(struct doctor *d, struct finding *f);
};

/* Ended by a NULL name. */
extern const struct doctor_check doctor_source_checks[];
extern const struct doctor_check doctor_server_checks[]; /* after those of the source */
extern const struct doctor_check doctor_local_checks[];

/* How a check says what it found. */
void finding_ok(struct doctor *d, struct finding *f, const char *fmt, ...) PRINTF_LIKE(3, 4);
void finding_no(struct doctor *d, struct finding *f, const char *fix, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The check could not be made. */
void finding_unknown(struct doctor *d, struct finding *f, const struct error *e, const char *fix);

#endif
