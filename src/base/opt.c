#include "opt.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "nearest.h"

static void *at(void *args, size_t offset)
{
	return (char *)args + offset;
}

/* What is being read, so that the pieces need not pass it all on. */
struct parse {
	const struct opt *opts;
	const struct opt_arg *positional;
	char **argv;
	int argc, next;
	void *args;
	size_t npositional;
};

static bool is_choice(struct str choices, const char *word)
{
	struct str one;

	while (str_next(&choices, '|', &one))
		if (str_eqc(one, word))
			return true;
	return false;
}

static enum err set_int(const struct opt *o, const char *text, void *args, struct error *e)
{
	int64_t v;

	if (!str_to_i64(str_of(text), &v))
		return FAIL(e, ERR_USAGE, "--%s wants a whole number, not \"%s\"", o->name, text);
	if ((o->min != 0 || o->max != 0) && (v < o->min || v > o->max))
		return FAIL(e, ERR_USAGE, "--%s must be from %" PRId64 " to %" PRId64 ", not %s",
			o->name, o->min, o->max, text);
	*(int64_t *)at(args, o->offset) = v;
	return OK;
}

static enum err set_value(const struct opt *o, const char *text, void *args, struct error *e)
{
	switch (o->type) {
	case OPT_FLAG:
		*(bool *)at(args, o->offset) = true;
		return OK;
	case OPT_INT:
		return set_int(o, text, args, e);
	case OPT_CHOICE:
		if (!is_choice(str_of(o->choices), text))
			return FAIL(e, ERR_USAGE, "--%s must be one of %s, not \"%s\"", o->name,
				o->choices, text);
		*(const char **)at(args, o->offset) = text;
		return OK;
	case OPT_STRING:
		*(const char **)at(args, o->offset) = text;
		return OK;
	}
	return FAIL(e, ERR_BUG, "--%s has a type that does not exist", o->name);
}

static enum err set_initial(const struct opt *opts, void *args, struct error *e)
{
	for (const struct opt *o = opts; o != NULL && o->name != NULL; o++)
		if (o->initial != NULL)
			TRY(set_value(o, o->initial, args, e));
	return OK;
}

static enum err unknown(const struct parse *p, struct str name, struct error *e)
{
	struct nearest near = nearest_to(name);
	char hint[NEAREST_HINT];

	nearest_try(&near, "help");
	for (const struct opt *o = p->opts; o != NULL && o->name != NULL; o++)
		nearest_try(&near, o->name);
	if (!nearest_is_near(&near))
		return FAIL(e, ERR_USAGE, "unknown option --%.*s; --help lists the known ones",
			STR_ARG(name));
	snprintf(hint, sizeof hint, "--%s", near.best);
	return FAIL(e, ERR_USAGE, "unknown option --%.*s; did you mean %s?", STR_ARG(name), hint);
}

static enum err take_value(
	struct parse *p, const struct opt *o, const char *attached, struct error *e)
{
	if (attached == NULL && p->next >= p->argc)
		return FAIL(e, ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name,
			o->value != NULL ? o->value : "VALUE");
	return set_value(o, attached != NULL ? attached : p->argv[p->next++], p->args, e);
}

/* --name, --name value, --name=value */
static enum err take_long(struct parse *p, const char *text, struct error *e)
{
	struct str name = str_of(text), rest = name;
	const char *attached = NULL;

	if (str_cut(&rest, '=', &name))
		attached = rest.p;
	for (const struct opt *o = p->opts; o != NULL && o->name != NULL; o++) {
		if (!str_eqc(name, o->name))
			continue;
		if (o->type != OPT_FLAG)
			return take_value(p, o, attached, e);
		if (attached != NULL)
			return FAIL(e, ERR_USAGE, "--%s takes no value", o->name);
		return set_value(o, NULL, p->args, e);
	}
	return unknown(p, name, e);
}

static const struct opt *by_letter(const struct opt *opts, char letter)
{
	for (const struct opt *o = opts; o != NULL && o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* -n, -nv, -f value, -fvalue */
static enum err take_short(struct parse *p, const char *letters, struct error *e)
{
	for (; *letters != '\0'; letters++) {
		const struct opt *o = by_letter(p->opts, *letters);
		if (o == NULL)
			return FAIL(e, ERR_USAGE, "unknown option -%c; --help lists the known ones",
				*letters);
		if (o->type != OPT_FLAG)
			return take_value(p, o, letters[1] != '\0' ? letters + 1 : NULL, e);
		TRY(set_value(o, NULL, p->args, e));
	}
	return OK;
}

static enum err take_positional(struct parse *p, const char *text, struct error *e)
{
	const struct opt_arg *a = p->positional;

	for (size_t i = 0; a != NULL && a->name != NULL && i < p->npositional; i++)
		a++;
	if (a == NULL || a->name == NULL)
		return FAIL(e, ERR_USAGE, "unexpected argument \"%s\"", text);
	*(const char **)at(p->args, a->offset) = text;
	p->npositional++;
	return OK;
}

static enum err take_all(struct parse *p, struct error *e)
{
	bool options = true;

	while (p->next < p->argc) {
		const char *text = p->argv[p->next++];
		if (options && strcmp(text, "--") == 0)
			options = false;
		else if (options && strncmp(text, "--", 2) == 0)
			TRY(take_long(p, text + 2, e));
		else if (options && text[0] == '-' && text[1] != '\0')
			TRY(take_short(p, text + 1, e));
		else
			TRY(take_positional(p, text, e));
	}
	return OK;
}

static enum err check_positional(const struct parse *p, struct error *e)
{
	size_t i = 0;

	for (const struct opt_arg *a = p->positional; a != NULL && a->name != NULL; a++, i++)
		if (i >= p->npositional && !a->optional)
			return FAIL(e, ERR_USAGE, "%s is missing: %s", a->name, a->help);
	return OK;
}

/* Looked for first, so that help is given whatever else stands on the line. */
static bool asks_help(const struct opt *opts, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 ||
			(strcmp(argv[i], "-h") == 0 && by_letter(opts, 'h') == NULL))
			return true;
	return false;
}

enum err opt_parse(const struct opt *opts, const struct opt_arg *positional, int argc, char **argv,
	void *args, bool *help, struct error *e)
{
	struct parse p = {.opts = opts,
		.positional = positional,
		.argv = argv,
		.argc = argc,
		.next = 1,
		.args = args};

	TRY(set_initial(opts, args, e));
	*help = asks_help(opts, argc, argv);
	if (*help)
		return OK;
	TRY(take_all(&p, e));
	return check_positional(&p, e);
}
