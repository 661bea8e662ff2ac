#include "apply_record.h"

#include "backfill.h"

enum err apply_record_change(
	struct apply *a, const struct table *t, struct str what, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	char at[LSN_TEXT], now[CLOCK_TEXT];
	struct str name = table_full_name(t, &mem);

	if (what.n == 0) {
		arena_free(&mem);
		return OK;
	}
	buf_init(&sql, 1 << 24);
	lsn_format(a->tx.commit, at);
	clock_format(clock_wall(a->r->env.clock), now, sizeof(now));
	buf_puts(&sql, "INSERT INTO ops.schema_changes (table_name, lsn, seen_at, change) SELECT ");
	sql_text(&sql, name);
	buf_putf(&sql, ", '%s', CAST('%s' AS TIMESTAMPTZ), ", at, now);
	sql_text(&sql, what);
	buf_puts(&sql, " WHERE NOT EXISTS (SELECT 1 FROM ops.schema_changes WHERE table_name = ");
	sql_text(&sql, name);
	buf_putf(&sql, " AND lsn = '%s' AND change = ", at);
	sql_text(&sql, what);
	buf_putc(&sql, ')');
	enum err rc = apply_script(a, buf_str(&sql), e);
	if (rc == OK)
		log_info(a->r->env.log, "apply", "a table has changed its shape",
			F_STR("table", name), F_STR("change", what), F_CSTR("lsn", at));
	else
		error_wrap(e, "recording a change of the table %.*s", STR_ARG(name));
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}
