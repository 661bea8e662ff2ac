#include "conf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "conf_value.h"
#include "file.h"
#include "map.h"
#include "mem.h"
#include "nearest.h"

#define FILE_MAX   ((size_t)16 << 20)
#define WHERE_TEXT 256
#define HINT_TEXT  160

/* One section instance: [source], or one of the [table NAME]. */
struct instance {
	const struct conf_section *section;
	struct str name;
	struct str prefix; /* of its variables: SLUICE_SOURCE_, SLUICE_TABLE_PUBLIC_BOOKINGS_ */
	const char *title; /* "[source]", "[table public.bookings]" */
	void *data;
	struct instance *next;
};

struct loading {
	const struct conf_section *sections;
	const char *path;
	char *const *environment;
	void *into;
	struct arena *mem;
	struct error *e;
	struct instance *first, **last, *now;
	struct map seen; /* by id_of(): the line that set it, or in the environment 1 */
	unsigned line;
};

static enum err bad_line(struct loading *l, const char *what)
{
	return FAIL(l->e, ERR_USAGE, "%s:%u: %s", l->path, l->line, what);
}

/* Sets from the text, or from the file that the text names. */
static enum err set_from(struct loading *l, const struct conf_key *key, void *data, struct str text,
	bool from_file, const char *where)
{
	struct secret content = {0};

	if (!from_file)
		return conf_value_set(key, text, data, where, l->mem, l->e);
	const char *path = arena_cstr(l->mem, text);
	enum err rc = secret_read_file(&content, path, l->e);
	if (rc == OK) {
		rc = conf_value_set(
			key, str_of(secret_reveal(&content)), data, where, l->mem, l->e);
		((struct secret *)(void *)((char *)data + key->offset))->file = path;
	} else /* a path that is wrong is wrong configuration, whatever the system says of it */
		rc = FAIL(l->e, ERR_USAGE, "%s: %s", where, l->e != NULL ? l->e->text : "");
	secret_free(&content);
	return rc;
}

static enum err set_initial(struct loading *l, const struct conf_section *s, void *data)
{
	for (const struct conf_key *k = s->keys; k->name != NULL; k++) {
		char where[WHERE_TEXT];
		if (k->type == CONF_STRING || k->type == CONF_CHOICE)
			*(const char **)((char *)data + k->offset) = "";
		if (k->initial == NULL)
			continue;
		snprintf(where, sizeof where, "the default of [%s] %s", s->name, k->name);
		TRY(conf_value_set(k, str_of(k->initial), data, where, l->mem, l->e));
	}
	return OK;
}

/* Upper case, and everything that is not a letter or digit an underscore. */
static struct str prefix_of(struct arena *mem, const struct conf_section *s, struct str name)
{
	struct str prefix = arena_fmt(
		mem, "SLUICE_%s_%.*s%s", s->name, STR_ARG(name), name.n > 0 ? "_" : "");

	for (char *c = arena_cstr(mem, prefix), *at = c;; at++) {
		if (*at >= 'a' && *at <= 'z')
			*at = (char)(*at - 'a' + 'A');
		else if (*at == '\0')
			return str_of(c);
		else if (!(*at >= 'A' && *at <= 'Z') && !(*at >= '0' && *at <= '9'))
			*at = '_';
	}
}

static enum err instance_add(struct loading *l, const struct conf_section *s, struct str name)
{
	struct instance *i = arena_alloc(l->mem, sizeof *i);

	*i = (struct instance){.section = s, .name = name, .prefix = prefix_of(l->mem, s, name)};
	i->title = arena_fmt(l->mem, "[%s%s%.*s]", s->name, name.n > 0 ? " " : "", STR_ARG(name)).p;
	if (s->argument == NULL) {
		i->data = (char *)l->into + s->offset;
	} else {
		i->data = arena_alloc(l->mem, s->size);
		*(const char **)i->data = arena_cstr(l->mem, name);
	}
	*l->last = i;
	l->last = &i->next;
	l->now = i;
	return set_initial(l, s, i->data);
}

static struct instance *instance_of(
	const struct loading *l, const struct conf_section *s, struct str name)
{
	for (struct instance *i = l->first; i != NULL; i = i->next)
		if (i->section == s && str_eq(i->name, name))
			return i;
	return NULL;
}

static enum err unknown_section(struct loading *l, struct str name)
{
	struct nearest near = nearest_to(name);

	for (const struct conf_section *s = l->sections; s->name != NULL; s++)
		nearest_try(&near, s->name);
	return FAIL(l->e, ERR_USAGE, "%s:%u: unknown section [%.*s]; %s [%s]%s", l->path, l->line,
		STR_ARG(name), nearest_is_near(&near) ? "did you mean" : "the nearest known one is",
		near.best, nearest_is_near(&near) ? "?" : "");
}

