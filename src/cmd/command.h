/*
 * command: what a subcommand is, and what it is given. One file per command family under
 * src/cmd: arguments in, layer 3 or 4 called, result printed. The table of them all is in
 * commands.c; help, man pages and completion are made from it.
 */
#ifndef SLUICE_COMMAND_H
#define SLUICE_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "arena.h"
#include "env.h"
#include "err.h"
#include "json.h"
#include "opt.h"
#include "settings.h"

struct warehouse;
struct store;
struct models;
struct pg;
struct shared;

/* One run of a command. Commands write data to `out` and messages to `err`, never to stdout:
 * inside `sluice up` they run for a client at the other end of the control socket. */
struct context {
	struct env *env;
	const struct settings *set;
	const char *config_path; /* file in force; NULL when none */
	const char *program;     /* path of this executable */
	FILE *in, *out, *err;    /* never stdin, stdout, stderr themselves */
	bool json;               /* --json */
	bool terminal;           /* out is a terminal: progress and colour are welcome */
	struct arena *mem;       /* lives for this run */
	bool served;             /* runs here for a client of the control socket */
	bool not_here;           /* set by a served command that must have its own process */
	struct shared *shared;   /* what the process holds open; see context_warehouse() */
};

enum needs {
	NEEDS_NOTHING = 0,
	NEEDS_WAREHOUSE = 2, /* runs in the process that holds the embedded warehouse */
	WANTS_WAREHOUSE = 4, /* the same, but runs also when it cannot be opened */
};

struct command {
	const char *name;     /* "gate approve" */
	const char *summary;  /* one line, lower case, no full stop */
	const char *details;  /* paragraphs for --help and the man page */
	const char *examples; /* lines "command   # what it does" */
	const struct opt *opts;
	const struct opt_arg *positional;
	size_t args_size;
	unsigned needs;
	enum err (*run)(struct context *c, const void *args, struct error *e);
};

/* Opened on first use, closed with the process (or shared with `sluice up`). A warehouse that
 * another process holds is waited for, a while. */
enum err context_warehouse(struct context *c, struct warehouse **out, struct error *e) MUST_CHECK;
enum err context_store(struct context *c, struct store **out, struct error *e) MUST_CHECK;
enum err context_models(struct context *c, struct models **out, struct error *e) MUST_CHECK;

/* A new connection to the source, or to the application's database; the caller closes it. */
enum err context_source(struct context *c, struct pg **out, struct error *e) MUST_CHECK;
enum err context_app_database(struct context *c, struct pg **out, struct error *e) MUST_CHECK;

/* The [workflow NAME] section, or ERR_USAGE naming those there are. */
enum err context_workflow(struct context *c, const char *name, const struct workflow_settings **out,
	struct error *e) MUST_CHECK;

/* One JSON object on a line of its own: build it in `b` by json_out, then emit. */
void context_emit(struct context *c, const struct buf *json);

#endif
