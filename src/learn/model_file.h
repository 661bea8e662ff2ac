/*
 * model_file: what a model version says about itself, as the registry's metadata JSON. Written by
 * training, read and held against the feature set by scoring.
 */
#ifndef SLUICE_MODEL_FILE_H
#define SLUICE_MODEL_FILE_H

#include "evaluate.h"
#include "learn.h"
#include "matrix.h"

#define MODEL_FORMAT 1

struct model_facts {
	const struct feature_set *set;
	const struct features *features;
	const struct train_options *options;
	const struct train_result *result;
	const struct evaluation *evaluation;
	struct str slices; /* JSON object, as slices_json writes it */
	size_t rows_deduplicated;
};

void model_file_write(const struct model_facts *m, struct buf *out);

/* Fills *out with the features, in the model's order, from metadata. ERR_INPUT when it is not
 * what model_file_write made; ERR_CONFLICT when the model was trained on another feature set or
 * another text of it. */
enum err model_file_read(struct str metadata, const struct feature_set *f, struct arena *mem,
	struct features *out, struct error *e) MUST_CHECK;

/* ERR_CONFLICT naming the first feature whose name, place or kind is not the model's. */
enum err model_file_match(
	const struct features *model, const struct features *table, struct error *e) MUST_CHECK;

#endif
