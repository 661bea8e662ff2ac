#include "pg_json.h"

#include <string.h>

#include "enc.h"
#include "json.h"

#define DIMENSIONS_MAX 6

/* What is left of the text. */
struct scan {
	const char *p, *end;
};

struct element {
	bool quoted;
	struct str text; /* without quotes and backslashes */
};

static bool at_end(const struct scan *s)
{
	return s->p == s->end;
}

static bool mark(struct scan *s, char c)
{
	if (at_end(s) || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* The inside of "..."; the opening quote has been read. A backslash takes the next byte as it is.
 */
static bool quoted(struct scan *s, struct buf *scratch)
{
	buf_reset(scratch);
	for (; !at_end(s) && *s->p != '"'; s->p++) {
		if (*s->p == '\\' && ++s->p == s->end)
			return false;
		buf_putc(scratch, *s->p);
	}
	return mark(s, '"') && buf_ok(scratch);
}

static bool scan_element(struct scan *s, char delimiter, struct buf *scratch, struct element *out)
{
	const char *from = s->p;

	out->quoted = mark(s, '"');
	if (out->quoted) {
		if (!quoted(s, scratch))
			return false;
		out->text = buf_str(scratch);
		return true;
	}
	while (!at_end(s) && *s->p != delimiter && *s->p != '}') {
		if (strchr("{\"\\", *s->p) != NULL) /* PostgreSQL puts these into quotes */
			return false;
		s->p++;
	}
	out->text = str_make(from, (size_t)(s->p - from));
	return out->text.n > 0;
}

static size_t digits(struct str s, size_t from)
{
	size_t at = from;

	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at - from;
}

/* As JSON writes numbers: -1.5e+10. */
static bool is_number(struct str s)
{
	size_t at = s.n > 0 && s.p[0] == '-', n = digits(s, at);

	if (n == 0 || (n > 1 && s.p[at] == '0'))
		return false;
	at += n;
	if (at < s.n && s.p[at] == '.') {
		n = digits(s, ++at);
		if (n == 0)
			return false;
		at += n;
	}
	if (at < s.n && s.p[at] == 'e') {
		at++;
		at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
		n = digits(s, at);
		if (n == 0)
			return false;
		at += n;
	}
	return at == s.n;
}

static bool put_element(struct json_out *j, const struct element *e, enum type_form form)
{
	if (!e->quoted && str_ieq(e->text, STR("NULL")))
		jo_null(j, NULL);
	else if (form == FORM_ARRAY_NUMBERS && is_number(e->text))
		jo_raw(j, NULL, e->text);
	else if (form == FORM_ARRAY_BOOLS && (str_eqc(e->text, "t") || str_eqc(e->text, "f")))
		jo_bool(j, NULL, e->text.p[0] == 't');
	else if (form == FORM_ARRAY_BOOLS)
		return false;
	else
		jo_str(j, NULL, e->text);
	return true;
}

/*
 * After an opening brace a deeper one or an element; after either, a delimiter or the end of the
 * level. PostgreSQL writes an array without elements as {}, whatever its dimensions.
 */
static bool array_levels(
	struct scan *s, enum type_form form, struct json_out *j, struct buf *scratch)
{
	const char delimiter = form == FORM_ARRAY_BOXES ? ';' : ',';
	struct element element;
	unsigned depth = 0;

	do {
		while (mark(s, '{')) {
			if (++depth > DIMENSIONS_MAX)
				return false;
			jo_array(j, NULL);
		}
		bool empty = depth == 1 && s->end - s->p == 1 && *s->p == '}' && s->p[-1] == '{';
		if (!empty &&
			(depth == 0 || !scan_element(s, delimiter, scratch, &element) ||
				!put_element(j, &element, form)))
			return false;
		while (depth > 0 && mark(s, '}')) {
			depth--;
			jo_end_array(j);
		}
	} while (depth > 0 && mark(s, delimiter));
	return depth == 0 && at_end(s);
}

static bool array_json(struct str text, enum type_form form, struct json_out *j)
{
	struct scan s = {text.p, text.p + text.n};
	struct buf scratch;

	buf_init(&scratch, BUF_MAX_DEFAULT);
	bool good = array_levels(&s, form, j, &scratch);
	buf_free(&scratch);
	return good;
}

static bool arrow(struct scan *s)
{
	return mark(s, '=') && mark(s, '>');
}

static bool comma(struct scan *s)
{
	if (s->end - s->p < 2 || s->p[0] != ',' || s->p[1] != ' ')
		return false;
	s->p += 2;
	return true;
}

static bool null_word(struct scan *s)
{
	return mark(s, 'N') && mark(s, 'U') && mark(s, 'L') && mark(s, 'L');
}

/* "key"=>"value", with ", " between pairs. */
static bool hstore_pairs(struct scan *s, struct json_out *j, struct buf *key, struct buf *value)
{
	if (at_end(s))
		return true;
	do {
		if (!mark(s, '"') || !quoted(s, key) || !arrow(s))
			return false;
		if (!mark(s, '"')) {
			if (!null_word(s))
				return false;
			jo_null(j, buf_cstr(key));
			continue;
		}
		if (!quoted(s, value))
			return false;
		jo_str(j, buf_cstr(key), buf_str(value));
	} while (comma(s));
	return at_end(s);
}

static bool hstore_json(struct str text, struct json_out *j)
{
	struct scan s = {text.p, text.p + text.n};
	struct buf key, value;

	buf_init(&key, BUF_MAX_DEFAULT);
	buf_init(&value, BUF_MAX_DEFAULT);
	jo_object(j, NULL);
	bool good = hstore_pairs(&s, j, &key, &value);
	jo_end_object(j);
	buf_free(&key);
	buf_free(&value);
	return good;
}

bool pg_json_make(struct str text, enum type_form form, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	bool good = form == FORM_HSTORE ? hstore_json(text, &j) : array_json(text, form, &j);
	return good && buf_ok(out);
}

bool pg_json_is_made(struct str text, enum type_form form)
{
	if (form == FORM_HSTORE)
		return text.n > 0 && text.p[0] == '{';
	return text.n > 0 && text.p[text.n - 1] == ']';
}

/* The four hexadecimal digits of \uXXXX at `at`, or -1. */
static int escaped(struct str text, size_t at)
{
	unsigned char unit[2];

	if (at + 6 > text.n || text.p[at] != '\\' || text.p[at + 1] != 'u' ||
		!enc_unhex(str_make(text.p + at + 2, 4), (char *)unit))
		return -1;
	return unit[0] << 8 | unit[1];
}

static bool is_half(int unit, int first)
{
	return unit >= first && unit < first + 0x400;
}

bool pg_json_readable(struct str text)
{
	size_t at = 0;

	while (at < text.n) {
		const char *p = memchr(text.p + at, '\\', text.n - at);
		if (p == NULL)
			return true;
		at = (size_t)(p - text.p);
		int unit = escaped(text, at);
		if (is_half(unit, 0xdc00))
			return false;
		if (is_half(unit, 0xd800)) {
			if (!is_half(escaped(text, at + 6), 0xdc00))
				return false;
			at += 6;
		}
		at += 2;
	}
	return true;
}
