/* Takes a repair back: the rows before it stand in ops.repairs. The source is not asked. */
#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "reconcile_progress.h"
#include "repair_check.h"
#include "repair_write.h"

/* One table of the repair, and how it is described where it is recorded. */
struct undoing {
	struct warehouse *w;
	const struct env *env;
	struct str id, name;
	struct repair_sql q;
	const struct str *types; /* of q.columns, as the warehouse calls them */
	bool bare; /* no row of the table was there before or after: only keys are known */
	struct arena *mem;
};

struct undo_table {
	struct str name, key, image; /* key and image of any one row */
};

struct undo_list {
	struct arena *mem;
	struct undo_table *tables;
	size_t n;
};

/* ---- what was repaired ---- */

static enum err take_tables(void *arg, const struct chunk *c, struct error *e)
{
	struct undo_list *l = arg;
	struct undo_table *more = arena_array(l->mem, l->n + c->rows, sizeof *more);

	(void)e;
	if (l->n > 0)
		memcpy(more, l->tables, l->n * sizeof *more);
	l->tables = more;
	for (size_t i = 0; i < c->rows; i++)
		l->tables[l->n++] = (struct undo_table){
			.name = arena_str(l->mem, vec_text(&c->cols[0], i)),
			.key = arena_str(l->mem, vec_text(&c->cols[1], i)),
			.image = arena_str(l->mem, vec_text(&c->cols[2], i))};
	return OK;
}

static enum err list_tables(struct warehouse *w, struct str id, const char *table,
	struct undo_list *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 20);
	repair_put_ledger(&sql);
	repair_progress_put_tables(&sql);
	enum err rc = progress_prepare(w, e);
	if (rc == OK)
		rc = warehouse_script(w, buf_str(&sql), e);
	buf_reset(&sql);
	buf_puts(&sql,
		"SELECT table_name, key, CASE WHEN before <> '[]' THEN before ELSE after END FROM "
		"ops.repairs WHERE repair_id = ");
	sql_text(&sql, id);
	if (table != NULL) {
		buf_puts(&sql, " AND (table_name = ");
		sql_text(&sql, str_of(table));
		buf_puts(&sql, " OR ends_with(table_name, '.' || ");
		sql_text(&sql, str_of(table));
		buf_puts(&sql, "))");
	}
	buf_puts(&sql,
		" QUALIFY row_number() OVER (PARTITION BY table_name ORDER BY before = '[]' "
		"AND after = '[]', key) = 1 ORDER BY table_name");
	if (rc == OK)
		rc = warehouse_query(w, buf_str(&sql), take_tables, out, e);
	buf_free(&sql);
	if (rc == OK && out->n == 0)
		return FAIL(e, ERR_USAGE,
			"undoing the repair %.*s: ops.repairs has no rows of it%s%s; see "
			"`sluice query \"SELECT DISTINCT repair_id, table_name, repaired_at FROM "
			"ops.repairs\"`",
			STR_ARG(id), table != NULL ? " in the table " : "",
			table != NULL ? table : "");
	return rc;
}

/* ---- one table's description ---- */

static bool is_ours(const char *name)
{
	return strcmp(name, "_lsn") == 0 || strcmp(name, "_committed_at") == 0 ||
		strcmp(name, "_exact") == 0;
}

static enum err names_of(
	const json_t *object, struct arena *mem, const struct str **out, size_t *n, struct error *e)
{
	struct str *names = arena_array(mem, json_object_size(object) + 1, sizeof *names);
	const char *name;
	json_t *value;

	*n = 0;
	if (!json_is_object(object))
		return FAIL(e, ERR_INPUT, "ops.repairs holds no JSON object there");
	json_object_foreach ((json_t *)(uintptr_t)object, name, value)
		if (!is_ours(name))
			names[(*n)++] = arena_str(mem, str_of(name));
	*out = names;
	return OK;
}

static enum err read_names(struct undoing *u, const struct undo_table *t, struct error *e)
{
	json_t *key = NULL, *images = NULL;
	enum err rc = json_read(t->key, "the key", &key, e);

	if (rc == OK)
		rc = json_read(t->image, "the row", &images, e);
	if (rc == OK)
		rc = names_of(key, u->mem, &u->q.keys, &u->q.nkeys, e);
	if (rc == OK)
		u->bare = json_array_size(images) == 0;
	if (rc == OK)
		rc = names_of(u->bare ? key : json_array_get(images, 0), u->mem, &u->q.columns,
			&u->q.ncolumns, e);
	json_decref(key);
	json_decref(images);
	return rc;
}

struct describing {
	struct undoing *u;
	struct str *types;
	size_t found, others;
};

static enum err take_columns(void *arg, const struct chunk *c, struct error *e)
{
	struct describing *d = arg;
	struct undoing *u = d->u;

