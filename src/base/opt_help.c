/* The texts that come from a command's table: --help and the man page. */
#include <inttypes.h>
#include <stdio.h>

#include "opt.h"
#include "roff.h"

#define WIDTH       80
#define COLUMN_MOST 30

/* "-n, --dry-run" or "    --until LSN" */
static size_t left_column(const struct opt *o, char *out, size_t n)
{
	char letter[8] = "    ";
	int written;

	if (o->letter != 0)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	written = snprintf(out, n, "%s--%s%s%s", letter, o->name, o->type != OPT_FLAG ? " " : "",
		o->type == OPT_FLAG        ? ""
			: o->value != NULL ? o->value
					   : "VALUE");
	return written < (int)n ? (size_t)written : n - 1;
}

/* The help, with the choices, range and default that the table already knows. */
static void put_meaning(struct buf *b, const struct opt *o)
{
	buf_puts(b, o->help);
	if (o->type == OPT_CHOICE)
		buf_putf(b, ": %s", o->choices);
	if (o->type == OPT_INT && o->max != 0)
		buf_putf(b, ", %" PRId64 " to %" PRId64, o->min, o->max);
	if (o->initial != NULL)
		buf_putf(b, " (default %s)", o->initial);
}

static const struct opt opt_of_help = {
	.name = "help", .letter = 'h', .type = OPT_FLAG, .help = "show this help"};

static size_t widest(const struct opt *opts, const struct opt_arg *positional)
{
	char left[128];
	size_t most = left_column(&opt_of_help, left, sizeof left);

	for (const struct opt *o = opts; o != NULL && o->name != NULL; o++) {
		size_t n = left_column(o, left, sizeof left);
		if (n > most && n <= COLUMN_MOST)
			most = n;
	}
	for (const struct opt_arg *a = positional; a != NULL && a->name != NULL; a++) {
		size_t n = str_of(a->name).n;
		if (n > most && n <= COLUMN_MOST)
			most = n;
	}
	return most;
}

static void put_row(struct buf *out, const char *left, size_t column, struct str text)
{
	size_t n = str_of(left).n;

	buf_putf(out, "  %s", left);
	if (n > column)
		buf_putf(out, "\n%*s", (int)column + 4, "");
	else
		buf_putf(out, "%*s", (int)(column - n) + 2, "");
	text_wrap(out, text, column + 4, WIDTH, column + 4, NULL);
	buf_putc(out, '\n');
}

static void put_option(struct buf *out, const struct opt *o, size_t column)
{
	char left[128];
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	left_column(o, left, sizeof left);
	put_meaning(&text, o);
	put_row(out, left, column, buf_str(&text));
	buf_free(&text);
}

void opt_help(const struct opt *opts, const struct opt_arg *positional, struct buf *out)
{
	size_t column = widest(opts, positional);

	if (positional != NULL && positional->name != NULL) {
		buf_puts(out, "Arguments:\n");
		for (const struct opt_arg *a = positional; a->name != NULL; a++)
			put_row(out, a->name, column, str_of(a->help));
		buf_putc(out, '\n');
	}
	buf_puts(out, "Options:\n");
	for (const struct opt *o = opts; o != NULL && o->name != NULL; o++)
		put_option(out, o, column);
	put_option(out, &opt_of_help, column);
}

static void roff_option(struct buf *out, const struct opt *o)
{
	struct buf text;

	buf_puts(out, ".TP\n");
	if (o->letter != 0)
		buf_putf(out, "\\fB\\-%c\\fR, ", o->letter);
	buf_puts(out, "\\fB\\-\\-");
	roff_text(out, str_of(o->name));
	buf_puts(out, "\\fR");
	if (o->type != OPT_FLAG) {
		buf_puts(out, " \\fI");
		roff_text(out, str_of(o->value != NULL ? o->value : "VALUE"));
		buf_puts(out, "\\fR");
	}
	buf_putc(out, '\n');
	buf_init(&text, BUF_MAX_DEFAULT);
	put_meaning(&text, o);
	roff_text(out, buf_str(&text));
	buf_free(&text);
	buf_puts(out, ".\n");
}

void opt_roff(const struct opt *opts, const struct opt_arg *positional, struct buf *out)
{
	for (const struct opt_arg *a = positional; a != NULL && a->name != NULL; a++) {
		buf_puts(out, ".TP\n\\fI");
		roff_text(out, str_of(a->name));
		buf_puts(out, "\\fR\n");
		roff_text(out, str_of(a->help));
		buf_puts(out, ".\n");
	}
	for (const struct opt *o = opts; o != NULL && o->name != NULL; o++)
		roff_option(out, o);
	roff_option(out, &opt_of_help);
}
