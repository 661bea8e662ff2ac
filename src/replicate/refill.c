#include "refill.h"

#include <inttypes.h>
#include <stdio.h>

#include "apply_answers.h"
#include "json.h"
#include "marks.h"
#include "pg_copy.h"
#include "source.h"
#include "version_place.h"

#define STAGE_BATCH 20000

struct refilling {
	struct apply *a;
	const struct refill *r;
	struct arena mem;
	struct str stage;   /* the table's name in ops */
	struct table *read; /* what is read: the key, then the columns */
	const char **names; /* of the stage's columns, parallel to read's, and one for _exact */
	struct vec *cols;
	struct buf exact;
	uint16_t *columns; /* as r's, without those that have changed once more */
	bool *added;
	size_t n;
	bool kept; /* the rows are those that were read the first time */
	struct str said;
};

static enum err nothing_to_match(const struct refill *r, const char *why, struct error *e)
{
	return FAIL(e, ERR_NOT_FOUND, "reading values of %.*s.%.*s again: %s",
		STR_ARG(r->table->schema), STR_ARG(r->table->name), why);
}

/* ---- what is read ---- */

static enum err current_name(
	struct refilling *f, struct pg *c, struct str *schema, struct str *name, struct error *e)
{
	char relid[16];
	const char *params[] = {relid};
	PGresult *r;

	snprintf(relid, sizeof(relid), "%u", f->r->table->relid);
	TRY(pg_query(c,
		"SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN "
		"pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid",
		1, params, "asking for the name of a table", &f->mem, &r, e));
	if (PQntuples(r) == 0)
		return nothing_to_match(f->r, "it is gone", e);
	*schema = pg_cell_str(r, 0, 0);
	*name = pg_cell_str(r, 0, 1);
	return OK;
}

/* The column of this number, whatever its name is by now; false when it is gone or has changed
 * once more: then it is the next change's to read. */
static bool take_column(
	struct refilling *f, const struct table *asked, const struct column *c, const char *as)
{
	struct table *read = f->read;

	for (size_t i = 0; i < asked->ncolumns; i++) {
		const struct column *now = &asked->columns[i];
		if (c->attnum == 0 || now->attnum != c->attnum)
			continue;
		if (now->pg_type != c->pg_type || now->pg_modifier != c->pg_modifier)
			return false;
		read->columns[read->ncolumns] = *now;
		f->names[read->ncolumns++] = as;
		return true;
	}
	return false;
}

static void take_values(struct refilling *f, const struct table *asked)
{
	const struct refill *r = f->r;

	f->columns = arena_array(&f->mem, r->n + 1, sizeof(*f->columns));
	f->added = arena_array(&f->mem, r->n + 1, sizeof(*f->added));
	for (size_t i = 0; i < r->n; i++) {
		const char *as = arena_fmt(&f->mem, "v%zu", f->n).p;
		if (!take_column(f, asked, &r->table->columns[r->columns[i]], as))
			continue;
		f->columns[f->n] = r->columns[i];
		f->added[f->n++] = r->added[i];
	}
}

static enum err describe(struct refilling *f, struct pg *c, struct error *e)
{
	const struct table *t = f->r->table;
	struct str schema = STR_NONE, name = STR_NONE;
	struct table *asked;
	size_t most = t->nkeys + f->r->n + 1;

	TRY(current_name(f, c, &schema, &name, e));
	TRY(pg_table(c, schema, name, &f->mem, &asked, e));
	f->read = table_copy(asked, &f->mem);
	f->read->ncolumns = 0;
	f->read->nkeys = 0;
	f->read->columns = arena_array(&f->mem, most, sizeof(*f->read->columns));
	f->names = arena_array(&f->mem, most, sizeof(*f->names));
	f->cols = arena_array(&f->mem, most, sizeof(*f->cols));
	for (size_t k = 0; k < t->nkeys; k++)
		if (!take_column(
			    f, asked, &t->columns[t->keys[k]], arena_fmt(&f->mem, "k%zu", k).p))
			return nothing_to_match(f->r, "its key has changed once more", e);
	take_values(f, asked);
	f->names[f->read->ncolumns] = "x";
	return OK;
}

/* ---- the stage ---- */

static void put_current(struct buf *sql, const struct table *t)
{
	sql_name(sql, t->schema);
	buf_putc(sql, '.');
	sql_name(sql, t->name);
}

static void put_history(struct buf *sql, const struct table *t, struct arena *mem)
{
	sql_name(sql, arena_fmt(mem, "%.*s_history", STR_ARG(t->schema)));
	buf_putc(sql, '.');
	sql_name(sql, t->name);
}

/* Columns of the types that current has by now. Inside an open transaction of the warehouse, where
 * only a part of a large transaction has been written, that cannot be seen from outside: an error.
 */
