#include "print_table.h"

#include <stdlib.h>

#include "arena.h"
#include "buf.h"
#include "mem.h"

#define HELD_ROWS 1000
#define BOLD      "\033[1m"
#define PLAIN     "\033[0m"

struct column {
	struct str name;
	bool right;
	size_t width; /* characters */
};

struct print_table {
	FILE *out;
	bool colour, streaming;
	struct column *columns;
	size_t ncolumns;
	struct str *held; /* HELD_ROWS * ncolumns cells, already escaped */
	size_t nheld, rows;
	struct buf cell, line;
	struct arena mem;
};

bool print_colour(bool terminal)
{
	const char *no = getenv("NO_COLOR");
	return terminal && (no == NULL || no[0] == '\0');
}

/* Characters, as far as counting code points can tell. */
static size_t width_of(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

static void put_escaped(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		/* U+0080 to U+009F are control characters too: c2 80 to c2 9f. */
		bool high = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
		if (c == '\n')
			buf_puts(b, "\\n");
		else if (c == '\t')
			buf_puts(b, "\\t");
		else if (is_control(c))
			buf_putf(b, "\\x%02x", (unsigned)c);
		else if (high)
			buf_putf(b, "\\u00%02x", (unsigned)(unsigned char)s.p[++i]);
		else
			buf_putc(b, s.p[i]);
	}
}

static struct str show(struct print_table *t, struct str cell)
{
	buf_reset(&t->cell);
	if (cell.p == NULL)
		buf_puts(&t->cell, "NULL");
	else
		put_escaped(&t->cell, cell);
	return buf_str(&t->cell);
}

struct print_table *print_table_new(
	FILE *out, bool colour, const struct print_column *columns, size_t n)
{
	struct print_table *t = mem_zalloc(sizeof *t);

	*t = (struct print_table){.out = out, .colour = colour, .ncolumns = n};
	buf_init(&t->cell, BUF_MAX_DEFAULT);
	buf_init(&t->line, BUF_MAX_DEFAULT);
	t->columns = arena_array(&t->mem, n + 1, sizeof *t->columns);
	t->held = mem_array(HELD_ROWS * n + 1, sizeof *t->held);
	for (size_t c = 0; c < n; c++) {
		struct str name = arena_str(&t->mem, show(t, str_of(columns[c].name)));
		t->columns[c] = (struct column){
			.name = name, .right = columns[c].right, .width = width_of(name)};
	}
	return t;
}

static void pad(struct buf *line, char c, size_t n)
{
	while (n-- > 0)
		buf_putc(line, c);
}

static void put_cell(struct print_table *t, size_t c, struct str text)
{
	const struct column *col = &t->columns[c];
	size_t width = width_of(text);
	size_t blanks = width < col->width ? col->width - width : 0;

	pad(&t->line, ' ', c > 0 ? 2 : 0);
	if (col->right)
		pad(&t->line, ' ', blanks);
	buf_put(&t->line, text);
	if (!col->right)
		pad(&t->line, ' ', blanks);
}

/* Lines end without blanks. */
static void print_line(struct print_table *t)
{
	size_t n = t->line.n;

	while (n > 0 && t->line.p[n - 1] == ' ')
		n--;
	fwrite(t->line.p, 1, n, t->out);
	fputc('\n', t->out);
	buf_reset(&t->line);
}

static void print_header(struct print_table *t)
{
	if (t->colour)
		fputs(BOLD, t->out);
	for (size_t c = 0; c < t->ncolumns; c++)
		put_cell(t, c, t->columns[c].name);
	print_line(t);
	if (t->colour)
		fputs(PLAIN, t->out);
	for (size_t c = 0; c < t->ncolumns; c++) {
		pad(&t->line, ' ', c > 0 ? 2 : 0);
		pad(&t->line, '-', t->columns[c].width);
	}
	print_line(t);
}

static void release(struct print_table *t)
{
	print_header(t);
	for (size_t r = 0; r < t->nheld; r++) {
		for (size_t c = 0; c < t->ncolumns; c++)
			put_cell(t, c, t->held[r * t->ncolumns + c]);
		print_line(t);
	}
	t->streaming = true;
}

static void hold(struct print_table *t, const struct str *cells)
{
	for (size_t c = 0; c < t->ncolumns; c++) {
		struct str text = arena_str(&t->mem, show(t, cells[c]));
		size_t width = width_of(text);
		if (width > t->columns[c].width)
			t->columns[c].width = width;
		t->held[t->nheld * t->ncolumns + c] = text;
	}
	t->nheld++;
}

void print_table_row(struct print_table *t, const struct str *cells)
{
	t->rows++;
	if (!t->streaming && t->nheld < HELD_ROWS) {
		hold(t, cells);
		return;
	}
	if (!t->streaming)
		release(t);
	for (size_t c = 0; c < t->ncolumns; c++)
		put_cell(t, c, show(t, cells[c]));
	print_line(t);
}

size_t print_table_end(struct print_table *t)
{
	if (t == NULL)
		return 0;
	size_t rows = t->rows;
	if (!t->streaming)
		release(t);
	fflush(t->out);
	buf_free(&t->cell);
	buf_free(&t->line);
	arena_free(&t->mem);
	mem_free(t->held);
	mem_free(t);
	return rows;
}
