/*
 * opt: the command line as tables. From a command's table come its parsing, its --help, its man
 * page and its shell completion; nothing about options is written anywhere else.
 */
#ifndef SLUICE_OPT_H
#define SLUICE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "buf.h"
#include "err.h"

enum opt_type {
	OPT_FLAG,   /* bool */
	OPT_STRING, /* const char *, pointing into argv */
	OPT_INT,    /* int64_t, within min..max */
	OPT_CHOICE, /* const char *, one of the words in choices */
};

struct opt {
	const char *name; /* "until", without dashes */
	char letter;      /* short form, or 0 */
	enum opt_type type;
	size_t offset;       /* into the command's argument struct */
	const char *value;   /* "LSN" in --until LSN; NULL for flags */
	const char *help;    /* one sentence, lower case, no full stop */
	const char *choices; /* OPT_CHOICE: "table|csv|json" */
	int64_t min, max;    /* OPT_INT */
	const char *initial; /* default, as text; NULL for none */
};

#define OPT_END                                                                                    \
	{                                                                                          \
		.name = NULL                                                                       \
	}

struct opt_arg {
	const char *name; /* "WORKFLOW" */
	size_t offset;    /* const char * in the argument struct */
	bool optional;
	const char *help;
};

#define OPT_ARG_END                                                                                \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/*
 * Fills `args` from argv[1..]: options in any place, "--" ends them, the rest are positional.
 * ERR_USAGE names the option and, for an unknown one, the nearest known. Sets *help when --help
 * was given, and then checks nothing more.
 */
enum err opt_parse(const struct opt *opts, const struct opt_arg *positional, int argc, char **argv,
	void *args, bool *help, struct error *e) MUST_CHECK;

/* The options and arguments, aligned in two columns. */
void opt_help(const struct opt *opts, const struct opt_arg *positional, struct buf *out);

/* The same as roff for a man page. */
void opt_roff(const struct opt *opts, const struct opt_arg *positional, struct buf *out);

#endif
