#include "array_text.h"

#include "unit.h"

#include "json.h"

/* array_out() quotes what it could not read back otherwise. */
static bool needs_quotes(struct str s, char delimiter)
{
	if (s.n == 0 || str_ieq(s, STR("NULL")))
		return true;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == delimiter || strchr("{}\"\\ \t\n\r\v\f", s.p[i]) != NULL)
			return true;
	return false;
}

static void put_quoted(struct str s, struct buf *out)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '"');
}

/* The string literal that begins at `at`; returns the place after it. */
static size_t read_string(struct str json, size_t at, struct buf *out)
{
	struct error e = {.kind = OK};
	size_t end = at + 1;
	json_t *list;

	while (json.p[end] != '"')
		end += json.p[end] == '\\' ? 2 : 1;
	end++;
	struct buf one;
	buf_init(&one, BUF_MAX_DEFAULT);
	buf_putc(&one, '[');
	buf_put(&one, str_make(json.p + at, end - at));
	buf_putc(&one, ']');
	assert_ok(json_read(buf_str(&one), "a string", &list, &e), &e);
	json_t *text = json_array_get(list, 0);
	buf_put(out, str_make(json_string_value(text), json_string_length(text)));
	json_decref(list);
	buf_free(&one);
	return end;
}

static void array_of(struct str json, char delimiter, struct buf *out)
{
	struct buf s;

	buf_init(&s, BUF_MAX_DEFAULT);
	for (size_t at = 0; at < json.n;) {
		size_t from = at;
		switch (json.p[at]) {
		case '[':
			buf_putc(out, '{');
			at++;
			break;
		case ']':
			buf_putc(out, '}');
			at++;
			break;
		case ',':
			buf_putc(out, delimiter);
			at++;
			break;
		case '"':
			buf_reset(&s);
			at = read_string(json, at, &s);
			if (needs_quotes(buf_str(&s), delimiter))
				put_quoted(buf_str(&s), out);
			else
				buf_put(out, buf_str(&s));
			break;
		default: /* null, true, false or a number */
			while (at < json.n && strchr(",]", json.p[at]) == NULL)
				at++;
			struct str word = str_make(json.p + from, at - from);
			if (str_eqc(word, "null"))
				buf_puts(out, "NULL");
			else if (str_eqc(word, "true") || str_eqc(word, "false"))
				buf_putc(out, word.p[0]);
			else
				buf_put(out, word);
		}
	}
	buf_free(&s);
}

static void hstore_of(struct str json, struct buf *out)
{
	struct buf s;

	buf_init(&s, BUF_MAX_DEFAULT);
	for (size_t at = 0; at < json.n;) {
		switch (json.p[at]) {
		case '"':
			buf_reset(&s);
			at = read_string(json, at, &s);
			put_quoted(buf_str(&s), out);
			break;
		case ':':
			buf_puts(out, "=>");
			at++;
			break;
		case ',':
			buf_puts(out, ", ");
			at++;
			break;
		case 'n':
			buf_puts(out, "NULL");
			at += 4;
			break;
		default: /* braces */
			at++;
		}
	}
	buf_free(&s);
}

void array_text(struct str json, enum type_form form, struct buf *out)
{
	if (form == FORM_HSTORE)
		hstore_of(json, out);
	else
		array_of(json, form == FORM_ARRAY_BOXES ? ';' : ',', out);
}
