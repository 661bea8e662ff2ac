#include "feature_set.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "clock.h"
#include "embedded.h"
#include "enc.h"
#include "feature_sources.h"
#include "file.h"
#include "warehouse.h"

/* What the head may say, and where it goes. */
static const struct role {
	const char *word;
	size_t offset;
	bool required;
} roles[] = {
	{"entity", offsetof(struct feature_set, entity), true},
	{"as_of", offsetof(struct feature_set, as_of), true},
	{"label", offsetof(struct feature_set, label), true},
	{"label_at", offsetof(struct feature_set, label_at), true},
	{"open", offsetof(struct feature_set, open), true},
	{"mature_at", offsetof(struct feature_set, mature_at), false},
	{"duplicate", offsetof(struct feature_set, duplicate), false},
};

#define NROLES       (sizeof roles / sizeof roles[0])
#define HEAD_ALLOWED "entity, as_of, label, label_at, open, mature_at, duplicate, slices"
#define SLICES_MAX   16

static struct str *role_at(struct feature_set *f, const struct role *r)
{
	return (struct str *)((char *)f + r->offset);
}

/* Cuts "-- word: value" apart; false when the comment is prose. */
static bool head_line(struct str line, struct str *word, struct str *value)
{
	struct str rest = str_trim(str_from(line, 2));

	if (!str_cut(&rest, ':', word) || word->n == 0)
		return false;
	for (size_t i = 0; i < word->n; i++)
		if (!islower((unsigned char)word->p[i]) && word->p[i] != '_')
			return false;
	*value = str_trim(rest);
	return true;
}

static enum err take_slices(
	struct feature_set *f, struct str value, struct arena *mem, struct error *e)
{
	struct str item;

	f->slices = arena_array(mem, SLICES_MAX, sizeof *f->slices);
	while (str_next(&value, ',', &item)) {
		item = str_trim(item);
		if (!feature_is_name(item) || f->nslices == SLICES_MAX)
			return FAIL(e, ERR_USAGE,
				"\"slices\" takes at most %d column names with commas between",
				SLICES_MAX);
		f->slices[f->nslices++] = item;
	}
	return OK;
}

static enum err take_role(struct feature_set *f, struct str word, struct str value,
	struct arena *mem, struct error *e)
{
	if (str_eqc(word, "slices"))
		return take_slices(f, value, mem, e);
	for (size_t i = 0; i < NROLES; i++) {
		struct str *at = role_at(f, &roles[i]);
		if (!str_eqc(word, roles[i].word))
			continue;
		if (at->n > 0)
			return FAIL(e, ERR_USAGE, "\"%s\" is said twice", roles[i].word);
		if (!feature_is_name(value))
			return FAIL(e, ERR_USAGE, "\"%s\" must name one column, not \"%.*s\"",
				roles[i].word, STR_ARG(value));
		*at = value;
		return OK;
	}
	return FAIL(
		e, ERR_USAGE, "\"%.*s\" is not known; a head says " HEAD_ALLOWED, STR_ARG(word));
}

/* Reads the comment lines at the top; *body receives what follows them. */
static enum err parse_head(struct feature_set *f, struct str text, struct arena *mem,
	struct str *body, struct error *e)
{
	struct str rest = text, line, word, value;
	unsigned number = 0;

	for (*body = rest; str_next(&rest, '\n', &line); *body = rest) {
		number++;
		line = str_trim(line);
		if (line.n > 0 && !str_starts(line, STR("--")))
			return OK;
		if (line.n > 0 && head_line(line, &word, &value) &&
			take_role(f, word, value, mem, e) != OK)
			return error_wrap(e, "line %u", number);
	}
	return OK;
}

static enum err check_roles(struct feature_set *f, struct error *e)
{
	for (size_t i = 0; i < NROLES; i++)
		if (roles[i].required && role_at(f, &roles[i])->n == 0)
			return FAIL(e, ERR_USAGE,
				"the head has no line \"-- %s: COLUMN\"; it says " HEAD_ALLOWED,
				roles[i].word);
	return OK;
}