static enum err make_stage(struct refilling *f, struct error *e)
{
	const struct table *t = f->r->table;
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_putf(&sql, "CREATE OR REPLACE TABLE ops.%.*s AS SELECT ", STR_ARG(f->stage));
	for (size_t k = 0; k < t->nkeys; k++) {
		sql_name(&sql, t->columns[t->keys[k]].name);
		buf_putf(&sql, " AS k%zu, ", k);
	}
	for (size_t i = 0; i < f->n; i++) {
		sql_name(&sql, t->columns[f->columns[i]].name);
		buf_putf(&sql, " AS v%zu, ", i);
	}
	buf_puts(&sql, "CAST(NULL AS JSON) AS x FROM ");
	put_current(&sql, t);
	buf_puts(&sql, " LIMIT 0");
	enum err rc = warehouse_script(f->a->r->w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

/* The names in the notes are those that the warehouse's table has. */
static struct vec exact_of(struct refilling *f, struct batch *b)
{
	struct vec v = {.type = {.kind = T_JSON},
		.valid = arena_array(&b->mem, b->rows / 64 + 1, sizeof(uint64_t)),
		.data = arena_array(&b->mem, b->rows + 1, sizeof(struct str))};
	size_t at = 0;

	for (size_t row = 0; b->nexact > 0 && row < b->rows; row++) {
		buf_reset(&f->exact);
		if (!batch_exact_json(b, row, &at, &f->exact))
			continue;
		VEC_AT(&v, struct str, row) = arena_str(&b->mem, buf_str(&f->exact));
		v.valid[row >> 6] |= (uint64_t)1 << (row & 63);
	}
	return v;
}

static enum err stage_rows(void *arg, struct batch *b, struct error *e)
{
	struct refilling *f = arg;
	size_t n = f->read->ncolumns;

	for (size_t i = 0; i < n; i++)
		f->cols[i] = b->cols[i];
	f->cols[n] = exact_of(f, b);
	struct chunk rows = {.rows = b->rows, .ncols = n + 1, .names = f->names, .cols = f->cols};
	return warehouse_insert(f->a->r->w, STR("ops"), f->stage, &rows, e);
}

static enum err read_rows(struct refilling *f, struct error *e)
{
	struct pg *c = NULL;
	enum err rc = source_open(&c, f->a->r->o, &f->a->r->env, false, e);

	if (rc == OK)
		rc = describe(f, c, e);
	if (rc == OK && f->n > 0)
		rc = make_stage(f, e);
	if (rc == OK && f->n > 0)
		rc = pg_copy_out(c, f->read, STR_NONE, STAGE_BATCH, stage_rows, f, e);
	pg_close(c);
	return rc;
}

/* ---- into the table ---- */

static void put_match(const struct refilling *f, struct buf *sql, const char *alias)
{
	const struct table *t = f->r->table;

	for (size_t k = 0; k < t->nkeys; k++) {
		buf_putf(sql, "%sf.k%zu = %s.", k > 0 ? " AND " : "", k, alias);
		sql_name(sql, t->columns[t->keys[k]].name);
	}
}

static struct str value_name(const struct refilling *f, size_t i)
{
	return f->r->table->columns[f->columns[i]].name;
}

static void put_sets(const struct refilling *f, struct buf *sql, bool added_only)
{
	bool first = true;

	for (size_t i = 0; i < f->n; i++) {
		if (added_only && !f->added[i])
			continue;
		buf_puts(sql, first ? "" : ", ");
		sql_name(sql, value_name(f, i));
		buf_putf(sql, " = f.v%zu", i);
		first = false;
	}
}

/* What stood in _exact for these columns goes, what was read comes. */
static void put_exact(const struct refilling *f, struct buf *sql)
{
	buf_puts(sql,
		"CAST(nullif(CAST(json_merge_patch(json_merge_patch(coalesce(c._exact, '{}'), "
		"'{");
	for (size_t i = 0; i < f->n; i++) {
		struct buf name;
		struct json_out j;
		buf_init(&name, 1 << 16);
		jo_init(&j, &name);
		jo_str(&j, NULL, value_name(f, i));
		struct str quoted = arena_str(&f->a->mem, buf_str(&name));
		buf_free(&name);
		buf_putf(sql, "%s%.*s:null", i > 0 ? "," : "", STR_ARG(quoted));
	}
	buf_puts(sql, "}'), coalesce(f.x, '{}')) AS VARCHAR), '{}') AS JSON)");
}

/* Behind what came before. In a replay, what is done at rest was done at its own position. */
static lsn version_at(const struct refilling *f)
{
	return f->a->tx.open ? f->a->whole.at : f->a->tx.commit;
}

/* Rows whose value is not what the conversion made of it were changed by the source. */
static void put_new_versions(struct refilling *f, struct buf *sql)
{
	const struct table *t = f->r->table;

	buf_puts(sql, "INSERT INTO ");
	put_history(sql, t, &f->mem);
	buf_puts(sql, " BY NAME SELECT ");
	for (size_t c = 0; c < t->ncolumns; c++) {
		size_t i = 0;
		while (i < f->n && f->columns[i] != c)
			i++;
		if (i < f->n)
			buf_putf(sql, "f.v%zu AS ", i);
		else
			buf_puts(sql, "c.");
		sql_name(sql, t->columns[c].name);
		buf_puts(sql, ", ");
	}
	buf_puts(sql, "'U' AS _op, ");
	version_put_lsn(sql, t, version_at(f), &f->mem);
	buf_puts(sql, " AS _lsn, ");
	version_put_seq(sql, t, version_at(f), "c", &f->mem);
	buf_putf(sql,
		" AS _seq, 0 AS _xid, to_timestamp(%" PRId64 " / 1000000.0) AS _committed_at, ",
		f->a->tx.committed_us);
	put_exact(f, sql);
	buf_puts(sql, " AS _exact, NULL AS _unchanged FROM ");
	put_current(sql, t);
	buf_putf(sql, " c JOIN ops.%.*s f ON ", STR_ARG(f->stage));
	put_match(f, sql, "c");
	buf_puts(sql, " WHERE false");
	for (size_t i = 0; i < f->n; i++) {
		if (f->added[i])
			continue;
		buf_puts(sql, " OR c.");
		sql_name(sql, value_name(f, i));
		buf_putf(sql, " IS DISTINCT FROM f.v%zu", i);
	}
	buf_puts(sql, "; ");
}

static bool any(const struct refilling *f, bool added)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->added[i] == added)
			return true;
	return false;
}

