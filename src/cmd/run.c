#include "run.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "shared.h"
#include "str.h"

const struct opt global_opts[] = {
	{.name = "config",
		.type = OPT_STRING,
		.value = "FILE",
		.offset = offsetof(struct global_args, config),
		.help = "configuration file; default ./sluice.conf when it exists"},
	{.name = "json",
		.type = OPT_FLAG,
		.offset = offsetof(struct global_args, json),
		.help = "one JSON object a line on standard output"},
	{.name = "log-level",
		.type = OPT_CHOICE,
		.value = "LEVEL",
		.initial = "info",
		.choices = "debug|info|warn|error",
		.offset = offsetof(struct global_args, log_level),
		.help = "least important event that is logged"},
	{.name = "log-format",
		.type = OPT_CHOICE,
		.value = "FORMAT",
		.initial = "auto",
		.choices = "auto|text|json",
		.offset = offsetof(struct global_args, log_format),
		.help = "how events are written to standard error; auto is text on a terminal"},
	{.name = "help",
		.letter = 'h',
		.type = OPT_FLAG,
		.offset = offsetof(struct global_args, help),
		.help = "show help and exit"},
	{.name = "version",
		.letter = 'V',
		.type = OPT_FLAG,
		.offset = offsetof(struct global_args, version),
		.help = "show the version and exit"},
	OPT_END,
};

/* The option that `arg` gives, or NULL; `value` is what follows '='. */
static const struct opt *global_option(const char *arg, const char **value)
{
	*value = NULL;
	for (const struct opt *o = global_opts; o->name != NULL; o++) {
		size_t n = strlen(o->name);
		if (arg[0] == '-' && o->letter != 0 && arg[1] == o->letter && arg[2] == '\0')
			return o;
		if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, o->name, n) != 0)
			continue;
		if (arg[2 + n] == '=')
			*value = arg + 2 + n + 1;
		if (arg[2 + n] == '=' || arg[2 + n] == '\0')
			return o;
	}
	return NULL;
}

/* Splits argv: globals in front of the vector given to opt_parse, the rest left over. */
static void split(int argc, char **argv, struct arena *mem, int *nglobal, char ***global,
	int *nrest, char ***rest)
{
	*global = arena_array(mem, (size_t)argc + 2, sizeof **global);
	*rest = arena_array(mem, (size_t)argc + 2, sizeof **rest);
	*nglobal = *nrest = 0;
	(*global)[(*nglobal)++] = argv[0];
	int i = 1;
	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value;
		const struct opt *o = global_option(argv[i], &value);
		/* After a command --version is its own: `land WORKFLOW --version N`. */
		if (o == NULL || (*nrest > 0 && str_starts(str_of(argv[i]), STR("--version")))) {
			(*rest)[(*nrest)++] = argv[i];
			continue;
		}
		(*global)[(*nglobal)++] = argv[i];
		if (o->type != OPT_FLAG && value == NULL && i + 1 < argc)
			(*global)[(*nglobal)++] = argv[++i];
	}
	for (; i < argc; i++)
		(*rest)[(*nrest)++] = argv[i];
}

/* "gate approve" before "query": two words first, then one. */
static const struct command *find_words(int n, char **words, struct arena *mem, int *used)
{
	*used = 0;
	if (n >= 2) {
		const struct command *c = command_find(
			arena_fmt(mem, "%s %s", words[0], words[1]).p);
		*used = 2;
		if (c != NULL)
			return c;
	}
	*used = 1;
	return n >= 1 ? command_find(words[0]) : NULL;
}

static enum err unknown_command(const char *word, struct error *e)
{
	const char *best = NULL;
	size_t least = 4;
	for (size_t i = 0; commands[i] != NULL; i++) {
		size_t d = str_distance(str_of(word), str_of(commands[i]->name));
		if (d < least) {
			least = d;
			best = commands[i]->name;
		}
	}
	if (best != NULL)
		return FAIL(
			e, ERR_USAGE, "there is no command '%s'; did you mean '%s'?", word, best);
	return FAIL(e, ERR_USAGE, "there is no command '%s'; `sluice help` lists them", word);
}

