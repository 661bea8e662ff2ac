/*
 * run: from an argument vector to a command's end. main() and the control socket both come
 * through here.
 */
#ifndef SLUICE_RUN_H
#define SLUICE_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include "arena.h"
#include "buf.h"
#include "command.h"
#include "env.h"

struct shared;

struct streams {
	FILE *in, *out, *err;
};

/* The configuration that a run has. */
struct run_settings {
	const struct settings *set;
	const char *path; /* of the file; NULL when none */
};

/* Options that every command takes, in any place before "--". */
struct global_args {
	bool json, version, help;
	const char *config;     /* NULL: ./sluice.conf when it exists */
	const char *log_level;  /* debug, info, warn, error */
	const char *log_format; /* auto, text, json */
};

extern const struct opt global_opts[];

/* What the arguments say: the globals taken out, the command found, the rest left for it. */
struct invocation {
	struct global_args global;
	const struct command *command; /* NULL when none was named */
	int argc;
	char **argv; /* argv[0] is the command's name; NULL-terminated; in the arena */
};

/* ERR_USAGE for an unknown command, naming the nearest. */
enum err invocation_parse(int argc, char **argv, struct arena *mem, struct invocation *out,
	struct error *e) MUST_CHECK;

/* Instead of an exit code: the command must have a process of its own. Only for served ones. */
#define RUN_NOT_HERE 255

/* Parses the command's own arguments and runs it; prints what it has to say, errors included,
 * to the streams. `as` NULL: with the settings of this process. Returns the exit code. */
int run_invocation(struct shared *shared, const struct run_settings *as, struct env *env,
	const struct invocation *inv, const struct streams *io, struct arena *mem);

/* The whole of it inside a process that is running already. */
int run_in(struct shared *shared, const struct run_settings *as, struct env *env, int argc,
	char **argv, const struct streams *io);

void report_error(FILE *err, const struct error *e);

/* The table of all commands, by name; the last has a NULL name. */
extern const struct command *const commands[];
const struct command *command_find(const char *name);

/* Help and reference, made from the tables. */
void help_overview(struct buf *out);
void help_group(const char *group, struct buf *out); /* "gate": the commands "gate ..." */
bool help_is_group(const char *word);
void help_command(const struct command *c, struct buf *out);

#endif
