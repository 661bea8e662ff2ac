#include "roff.h"

void roff_text(struct buf *out, struct str text)
{
	bool line_start = out->n == 0 || out->p[out->n - 1] == '\n';

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (line_start && (c == '.' || c == '\''))
			buf_puts(out, "\\&");
		if (c == '\\')
			buf_puts(out, "\\e");
		else if (c == '-')
			buf_puts(out, "\\-");
		else
			buf_putc(out, c);
		line_start = c == '\n';
	}
}

static void new_line(struct buf *out, size_t indent, const char *prefix)
{
	buf_putc(out, '\n');
	if (prefix != NULL)
		buf_puts(out, prefix);
	else
		buf_putf(out, "%*s", (int)indent, "");
}

void text_wrap(struct buf *out, struct str text, size_t column, size_t width, size_t indent,
	const char *prefix)
{
	size_t start = prefix != NULL ? str_of(prefix).n : indent;
	size_t at = column;
	struct str word;
	bool first = true;

	while (str_next(&text, ' ', &word)) {
		if (word.n == 0)
			continue;
		if (!first && at + 1 + word.n > width) {
			new_line(out, indent, prefix);
			at = start;
		} else if (!first) {
			buf_putc(out, ' ');
			at++;
		}
		buf_put(out, word);
		at += word.n;
		first = false;
	}
}
