#include "fields.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

#define FUTURE_US (5 * 60 * 1000000LL) /* clocks differ */

void fields_error(struct fields *f, const char *prefix, const char *name, const char *fmt, ...)
{
	char text[400];
	va_list args;

	if (f->nerrors == FIELDS_MAX_ERRORS)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	f->errors[f->nerrors++] = (struct problem_field){
		arena_fmt(f->mem, "%s/%s", prefix, name), arena_str(f->mem, str_of(text))};
}

/* What a reader of one kind gives: the parameter's text, or NULL and why in *why. */
typedef const char *read_fn(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why);

static const char *read_int(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < r->min || n > r->max) {
		*why = arena_fmt(f->mem, "must be a whole number from %lld to %lld",
			(long long)r->min, (long long)r->max);
		return NULL;
	}
	return arena_fmt(f->mem, "%lld", (long long)n).p;
}

/* Digits with at most two after the point: then a double tells the values apart. */
static bool two_decimals(struct str s, double *out)
{
	struct str whole, rest = s;

	if (!str_to_double(s, out) || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.' && !(i == 0 && s.p[i] == '-'))
			return false;
	return !str_cut(&rest, '.', &whole) || (rest.n >= 1 && rest.n <= 2);
}

static const char *read_decimal(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	double d = json_number_value(v);
	struct str text = str_make(json_string_value(v), json_string_length(v));
	bool good = json_is_number(v) && fabs(d) < 1e9 && fabs(d * 100 - nearbyint(d * 100)) < 1e-6;

	if (json_is_string(v))
		good = two_decimals(text, &d);
	if (!good || d < (double)r->min || d > (double)r->max) {
		*why = arena_fmt(f->mem,
			"must be a number from %lld to %lld with at most two decimals",
			(long long)r->min, (long long)r->max);
		return NULL;
	}
	return arena_fmt(f->mem, "%.2f", d).p;
}

static const char *read_bool(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	(void)r;
	(void)f;
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	*why = STR("must be true or false");
	return NULL;
}

static size_t characters(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
	return n;
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return true;
	return false;
}

static const char *read_text(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	struct str given = str_make(json_string_value(v), json_string_length(v));
	struct str s = str_trim(given);
	size_t n = characters(s);

	if (!json_is_string(v) || n < (size_t)r->min || n > (size_t)r->max || has_control(given)) {
		*why = arena_fmt(f->mem,
			"must be text of %lld to %lld characters without control characters",
			(long long)r->min, (long long)r->max);
		return NULL;
	}
	return arena_cstr(f->mem, s);
}

static const char *read_email(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	const char *text = read_text(f, v, r, why);
	struct str local, domain = str_of(text);

	if (text == NULL)
		return NULL;
	if (str_cut(&domain, '@', &local) && local.n > 0 && domain.n > 2 &&
		memchr(domain.p, '@', domain.n) == NULL && memchr(text, ' ', strlen(text)) == NULL)
		return text;
	*why = STR("must be an e-mail address such as guest@example.org");
	return NULL;
}

static const char *read_code(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	struct str s = str_make(json_string_value(v), json_string_length(v));
	bool good = json_is_string(v) && s.n >= (size_t)r->min && s.n <= (size_t)r->max;

	for (size_t i = 0; good && i < s.n; i++)
		good = s.p[i] >= 'A' && s.p[i] <= 'Z';
	if (good)
		return s.p;
	*why = arena_fmt(f->mem, "must be %lld to %lld capital letters A-Z", (long long)r->min,
		(long long)r->max);
	return NULL;
}

static const char *read_choice(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	struct str s = str_make(json_string_value(v), json_string_length(v));
	struct str rest = str_of(r->choices), one;

	while (json_is_string(v) && str_next(&rest, '|', &one))
		if (str_eq(one, s))
			return s.p;
	*why = arena_fmt(f->mem, "must be one of %s", r->choices);
	return NULL;
}

static bool parse_day(struct str s, int64_t *days)
{
	uint64_t y, m, d;
	int64_t back_y;
	unsigned back_m, back_d;

	if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' || !str_to_u64(str_make(s.p, 4), &y) ||
		!str_to_u64(str_make(s.p + 5, 2), &m) || !str_to_u64(str_make(s.p + 8, 2), &d) ||
		y < 1990 || y > 2200 || m < 1 || m > 12 || d < 1 || d > 31)
		return false;
	*days = clock_days((int64_t)y, (unsigned)m, (unsigned)d);
	clock_civil(*days, &back_y, &back_m, &back_d);
	return back_m == m && back_d == d;
}