	(void)e;
	for (size_t i = 0; i < c->rows; i++) {
		struct str name = vec_text(&c->cols[2], i);
		size_t at = 0;
		u->q.schema = arena_str(u->mem, vec_text(&c->cols[0], i));
		u->q.table = arena_str(u->mem, vec_text(&c->cols[1], i));
		if (is_ours(arena_cstr(u->mem, name)))
			continue;
		while (at < u->q.ncolumns && !str_eq(u->q.columns[at], name))
			at++;
		if (at == u->q.ncolumns) {
			d->others++;
			continue;
		}
		d->types[at] = arena_str(u->mem, vec_text(&c->cols[3], i));
		d->found++;
	}
	return OK;
}

static enum err describe(struct undoing *u, const struct undo_table *t, struct error *e)
{
	struct describing d = {.u = u};
	struct buf sql;

	u->name = t->name;
	TRY(read_names(u, t, e));
	d.types = arena_array(u->mem, u->q.ncolumns + 1, sizeof *d.types);
	u->types = d.types;
	buf_init(&sql, 1 << 20);
	buf_puts(&sql,
		"SELECT table_schema, table_name, column_name, data_type FROM "
		"information_schema.columns WHERE table_schema || '.' || table_name = ");
	sql_text(&sql, t->name);
	enum err rc = warehouse_query(u->w, buf_str(&sql), take_columns, &d, e);
	buf_free(&sql);
	if (rc == OK && (d.found != u->q.ncolumns || (d.others > 0 && !u->bare)))
		rc = FAIL(e, ERR_USAGE,
			"the table's columns are not those it had when it was repaired, so its rows "
			"cannot be put back; run `sluice reconcile` and repair what differs");
	struct str stage = repair_new_id(u->env, u->mem);
	u->q.key_in_exact = true;
	u->q.rows = arena_fmt(u->mem, "repair_rows_%.*s_undo", STR_ARG(stage));
	return rc;
}

/* ---- the transaction ---- */

static void put_of_repair(struct buf *out, const struct undoing *u)
{
	buf_puts(out, "repair_id = ");
	sql_text(out, u->id);
	buf_puts(out, " AND table_name = ");
	sql_text(out, u->name);
	buf_puts(out, " AND undone_at IS NULL");
}

static void put_value(struct buf *out, struct str name, struct str type)
{
	buf_puts(out, "CASE WHEN bare THEN TRY_CAST(");
	repair_put_member(out, "j", name);
	buf_putf(out, " AS %.*s) ELSE CAST(", STR_ARG(type));
	repair_put_member(out, "j", name);
	buf_putf(out, " AS %.*s) END AS ", STR_ARG(type));
	sql_name(out, name);
}

/* The rows to be put back; where there are none, those that stand there, for their keys. Where
 * history alone was mended there may be neither: the key, as reports print it, stands for both. */
static void put_rows(struct buf *out, const struct undoing *u)
{
	buf_puts(out,
		"CREATE TEMP TABLE undo_entries AS SELECT CAST(row_number() OVER (ORDER BY key) AS "
		"UINTEGER) AS n, * FROM ops.repairs WHERE ");
	put_of_repair(out, u);
	buf_puts(out, "; CREATE TABLE ");
	repair_put_stage(out, u->q.rows);
	buf_puts(out,
		" AS SELECT n AS " REPAIR_N
		", CAST(row_number() OVER (PARTITION BY n) - 1 AS UINTEGER) AS " REPAIR_COPY
		", put_back AS " REPAIR_SOURCE ", ");
	for (size_t c = 0; c < u->q.ncolumns; c++) {
		put_value(out, u->q.columns[c], u->types[c]);
		buf_puts(out, ", ");
	}
	put_value(out, STR("_lsn"), STR("BIGINT"));
	buf_puts(out, ", ");
	put_value(out, STR("_committed_at"), STR("TIMESTAMPTZ"));
	buf_puts(out, ", ");
	put_value(out, STR("_exact"), STR("JSON"));
	buf_puts(out,
		" FROM (SELECT n, before <> '[]' AS put_back, before = '[]' AND after = '[]' AS "
		"bare, unnest(json_extract(CASE WHEN before <> '[]' THEN before WHEN after <> '[]' "
		"THEN after ELSE '[' || key || ']' END, '$[*]')) AS j FROM undo_entries);");
}

/* Those whose row is still what the repair wrote, and whose key nothing has changed since. */
static void put_chosen(struct buf *out, const struct undoing *u)
{
	buf_puts(out, "CREATE TEMP TABLE repair_chosen AS WITH ");
	repair_put_held(out, &u->q);
	buf_puts(out, ", told AS (SELECT s." REPAIR_N " AS n, max(");
	repair_put_position(out, "h");
	buf_puts(out, ") AS position FROM ");
	repair_put_stage(out, u->q.rows);
	buf_puts(out, " s JOIN ");
	repair_put_history(out, &u->q);
	buf_puts(out, " h ON ");
	repair_put_match(out, &u->q, "s", "h");
	buf_puts(out,
		" WHERE s." REPAIR_COPY " = 0 AND h._op <> 'T' GROUP BY s." REPAIR_N
		"), cleared AS (SELECT coalesce(max(");
	repair_put_position(out, "t");
	buf_puts(out, "), -1) AS position FROM ");
	repair_put_history(out, &u->q);
	buf_puts(out,
		" t WHERE t._op = 'T') SELECT u.* FROM undo_entries u CROSS JOIN cleared z LEFT "
		"JOIN told t ON t.n = u.n LEFT JOIN held x ON x.n = u.n WHERE "
		"coalesce('[' || x.images || ']', '[]') = u.after AND "
		"greatest(coalesce(t.position, -1), z.position) = u.position;");
}