/* One SELECT, without its semicolon. */
static enum err take_body(struct feature_set *f, struct str body, struct error *e)
{
	body = str_trim(body);
	if (str_ends(body, STR(";")))
		body = str_trim(str_make(body.p, body.n - 1));
	if (body.n == 0)
		return FAIL(e, ERR_USAGE, "there is no SELECT after the head");
	if (memchr(body.p, ';', body.n) != NULL)
		return FAIL(e, ERR_USAGE,
			"there is a ';' inside; a feature set is one SELECT statement");
	f->body = body;
	return OK;
}

enum err feature_set_parse(struct str name, struct str text, struct arena *mem,
	struct feature_set *out, struct error *e)
{
	struct feature_set f = {.name = arena_str(mem, name)};
	struct str kept = arena_str(mem, text), body;
	enum err rc;

	if (!feature_is_name(name))
		return FAIL(e, ERR_USAGE,
			"naming a feature set \"%.*s\": a name is a letter, then letters, digits "
			"or '_'",
			STR_ARG(name));
	enc_sha256(text, f.sha256);
	rc = parse_head(&f, kept, mem, &body, e);
	if (rc == OK)
		rc = check_roles(&f, e);
	if (rc == OK)
		rc = take_body(&f, body, e);
	if (rc == OK)
		rc = feature_sources_parse(&f, mem, e);
	if (rc != OK)
		return error_wrap(e, "reading feature set \"%.*s\"", STR_ARG(name));
	*out = f;
	return OK;
}

static enum err add_name(void *arg, const struct embedded_file *file, struct error *e)
{
	struct buf *out = arg;
	struct str name = str_of(strrchr(file->name, '/') + 1);

	(void)e;
	if (str_ends(name, STR(".sql")))
		buf_putf(out, "%s%.*s", out->n > 0 ? ", " : "", (int)name.n - 4, name.p);
	return OK;
}

static enum err unknown_set(const char *dir, const char *name, struct error *e)
{
	struct buf known;
	enum err rc;

	buf_init(&known, 4096);
	rc = embedded_each("sql/features/", add_name, &known, e);
	if (rc == OK)
		rc = FAIL(e, ERR_USAGE,
			"looking for feature set \"%s\": there is no %s.sql in %s, and it is not "
			"built in (built in: %s)",
			name, name, dir != NULL && dir[0] != '\0' ? dir : "[models] features",
			buf_cstr(&known));
	buf_free(&known);
	return rc;
}

enum err feature_set_find(const char *dir, const char *name, struct arena *mem,
	struct feature_set *out, struct error *e)
{
	const struct embedded_file *built_in;
	struct buf text;
	enum err rc;

	if (!feature_is_name(str_of(name))) /* before it becomes part of a path */
		return unknown_set(dir, name, e);
	if (dir != NULL && dir[0] != '\0') {
		const char *path = arena_fmt(mem, "%s/%s.sql", dir, name).p;
		if (file_exists(path)) {
			buf_init(&text, 1 << 20);
			rc = file_read(path, &text, e);
			if (rc == OK)
				rc = feature_set_parse(str_of(name), buf_str(&text), mem, out, e);
			buf_free(&text);
			return rc;
		}
	}
	built_in = embedded_find(arena_fmt(mem, "sql/features/%s.sql", name).p);
	if (built_in == NULL)
		return unknown_set(dir, name, e);
	return feature_set_parse(str_of(name), embedded_text(built_in), mem, out, e);
}

void feature_set_sql(const struct feature_set *f, const int64_t *hide_after_us, struct buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < f->nsources; i++) {
		const struct feature_source *s = &f->sources[i];
		buf_put(out, str_make(f->body.p + at, s->at - at));
		feature_source_sql(s, hide_after_us, out);
		at = s->end;
	}
	buf_put(out, str_from(f->body, at));
}

void feature_table_name(const struct feature_set *f, const char *suffix, struct buf *out)
{
	/* A parsed name has letters, digits and '_' only. */
	buf_putf(out, "\"features\".\"%.*s%s\"", STR_ARG(f->name), suffix);
}

bool feature_set_is_role(const struct feature_set *f, struct str column)
{
	const struct str all[] = {
		f->entity, f->as_of, f->label, f->label_at, f->open, f->mature_at, f->duplicate};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i].n > 0 && str_eq(all[i], column))
			return true;
	return false;
}
