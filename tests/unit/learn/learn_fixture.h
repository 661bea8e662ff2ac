/*
 * learn_fixture: a small warehouse with a made-up history of bookings in the layout that
 * replication makes, and a registry beside it, both in a directory of their own.
 */
#ifndef SLUICE_LEARN_FIXTURE_H
#define SLUICE_LEARN_FIXTURE_H

#include "unit.h"

#include "arena.h"
#include "learn.h"

struct learn_fixture {
	char dir[128];
	struct clock_manual clock;
	struct rnd rnd;
	struct env env;
	struct warehouse *w;
	struct models *m;
	struct arena mem;
};

/* cmocka setup and teardown; *state is a struct learn_fixture. 4,000 bookings from 2015 on. */
int learn_setup(void **state);
int learn_teardown(void **state);

/* Opens the warehouse again, without what was put in front of it. */
void learn_reopen(struct learn_fixture *f);

/* Runs SQL; gives one value. */
void learn_script(struct learn_fixture *f, const char *sql);
int64_t learn_number(struct learn_fixture *f, const char *sql);
void learn_expect_text(struct learn_fixture *f, const char *sql, const char *want);

/* The built-in cancel_risk, or a set made of the head that suits the fixture and this body. */
struct feature_set learn_built_in(struct learn_fixture *f);
struct feature_set learn_set(struct learn_fixture *f, const char *body);

struct train_options learn_options(void);

#endif
