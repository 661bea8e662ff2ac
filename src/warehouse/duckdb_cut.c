#include "duckdb_driver.h"

#include <inttypes.h>

/*
 * The table as it was at a cut, in one statement and so from one state of the warehouse:
 * rows whose keys no change outside the cut has touched stand in current as they were; for the
 * others it is the newest change of the key inside the cut. A truncation outside the cut has
 * taken rows from current that no change names: then every key counts as touched. A truncation
 * inside the cut ends everything before it.
 */

/* Not seen by the cut: committed after it, or before it by a transaction its snapshot missed. */
static void put_outside(struct buf *out, const struct cut *c)
{
	uint64_t at = c->at.v <= INT64_MAX ? c->at.v : INT64_MAX;

	buf_putf(out, "(_xid <> 0 AND (_lsn > %" PRIu64, at);
	if (c->xmax <= INT64_MAX)
		buf_putf(out, " OR _xid >= %" PRIu64, c->xmax);
	for (size_t i = 0; i < c->nrunning; i++)
		buf_putf(out, "%s%" PRIu64, i == 0 ? " OR _xid IN (" : ", ", c->running[i]);
	buf_puts(out, c->nrunning > 0 ? ")))" : "))");
}

static void put_where(struct buf *out, struct str where)
{
	if (where.n == 0)
		return;
	buf_puts(out, " AND (");
	buf_put(out, where);
	buf_putc(out, ')');
}

/* One number that sorts as (_lsn, _seq). */
#define POSITION "(CAST(_lsn AS HUGEINT) * 4294967296 + _seq)"

/* sluice_cleared(position): the last truncation inside the cut, or nothing. */
static void put_cleared(struct buf *out, const struct table *t, const struct cut *c)
{
	buf_puts(out, "sluice_cleared AS (SELECT max(" POSITION ") AS position FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op = 'T' AND NOT ");
	put_outside(out, c);
	buf_putc(out, ')');
}

#define AFTER_CLEARED                                                                              \
	POSITION " > coalesce((SELECT position FROM sluice_cleared), CAST(-1 AS HUGEINT))"

/* sluice_touched: the keys for which current does not speak, in the staged form (k0, x0, ..). */
static void put_touched(
	struct buf *out, const struct table *t, const struct cut *c, struct str where)
{
	buf_puts(out, "sluice_lost AS (SELECT 1 AS lost FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op = 'T' AND ");
	put_outside(out, c);
	buf_puts(out, " LIMIT 1), sluice_touched(");
	duck_staged_names(out, t);
	buf_puts(out, ") AS (SELECT DISTINCT ");
	duck_key_list(out, t, NULL);
	buf_puts(out, " FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op <> 'T' AND ");
	put_outside(out, c);
	put_where(out, where);
	buf_puts(out, " UNION SELECT DISTINCT ");
	duck_key_list(out, t, NULL);
	buf_puts(out, " FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op <> 'T' AND EXISTS (SELECT 1 FROM sluice_lost)");
	put_where(out, where);
	buf_putc(out, ')');
}

/* Semi and anti joins and not EXISTS: for that DuckDB first gathers every row of history. */
static void put_untouched(struct buf *out, const struct table *t, struct str where)
{
	buf_puts(out, " SELECT ");
	duck_columns(out, t, "c");
	buf_puts(out, ", c._exact FROM ");
	duck_current(out, t);
	buf_puts(out, " c ANTI JOIN sluice_touched o ON (");
	duck_staged_match(out, t, "o", "c");
	buf_puts(out, ") WHERE TRUE");
	put_where(out, where);
}

