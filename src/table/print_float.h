/*
 * print_float: a float as PostgreSQL prints it with extra_float_digits above 0: the shortest
 * digits that read back as the same value.
 */
#ifndef SLUICE_PRINT_FLOAT_H
#define SLUICE_PRINT_FLOAT_H

#include "buf.h"

void print_float4(float v, struct buf *out);
void print_float8(double v, struct buf *out);

#endif
