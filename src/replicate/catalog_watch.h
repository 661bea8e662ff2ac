/*
 * catalog_watch: what the source's catalog tells and the stream does not: a table that was changed
 * and has had no row changed since, a value of an enum that has another name, partitions that were
 * attached with rows in them, detached, or emptied alone, a table that was out of the publication
 * for a moment. The apply thread looks every two seconds, and acts on what it finds when the stream
 * is applied up to where it was found and it still holds: so it comes in its order. Where rows have
 * come or gone, the table is copied again over those that stand there.
 */
#ifndef SLUICE_CATALOG_WATCH_H
#define SLUICE_CATALOG_WATCH_H

#include "apply.h"

/* Between transactions of the stream. A source that is away is asked again later. */
enum err catalog_watch(struct apply *a, struct error *e) MUST_CHECK;

#endif
