#include "json.h"

#include <assert.h>
#include <string.h>

enum err json_read(struct str text, const char *what, json_t **out, struct error *e)
{
	json_error_t why;

	*out = json_loadb(
		text.n > 0 ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (*out == NULL)
		return FAIL(e, ERR_INPUT, "reading %s: line %d, column %d: %s", what, why.line,
			why.column, why.text);
	return OK;
}

static const char *type_name(const json_t *v)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return names[json_typeof(v)];
}

static enum err wrong(const json_t *o, const char *key, const char *want, struct error *e)
{
	if (!json_is_object(o))
		return FAIL(e, ERR_INPUT, "\"%s\" is wanted from %s, which is not an object", key,
			o != NULL ? type_name(o) : "nothing");
	const json_t *v = json_object_get(o, key);
	if (v == NULL)
		return FAIL(e, ERR_INPUT, "\"%s\" is missing; it must be %s", key, want);
	return FAIL(e, ERR_INPUT, "\"%s\" is %s; it must be %s", key, type_name(v), want);
}

enum err json_want_str(const json_t *o, const char *key, struct str *out, struct error *e)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return wrong(o, key, "a string", e);
	*out = str_make(json_string_value(v), json_string_length(v));
	return OK;
}

enum err json_want_i64(const json_t *o, const char *key, int64_t *out, struct error *e)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v))
		return wrong(o, key, "an integer", e);
	*out = (int64_t)json_integer_value(v);
	return OK;
}

enum err json_want_f64(const json_t *o, const char *key, double *out, struct error *e)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		return wrong(o, key, "a number", e);
	*out = json_number_value(v);
	return OK;
}

enum err json_want_bool(const json_t *o, const char *key, bool *out, struct error *e)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_boolean(v))
		return wrong(o, key, "true or false", e);
	*out = json_is_true(v);
	return OK;
}

enum err json_want_object(const json_t *o, const char *key, json_t **out, struct error *e)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_object(v))
		return wrong(o, key, "an object", e);
	*out = v;
	return OK;
}

enum err json_want_array(const json_t *o, const char *key, json_t **out, struct error *e)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_array(v))
		return wrong(o, key, "an array", e);
	*out = v;
	return OK;
}

struct str json_get_str(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return STR_NONE;
	return str_make(json_string_value(v), json_string_length(v));
}

static int dump_piece(const char *p, size_t n, void *arg)
{
	buf_put(arg, str_make(p, n));
	return buf_ok(arg) ? 0 : -1;
}

enum err json_write(const json_t *v, struct buf *out, struct error *e)
{
	size_t before = out->n;
	bool cut = out->cut;

	out->cut = false;
	if (json_dump_callback(
		    v, dump_piece, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0) {
		out->n = before;
		out->cut = cut;
		return FAIL(
			e, ERR_INPUT, "writing JSON: it exceeds the limit of %zu bytes", out->max);
	}
	out->cut = cut;
	return OK;
}
