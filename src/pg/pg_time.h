/* PostgreSQL counts microseconds from 2000-01-01; we count from 1970-01-01. */
#ifndef SLUICE_PG_TIME_H
#define SLUICE_PG_TIME_H

#include <stdint.h>

#include "reader.h"

#define PG_EPOCH_DAYS 10957
#define PG_EPOCH_US   INT64_C(946684800000000)

/* Damaged input may hold any number: the sum wraps rather than being undefined. */
static inline int64_t pg_time_to_unix(int64_t pg_us)
{
	return (int64_t)((uint64_t)pg_us + (uint64_t)PG_EPOCH_US);
}

static inline int64_t read_pg_time(struct reader *r)
{
	return pg_time_to_unix((int64_t)read_be64(r));
}

#endif
