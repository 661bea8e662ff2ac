/* sluice query: the warehouse's answer to one SQL statement. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd_all.h"
#include "json.h"
#include "mem.h"
#include "print_table.h"
#include "value_json.h"
#include "warehouse.h"

#define SQL_MAX ((size_t)16 << 20)

struct query_args {
	const char *sql, *format;
};

static const struct opt query_opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.value = "FORMAT",
		.choices = "table|csv|json",
		.initial = "table",
		.offset = offsetof(struct query_args, format),
		.help = "how the answer is written; --json is --format json"},
	OPT_END,
};

static const struct opt_arg query_positional[] = {
	{.name = "SQL",
		.offset = offsetof(struct query_args, sql),
		.help = "one query, or - to read it from standard input"},
	OPT_ARG_END,
};

/* An answer being written. */
struct answer {
	struct context *c;
	void (*row)(struct answer *a, const struct chunk *c, size_t row);
	void (*header)(struct answer *a, const struct chunk *c);
	bool begun;
	struct print_table *table;
	const char **names; /* JSON: made unique */
	struct buf line, scratch;
	struct str *cells;
};

static bool is_number(enum type_kind kind)
{
	switch (kind) {
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
	case T_FLOAT4:
	case T_FLOAT8:
	case T_DECIMAL:
		return true;
	case T_BOOL:
	case T_TEXT:
	case T_JSON:
	case T_BYTES:
	case T_UUID:
	case T_DATE:
	case T_TIME:
	case T_TIMESTAMP:
	case T_TIMESTAMPTZ:
	case T_INTERVAL:
	case T_KINDS:
		break;
	}
	return false;
}

/* Table */

static void table_header(struct answer *a, const struct chunk *c)
{
	struct print_column *columns = arena_array(a->c->mem, c->ncols + 1, sizeof *columns);

	for (size_t i = 0; i < c->ncols; i++)
		columns[i] = (struct print_column){
			.name = c->names[i], .right = is_number(c->cols[i].type.kind)};
	a->table = print_table_new(a->c->out, print_colour(a->c->terminal), columns, c->ncols);
	a->cells = arena_array(a->c->mem, c->ncols + 1, sizeof *a->cells);
}

/* Every cell is printed into one buffer first: it may move while it grows. */
static void table_row(struct answer *a, const struct chunk *c, size_t row)
{
	size_t from = 0;

	buf_reset(&a->line);
	for (size_t i = 0; i < c->ncols; i++) {
		type_print(&c->cols[i], row, &a->line);
		a->cells[i].n = a->line.n - from;
		from = a->line.n;
	}
	const char *text = buf_cstr(&a->line);
	for (size_t i = 0; i < c->ncols; i++) {
		a->cells[i].p = vec_is_null(&c->cols[i], row) ? NULL : text;
		text += a->cells[i].n;
	}
	print_table_row(a->table, a->cells);
}

/* CSV as in RFC 4180, lines ended by a line feed alone; NULL is nothing, the empty text is "" */

static bool csv_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr(",\"\r\n", s.p[i]) != NULL)
			return true;
	return s.n == 0;
}

static void csv_field(struct answer *a, struct str s)
{
	if (!csv_quotes(s)) {
		buf_put(&a->line, s);
		return;
	}
	buf_putc(&a->line, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_putc(&a->line, '"');
		buf_putc(&a->line, s.p[i]);
	}
	buf_putc(&a->line, '"');
}

static void csv_end_line(struct answer *a)
{
	buf_putc(&a->line, '\n');
	fwrite(a->line.p, 1, a->line.n, a->c->out);
}

static void csv_header(struct answer *a, const struct chunk *c)
{
	buf_reset(&a->line);
	for (size_t i = 0; i < c->ncols; i++) {
		if (i > 0)
			buf_putc(&a->line, ',');
		csv_field(a, str_of(c->names[i]));
	}
	csv_end_line(a);
}

static void csv_row(struct answer *a, const struct chunk *c, size_t row)
{
	buf_reset(&a->line);
	for (size_t i = 0; i < c->ncols; i++) {
		if (i > 0)
			buf_putc(&a->line, ',');
		if (vec_is_null(&c->cols[i], row))
			continue;
		buf_reset(&a->scratch);
		type_print(&c->cols[i], row, &a->scratch);
		csv_field(a, buf_str(&a->scratch));
	}
	csv_end_line(a);
}

/* JSON: one object a row */

