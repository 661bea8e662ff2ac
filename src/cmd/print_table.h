/*
 * print_table: rows as aligned columns for people. Widths come from the first rows, which are
 * held back for that; what follows streams, so an answer of any length can be printed. Control
 * characters are shown as escapes: data never steers a terminal.
 */
#ifndef SLUICE_PRINT_TABLE_H
#define SLUICE_PRINT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "str.h"

struct print_column {
	const char *name; /* copied */
	bool right;       /* numbers */
};

struct print_table;

/* colour: the header is bold. The caller keeps `out` open until print_table_end. */
struct print_table *print_table_new(
	FILE *out, bool colour, const struct print_column *columns, size_t n);
/* Copies the cells, as many as there are columns; .p NULL is shown as NULL. */
void print_table_row(struct print_table *t, const struct str *cells);
/* Prints what was held back and frees; returns the number of rows. NULL is fine. */
size_t print_table_end(struct print_table *t);

/* A terminal, and the user has not set NO_COLOR (no-color.org). */
bool print_colour(bool terminal);

#endif
