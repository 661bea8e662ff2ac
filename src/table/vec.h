/*
 * vec: one column of values of one kind. The arrays belong to whoever made the vec (a batch, or
 * a warehouse driver that lends its own memory for the time of a callback).
 */
#ifndef SLUICE_VEC_H
#define SLUICE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "type.h"

struct vec {
	struct type type;
	uint64_t *valid; /* bit per row, 1: a value; NULL: every row has one */
	void *data;      /* type_size(kind) bytes a row; undefined where not valid */
};

static inline bool vec_is_null(const struct vec *v, size_t row)
{
	return v->valid != NULL && (v->valid[row >> 6] >> (row & 63) & 1) == 0;
}

/* Typed access; the kind must fit. */
#define VEC_AT(v, ctype, row) (((ctype *)(v)->data)[row])

/* A number as double, for models: decimals scaled, booleans 0/1, dates in days, timestamps in
 * seconds. NaN for NULL and for kinds that are no numbers. */
double vec_number(const struct vec *v, size_t row);

/* An integer of any width, or false. */
bool vec_integer(const struct vec *v, size_t row, int64_t *out);

/* The text of T_TEXT, T_JSON and T_BYTES; empty otherwise or when NULL. */
struct str vec_text(const struct vec *v, size_t row);

/* What a query gives, a piece at a time. Valid only during the callback. */
struct chunk {
	size_t rows, ncols;
	const char *const *names;
	const struct vec *cols;
};

#endif
