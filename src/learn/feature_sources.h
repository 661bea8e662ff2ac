/*
 * feature_sources: the {{...}} of a feature set's body: finding them, and refusing a body that
 * reads anything else.
 */
#ifndef SLUICE_FEATURE_SOURCES_H
#define SLUICE_FEATURE_SOURCES_H

#include "feature_set.h"

/* A letter or '_', then letters, digits or '_'; at most 63 bytes. */
bool feature_is_name(struct str s);

/* Fills f->sources from f->body. */
enum err feature_sources_parse(
	struct feature_set *f, struct arena *mem, struct error *e) MUST_CHECK;

#endif
