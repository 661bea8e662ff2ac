/*
 * xml: a small document as a tree, over expat. Names are without their namespace prefix; text is
 * the character data directly inside an element, joined; attributes are left out. Document types
 * are refused, so no entity can be defined.
 */
#ifndef SLUICE_XML_H
#define SLUICE_XML_H

#include "arena.h"
#include "err.h"

struct xml {
	struct str name, text;
	struct xml *child, *next; /* first child; next of the same parent */
};

/* White space before the document is allowed. The tree lives in mem. ERR_INPUT with the position
 * and `what` when it is no XML, nests deeper than 64 or has a document type; the error never quotes
 * the document. */
enum err xml_read(struct str text, const char *what, struct arena *mem, struct xml **out,
	struct error *e) MUST_CHECK;

/* The first child of that name; NULL when there is none, or node is NULL. */
const struct xml *xml_child(const struct xml *node, const char *name);
const struct xml *xml_next(const struct xml *node);            /* the next sibling of node's name */
struct str xml_text(const struct xml *node, const char *name); /* of that child; empty: none */

#endif