static void put_back(struct buf *out, const struct undoing *u)
{
	buf_puts(out, "INSERT INTO ");
	repair_put_current(out, &u->q);
	buf_puts(out, " (");
	repair_put_columns(out, &u->q, NULL);
	buf_puts(out, ", _lsn, _committed_at, _exact) SELECT ");
	repair_put_columns(out, &u->q, "s");
	buf_puts(out, ", s._lsn, s._committed_at, s._exact FROM ");
	repair_put_stage(out, u->q.rows);
	buf_puts(out,
		" s JOIN " REPAIR_CHOSEN " x ON s." REPAIR_N " = x.n WHERE s." REPAIR_SOURCE ";");
}

/* The one entry that the repair itself added. */
static void put_forget(struct buf *out, const struct undoing *u)
{
	buf_puts(out, "DELETE FROM ");
	repair_put_history(out, &u->q);
	buf_puts(out, " AS h USING ");
	repair_put_stage(out, u->q.rows);
	buf_puts(out,
		" AS s, " REPAIR_CHOSEN " AS x WHERE x.history_added AND s." REPAIR_N
		" = x.n AND s." REPAIR_COPY " = 0 AND h._xid = 1 AND ");
	repair_put_position(out, "h");
	buf_puts(out, " = x.position AND ");
	repair_put_match(out, &u->q, "s", "h");
	buf_puts(out, ";");
}

static void make_script(void *arg, bool token_first, struct buf *out)
{
	struct undoing *u = arg;

	if (token_first)
		repair_put_token(out, &u->q);
	put_rows(out, u);
	put_chosen(out, u);
	repair_put_delete(out, &u->q);
	put_back(out, u);
	put_forget(out, u);
	buf_putf(out, "UPDATE ops.repairs SET undone_at = make_timestamptz(%" PRId64 ") WHERE ",
		clock_wall(u->env->clock));
	put_of_repair(out, u);
	buf_puts(out, " AND key IN (SELECT key FROM " REPAIR_CHOSEN "); DROP TABLE ");
	repair_put_stage(out, u->q.rows);
	buf_puts(out, ";");
	repair_put_doubt(out, u->id, u->name, clock_wall(u->env->clock));
	repair_progress_put_void(out);
	repair_progress_put_forget(out, u->name);
	if (!token_first)
		repair_put_token(out, &u->q);
}

static enum err count_pending(const struct undoing *u, int64_t *out, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_puts(&sql,
		"SELECT CAST(coalesce(sum(differences), 0) AS BIGINT) FROM ops.repairs WHERE ");
	put_of_repair(&sql, u);
	enum err rc = warehouse_i64(u->w, buf_str(&sql), out, e);
	buf_free(&sql);
	return rc;
}

static enum err undo_table(
	struct undoing *u, const struct undo_table *t, struct repair_table *out, struct error *e)
{
	int64_t before = 0, after = 0;

	TRY(describe(u, t, e));
	TRY(count_pending(u, &before, e));
	if (before > 0)
		TRY(repair_transaction(u->w, u->env, make_script, u, e));
	TRY(count_pending(u, &after, e));
	out->repaired = (uint64_t)(before - after);
	out->skipped = (uint64_t)after;
	log_info(u->env->log, "repair", "table undone", F_STR("table", t->name),
		F_I64("undone", out->repaired), F_I64("skipped", out->skipped),
		F_STR("repair_id", u->id));
	return OK;
}

enum err repair_undo(struct warehouse *w, const struct env *env, const char *repair_id,
	const char *table, struct repair_report *out, struct error *e)
{
	*out = (struct repair_report){.ntables = 0};
	struct undo_list list = {.mem = &out->mem};
	out->repair_id = arena_str(&out->mem, str_of(repair_id));
	enum err rc = list_tables(w, out->repair_id, table, &list, e);

	/* Its ranges must not count as mended any more. */
	if (rc == OK)
		rc = repair_finish(w, out->repair_id, e);
	out->tables = arena_array(&out->mem, list.n + 1, sizeof *out->tables);
	for (size_t i = 0; rc == OK && i < list.n; i++) {
		struct undoing u = {.w = w, .env = env, .id = out->repair_id, .mem = &out->mem};
		struct repair_table *t = &out->tables[out->ntables++];
		t->name = list.tables[i].name;
		rc = undo_table(&u, &list.tables[i], t, e);
		if (rc != OK)
			error_wrap(e, "undoing the repair of %.*s", STR_ARG(t->name));
	}
	if (rc != OK)
		repair_report_free(out);
	return rc;
}