static void put_newest(
	struct buf *out, const struct table *t, const struct cut *c, struct str where)
{
	buf_puts(out, " SELECT ");
	duck_columns(out, t, NULL);
	buf_puts(out, ", _exact FROM (SELECT h.*, row_number() OVER (PARTITION BY ");
	duck_key_list(out, t, "h");
	buf_puts(out, " ORDER BY _lsn DESC, _seq DESC) AS sluice_newest FROM ");
	duck_history(out, t);
	buf_puts(out, " h SEMI JOIN sluice_touched o ON (");
	duck_staged_match(out, t, "o", "h");
	buf_puts(out, ") WHERE _op <> 'T' AND NOT ");
	put_outside(out, c);
	put_where(out, where);
	buf_puts(out, ") WHERE sluice_newest = 1 AND _op <> 'D' AND " AFTER_CLEARED);
}

/* The rows for which current does not speak, counted in history. */
static void put_counted(
	struct buf *out, const struct table *t, const struct cut *c, struct str where)
{
	struct buf from;

	buf_init(&from, BUF_MAX_DEFAULT);
	buf_puts(&from, "FROM ");
	duck_history(&from, t);
	buf_puts(&from, " h SEMI JOIN sluice_touched o ON (");
	duck_staged_match(&from, t, "o", "h");
	buf_puts(&from, ") WHERE _op <> 'T' AND NOT ");
	put_outside(&from, c);
	put_where(&from, where);
	buf_puts(&from, " AND " AFTER_CLEARED);
	duck_bag_rows(out, t, buf_str(&from));
	buf_free(&from);
}

static void put_keyed(struct buf *out, const struct table *t, const struct cut *c, struct str where)
{
	buf_puts(out, "WITH ");
	put_cleared(out, t, c);
	buf_puts(out, ", ");
	put_touched(out, t, c, where);
	put_untouched(out, t, where);
	buf_puts(out, " UNION ALL");
	if (table_is_bag(t))
		put_counted(out, t, c, where);
	else
		put_newest(out, t, c, where);
}

/* sluice_lost: current cannot be undone to the cut, as more than inserts came after it.
 * sluice_later: the commits of those inserts. */
static void put_later(struct buf *out, const struct table *t, const struct cut *c)
{
	buf_puts(out, ", sluice_lost AS (SELECT 1 AS lost FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op IN ('U', 'D', 'T') AND ");
	put_outside(out, c);
	buf_puts(out, " LIMIT 1), sluice_later AS (SELECT DISTINCT _lsn AS later FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE ");
	put_outside(out, c);
	buf_putc(out, ')');
}

/*
 * Without a key rows only come: what stands in current and did not come after the cut. It is
 * current that is read, so that what it has lost is seen; history speaks only where a truncation,
 * or a change from the time when the table had a key, lies outside the cut.
 */
static void put_keyless(
	struct buf *out, const struct table *t, const struct cut *c, struct str where)
{
	buf_puts(out, "WITH ");
	put_cleared(out, t, c);
	put_later(out, t, c);
	buf_puts(out, " SELECT ");
	duck_columns(out, t, "c");
	buf_puts(out, ", c._exact FROM ");
	duck_current(out, t);
	buf_puts(out,
		" c ANTI JOIN sluice_later l ON (c._lsn = l.later) "
		"WHERE NOT EXISTS (SELECT 1 FROM sluice_lost)");
	put_where(out, where);
	buf_puts(out, " UNION ALL SELECT ");
	duck_columns(out, t, NULL);
	buf_puts(out, ", _exact FROM ");
	duck_history(out, t);
	buf_puts(out,
		" WHERE EXISTS (SELECT 1 FROM sluice_lost) AND _op NOT IN ('D', 'T') AND NOT ");
	put_outside(out, c);
	buf_puts(out, " AND " AFTER_CLEARED);
	put_where(out, where);
}

enum err duck_select_at(struct warehouse *w, const struct table *t, const struct cut *c,
	struct str where, struct buf *out, struct error *e)
{
	(void)w;
	if (t->nkeys > 0)
		put_keyed(out, t, c, where);
	else
		put_keyless(out, t, c, where);
	if (!buf_ok(out))
		return FAIL(e, ERR_INPUT,
			"writing the SQL of %.*s.%.*s at a cut: it is larger than %zu bytes",
			STR_ARG(t->schema), STR_ARG(t->name), out->max);
	return OK;
}
