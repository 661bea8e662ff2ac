/*
 * matrix: a feature table as numbers. Numbers become float32; text becomes its place in a sorted
 * dictionary that was learned from the training rows; what is NULL, or not in the dictionary, is
 * missing (NaN). Training and scoring come through here alike, so a value has one number.
 */
#ifndef SLUICE_MATRIX_H
#define SLUICE_MATRIX_H

#include "feature_set.h"
#include "warehouse.h"

enum feature_kind { FEATURE_NUMBER, FEATURE_TEXT };

struct feature {
	struct str name;
	enum feature_kind kind;
	struct str *values; /* FEATURE_TEXT: sorted bytewise, no repeats */
	size_t nvalues;
};

struct features {
	struct feature *items; /* in the order of the table's columns */
	size_t n;
};

/* The feature columns of features.NAME, which must be built. Dictionaries are empty. ERR_USAGE
 * for a column whose type is neither a number, a boolean nor text, saying what to cast it to. */
enum err features_of(struct warehouse *w, const struct feature_set *f, struct arena *mem,
	struct features *out, struct error *e) MUST_CHECK;

/* Fills the dictionaries from the rows that `where` (a condition) picks. */
enum err features_learn(struct warehouse *w, const struct feature_set *f, struct str where,
	struct arena *mem, struct features *features, struct error *e) MUST_CHECK;

/* The number of a text: its place in the dictionary, or NaN. */
float feature_code(const struct feature *f, struct str text);

#define LABEL_UNKNOWN 255
#define TIME_UNKNOWN  INT64_MAX

struct matrix {
	size_t rows, cols;
	float *x;                              /* row by row */
	uint8_t *label;                        /* 0, 1 or LABEL_UNKNOWN */
	int64_t *as_of, *label_at, *mature_at; /* us; mature_at: label_at where the set has none */
	uint64_t
		*duplicate; /* hash of the duplicate column; the row's number where there is none */
	struct str *key;    /* the entity as text */
	struct str **slices; /* one array per slice column */
	size_t nslices, cap;
	struct arena mem; /* texts */
};

/* Rows that `where` picks (empty: all), ordered by entity. Close with matrix_free. */
enum err matrix_load(struct warehouse *w, const struct feature_set *f,
	const struct features *features, struct str where, struct matrix *out,
	struct error *e) MUST_CHECK;
void matrix_free(struct matrix *m); /* ready when zeroed */

#endif
