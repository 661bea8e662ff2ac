#include "duckdb_driver.h"

/*
 * NAME_versions: one row for each version of a row, with its validity [_valid_from, _valid_to).
 *
 * A version begins at its business time (the column that valid_time names, where it is set) or
 * at its commit, and ends at the earliest beginning of any later version of its key, deletion or
 * truncation; "later" is by _lsn and _seq. So what was recorded last wins: no two validities of
 * a key overlap, even when a correction is backdated, and a version whose validity is empty
 * gives no row. Deletions and truncations take effect at their commit.
 */

static void put_valid_from(struct buf *out, const struct table *t)
{
	int at = t->valid_time.n > 0 ? table_column(t, t->valid_time) : -1;

	if (at < 0) {
		buf_puts(out, "_committed_at");
		return;
	}
	buf_puts(out, "coalesce(");
	if (t->columns[at].type.kind != T_TIMESTAMPTZ)
		buf_puts(out, "timezone('UTC', CAST(");
	sql_name(out, t->columns[at].name);
	if (t->columns[at].type.kind != T_TIMESTAMPTZ)
		buf_puts(out, " AS TIMESTAMP))");
	buf_puts(out, ", _committed_at)");
}

/* Every truncation as a change of every key, so that one window sees all that ends a version. */
static void put_truncations(struct buf *out, const struct table *t)
{
	buf_puts(out, "SELECT ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		char type[DUCK_TYPE_TEXT];

		if (t->columns[i].is_key) {
			buf_puts(out, "k.");
			sql_name(out, t->columns[i].name);
		} else {
			buf_putf(out, "CAST(NULL AS %s)", duck_type(t->columns[i].type, type));
		}
		buf_puts(out, ", ");
	}
	buf_puts(out,
		"e._op, e._lsn, e._seq, k._exact, e._committed_at AS _valid_from FROM "
		"(SELECT DISTINCT ");
	for (size_t k = 0; k < t->nkeys; k++) {
		sql_name(out, t->columns[t->keys[k]].name);
		buf_puts(out, ", ");
	}
	/* Only the exact texts of key columns matter here, but the whole serves as well. */
	bool inexact = false;
	for (size_t k = 0; k < t->nkeys; k++)
		inexact = inexact || duck_key_may_be_inexact(t, k);
	buf_puts(out, inexact ? "_exact FROM " : "CAST(NULL AS JSON) AS _exact FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op <> 'T') k CROSS JOIN (SELECT * FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op = 'T') e");
}

static void put_keyed(struct buf *out, const struct table *t)
{
	buf_puts(out, "WITH changes AS (SELECT ");
	duck_columns(out, t, NULL);
	buf_puts(out, ", _op, _lsn, _seq, _exact, CASE WHEN _op = 'D' THEN _committed_at ELSE ");
	put_valid_from(out, t);
	buf_puts(out, " END AS _valid_from FROM ");
	duck_history(out, t);
	buf_puts(out, " WHERE _op <> 'T' UNION ALL ");
	put_truncations(out, t);
	buf_puts(out, "), spans AS (SELECT *, coalesce(min(_valid_from) OVER (PARTITION BY ");
	duck_key_list(out, t, NULL);
	buf_puts(out,
		" ORDER BY _lsn, _seq ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), "
		"TIMESTAMPTZ 'infinity') AS _valid_to FROM changes) SELECT ");
	duck_columns(out, t, NULL);
	buf_puts(out,
		", _op, _lsn, _seq, _valid_from, _valid_to, _exact FROM spans "
		"WHERE _op NOT IN ('D', 'T') AND _valid_from < _valid_to");
}

static void put_bag(struct buf *out, const struct table *t)
{
	struct buf from;

	buf_init(&from, BUF_MAX_DEFAULT);
	put_valid_from(&from, t);
	duck_bag_versions(out, t, buf_str(&from));
	buf_free(&from);
}

/* Without a key rows are only ever added, until a truncation. */
static void put_keyless(struct buf *out, const struct table *t)
{
	buf_puts(out, "WITH spans AS (SELECT ");
	duck_columns(out, t, "h");
	buf_puts(out, ", h._op, h._lsn, h._seq, ");
	put_valid_from(out, t);
	buf_puts(out, " AS _valid_from, coalesce((SELECT min(e._committed_at) FROM ");
	duck_history(out, t);
	buf_puts(out,
		" e WHERE e._op = 'T' AND (e._lsn > h._lsn OR (e._lsn = h._lsn AND "
		"e._seq > h._seq))), TIMESTAMPTZ 'infinity') AS _valid_to, h._exact FROM ");
	duck_history(out, t);
	buf_puts(out,
		" h WHERE h._op NOT IN ('D', 'T')) SELECT * FROM spans "
		"WHERE _valid_from < _valid_to");
}

enum err duck_versions_view(struct duck *d, const struct table *t, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "CREATE OR REPLACE VIEW ");
	sql_name(&sql, arena_fmt(&mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(&sql, '.');
	sql_name(&sql, arena_fmt(&mem, "%.*s_versions", STR_ARG(t->name)));
	buf_puts(&sql, " AS ");
	if (table_is_bag(t))
		put_bag(&sql, t);
	else if (t->nkeys > 0)
		put_keyed(&sql, t);
	else
		put_keyless(&sql, t);
	enum err rc = duck_exec(d->writer, &sql, "making the versions view", e);
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}
