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
#include "catalog_facts.h"

/* Between transactions of the stream. A source that is away is asked again later. */
enum err catalog_watch(struct apply *a, struct error *e) MUST_CHECK;

/* Two of the things it does, for a replay at their positions: a table as the catalog had it, and a
 * label of an enum that got another name. */
enum err catalog_follow_table(
	struct apply *a, const struct table *t, struct error *e) MUST_CHECK;
enum err catalog_follow_label(struct apply *a, const struct table *t, const struct column *c,
	const struct label_change *l, struct error *e) MUST_CHECK;

#endif
