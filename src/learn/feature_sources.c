#include "feature_sources.h"

#include <ctype.h>
#include <string.h>

#include "clock.h"
#include "warehouse.h"

#define SOURCES_MAX 32
#define COLUMNS_MAX 256

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

bool feature_is_name(struct str s)
{
	if (s.n == 0 || s.n > 63 || isdigit((unsigned char)s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!word_char(s.p[i]))
			return false;
	return true;
}

/* The next run of characters without white space. */
static struct str next_word(struct str *rest)
{
	struct str all = str_trim(*rest);
	size_t n = 0;

	while (n < all.n && !isspace((unsigned char)all.p[n]))
		n++;
	*rest = str_from(all, n);
	return str_make(all.p, n);
}

static bool split_table(struct str name, struct feature_source *s)
{
	return str_cut(&name, '.', &s->schema) && feature_is_name(s->schema) &&
		feature_is_name(s->table = name);
}

static enum err parse_keyed(
	struct feature_source *s, struct str rest, struct arena *mem, struct error *e)
{
	struct str key, column;

	if (!str_eqc(next_word(&rest), "by") || !str_cut(&rest, ':', &key))
		return FAIL(e, ERR_USAGE,
			"this source is written {{%s SCHEMA.TABLE by KEY: COLUMN, COLUMN}}",
			s->kind == SOURCE_FIXED ? "fixed" : "first");
	s->key = str_trim(key);
	s->columns = arena_array(mem, COLUMNS_MAX, sizeof *s->columns);
	while (str_next(&rest, ',', &column)) {
		column = str_trim(column);
		if (!feature_is_name(column) || s->ncolumns == COLUMNS_MAX)
			return FAIL(e, ERR_USAGE, "\"%.*s\" in {{...}} is no column name",
				STR_ARG(column));
		s->columns[s->ncolumns++] = column;
	}
	if (!feature_is_name(s->key) || s->ncolumns == 0)
		return FAIL(e, ERR_USAGE,
			"the source %.*s.%.*s needs a key and at least one column",
			STR_ARG(s->schema), STR_ARG(s->table));
	return OK;
}

static enum err parse_source(
	struct feature_source *s, struct str inside, struct arena *mem, struct error *e)
{
	struct str rest = inside;
	struct str kind = next_word(&rest), table = next_word(&rest);

	if (!split_table(table, s))
		return FAIL(e, ERR_USAGE, "{{%.*s}} names no SCHEMA.TABLE", STR_ARG(inside));
	if (str_eqc(kind, "fixed") || str_eqc(kind, "first")) {
		s->kind = str_eqc(kind, "fixed") ? SOURCE_FIXED : SOURCE_FIRST;
		return parse_keyed(s, rest, mem, e);
	}
	if (str_eqc(kind, "versions") && str_trim(rest).n == 0)
		return OK;
	return FAIL(e, ERR_USAGE,
		"{{%.*s}} is no source; write {{versions SCHEMA.TABLE}}, or {{fixed or {{first "
		"SCHEMA.TABLE by KEY: COLUMN, COLUMN}}",
		STR_ARG(inside));
}

/* Comments and quoted texts say nothing about what is read: blanks in a copy, of the same length.
 * The quotes stay. */
static struct str bare(struct str body, struct arena *mem)
{
	char *copy = arena_cstr(mem, body);
	bool in_text = false, in_comment = false;

	for (size_t i = 0; i < body.n; i++) {
		char c = copy[i];
		if (in_comment)
			in_comment = c != '\n';
		else if (c == '\'')
			in_text = !in_text;
		else
			in_comment = !in_text && c == '-' && copy[i + 1] == '-';
		if (in_comment || (in_text && c != '\''))
			copy[i] = ' ';
	}
	return str_make(copy, body.n);
}

static bool is_keyword(struct str word, const char *keyword)
{
	return str_ieq(word, str_of(keyword));
}

/*
 * After FROM and JOIN may come a source, a parenthesis or a name of the statement's own; never
 * schema.table, nor a file in quotes: the leak proof could not hide what that holds.
 */
static enum err check_read(struct str text, size_t at, struct str keyword, struct error *e)
{
	struct str rest = str_trim(str_from(text, at));
	size_t n = 0;

	while (n < rest.n &&
		(word_char(rest.p[n]) || rest.p[n] == '.' || rest.p[n] == '"' || rest.p[n] == '\''))
		n++;
	if (n == 0 || feature_is_name(str_make(rest.p, n)))
		return OK;
	return FAIL(e, ERR_USAGE,
		"\"%.*s %.*s\" reads around the leak proof; write {{versions SCHEMA.TABLE}} or "
		"{{fixed SCHEMA.TABLE by KEY: COLUMNS}} (and date_part() instead of EXTRACT)",
		STR_ARG(keyword), (int)n, rest.p);
}

static enum err check_reads(struct str text, struct error *e)
{
	struct str before = STR_NONE;

	for (size_t i = 0; i < text.n; i++) {
		size_t start = i;
		if (!word_char(text.p[i]))
			continue;
		while (i < text.n && word_char(text.p[i]))
			i++;
		struct str word = str_make(text.p + start, i - start);
		bool reads = is_keyword(word, "join") ||
			(is_keyword(word, "from") && !is_keyword(before, "distinct"));
		if (reads)
			TRY(check_read(text, i, word, e));
		before = word;
	}
	return OK;
}

enum err feature_sources_parse(struct feature_set *f, struct arena *mem, struct error *e)
{
	struct str text = bare(f->body, mem);
	size_t at = 0;

	f->sources = arena_array(mem, SOURCES_MAX, sizeof *f->sources);
	for (;;) {
		ptrdiff_t open = str_find(str_from(text, at), STR("{{"));
		ptrdiff_t close = str_find(str_from(text, at), STR("}}"));
		if (open < 0 && close < 0)
			break;
		if (open < 0 || close < open || f->nsources == SOURCES_MAX)
			return FAIL(e, ERR_USAGE, "its {{ and }} do not pair (at most %d sources)",
				SOURCES_MAX);
		struct feature_source *s = &f->sources[f->nsources++];
		s->at = at + (size_t)open;
		s->end = at + (size_t)close + 2;
		TRY(parse_source(s, str_make(text.p + s->at + 2, s->end - s->at - 4), mem, e));
		at = s->end;
	}
	if (f->nsources == 0)
		return FAIL(e, ERR_USAGE,
			"it reads nothing: there is no {{versions SCHEMA.TABLE}} in it");
	return check_reads(text, e);
}

void feature_source_view(const struct feature_source *s, struct buf *out)
{
	/* Parsed names need no quoting inside the quotes. */
	buf_putf(out, "\"%.*s_history\".\"%.*s_versions\"", STR_ARG(s->schema), STR_ARG(s->table));
}

static void first_sql(const struct feature_source *s, struct buf *out)
{
	buf_puts(out, "(SELECT ");
	sql_name(out, s->key);
	for (size_t i = 0; i < s->ncolumns; i++) {
		buf_puts(out, ", ");
		sql_name(out, s->columns[i]);
	}
	buf_puts(out, " FROM ");
	feature_source_view(s, out);
	buf_puts(out, " WHERE _op NOT IN ('D', 'T') QUALIFY row_number() OVER (PARTITION BY ");
	sql_name(out, s->key);
	buf_puts(out, " ORDER BY _valid_from, _lsn, _seq) = 1)");
}

void feature_source_sql(
	const struct feature_source *s, const int64_t *hide_after_us, struct buf *out)
{
	char at[CLOCK_TEXT];

	if (s->kind != SOURCE_VERSIONS) {
		first_sql(s, out);
		return;
	}
	if (hide_after_us == NULL) {
		feature_source_view(s, out);
		return;
	}
	clock_format(*hide_after_us, at, sizeof at);
	buf_putf(out,
		"(SELECT * REPLACE (CASE WHEN _valid_to > TIMESTAMPTZ '%s' THEN TIMESTAMPTZ "
		"'infinity' ELSE _valid_to END AS _valid_to) FROM ",
		at);
	feature_source_view(s, out);
	buf_putf(out, " WHERE _valid_from <= TIMESTAMPTZ '%s')", at);
}
