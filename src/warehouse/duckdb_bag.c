#include "duckdb_driver.h"

/*
 * A table whose rows are told apart by all their columns (table_is_bag) may hold the same row
 * several times. It is the number of equal rows that must be right: each deletion takes exactly
 * one of them, each insertion adds one.
 */

#define STAGE "sluice_fold"

enum err duck_bag_take(
	struct duck *d, const struct load *l, const struct rows *deleted, struct error *e)
{
	const struct table *t = l->b->table;
	struct buf sql;

	if (deleted->n == 0)
		return OK;
	TRY(duck_stage_keys(d, l, STAGE, deleted, NULL, e));
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "DELETE FROM ");
	duck_current(&sql, t);
	buf_puts(&sql,
		" WHERE rowid IN (SELECT sluice_row FROM (SELECT c.rowid AS sluice_row, "
		"s.sluice_n, row_number() OVER (PARTITION BY ");
	duck_key_list(&sql, t, "c");
	buf_puts(&sql, " ORDER BY c._lsn) AS sluice_nth FROM ");
	duck_current(&sql, t);
	buf_puts(&sql,
		" c JOIN (SELECT *, count(*) AS sluice_n FROM temp.main." STAGE
		" GROUP BY ALL) s ON ");
	duck_staged_match(&sql, t, "s", "c");
	buf_puts(&sql, ") WHERE sluice_nth <= sluice_n)");
	enum err rc = duck_exec(d->writer, &sql, l->doing, e);
	buf_free(&sql);
	return rc;
}

/* Each row as often as insertions of it outnumber deletions. */
void duck_bag_rows(struct buf *out, const struct table *t, const struct str from)
{
	buf_puts(out, " SELECT ");
	duck_columns(out, t, NULL);
	buf_puts(out,
		", _exact FROM (SELECT *, unnest(range(sluice_n)) AS sluice_nth FROM (SELECT ");
	duck_columns(out, t, "h");
	buf_puts(out,
		", any_value(h._exact) AS _exact, CAST(sum(CASE WHEN h._op = 'D' THEN -1 "
		"ELSE 1 END) AS BIGINT) AS sluice_n ");
	buf_put(out, from);
	buf_puts(out, " GROUP BY ");
	duck_key_list(out, t, "h");
	buf_puts(out, "))");
}

/* The n-th deletion of a row since the last truncation ends its n-th insertion. */
static void put_ends(struct buf *out, const struct table *t)
{
	buf_puts(out, "sluice_ends(");
	duck_staged_names(out, t);
	buf_puts(out, ", sluice_epoch, sluice_nth, sluice_at) AS (SELECT ");
	duck_key_list(out, t, "h");
	buf_puts(out, ", sluice_epoch, row_number() OVER (PARTITION BY sluice_epoch, ");
	duck_key_list(out, t, "h");
	buf_puts(out, " ORDER BY _lsn, _seq), _committed_at FROM sluice_epochs h WHERE _op = 'D')");
}

void duck_bag_versions(struct buf *out, const struct table *t, struct str valid_from)
{
	buf_puts(out,
		"WITH sluice_epochs AS (SELECT *, count(*) FILTER (WHERE _op = 'T') OVER "
		"(ORDER BY _lsn, _seq) AS sluice_epoch FROM ");
	duck_history(out, t);
	buf_puts(out, "), ");
	put_ends(out, t);
	buf_puts(out,
		", sluice_begins AS (SELECT h.*, row_number() OVER (PARTITION BY "
		"sluice_epoch, ");
	duck_key_list(out, t, "h");
	buf_puts(out,
		" ORDER BY _lsn, _seq) AS sluice_nth FROM sluice_epochs h "
		"WHERE _op NOT IN ('D', 'T')), spans AS (SELECT ");
	duck_columns(out, t, "i");
	buf_puts(out, ", i._op, i._lsn, i._seq, ");
	buf_put(out, valid_from);
	buf_puts(out,
		" AS _valid_from, least(coalesce(s.sluice_at, TIMESTAMPTZ 'infinity'), "
		"coalesce((SELECT min(_committed_at) FROM sluice_epochs x WHERE _op = 'T' AND "
		"x.sluice_epoch = i.sluice_epoch + 1), TIMESTAMPTZ 'infinity')) AS _valid_to, "
		"i._exact FROM sluice_begins i LEFT JOIN sluice_ends s ON ");
	duck_staged_match(out, t, "s", "i");
	buf_puts(out,
		" AND s.sluice_epoch = i.sluice_epoch AND s.sluice_nth = i.sluice_nth) "
		"SELECT * FROM spans WHERE _valid_from < _valid_to");
}
