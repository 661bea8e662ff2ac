#include "xml.h"

#include <expat.h>
#include <string.h>

#include "buf.h"

#define MOST_DEEP 64

struct open_element {
	struct xml *node, *last_child;
	struct buf text;
};

struct building {
	XML_Parser parser;
	struct arena *mem;
	struct xml *root;
	struct open_element open[MOST_DEEP];
	size_t depth;
	const char *refused; /* why; NULL: nothing was */
};

static void refuse(struct building *b, const char *why)
{
	b->refused = why;
	(void)XML_StopParser(b->parser, XML_FALSE);
}

static struct str local_name(const char *name)
{
	const char *colon = strrchr(name, ':');
	return str_of(colon != NULL ? colon + 1 : name);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct building *b = arg;

	(void)attributes;
	if (b->depth == MOST_DEEP) {
		refuse(b, "it nests too deep");
		return;
	}
	struct xml *node = arena_alloc(b->mem, sizeof *node);
	node->name = arena_str(b->mem, local_name(name));
	if (b->depth == 0) {
		b->root = node;
	} else {
		struct open_element *parent = &b->open[b->depth - 1];
		if (parent->last_child == NULL)
			parent->node->child = node;
		else
			parent->last_child->next = node;
		parent->last_child = node;
	}
	struct open_element *own = &b->open[b->depth++];
	*own = (struct open_element){.node = node};
	buf_init(&own->text, BUF_MAX_DEFAULT);
}

static void on_end(void *arg, const XML_Char *name)
{
	struct building *b = arg;
	struct open_element *own = &b->open[--b->depth];

	(void)name;
	own->node->text = arena_str(b->mem, buf_str(&own->text));
	/* It may be a session's token. */
	if (own->text.p != NULL)
		explicit_bzero(own->text.p, own->text.cap);
	buf_free(&own->text);
}

static void on_text(void *arg, const XML_Char *s, int n)
{
	struct building *b = arg;

	if (b->depth > 0)
		buf_put(&b->open[b->depth - 1].text, str_make(s, (size_t)n));
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(arg, "it has a document type");
}

static enum err parse(struct building *b, struct str text, const char *what, struct error *e)
{
	if (text.n > INT32_MAX)
		return FAIL(e, ERR_INPUT, "reading %s: it is larger than 2 GB", what);
	if (XML_Parse(b->parser, text.p, (int)text.n, 1) == XML_STATUS_OK && b->refused == NULL)
		return OK;
	return FAIL(e, ERR_INPUT, "reading %s as XML: line %llu, column %llu: %s", what,
		(unsigned long long)XML_GetCurrentLineNumber(b->parser),
		(unsigned long long)XML_GetCurrentColumnNumber(b->parser),
		b->refused != NULL ? b->refused : XML_ErrorString(XML_GetErrorCode(b->parser)));
}

enum err xml_read(
	struct str text, const char *what, struct arena *mem, struct xml **out, struct error *e)
{
	struct building b = {.mem = mem, .parser = XML_ParserCreate("UTF-8")};

	*out = NULL;
	if (b.parser == NULL)
		return FAIL(e, ERR_FAILED, "reading %s: expat does not start", what);
	XML_SetUserData(b.parser, &b);
	XML_SetElementHandler(b.parser, on_start, on_end);
	XML_SetCharacterDataHandler(b.parser, on_text);
	XML_SetStartDoctypeDeclHandler(b.parser, on_doctype);
	/* Services that let one wait send blanks first, to keep the line open. */
	enum err rc = parse(&b, str_trim(text), what, e);
	while (b.depth > 0)
		on_end(&b, "");
	XML_ParserFree(b.parser);
	if (rc == OK)
		*out = b.root;
	return rc;
}

const struct xml *xml_child(const struct xml *node, const char *name)
{
	for (const struct xml *c = node != NULL ? node->child : NULL; c != NULL; c = c->next)
		if (str_eqc(c->name, name))
			return c;
	return NULL;
}

const struct xml *xml_next(const struct xml *node)
{
	for (const struct xml *c = node->next; c != NULL; c = c->next)
		if (str_eq(c->name, node->name))
			return c;
	return NULL;
}

struct str xml_text(const struct xml *node, const char *name)
{
	const struct xml *c = xml_child(node, name);
	return c != NULL ? c->text : STR_NONE;
}
