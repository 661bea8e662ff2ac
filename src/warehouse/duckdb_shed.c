/*
 * What a large transaction has written stays in the engine's cache until its limit, which is there
 * for questions, is used up. Nobody asks for it soon, so it is let go before.
 */
#include "duckdb_driver.h"

#include <inttypes.h>

#define KEPT ((int64_t)96 << 20)

static enum err set_limit(duckdb_connection c, int64_t bytes, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 128);
	buf_putf(&sql, "SET GLOBAL memory_limit = '%" PRId64 "B'", bytes);
	enum err rc = duck_exec(c, &sql, "letting go of cached rows", e);
	buf_free(&sql);
	return rc;
}

static enum err ask(duckdb_connection c, const char *where, int64_t *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 256);
	buf_putf(&sql,
		"SELECT CAST(coalesce(sum(memory_usage_bytes), 0) AS BIGINT) FROM duckdb_memory()%s",
		where);
	enum err rc = duck_number(c, &sql, "asking for the engine's memory", out, e);
	buf_free(&sql);
	return rc;
}

/* A limit below what is in use makes the engine let go of what it can. Then it is as it was: what
 * runs beside us meanwhile has still a part of the cache to take from. */
enum err duck_shed(struct duck *d, duckdb_connection c, struct error *e)
{
	struct error ignored = {0};
	int64_t all, cached;

	if (d->memory_limit <= 0)
		return OK;
	TRY(ask(c, " WHERE tag = 'BASE_TABLE'", &cached, e));
	if (cached <= KEPT)
		return OK;
	TRY(ask(c, "", &all, e));
	int64_t low = all - cached + KEPT / 2;
	if (low >= d->memory_limit)
		return OK;
	/* It may be that not all of it can go: then the limit has not changed. */
	(void)set_limit(c, low, &ignored);
	return set_limit(c, d->memory_limit, e);
}
