/*
 * pg_value: PostgreSQL's values into a batch. The text and the binary form of a value give the
 * same result: the value when its column's type holds it exactly, otherwise NULL and the exact
 * text in the batch's notes (law 3). Only bytes that PostgreSQL cannot have written are errors.
 */
#ifndef SLUICE_PG_VALUE_H
#define SLUICE_PG_VALUE_H

#include "batch.h"
#include "err.h"
#include "str.h"
#include "table.h"

/* What a PostgreSQL type lands as: exact where a kind holds every value or most of them, else
 * T_TEXT with PostgreSQL's own text; docs/types.md has the table. A domain is unknown here and
 * lands as text; pg_catalog looks up its base type. */
struct type pg_landing(uint32_t pg_type, int32_t modifier);

/* The same for what only the catalog knows: an array of a type of its own (the element is then a
 * domain's base type, or unknown here), and hstore, whose id differs from database to database. */
struct type pg_landing_array(uint32_t element);
struct type pg_landing_hstore(void);

/* Types whose binary form pg_value_binary reads; others are to be asked for as text by the SELECT
 * (pg_copy_select does), and pg_value_binary then takes their bytes as that text. */
bool pg_has_binary(uint32_t pg_type);

/*
 * Both set the value of a row that batch_add made. Values of T_TEXT and T_JSON, and T_BYTES from
 * binary, point into the bytes given: the caller keeps those for as long as the batch. (Bytes
 * from text are decoded into b->mem, as JSON of an array is; exact notes are copies.)
 *
 * Arrays and hstore become JSON by their column's type.form. Their JSON is taken as well as their
 * text, so what type_print gave of a value is its text too.
 *
 * A text that its column's kind cannot hold, or that is not the form PostgreSQL writes, becomes
 * NULL and an exact note, so pg_value_text fails only when col is not a column of the batch.
 * pg_value_binary also gives ERR_INPUT for bytes of the wrong length or form, and ERR_BUG for a
 * column whose kind is not the one that pg_landing gives.
 */
enum err pg_value_text(
	struct batch *b, size_t row, size_t col, struct str text, struct error *e) MUST_CHECK;
enum err pg_value_binary(
	struct batch *b, size_t row, size_t col, struct str bytes, struct error *e) MUST_CHECK;

#endif
