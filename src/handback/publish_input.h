/*
 * publish_input: what the warehouse knows of the scores to be published. Private to src/handback.
 */
#ifndef SLUICE_PUBLISH_INPUT_H
#define SLUICE_PUBLISH_INPUT_H

#include "release_manifest.h"
#include "warehouse.h"

/*
 * Fills the manifest's origin (model, scoring, reconciliation, key column) from the newest
 * scoring of the workflow; *rows is how many it should have. ERR_CHECK when there is none, when
 * its model carries no proof, or when no reconciliation at or after it says ok.
 */
enum err publish_input(struct warehouse *w, const char *workflow, struct arena *mem,
	struct manifest *m, int64_t *rows, struct error *e) MUST_CHECK;

#endif
