/*
 * window_ship: windows in the object store, so that another machine can have them.
 *
 *   windows/objects/SHA256/000000   a file's bytes, named by its SHA-256, in parts of 64 MiB;
 *                                   windows that have a file in common share it
 *   windows/NAME/window.json        the manifest; made last, and never replaced
 *
 * What is not whole has no manifest. Nothing is believed on arrival: a fetched window is verified
 * as a local one is before it stands under its name. One call uses one thread.
 */
#ifndef SLUICE_WINDOW_SHIP_H
#define SLUICE_WINDOW_SHIP_H

#include "store.h"
#include "window.h"

struct window_shipped {
	uint64_t files, bytes; /* of the window */
	uint64_t moved;        /* bytes that had to be moved */
	bool there;            /* the very same window had been shipped before */
};

/* Verifies WINDOWS/NAME and puts it into the store; what the store has already is not sent again.
 * ERR_CHECK when the window is damaged; ERR_CONFLICT when the store has another one of that name.
 * Interrupted, it can be repeated. */
enum err window_push(const char *windows, const char *name, struct store *store,
	const struct env *env, struct window_shipped *out, struct error *e) MUST_CHECK;

/* Fetches it into WINDOWS/NAME and verifies it. ERR_NOT_FOUND; ERR_CONFLICT when the name is taken
 * here; ERR_CHECK when what came is not what was shipped: the message names the object, and nothing
 * is left under the name. *info (free it) is filled on OK. */
enum err window_fetch(const char *windows, const char *name, struct store *store,
	const struct env *env, struct window_info *info, struct window_shipped *out,
	struct error *e) MUST_CHECK;

/* As window_list(), of the store. */
enum err window_list_store(
	struct store *store, window_list_fn *fn, void *arg, struct error *e) MUST_CHECK;

#endif
