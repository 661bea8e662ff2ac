#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#define DEPTH_MAX 32

void jo_init(struct json_out *j, struct buf *b)
{
	*j = (struct json_out){.b = b};
}

static void put_escape(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		buf_puts(b, "\\\"");
		break;
	case '\\':
		buf_puts(b, "\\\\");
		break;
	case '\n':
		buf_puts(b, "\\n");
		break;
	case '\r':
		buf_puts(b, "\\r");
		break;
	case '\t':
		buf_puts(b, "\\t");
		break;
	default:
		buf_putf(b, "\\u%04x", c);
		break;
	}
}

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

/* Runs of bytes that stand for themselves are copied whole. */
static void put_quoted(struct buf *b, struct str s)
{
	size_t done = 0, at = 0;

	buf_putc(b, '"');
	while (at < s.n) {
		unsigned char c = (unsigned char)s.p[at];
		size_t length = c < 0x80 ? 1 : str_utf8_length(s.p + at, s.n - at);
		if (length > 0 && !needs_escape(c)) {
			at += length;
			continue;
		}
		buf_put(b, str_make(s.p + done, at - done));
		if (length == 0)
			buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
		else
			put_escape(b, c);
		done = ++at;
	}
	buf_put(b, str_make(s.p != NULL ? s.p + done : NULL, at - done));
	buf_putc(b, '"');
}

/* The comma and the key that stand before a value. */
static void before(struct json_out *j, const char *key)
{
	if (j->depth > 0) {
		uint32_t bit = UINT32_C(1) << (j->depth - 1);
		if (j->comma & bit)
			buf_putc(j->b, ',');
		j->comma |= bit;
	}
	if (key != NULL) {
		put_quoted(j->b, str_of(key));
		buf_putc(j->b, ':');
	}
}

static void open_level(struct json_out *j, const char *key, char c)
{
	before(j, key);
	assert(j->depth < DEPTH_MAX);
	j->depth++;
	j->comma &= ~(UINT32_C(1) << (j->depth - 1));
	buf_putc(j->b, c);
}

static void close_level(struct json_out *j, char c)
{
	assert(j->depth > 0);
	j->depth--;
	buf_putc(j->b, c);
}

void jo_object(struct json_out *j, const char *key)
{
	open_level(j, key, '{');
}

void jo_array(struct json_out *j, const char *key)
{
	open_level(j, key, '[');
}

void jo_end_object(struct json_out *j)
{
	close_level(j, '}');
}

void jo_end_array(struct json_out *j)
{
	close_level(j, ']');
}

void jo_str(struct json_out *j, const char *key, struct str v)
{
	before(j, key);
	put_quoted(j->b, v);
}

void jo_cstr(struct json_out *j, const char *key, const char *v)
{
	if (v == NULL)
		jo_null(j, key);
	else
		jo_str(j, key, str_of(v));
}

void jo_i64(struct json_out *j, const char *key, int64_t v)
{
	before(j, key);
	buf_putf(j->b, "%" PRId64, v);
}

void jo_u64(struct json_out *j, const char *key, uint64_t v)
{
	before(j, key);
	buf_putf(j->b, "%" PRIu64, v);
}

void jo_f64(struct json_out *j, const char *key, double v)
{
	if (isnan(v) || isinf(v)) {
		jo_null(j, key);
		return;
	}
	before(j, key);
	buf_put_f64(j->b, v);
}

void jo_fixed(struct json_out *j, const char *key, double v, int decimals)
{
	if (isnan(v) || isinf(v)) {
		jo_null(j, key);
		return;
	}
	before(j, key);
	buf_putf(j->b, "%.*f", decimals, v);
}

void jo_bool(struct json_out *j, const char *key, bool v)
{
	before(j, key);
	buf_puts(j->b, v ? "true" : "false");
}

void jo_null(struct json_out *j, const char *key)
{
	before(j, key);
	buf_puts(j->b, "null");
}

void jo_raw(struct json_out *j, const char *key, struct str json)
{
	before(j, key);
	buf_put(j->b, json);
}
