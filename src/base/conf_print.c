/* The texts that come from the configuration table: values in force, man page, sample file. */
#include "conf.h"
#include "conf_value.h"
#include "roff.h"

static void print_keys(const struct conf_section *s, const void *data, struct buf *out)
{
	for (const struct conf_key *k = s->keys; k->name != NULL; k++) {
		buf_putf(out, "%s = ", k->name);
		conf_value_print(k, data, out);
		buf_putc(out, '\n');
	}
	buf_putc(out, '\n');
}

void conf_print(const struct conf_section *sections, const void *from, struct buf *out)
{
	for (const struct conf_section *s = sections; s->name != NULL; s++) {
		const char *at = (const char *)from + s->offset;
		if (s->argument == NULL) {
			buf_putf(out, "[%s]\n", s->name);
			print_keys(s, at, out);
			continue;
		}
		const struct conf_list *list = (const void *)at;
		for (size_t i = 0; i < list->n; i++) {
			const char *item = (const char *)list->items + i * s->size;
			buf_putf(out, "[%s %s]\n", s->name,
				*(const char *const *)(const void *)item);
			print_keys(s, item, out);
		}
	}
}

/* "text. Default: x. help" */
static void put_meaning(const struct conf_key *k, struct buf *out)
{
	conf_value_type(k, out);
	if (k->initial != NULL && k->initial[0] != '\0')
		buf_putf(out, " (default %s)", k->initial);
	buf_puts(out, ". ");
	buf_puts(out, k->help);
}

static void roff_key(const struct conf_key *k, struct buf *out)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	buf_puts(out, ".TP\n\\fB");
	roff_text(out, str_of(k->name));
	buf_puts(out, "\\fR\n");
	put_meaning(k, &text);
	roff_text(out, buf_str(&text));
	buf_putc(out, '\n');
	buf_free(&text);
}

void conf_roff(const struct conf_section *sections, struct buf *out)
{
	for (const struct conf_section *s = sections; s->name != NULL; s++) {
		buf_putf(out, ".SS [%s%s%s]\n", s->name, s->argument != NULL ? " " : "",
			s->argument != NULL ? s->argument : "");
		roff_text(out, str_of(s->help));
		buf_putc(out, '\n');
		for (const struct conf_key *k = s->keys; k->name != NULL; k++)
			roff_key(k, out);
	}
}

static void comment(struct buf *out, struct str text)
{
	buf_puts(out, "# ");
	text_wrap(out, text, 2, 79, 0, "# ");
	buf_putc(out, '\n');
}

static void sample_key(const struct conf_key *k, struct buf *out)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	put_meaning(k, &text);
	comment(out, buf_str(&text));
	buf_putf(out, "#%s = %s\n", k->name, k->initial != NULL ? k->initial : "");
	buf_free(&text);
}

void conf_sample(const struct conf_section *sections, struct buf *out)
{
	for (const struct conf_section *s = sections; s->name != NULL; s++) {
		comment(out, str_of(s->help));
		if (s->argument != NULL)
			buf_putf(out, "#[%s %s]\n", s->name, s->argument);
		else
			buf_putf(out, "[%s]\n", s->name);
		for (const struct conf_key *k = s->keys; k->name != NULL; k++)
			sample_key(k, out);
		buf_putc(out, '\n');
	}
}
