#include "conf_value.h"

#include <inttypes.h>
#include <stdio.h>

struct unit {
	const char *name;
	int64_t times;
};

/* As in postgresql.conf, a kilobyte is 1024 bytes. The first name of a size is the one printed. */
static const struct unit sizes[] = {
	{"TB", INT64_C(1) << 40},
	{"TiB", INT64_C(1) << 40},
	{"GB", INT64_C(1) << 30},
	{"GiB", INT64_C(1) << 30},
	{"MB", INT64_C(1) << 20},
	{"MiB", INT64_C(1) << 20},
	{"kB", INT64_C(1) << 10},
	{"KB", INT64_C(1) << 10},
	{"KiB", INT64_C(1) << 10},
	{"B", 1},
	{"", 1},
	{NULL, 0},
};

static const struct unit times[] = {
	{"d", INT64_C(86400000000)},
	{"h", INT64_C(3600000000)},
	{"min", INT64_C(60000000)},
	{"s", INT64_C(1000000)},
	{"ms", INT64_C(1000)},
	{"us", 1},
	{NULL, 0},
};

static bool parse_bool(struct str text, bool *out)
{
	static const char *const words[] = {"false", "true", "off", "on", "no", "yes", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (str_ieq(text, str_of(words[i]))) {
			*out = i % 2 == 1;
			return true;
		}
	}
	return false;
}

/* A whole number and its unit, with or without a blank between them. */
static bool parse_units(struct str text, const struct unit *units, int64_t *out)
{
	size_t n = 0;
	int64_t v;

	while (n < text.n &&
		((text.p[n] >= '0' && text.p[n] <= '9') || (n == 0 && text.p[0] == '-')))
		n++;
	if (!str_to_i64(str_make(text.p, n), &v))
		return false;
	struct str unit = str_trim(str_from(text, n));
	if (v == 0 && unit.n == 0) {
		*out = 0;
		return true;
	}
	for (; units->name != NULL; units++)
		if (str_eqc(unit, units->name))
			return !__builtin_mul_overflow(v, units->times, out);
	return false;
}

/* The largest unit that divides it, so that 64MB is printed as it was written. */
static void put_units(struct buf *out, const struct unit *units, int64_t v)
{
	while (v != 0 && v % units->times != 0)
		units++;
	if (v == 0)
		buf_puts(out, "0");
	else
		buf_putf(out, "%" PRId64 "%s", v / units->times, units->name);
}

static void put_number(struct buf *out, const struct conf_key *key, int64_t v)
{
	if (key->type == CONF_SIZE)
		put_units(out, sizes, v);
	else if (key->type == CONF_TIME)
		put_units(out, times, v);
	else
		buf_putf(out, "%" PRId64, v);
}

static bool is_choice(struct str choices, struct str text)
{
	struct str one;

	while (str_next(&choices, '|', &one))
		if (str_eq(one, text))
			return true;
	return false;
}

static const char *const wanted[] = {
	[CONF_STRING] = "text",
	[CONF_SECRET] = "a secret",
	[CONF_BOOL] = "true or false",
	[CONF_INT] = "a whole number",
	[CONF_SIZE] = "a size such as 4096, 64kB, 16MB or 1GB",
	[CONF_TIME] = "a time such as 250ms, 10s, 5min, 2h or 1d",
	[CONF_CHOICE] = "a choice",
};

static enum err set_number(const struct conf_key *key, struct str text, int64_t *at,
	const char *where, struct error *e)
{
	int64_t v;
	bool good = key->type == CONF_INT ? str_to_i64(text, &v)
		: key->type == CONF_SIZE  ? parse_units(text, sizes, &v)
					  : parse_units(text, times, &v);

	if (!good)
		return FAIL(e, ERR_USAGE, "%s: \"%.*s\" is not %s", where, STR_ARG(text),
			wanted[key->type]);
	if ((key->min != 0 || key->max != 0) && (v < key->min || v > key->max)) {
		struct buf range;
		buf_init(&range, 256);
		put_number(&range, key, key->min);
		buf_puts(&range, " to ");
		put_number(&range, key, key->max);
		enum err rc = FAIL(e, ERR_USAGE, "%s: \"%.*s\" is out of range; it must be from %s",
			where, STR_ARG(text), buf_cstr(&range));
		buf_free(&range);
		return rc;
	}
	*at = v;
	return OK;
}

enum err conf_value_set(const struct conf_key *key, struct str text, void *section,
	const char *where, struct arena *mem, struct error *e)
{
	void *at = (char *)section + key->offset;

	switch (key->type) {
	case CONF_SECRET:
		secret_set(at, text);
		return OK;
	case CONF_BOOL:
		if (!parse_bool(text, at))
			return FAIL(e, ERR_USAGE, "%s: \"%.*s\" is not %s", where, STR_ARG(text),
				wanted[key->type]);
		return OK;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_TIME:
		return set_number(key, text, at, where, e);
	case CONF_CHOICE:
		if (!is_choice(str_of(key->choices), text))
			return FAIL(e, ERR_USAGE, "%s: \"%.*s\" is not one of %s", where,
				STR_ARG(text), key->choices);
		*(const char **)at = arena_cstr(mem, text);
		return OK;
	case CONF_STRING:
		*(const char **)at = arena_cstr(mem, text);
		return OK;
	}
	return FAIL(e, ERR_BUG, "%s has a type that does not exist", where);
}

/* A password inside a URL (scheme://user:password@host) is not ours to show either. */
static void put_string(struct buf *out, struct str text)
{
	ptrdiff_t scheme = str_find(text, STR("://"));
	struct str rest = scheme >= 0 ? str_from(text, (size_t)scheme + 3) : STR_NONE;
	size_t authority = 0;

	while (authority < rest.n && rest.p[authority] != '/' && rest.p[authority] != '?')
		authority++;
	size_t at = authority;
	while (at > 0 && rest.p[at - 1] != '@')
		at--;
	struct str user = str_make(rest.p, at > 0 ? at - 1 : 0), name;
	if (!str_cut(&user, ':', &name)) {
		buf_put(out, text);
		return;
	}
	buf_put(out, str_make(text.p, (size_t)(user.p - text.p)));
	buf_puts(out, "***");
	buf_put(out, str_from(rest, at - 1));
}

void conf_value_print(const struct conf_key *key, const void *section, struct buf *out)
{
	const void *at = (const char *)section + key->offset;

	switch (key->type) {
	case CONF_SECRET:
		buf_puts(out, secret_is_set(at) ? "(set)" : "(not set)");
		break;
	case CONF_BOOL:
		buf_puts(out, *(const bool *)at ? "true" : "false");
		break;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_TIME:
		put_number(out, key, *(const int64_t *)at);
		break;
	case CONF_CHOICE:
	case CONF_STRING:
		put_string(out, str_of(*(const char *const *)at));
		break;
	}
}

void conf_value_type(const struct conf_key *key, struct buf *out)
{
	struct str choices = str_of(key->choices), one;

	if (key->type == CONF_CHOICE) {
		const char *before = "one of ";
		while (str_next(&choices, '|', &one)) {
			buf_putf(out, "%s%.*s", before, STR_ARG(one));
			before = ", ";
		}
		return;
	}
	buf_puts(out, wanted[key->type]);
	if (key->min != 0 || key->max != 0) {
		buf_puts(out, ", from ");
		put_number(out, key, key->min);
		buf_puts(out, " to ");
		put_number(out, key, key->max);
	}
}