static bool taken(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Two columns of one name would be one member: the second becomes name_2. */
static void json_header(struct answer *a, const struct chunk *c)
{
	a->names = arena_array(a->c->mem, c->ncols + 1, sizeof *a->names);
	for (size_t i = 0; i < c->ncols; i++) {
		const char *name = arena_cstr(a->c->mem, str_of(c->names[i]));
		for (int k = 2; taken(a->names, i, name); k++)
			name = arena_fmt(a->c->mem, "%s_%d", c->names[i], k).p;
		a->names[i] = name;
	}
}

static void json_row(struct answer *a, const struct chunk *c, size_t row)
{
	struct json_out j;

	buf_reset(&a->line);
	jo_init(&j, &a->line);
	jo_object(&j, NULL);
	for (size_t i = 0; i < c->ncols; i++)
		value_json(&j, a->names[i], &c->cols[i], row, &a->scratch);
	jo_end_object(&j);
	buf_putc(&a->line, '\n');
	fwrite(a->line.p, 1, a->line.n, a->c->out);
}

static enum err write_chunk(void *arg, const struct chunk *c, struct error *e)
{
	struct answer *a = arg;

	TRY(env_check(a->c->env, e));
	if (!a->begun)
		a->header(a, c);
	a->begun = true;
	for (size_t row = 0; row < c->rows; row++) {
		a->row(a, c, row);
		if (!buf_ok(&a->line) || !buf_ok(&a->scratch))
			return FAIL(e, ERR_FAILED,
				"writing the answer: a row is longer than 1 GiB; select less of "
				"it");
	}
	if (ferror(a->c->out))
		return FAIL_ERRNO(e, ERR_FAILED, "writing the answer to standard output");
	return OK;
}

static enum err read_sql(struct context *c, const char *given, struct buf *out, struct error *e)
{
	char piece[8192];

	if (strcmp(given, "-") != 0)
		return buf_add(out, str_of(given), e);
	for (size_t n; (n = fread(piece, 1, sizeof piece, c->in)) > 0;)
		TRY(buf_add(out, str_make(piece, n), e));
	return ferror(c->in) ? FAIL_ERRNO(e, ERR_FAILED, "reading the SQL from standard input")
			     : OK;
}

static void choose_format(struct answer *a, const char *format)
{
	if (a->c->json || strcmp(format, "json") == 0) {
		a->header = json_header;
		a->row = json_row;
	} else if (strcmp(format, "csv") == 0) {
		a->header = csv_header;
		a->row = csv_row;
	} else {
		a->header = table_header;
		a->row = table_row;
	}
}

static enum err ask(struct context *c, struct str sql, const char *format, struct error *e)
{
	struct answer a = {.c = c};
	struct warehouse *w = NULL;

	if (str_trim(sql).n == 0)
		return FAIL(e, ERR_USAGE, "there is no SQL to run: give one statement");
	TRY(context_warehouse(c, &w, e));
	choose_format(&a, format);
	buf_init(&a.line, BUF_MAX_DEFAULT);
	buf_init(&a.scratch, BUF_MAX_DEFAULT);
	enum err rc = warehouse_ask(w, sql, write_chunk, &a, e);
	size_t rows = print_table_end(a.table);
	if (rc == OK && a.table != NULL && c->terminal)
		fprintf(c->err, "%zu row%s\n", rows, rows == 1 ? "" : "s");
	buf_free(&a.line);
	buf_free(&a.scratch);
	/* SQL that the engine refuses is wrong usage of this command. */
	return rc == ERR_INPUT ? error_set(e, ERR_USAGE, __func__, "%s", e->text) : rc;
}

static enum err run_query(struct context *c, const void *args, struct error *e)
{
	const struct query_args *q = args;
	struct buf sql;

	buf_init(&sql, SQL_MAX);
	enum err rc = read_sql(c, q->sql, &sql, e);
	if (rc == OK)
		rc = ask(c, buf_str(&sql), q->format, e);
	buf_free(&sql);
	return rc;
}

const struct command cmd_query = {
	.name = "query",
	.summary = "ask the warehouse in SQL",
	.details = "Runs one query in the warehouse and prints its answer; a statement that would "
		   "change anything is refused. Tables of the source "
		   "stand under their own names (public.bookings); public_history.bookings holds "
		   "every "
		   "change, public_history.bookings_versions each version of a row with its "
		   "validity.\n\n"
		   "As JSON, integers and decimals are numbers with all their digits; NaN and the "
		   "infinities are strings. As CSV, NULL is an empty field and the empty text is "
		   "\"\".",
	.examples = "sluice query 'SELECT count(*) FROM public.bookings'   # a table\n"
		    "sluice query --json 'FROM ops.marks'                  # one object a row\n"
		    "sluice query --format csv - < monthly.sql > monthly.csv  # from a file",
	.opts = query_opts,
	.positional = query_positional,
	.args_size = sizeof(struct query_args),
	.needs = NEEDS_WAREHOUSE,
	.run = run_query,
};
