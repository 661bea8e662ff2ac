/*
 * control_caller: the surroundings of a client whose command runs in this process: its settings,
 * loaded from its file and variables, and its working directory.
 */
#ifndef SLUICE_CONTROL_CALLER_H
#define SLUICE_CONTROL_CALLER_H

#include "arena.h"
#include "err.h"
#include "settings.h"

struct control_request;

struct control_caller {
	struct arena mem;
	struct settings settings;
};

/* Makes the client's working directory that of this thread, and of the threads it starts, alone. */
enum err control_caller_enter(const char *cwd, struct error *e) MUST_CHECK;

/*
 * Loads the client's settings. ERR_USAGE when they name another source, store, registry or journal
 * than the holder has open: the command would mix the two. Free it in any case.
 */
enum err control_caller_load(struct control_caller *c, const struct control_request *r,
	const struct settings *held, struct error *e) MUST_CHECK;
void control_caller_free(struct control_caller *c);

#endif