static enum err incomplete_group(int n, char **words, struct error *e)
{
	if (n == 1 || words[1][0] == '-')
		return FAIL(e, ERR_USAGE, "'%s' needs one more word; `sluice help %s` lists them",
			words[0], words[0]);
	return FAIL(e, ERR_USAGE, "there is no command '%s %s'; `sluice help %s` lists them",
		words[0], words[1], words[0]);
}

enum err invocation_parse(
	int argc, char **argv, struct arena *mem, struct invocation *out, struct error *e)
{
	int nglobal, nrest, used;
	char **global, **rest;
	*out = (struct invocation){0};
	split(argc, argv, mem, &nglobal, &global, &nrest, &rest);

	/* --help is one of the globals here, so opt_parse need not look for it. */
	bool help = false;
	TRY(opt_parse(global_opts, NULL, nglobal, global, &out->global, &help, e));
	out->global.help |= help;
	if (nrest == 0)
		return OK;
	out->command = find_words(nrest, rest, mem, &used);
	if (out->command == NULL && help_is_group(rest[0])) {
		if (out->global.help)
			return OK;
		return incomplete_group(nrest, rest, e);
	}
	if (out->command == NULL)
		return unknown_command(rest[0], e);
	out->argv = rest + used - 1;
	out->argv[0] = mem_strdup(out->command->name);
	arena_defer(mem, mem_free, out->argv[0]);
	out->argc = nrest - used + 1;
	return OK;
}

void report_error(FILE *err, const struct error *e)
{
	fprintf(err, "sluice: %s\n", e->text);
	fflush(err);
}

static void print_help(const struct command *c, FILE *out)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	help_command(c, &b);
	fwrite(b.p, 1, b.n, out);
	fflush(out);
	buf_free(&b);
}

static enum err run_command(struct context *ctx, const struct invocation *inv, struct error *e)
{
	const struct command *c = inv->command;
	void *args = arena_alloc(ctx->mem, c->args_size > 0 ? c->args_size : 1);
	bool help = false;
	TRY(opt_parse(c->opts, c->positional, inv->argc, inv->argv, args, &help, e));
	if (help) {
		print_help(c, ctx->out);
		return OK;
	}
	return c->run(ctx, args, e);
}

int run_invocation(struct shared *shared, const struct run_settings *as, struct env *env,
	const struct invocation *inv, const struct streams *io, struct arena *mem)
{
	struct context ctx = {.env = env,
		.set = as != NULL ? as->set : shared_settings(shared),
		.config_path = as != NULL ? as->path : shared_config_path(shared),
		.program = shared_program(shared),
		.in = io->in,
		.out = io->out,
		.err = io->err,
		.json = inv->global.json,
		.terminal = isatty(fileno(io->out)) == 1,
		.mem = mem,
		.served = as != NULL,
		.shared = shared};
	struct error e = {0};
	assert(inv->command != NULL);
	if (inv->global.help) {
		print_help(inv->command, io->out);
		return 0;
	}
	enum err rc = run_command(&ctx, inv, &e);
	fflush(io->out);
	if (rc != OK && e.text[0] != '\0')
		report_error(io->err, &e);
	return ctx.not_here ? RUN_NOT_HERE : error_exit_code(rc);
}

int run_in(struct shared *shared, const struct run_settings *as, struct env *env, int argc,
	char **argv, const struct streams *io)
{
	struct arena mem = {0};
	struct invocation inv;
	struct error e = {0};
	int code;
	enum err rc = invocation_parse(argc, argv, &mem, &inv, &e);
	if (rc == OK && inv.command == NULL)
		rc = FAIL(&e, ERR_USAGE, "no command was given");
	if (rc == OK) {
		code = run_invocation(shared, as, env, &inv, io, &mem);
	} else {
		report_error(io->err, &e);
		code = error_exit_code(rc);
	}
	arena_free(&mem);
	return code;
}