/* [name] or [name ARGUMENT] */
static enum err take_header(struct loading *l, struct str line)
{
	if (line.p[line.n - 1] != ']')
		return bad_line(l, "a section must end with ]");
	struct str rest = str_trim(str_make(line.p + 1, line.n - 2)), name = rest;
	if (str_cut(&rest, ' ', &name))
		rest = str_trim(rest);
	else
		rest = STR_NONE;
	const struct conf_section *s = l->sections;
	while (s->name != NULL && !str_eqc(name, s->name))
		s++;
	if (s->name == NULL)
		return unknown_section(l, name);
	if (s->argument == NULL && rest.n > 0)
		return FAIL(l->e, ERR_USAGE, "%s:%u: [%s] takes no name; write [%s]", l->path,
			l->line, s->name, s->name);
	if (s->argument != NULL && rest.n == 0)
		return FAIL(l->e, ERR_USAGE, "%s:%u: [%s] needs a name: [%s %s]", l->path, l->line,
			s->name, s->name, s->argument);
	l->now = instance_of(l, s, rest);
	return l->now != NULL ? OK : instance_add(l, s, arena_str(l->mem, rest));
}

/* The row of a key; *from_file when the name is that of a secret with "_file" behind it. */
static const struct conf_key *key_of(const struct conf_key *keys, struct str name, bool *from_file)
{
	*from_file = false;
	for (const struct conf_key *k = keys; k->name != NULL; k++) {
		if (str_eqc(name, k->name))
			return k;
		if (k->type == CONF_SECRET && str_starts(name, str_of(k->name)) &&
			str_eqc(str_from(name, strlen(k->name)), "_file")) {
			*from_file = true;
			return k;
		}
	}
	return NULL;
}

/* The end of an error about an unknown key: always the nearest known one. */
static const char *nearest_key(const struct conf_section *s, struct str name, char *out, size_t n)
{
	struct nearest near = nearest_to(name);

	for (const struct conf_key *k = s->keys; k->name != NULL; k++)
		nearest_try(&near, k->name);
	snprintf(out, n,
		nearest_is_near(&near) ? "did you mean \"%s\"?" : "the nearest known key is \"%s\"",
		near.best != NULL ? near.best : "");
	return out;
}

/* A key given twice is a mistake that nobody would see: the one or the other counts. Gives the
 * line that set it before, or 0 and remembers `line`. */
static unsigned set_before(struct loading *l, const char *source, const struct instance *i,
	const struct conf_key *key, unsigned line)
{
	struct buf id;

	buf_init(&id, BUF_MAX_DEFAULT);
	buf_putf(&id, "%s\n%s\n%.*s\n%s", source, i->section->name, STR_ARG(i->name), key->name);
	unsigned before = (unsigned)(uintptr_t)map_get(&l->seen, buf_str(&id));
	if (before == 0)
		map_put(&l->seen, buf_str(&id), (void *)(uintptr_t)line);
	buf_free(&id);
	return before;
}

static enum err take_known(
	struct loading *l, const struct conf_key *key, struct str value, bool from_file)
{
	char where[2 * WHERE_TEXT];
	unsigned before = set_before(l, "file", l->now, key, l->line);

	snprintf(where, sizeof where, "%s:%u: %s %s", l->path, l->line, l->now->title, key->name);
	if (before != 0)
		return FAIL(l->e, ERR_USAGE, "%s is set in line %u already", where, before);
	return set_from(l, key, l->now->data, value, from_file, where);
}

static enum err take_entry(struct loading *l, struct str line)
{
	char hint[HINT_TEXT];
	struct str name;
	bool from_file;

	if (!str_cut(&line, '=', &name))
		return bad_line(l, "neither a [section], nor key = value, nor a # comment");
	if (l->now == NULL)
		return bad_line(l, "a key must stand below a [section]");
	name = str_trim(name);
	const struct conf_key *key = key_of(l->now->section->keys, name, &from_file);
	if (key != NULL)
		return take_known(l, key, str_trim(line), from_file);
	return FAIL(l->e, ERR_USAGE, "%s:%u: %s has no key \"%.*s\"; %s", l->path, l->line,
		l->now->title, STR_ARG(name),
		nearest_key(l->now->section, name, hint, sizeof hint));
}

static enum err take_line(struct loading *l, struct str line)
{
	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
		return OK;
	if (line.p[0] == '[')
		return take_header(l, line);
	return take_entry(l, line);
}

static enum err take_text(struct loading *l, struct str text)
{
	struct str line;

	if (str_starts(text, STR("\xef\xbb\xbf"))) /* a byte order mark, from some editors */
		text = str_from(text, 3);
	if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
		return FAIL(l->e, ERR_USAGE, "%s: not a text file", l->path);
	while (str_next(&text, '\n', &line)) {
		l->line++;
		TRY(take_line(l, line));
	}
	return OK;
}

static enum err take_file(struct loading *l, bool required)
{
	struct buf text;

	if (l->path == NULL)
		return OK;
	if (!required && !file_exists(l->path))
		return OK;
	buf_init(&text, FILE_MAX);
	enum err rc = file_read(l->path, &text, l->e);
	if (rc != OK)
		rc = FAIL(
			l->e, ERR_USAGE, "configuration: %s", l->e != NULL ? l->e->text : l->path);
	else
		rc = take_text(l, buf_str(&text));
	buf_free(&text);
	return rc;
}

