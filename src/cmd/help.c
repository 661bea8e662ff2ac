/* Help, made from the tables of commands and options. */
#include <string.h>

#include "buf.h"
#include "run.h"
#include "str.h"

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i] != NULL; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static bool in_group(const struct command *c, const char *group)
{
	size_t n = strlen(group);
	return strncmp(c->name, group, n) == 0 && c->name[n] == ' ';
}

bool help_is_group(const char *word)
{
	for (size_t i = 0; commands[i] != NULL; i++)
		if (in_group(commands[i], word))
			return true;
	return false;
}

static void list_commands(const char *group, struct buf *out)
{
	for (size_t i = 0; commands[i] != NULL; i++)
		if (group == NULL || in_group(commands[i], group))
			buf_putf(out, "  %-20s %s\n", commands[i]->name, commands[i]->summary);
}

void help_overview(struct buf *out)
{
	buf_puts(out,
		"usage: sluice COMMAND [ARGUMENTS]\n\n"
		"Carries operational rows from PostgreSQL to the warehouse, scores back, and "
		"opens the gate\nto live use only on proof.\n\n"
		"  sluice demo --json   # the whole loop on this machine\n"
		"  sluice doctor        # what is missing, and how to mend it\n\nCommands:\n");
	list_commands(NULL, out);
	buf_puts(out, "\nOptions of every command:\n");
	opt_help(global_opts, NULL, out);
	buf_puts(out,
		"\nExit: 0 done, 1 failed, 2 wrong usage or configuration, 3 a check says no, "
		"4 a dependency\nis unavailable, 130 interrupted.\n"
		"`sluice help COMMAND` says more.\n");
}

void help_group(const char *group, struct buf *out)
{
	buf_putf(out, "usage: sluice %s COMMAND [ARGUMENTS]\n\n", group);
	list_commands(group, out);
}

static void usage_line(const struct command *c, struct buf *out)
{
	buf_putf(out, "usage: sluice %s", c->name);
	if (c->opts != NULL && c->opts[0].name != NULL)
		buf_puts(out, " [OPTIONS]");
	for (const struct opt_arg *a = c->positional; a != NULL && a->name != NULL; a++)
		buf_putf(out, a->optional ? " [%s]" : " %s", a->name);
	buf_puts(out, "\n");
}

static void indent(const char *text, struct buf *out)
{
	struct str rest = str_of(text), line;
	while (str_next(&rest, '\n', &line))
		buf_putf(out, "  %.*s\n", STR_ARG(line));
}

void help_command(const struct command *c, struct buf *out)
{
	usage_line(c, out);
	buf_putf(out, "\n%s\n", c->summary);
	if (c->examples != NULL) {
		buf_puts(out, "\nExamples:\n");
		indent(c->examples, out);
	}
	if (c->details != NULL)
		buf_putf(out, "\n%s\n", c->details);
	bool has_opts = c->opts != NULL && c->opts[0].name != NULL;
	bool has_args = c->positional != NULL && c->positional[0].name != NULL;
	if (has_opts || has_args) {
		buf_puts(out, "\nArguments and options:\n");
		opt_help(c->opts, c->positional, out);
	}
	buf_puts(out, "\nOptions of every command:\n");
	opt_help(global_opts, NULL, out);
}