static const char *read_date(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	struct str s = str_make(json_string_value(v), json_string_length(v));
	int64_t days;

	(void)r;
	(void)f;
	if (json_is_string(v) && parse_day(s, &days))
		return s.p;
	*why = STR("must be a day as YYYY-MM-DD, from 1990 to 2200");
	return NULL;
}

static const char *read_time(
	struct fields *f, const json_t *v, const struct field_rule *r, struct str *why)
{
	struct str s = str_make(json_string_value(v), json_string_length(v));
	int64_t at;
	char text[CLOCK_TEXT];

	(void)r;
	/* A bare date or a time without a zone would mean something else elsewhere. */
	bool zoned = s.n >= 20 &&
		(s.p[s.n - 1] == 'Z' || memchr(s.p + 19, '+', s.n - 19) != NULL ||
			memchr(s.p + 19, '-', s.n - 19) != NULL);
	if (!json_is_string(v) || !zoned || !clock_parse(s, &at)) {
		*why = STR("must be a time with its zone, such as 2017-03-01T12:34:56Z");
		return NULL;
	}
	if (at > f->now_us + FUTURE_US) {
		*why = STR("must not be in the future");
		return NULL;
	}
	return arena_str(f->mem, str_of(clock_format(at, text, sizeof text))).p;
}

static read_fn *const readers[] = {
	[FIELD_INT] = read_int,
	[FIELD_DECIMAL] = read_decimal,
	[FIELD_BOOL] = read_bool,
	[FIELD_TEXT] = read_text,
	[FIELD_EMAIL] = read_email,
	[FIELD_CODE] = read_code,
	[FIELD_CHOICE] = read_choice,
	[FIELD_DATE] = read_date,
	[FIELD_TIME] = read_time,
};

static void read_one(
	struct fields *f, const json_t *v, const struct field_rule *r, const char *prefix)
{
	struct str why = STR_NONE;
	size_t i = f->n++;

	assert(i < FIELDS_MAX);
	f->values[i] = r->initial;
	f->given[i] = v != NULL;
	if (v == NULL) {
		if (r->flags & FIELD_REQUIRED)
			fields_error(f, prefix, r->name, "is required");
		return;
	}
	if ((r->flags & FIELD_IMPORT) && !f->import_mode) {
		fields_error(f, prefix, r->name,
			"is accepted in import mode only; leave it out, and the time of the "
			"request "
			"counts");
		return;
	}
	if (json_is_null(v)) {
		f->values[i] = NULL;
		if (!(r->flags & FIELD_NULLABLE))
			fields_error(f, prefix, r->name, "must not be null");
		return;
	}
	f->values[i] = readers[r->kind](f, v, r, &why);
	if (f->values[i] == NULL)
		fields_error(f, prefix, r->name, "%.*s", STR_ARG(why));
}

static bool is_known(const char *key, const struct field_rule *rules, size_t n, const char *also)
{
	if (also != NULL && strcmp(key, also) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (strcmp(key, rules[i].name) == 0)
			return true;
	return false;
}

static void refuse_unknown(struct fields *f, const char *key, const struct field_rule *rules,
	size_t n, const char *prefix)
{
	struct str name = str_of(key);
	size_t best = 4, which = n;

	for (size_t i = 0; i < n; i++) {
		size_t d = str_distance(name, str_of(rules[i].name));
		if (d < best) {
			best = d;
			which = i;
		}
	}
	/* The key comes from outside: cut, so that one long name cannot fill the answer. */
	char shown[65];
	(void)snprintf(shown, sizeof shown, "%s", key);
	if (which < n)
		fields_error(
			f, prefix, shown, "is not known here; did you mean %s?", rules[which].name);
	else
		fields_error(f, prefix, shown, "is not known here");
}

void fields_read(struct fields *f, const json_t *object, const struct field_rule *rules, size_t n,
	const char *prefix, const char *also)
{
	union {
		const json_t *in;
		json_t *out;
	} o = {.in = object};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < n; i++)
		read_one(f, json_object_get(object, rules[i].name), &rules[i], prefix);
	json_object_foreach (o.out, key, value) {
		if (!is_known(key, rules, n, also))
			refuse_unknown(f, key, rules, n, prefix);
	}
}

int64_t fields_number(const struct fields *f, size_t i)
{
	int64_t n = 0;

	return f->values[i] != NULL && str_to_i64(str_of(f->values[i]), &n) ? n : 0;
}

int64_t fields_day(const struct fields *f, size_t i)
{
	int64_t days = 0;

	return f->values[i] != NULL && parse_day(str_make(f->values[i], 10), &days) ? days : 0;
}
