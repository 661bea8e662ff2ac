#include "pg_patterns.h"

#include <string.h>

/* The list is cut at commas that stand outside quotes. */
static struct str next_item(struct str *rest)
{
	bool quoted = false;
	size_t i = 0;

	while (i < rest->n && (quoted || rest->p[i] != ',')) {
		quoted ^= rest->p[i] == '"';
		i++;
	}
	struct str item = str_make(rest->p, i);
	*rest = str_from(*rest, i + 1);
	return str_trim(item);
}

/* "a""b" without its outer quotes and with the inner ones single; false when it does not end. */
static bool take_quoted(struct str *s, struct arena *mem, struct pg_pattern_part *out)
{
	char *text = arena_alloc(mem, s->n + 1);
	size_t n = 0, i = 1;

	for (; i < s->n; i++) {
		if (s->p[i] == '"' && (i + 1 == s->n || s->p[i + 1] != '"'))
			break;
		i += s->p[i] == '"';
		text[n++] = s->p[i];
	}
	if (i >= s->n)
		return false;
	*s = str_from(*s, i + 1);
	*out = (struct pg_pattern_part){str_make(text, n), true};
	return n > 0;
}

static bool take_plain(struct str *s, struct pg_pattern_part *out)
{
	size_t i = 0;

	while (i < s->n && s->p[i] != '.' && s->p[i] != '"')
		i++;
	*out = (struct pg_pattern_part){str_make(s->p, i), i == 0 || memchr(s->p, '*', i) == NULL};
	*s = str_from(*s, i);
	return i > 0;
}

static bool take_part(struct str *s, struct arena *mem, struct pg_pattern_part *out)
{
	if (s->n > 0 && s->p[0] == '"')
		return take_quoted(s, mem, out);
	return take_plain(s, out);
}

static bool parse_one(struct str item, struct arena *mem, struct pg_pattern *out)
{
	*out = (struct pg_pattern){.source = item};
	out->leaves_out = str_starts(item, STR("!"));
	if (out->leaves_out)
		item = str_trim(str_from(item, 1));
	if (!take_part(&item, mem, &out->schema) || !str_starts(item, STR(".")))
		return false;
	item = str_from(item, 1);
	return take_part(&item, mem, &out->name) && item.n == 0;
}

enum err pg_patterns_parse(
	struct str list, struct arena *mem, struct pg_patterns *out, struct error *e)
{
	size_t most = 1;

	for (size_t i = 0; i < list.n; i++)
		most += list.p[i] == ',';
	*out = (struct pg_patterns){.patterns = arena_array(mem, most, sizeof *out->patterns)};
	/* Copied, because the patterns keep views of it. */
	for (struct str rest = arena_str(mem, list); rest.n > 0;) {
		struct str item = next_item(&rest);
		if (item.n > 0 && !parse_one(item, mem, &out->patterns[out->n++]))
			return FAIL(e, ERR_USAGE,
				"reading the table pattern \"%.*s\": write SCHEMA.NAME, with * for "
				"any characters, \"...\" around a part that has a dot, and ! "
				"before "
				"one to leave out",
				STR_ARG(item));
	}
	return OK;
}

/* Where the pattern does not fit after a *, that * takes one more character. */
static bool matches(const struct pg_pattern_part *part, struct str s)
{
	struct str p = part->text;
	size_t i = 0, j = 0, star = SIZE_MAX, from = 0;

	if (part->literal)
		return str_eq(p, s);
	while (j < s.n) {
		if (i < p.n && p.p[i] == '*') {
			star = i++;
			from = j;
		} else if (i < p.n && p.p[i] == s.p[j]) {
			i++;
			j++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			j = ++from;
		} else {
			return false;
		}
	}
	while (i < p.n && p.p[i] == '*')
		i++;
	return i == p.n;
}

bool pg_patterns_choose(const struct pg_patterns *p, struct str schema, struct str name)
{
	bool chosen = false;

	for (size_t i = 0; i < p->n; i++) {
		struct pg_pattern *one = &p->patterns[i];
		if (!matches(&one->schema, schema) || !matches(&one->name, name))
			continue;
		one->found = true;
		chosen = !one->leaves_out;
	}
	return chosen;
}

enum err pg_patterns_all_found(const struct pg_patterns *p, struct error *e)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct pg_pattern *one = &p->patterns[i];
		if (one->schema.literal && one->name.literal && !one->found && !one->leaves_out)
			return FAIL(e, ERR_NOT_FOUND,
				"matching tables: there is no permanent table %.*s; create it or "
				"take "
				"it out of the list",
				STR_ARG(one->source));
	}
	return OK;
}
