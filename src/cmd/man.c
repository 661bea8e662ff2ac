/* Manual pages as roff, made from the same tables as the help. */
#include "man.h"

#include <string.h>

#include "conf.h"
#include "run.h"
#include "settings.h"
#include "str.h"
#include "version.h"

/* Text in which a line may not start with a roff request. */
static void roff_text(const char *text, struct buf *out)
{
	struct str rest = str_of(text), line;
	while (str_next(&rest, '\n', &line)) {
		if (line.n == 0) {
			buf_puts(out, ".PP\n");
			continue;
		}
		if (line.p[0] == '.' || line.p[0] == '\'')
			buf_puts(out, "\\&");
		for (size_t i = 0; i < line.n; i++) {
			if (line.p[i] == '\\')
				buf_puts(out, "\\e");
			else if (line.p[i] == '-')
				buf_puts(out, "\\-");
			else
				buf_putc(out, line.p[i]);
		}
		buf_putc(out, '\n');
	}
}

static void roff_head(const char *title, const char *section, struct buf *out)
{
	buf_putf(out, ".TH \"%s\" \"%s\" \"\" \"sluice %s\" \"sluice\"\n", title, section,
		sluice_version());
}

static void exit_status(struct buf *out)
{
	buf_puts(out,
		".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage or configuration, 3 a check "
		"says no, 4 a dependency is unavailable, 130 interrupted.\n");
}

void man_overview(struct buf *out)
{
	roff_head("SLUICE", "1", out);
	buf_puts(out,
		".SH NAME\nsluice \\- rows from PostgreSQL to the warehouse, scores back, and a gate\n"
		".SH SYNOPSIS\n.B sluice\n.I COMMAND\n[ARGUMENTS]\n.SH COMMANDS\n");
	for (size_t i = 0; commands[i] != NULL; i++) {
		buf_putf(out, ".TP\n.B %s\n", commands[i]->name);
		roff_text(commands[i]->summary, out);
	}
	buf_puts(out, ".SH OPTIONS\n");
	opt_roff(global_opts, NULL, out);
	exit_status(out);
	buf_puts(out, ".SH SEE ALSO\n.BR sluice.conf (5)\n");
}

void man_command(const struct command *c, struct buf *out)
{
	char title[64];
	size_t n = 0;
	for (; c->name[n] != '\0' && n + 1 < sizeof title; n++)
		title[n] = c->name[n] == ' ' ? '-' : c->name[n];
	title[n] = '\0';
	roff_head(title, "1", out);
	buf_putf(out, ".SH NAME\nsluice %s \\- ", c->name);
	roff_text(c->summary, out);
	buf_putf(out, ".SH SYNOPSIS\n.B sluice %s\n[OPTIONS]", c->name);
	for (const struct opt_arg *a = c->positional; a != NULL && a->name != NULL; a++)
		buf_putf(out, " %s", a->name);
	buf_puts(out, "\n");
	if (c->details != NULL) {
		buf_puts(out, ".SH DESCRIPTION\n");
		roff_text(c->details, out);
	}
	buf_puts(out, ".SH OPTIONS\n");
	opt_roff(c->opts, c->positional, out);
	opt_roff(global_opts, NULL, out);
	if (c->examples != NULL) {
		buf_puts(out, ".SH EXAMPLES\n.nf\n");
		roff_text(c->examples, out);
		buf_puts(out, ".fi\n");
	}
	exit_status(out);
}

void man_configuration(struct buf *out)
{
	roff_head("SLUICE.CONF", "5", out);
	buf_puts(out, ".SH NAME\nsluice.conf \\- configuration of sluice\n.SH DESCRIPTION\n");
	roff_text(
		"INI sections; \"key = value\" to the end of the line; whole-line comments start with # "
		"or ;. SLUICE_SECTION_KEY in the environment overrides the file, a flag overrides both. "
		"SLUICE_SECTION_KEY_FILE, and a key with _file appended, read a secret from a file. "
		"An unknown key is an error. Relative paths start at the file's directory.",
		out);
	conf_roff(settings_sections, out);
}
