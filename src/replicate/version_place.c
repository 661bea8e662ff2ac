#include "version_place.h"

#include <inttypes.h>

#include "warehouse.h"

static void put_history(struct buf *sql, const struct table *t, struct arena *mem)
{
	sql_name(sql, arena_fmt(mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(sql, '.');
	sql_name(sql, t->name);
}

/*
 * The next commit may begin where the last one ends, and its rows have that position. So these
 * stand just before it: records of the log begin at multiples of eight, and nothing else stands
 * there. Only a copy's rows may be at `at` itself; no change that follows them is, because the
 * change lies between (see settle() in snapshot_begin.c). Then these are behind them.
 */
void version_put_lsn(struct buf *sql, const struct table *t, lsn at, struct arena *mem)
{
	buf_putf(sql, "(SELECT %" PRIu64 " + CASE WHEN count(*) > 0 THEN 1 ELSE 0 END FROM ",
		at.v - 1);
	put_history(sql, t, mem);
	buf_putf(sql, " WHERE _op = 'r' AND _lsn = %" PRIu64 ")", at.v);
}

void version_put_seq(
	struct buf *sql, const struct table *t, lsn at, const char *alias, struct arena *mem)
{
	buf_puts(sql, "(SELECT coalesce(max(_seq), -1) FROM ");
	put_history(sql, t, mem);
	buf_puts(sql, " WHERE _lsn = ");
	version_put_lsn(sql, t, at, mem);
	buf_puts(sql, ") + row_number() OVER (");
	for (size_t k = 0; k < t->nkeys; k++) {
		buf_putf(sql, k > 0 ? ", %s." : "ORDER BY %s.", alias);
		sql_name(sql, t->columns[t->keys[k]].name);
	}
	buf_putc(sql, ')');
}