/* ---- kept, for those who apply this change again ---- */

static struct answer answer_of(const struct refilling *f, const char *kind, struct str body)
{
	const struct table *t = f->r->table;

	return (struct answer){.relid = t->relid,
		.at = f->a->tx.commit,
		.at_rest = !f->a->tx.open,
		.kind = str_of(kind),
		.schema = t->schema,
		.name = t->name,
		.said = f->said,
		.body = body};
}

static void put_columns(const struct refilling *f, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_array(&j, NULL);
	for (size_t i = 0; i < f->n; i++)
		jo_str(&j, NULL, value_name(f, i));
	jo_end_array(&j);
}

static void put_row(const struct refilling *f, struct buf *sql)
{
	buf_puts(sql, "CAST(json_object(");
	for (size_t k = 0; k < f->r->table->nkeys; k++)
		buf_putf(sql, "'k%zu', CAST(f.k%zu AS VARCHAR), ", k, k);
	for (size_t i = 0; i < f->n; i++)
		buf_putf(sql, "'v%zu', CAST(f.v%zu AS VARCHAR), ", i, i);
	buf_puts(sql, "'x', CAST(f.x AS VARCHAR)) AS VARCHAR)");
}

/* Of columns that were only converted, what the conversion gives need not be kept. */
static void put_kept_from(const struct refilling *f, struct buf *sql)
{
	buf_putf(sql, " FROM ops.%.*s f", STR_ARG(f->stage));
	if (any(f, true))
		return;
	buf_puts(sql, " JOIN ");
	put_current(sql, f->r->table);
	buf_puts(sql, " c ON ");
	put_match(f, sql, "c");
	buf_puts(sql, " WHERE f.x IS NOT NULL");
	for (size_t i = 0; i < f->n; i++) {
		buf_puts(sql, " OR c.");
		sql_name(sql, value_name(f, i));
		buf_putf(sql, " IS DISTINCT FROM f.v%zu", i);
	}
}

static void put_kept(const struct refilling *f, struct buf *sql)
{
	struct buf columns;

	buf_init(&columns, BUF_MAX_DEFAULT);
	put_columns(f, &columns);
	const struct answer x = answer_of(f, ANSWER_REFILLED, buf_str(&columns));
	answer_sql(&x, sql);
	buf_free(&columns);
	buf_putf(sql,
		"INSERT INTO ops.schema_answers SELECT (SELECT coalesce(max(n), 0) + 1 FROM "
		"ops.schema_answers), %" PRIu32 ", %" PRIu64 ", %s, '" ANSWER_ROW "', ",
		x.relid, x.at.v, x.at_rest ? "true" : "false");
	sql_text(sql, x.schema);
	buf_puts(sql, ", ");
	sql_text(sql, x.name);
	buf_puts(sql, ", '', ");
	sql_text(sql, x.said);
	buf_puts(sql, ", ");
	put_row(f, sql);
	put_kept_from(f, sql);
	buf_puts(sql, "; ");
}

/* ---- the rows as they were kept ---- */

