/*
 * drivers: what warehouse_open() chooses from. Each opens its own kind of URL, given without the
 * scheme ("/path" of "duckdb:///path").
 */
#ifndef SLUICE_WAREHOUSE_DRIVERS_H
#define SLUICE_WAREHOUSE_DRIVERS_H

#include "warehouse.h"

typedef enum err warehouse_open_fn(struct warehouse **out, struct str rest,
	const struct warehouse_options *o, const struct env *env, struct error *e);

warehouse_open_fn warehouse_open_duckdb;
warehouse_open_fn warehouse_open_bigquery;

#endif
