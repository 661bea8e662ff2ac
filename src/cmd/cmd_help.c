/* sluice help, sluice config: what there is, and what is in force. */
#include <string.h>

#include "cmd_all.h"
#include "man.h"
#include "run.h"

struct help_args {
	const char *word, *second;
	bool man, names;
};

static const struct opt help_opts[] = {
	{.name = "man",
		.type = OPT_FLAG,
		.offset = offsetof(struct help_args, man),
		.help = "as a manual page, in roff; COMMAND may also be sluice.conf"},
	{.name = "names",
		.type = OPT_FLAG,
		.offset = offsetof(struct help_args, names),
		.help = "the commands' names, one a line, for shell completion"},
	OPT_END,
};

static const struct opt_arg help_positional[] = {
	{.name = "COMMAND",
		.offset = offsetof(struct help_args, word),
		.optional = true,
		.help = "the command, or the first word of a family"},
	{.name = "WORD",
		.offset = offsetof(struct help_args, second),
		.optional = true,
		.help = "its second word"},
	OPT_ARG_END,
};

static enum err help_for(
	const struct help_args *a, struct context *c, struct buf *out, struct error *e)
{
	const char *name = a->second == NULL ? a->word
					     : arena_fmt(c->mem, "%s %s", a->word, a->second).p;
	if (a->man && strcmp(name, "sluice.conf") == 0) {
		man_configuration(out);
		return OK;
	}
	const struct command *found = command_find(name);
	if (found == NULL && help_is_group(name)) {
		help_group(name, out);
		return OK;
	}
	if (found == NULL)
		return FAIL(
			e, ERR_USAGE, "there is no command '%s'; `sluice help` lists them", name);
	if (a->man)
		man_command(found, out);
	else
		help_command(found, out);
	return OK;
}

static enum err run_help(struct context *c, const void *args, struct error *e)
{
	const struct help_args *a = args;
	struct buf b;
	enum err rc = OK;
	buf_init(&b, 1 << 20);
	if (a->names)
		for (size_t i = 0; commands[i] != NULL; i++)
			buf_putf(&b, "%s\n", commands[i]->name);
	else if (a->word != NULL)
		rc = help_for(a, c, &b, e);
	else if (a->man)
		man_overview(&b);
	else
		help_overview(&b);
	if (rc == OK)
		fwrite(b.p, 1, b.n, c->out);
	buf_free(&b);
	return rc;
}

const struct command cmd_help = {
	.name = "help",
	.summary = "show what there is, or what a command does",
	.examples = "sluice help gate approve          # one command\n"
		    "sluice help --man sluice.conf     # the manual page of the configuration",
	.opts = help_opts,
	.positional = help_positional,
	.args_size = sizeof(struct help_args),
	.run = run_help,
};

struct config_args {
	bool sample;
};

static const struct opt config_opts[] = {
	{.name = "sample",
		.type = OPT_FLAG,
		.offset = offsetof(struct config_args, sample),
		.help = "a file with every key, its default and its meaning, to start from"},
	OPT_END,
};

static enum err run_config(struct context *c, const void *args, struct error *e)
{
	const struct config_args *a = args;
	struct buf b;
	(void)e;
	buf_init(&b, 1 << 20);
	if (a->sample)
		conf_sample(settings_sections, &b);
	else
		conf_print(settings_sections, c->set, &b);
	fwrite(b.p, 1, b.n, c->out);
	buf_free(&b);
	return OK;
}

const struct command cmd_config = {
	.name = "config",
	.summary = "print the configuration in force, secrets masked",
	.examples = "sluice config                    # what is in force\n"
		    "sluice config --sample > sluice.conf",
	.opts = config_opts,
	.args_size = sizeof(struct config_args),
	.run = run_config,
};
