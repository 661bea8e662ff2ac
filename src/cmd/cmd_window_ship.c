/* sluice window push, fetch: windows to the object store, and from there to another machine. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd_all.h"
#include "window_parts.h"
#include "window_ship.h"

struct ship_args {
	const char *name;
};

static const struct opt_arg ship_positional[] = {
	{.name = "NAME",
		.offset = offsetof(struct ship_args, name),
		.help = "the window; see: sluice window list, --store"},
	OPT_ARG_END,
};

static const struct opt no_opts[] = {OPT_END};

static void put_shipped(struct json_out *j, const struct window_shipped *s)
{
	jo_u64(j, "files", s->files);
	jo_u64(j, "bytes", s->bytes);
	jo_u64(j, "moved", s->moved);
}

enum err window_parts_push(struct context *c, const char *name, bool after_record, struct error *e)
{
	struct window_shipped s;
	struct store *store;
	struct json_out j;
	struct buf b;

	TRY(context_store(c, &store, e));
	TRY(window_push(window_parts_dir(c), name, store, c->env, &s, e));
	if (c->json && after_record)
		return OK;
	if (c->json) {
		window_parts_head(&j, &b);
		jo_cstr(&j, "window", name);
		jo_bool(&j, "ok", true);
		jo_bool(&j, "there", s.there);
		put_shipped(&j, &s);
		window_parts_emit(c, &j, &b);
		return OK;
	}
	fprintf(c->out,
		"%s in the store: %" PRIu64 " files with %" PRIu64 " bytes, of which %" PRIu64
		" were sent.\n",
		s.there ? "Already" : "Now", s.files, s.bytes, s.moved);
	fflush(c->out);
	return OK;
}

static enum err run_push(struct context *c, const void *args, struct error *e)
{
	const struct ship_args *a = args;

	return window_parts_push(c, a->name, false, e);
}

static enum err run_fetch(struct context *c, const void *args, struct error *e)
{
	const struct ship_args *a = args;
	struct window_shipped s;
	struct window_info w;
	struct store *store;
	struct json_out j;
	struct buf b;

	TRY(context_store(c, &store, e));
	TRY(window_fetch(window_parts_dir(c), a->name, store, c->env, &w, &s, e));
	if (c->json) {
		window_parts_head(&j, &b);
		jo_cstr(&j, "window", a->name);
		jo_bool(&j, "ok", true);
		put_shipped(&j, &s);
		window_parts_info(&j, &w);
		window_parts_emit(c, &j, &b);
	} else {
		fprintf(c->out,
			"Fetched and sound: %" PRIu64 " transactions with %" PRIu64
			" changes, %" PRIu64 " files with %" PRIu64 " bytes.\n",
			w.transactions, w.changes, s.files, s.bytes);
		fflush(c->out);
	}
	window_info_free(&w);
	return OK;
}

const struct command cmd_window_push = {
	.name = "window push",
	.summary = "put a window into the object store",
	.details =
		"Verifies the window and puts its files into the store of [store] url under their "
		"SHA-256, then the manifest, which is never replaced. Files that the store has "
		"already are not sent again, so a push that was cut short can be repeated.\n\n"
		"Exit 0: the store has it. 3: the window is damaged. 4: the store does not answer.",
	.examples = "sluice window push before-upgrade\n",
	.opts = no_opts,
	.positional = ship_positional,
	.args_size = sizeof(struct ship_args),
	.run = run_push,
};

const struct command cmd_window_fetch = {
	.name = "window fetch",
	.summary = "get a window from the object store, and verify it",
	.details =
		"Gets the manifest and every file it names, checks each against its SHA-256 and "
		"then the whole as `sluice window verify` does. The window stands under its name "
		"afterwards, whole, or not at all. Neither the source nor the warehouse is needed: "
		"`sluice window replay` goes on from there.\n\n"
		"Exit 0: here, and sound. 3: what came is not what was shipped; the object is "
		"named. 4: the store does not answer.",
	.examples = "sluice window fetch before-upgrade && sluice window replay before-upgrade\n",
	.opts = no_opts,
	.positional = ship_positional,
	.args_size = sizeof(struct ship_args),
	.run = run_fetch,
};