static void put_where(const struct refilling *f, const char *kind, struct buf *sql)
{
	buf_putf(sql,
		"kind = '%s' AND relid = %" PRIu32 " AND lsn_number = %" PRIu64
		" AND shape_said = ",
		kind, f->r->table->relid, f->a->tx.commit.v);
	sql_text(sql, f->said);
}

static enum err take_kept_columns(struct refilling *f, struct str body, struct error *e)
{
	const struct refill *r = f->r;
	const json_t *name;
	json_t *doc;
	size_t k;

	f->columns = arena_array(&f->mem, r->n + 1, sizeof(*f->columns));
	f->added = arena_array(&f->mem, r->n + 1, sizeof(*f->added));
	TRY(json_read(body, "the columns that were read again", &doc, e));
	json_array_foreach (doc, k, name)
		for (size_t i = 0; i < r->n && f->n < r->n; i++) {
			if (!str_eqc(
				    r->table->columns[r->columns[i]].name, json_string_value(name)))
				continue;
			f->columns[f->n] = r->columns[i];
			f->added[f->n++] = r->added[i];
		}
	json_decref(doc);
	return OK;
}

/* f->kept is false when they have not been read yet. */
static enum err find_kept(struct refilling *f, struct error *e)
{
	struct answers all;
	struct buf where;

	buf_init(&where, BUF_MAX_DEFAULT);
	put_where(f, ANSWER_REFILLED, &where);
	enum err rc = answers_read(f->a->r->w, buf_str(&where), &f->mem, &all, e);
	buf_free(&where);
	if (rc != OK || all.n == 0)
		return rc;
	f->kept = true;
	return take_kept_columns(f, all.items[all.n - 1].body, e);
}

static enum err stage_kept(struct refilling *f, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_putf(&sql, "INSERT INTO ops.%.*s SELECT ", STR_ARG(f->stage));
	for (size_t k = 0; k < f->r->table->nkeys; k++)
		buf_putf(&sql, "CAST(body AS JSON)->>'k%zu', ", k);
	for (size_t i = 0; i < f->n; i++)
		buf_putf(&sql, "CAST(body AS JSON)->>'v%zu', ", i);
	buf_puts(&sql, "CAST(body AS JSON)->>'x' FROM ops.schema_answers WHERE ");
	put_where(f, ANSWER_ROW, &sql);
	enum err rc = warehouse_script(f->a->r->w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err get_rows(struct refilling *f, struct error *e)
{
	TRY(find_kept(f, e));
	if (!f->kept && f->a->r->replay != NULL)
		return nothing_to_match(f->r, "nor could they be when this was live", e);
	if (!f->kept)
		return read_rows(f, e);
	if (f->n == 0)
		return OK;
	TRY(make_stage(f, e));
	return stage_kept(f, e);
}

static enum err merge(struct refilling *f, struct error *e)
{
	const struct table *t = f->r->table;
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	if (!f->kept)
		put_kept(f, &sql);
	if (any(f, true)) {
		buf_puts(&sql, "UPDATE ");
		put_history(&sql, t, &f->mem);
		buf_puts(&sql, " AS c SET ");
		put_sets(f, &sql, true);
		buf_putf(&sql, " FROM ops.%.*s f WHERE _op NOT IN ('D', 'T') AND ",
			STR_ARG(f->stage));
		put_match(f, &sql, "c");
		buf_puts(&sql, "; ");
	}
	if (any(f, false))
		put_new_versions(f, &sql);
	buf_puts(&sql, "UPDATE ");
	put_current(&sql, t);
	buf_puts(&sql, " AS c SET ");
	put_sets(f, &sql, false);
	buf_puts(&sql, ", _exact = ");
	put_exact(f, &sql);
	buf_putf(&sql, " FROM ops.%.*s f WHERE ", STR_ARG(f->stage));
	put_match(f, &sql, "c");
	enum err rc = apply_script(f->a, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err drop_stage(struct refilling *f, struct error *e)
{
	struct str sql = arena_fmt(&f->mem, "DROP TABLE IF EXISTS ops.%.*s", STR_ARG(f->stage));

	return apply_script(f->a, sql, e);
}

enum err refill_run(struct apply *a, const struct refill *r, struct error *e)
{
	struct refilling f = {.a = a, .r = r};

	if (r->table->nkeys == 0 || table_is_bag(r->table))
		return nothing_to_match(r, "it has no key to find them by", e);
	f.stage = arena_fmt(&f.mem, "sluice_refill_%u", r->table->relid);
	buf_init(&f.exact, 1 << 24);
	f.said = mark_shape(&f.mem, r->table);
	enum err rc = get_rows(&f, e);
	if (rc == OK && f.n > 0)
		rc = merge(&f, e);
	/* One that a crash leaves behind is replaced by the next. */
	if (rc == OK && f.n > 0)
		rc = drop_stage(&f, e);
	buf_free(&f.exact);
	arena_free(&f.mem);
	return rc;
}