static struct str lower_name(struct arena *mem, struct str name)
{
	char *copy = arena_cstr(mem, name);

	for (char *c = copy; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return str_make(copy, name.n);
}

/* Kubernetes gives a pod such variables for every service of its namespace; one that is named
 * sluice-app must not stop a program that reads SLUICE_APP_*. */
static bool is_service_link(struct str key)
{
	return str_eqc(key, "SERVICE_HOST") || str_starts(key, STR("SERVICE_PORT")) ||
		(str_starts(key, STR("PORT_")) && str_find(key, STR("_TCP")) > 0);
}

static enum err take_variable(
	struct loading *l, const struct instance *i, struct str name, struct str value)
{
	char where[WHERE_TEXT], hint[HINT_TEXT];
	struct str key_name = str_from(name, i->prefix.n);
	struct str key_lower = lower_name(l->mem, key_name);
	bool from_file;
	const struct conf_key *key = key_of(i->section->keys, key_lower, &from_file);

	if (key == NULL && is_service_link(key_name))
		return OK;
	snprintf(where, sizeof where, "environment: %.*s", STR_ARG(name));
	if (key == NULL)
		return FAIL(l->e, ERR_USAGE, "%s: %s has no key \"%.*s\"; %s", where, i->title,
			STR_ARG(key_lower), nearest_key(i->section, key_lower, hint, sizeof hint));
	if (set_before(l, "environment", i, key, 1) != 0)
		return FAIL(l->e, ERR_USAGE, "%s: the same key is set by another variable", where);
	return set_from(l, key, i->data, value, from_file, where);
}

/* SLUICE_TABLE_A_B_KEY may be [table a] or [table a.b]: the longest prefix has it. */
static const struct instance *owner_of(const struct loading *l, struct str name)
{
	const struct instance *best = NULL;

	for (const struct instance *i = l->first; i != NULL; i = i->next)
		if (name.n > i->prefix.n && str_starts(name, i->prefix) &&
			(best == NULL || i->prefix.n > best->prefix.n))
			best = i;
	return best;
}

/* Every variable below a section's prefix must be a key of it, so that a slip is not silent. */
static enum err take_environment(struct loading *l)
{
	for (char *const *v = l->environment; v != NULL && *v != NULL; v++) {
		struct str value = str_of(*v), name;
		if (!str_starts(value, STR("SLUICE_")) || !str_cut(&value, '=', &name))
			continue;
		const struct instance *i = owner_of(l, name);
		if (i != NULL)
			TRY(take_variable(l, i, name, value));
	}
	return OK;
}

/* Instances were allocated one by one as they came; a list wants them side by side. A copied
 * secret keeps its bytes: it is the copy that conf_free() will find. */
static void gather(struct loading *l, const struct conf_section *s)
{
	struct conf_list *list = (struct conf_list *)(void *)((char *)l->into + s->offset);
	size_t n = 0;

	for (const struct instance *i = l->first; i != NULL; i = i->next)
		n += i->section == s;
	*list = (struct conf_list){.items = arena_array(l->mem, n, s->size), .n = n};
	n = 0;
	for (struct instance *i = l->first; i != NULL; i = i->next)
		if (i->section == s)
			memcpy((char *)list->items + s->size * n++, i->data, s->size);
}

enum err conf_load(const struct conf_section *sections, const char *path, bool required,
	char *const *environment, void *into, struct arena *mem, struct error *e)
{
	struct loading l = {.sections = sections,
		.path = path,
		.environment = environment,
		.into = into,
		.mem = mem,
		.e = e};
	enum err rc = OK;

	l.last = &l.first;
	for (const struct conf_section *s = sections; rc == OK && s->name != NULL; s++)
		if (s->argument == NULL)
			rc = instance_add(&l, s, STR_NONE);
	l.now = NULL;
	if (rc == OK)
		rc = take_file(&l, required);
	if (rc == OK)
		rc = take_environment(&l);
	/* Also after a failure, so that conf_free() finds every secret. */
	for (const struct conf_section *s = sections; s->name != NULL; s++)
		if (s->argument != NULL)
			gather(&l, s);
	map_free(&l.seen);
	return rc;
}

static void free_secrets(const struct conf_section *s, void *data)
{
	for (const struct conf_key *k = s->keys; k->name != NULL; k++)
		if (k->type == CONF_SECRET)
			secret_free((struct secret *)(void *)((char *)data + k->offset));
}

void conf_free(const struct conf_section *sections, void *from)
{
	for (const struct conf_section *s = sections; s->name != NULL; s++) {
		void *at = (char *)from + s->offset;
		if (s->argument == NULL) {
			free_secrets(s, at);
			continue;
		}
		struct conf_list *list = at;
		for (size_t i = 0; i < list->n; i++)
			free_secrets(s, (char *)list->items + i * s->size);
	}
}
