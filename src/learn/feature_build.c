#include "feature_build.h"

#include <assert.h>

struct integers {
	int64_t *out;
	size_t n, rows;
};

static enum err take_integers(void *arg, const struct chunk *c, struct error *e)
{
	struct integers *want = arg;

	if (c->ncols != want->n)
		return FAIL(e, ERR_BUG, "reading integers: %zu columns came, not %zu", c->ncols,
			want->n);
	for (size_t i = 0; c->rows > 0 && i < want->n; i++) {
		double v = 0; /* sums of integers may come as decimals */
		if (vec_is_null(&c->cols[i], 0))
			want->out[i] = 0;
		else if (!vec_integer(&c->cols[i], 0, &want->out[i])) {
			v = vec_number(&c->cols[i], 0);
			want->out[i] = (int64_t)v;
		}
	}
	want->rows += c->rows;
	return OK;
}

enum err query_integers(
	struct warehouse *w, struct str sql, int64_t *out, size_t n, struct error *e)
{
	struct integers want = {.out = out, .n = n};

	TRY(warehouse_query(w, sql, take_integers, &want, e));
	if (want.rows != 1)
		return FAIL(e, ERR_BUG, "reading integers: %zu rows came, not one", want.rows);
	return OK;
}

/*
 * The position is read inside the transaction that builds the table, so it is the one whose rows
 * the table was made of. The mark is JSON with the member "lsn", "16/B374D848".
 */
static const char record_sql[] =
	"INSERT INTO ops.feature_builds SELECT %s, TIMESTAMPTZ '%s', p.lsn,"
	" CAST('0x' || split_part(p.lsn, '/', 1) AS BIGINT) * 4294967296 +"
	" CAST('0x' || split_part(p.lsn, '/', 2) AS BIGINT),"
	" (SELECT count(*) FROM %s), '%s'"
	" FROM (SELECT coalesce(max(regexp_extract(value,"
	" '\"lsn\"[ ]*:[ ]*\"([0-9A-Fa-f]+/[0-9A-Fa-f]+)\"', 1)), '0/0') AS lsn"
	" FROM ops.marks WHERE name = 'position') p;\n";

void feature_build_script(const struct feature_set *f, const char *built_at, struct buf *out)
{
	struct buf table, name;

	buf_init(&table, 256);
	buf_init(&name, 256);
	feature_table_name(f, "", &table);
	sql_text(&name, f->name);
	buf_puts(out, "CREATE OR REPLACE TABLE ");
	buf_put(out, buf_str(&table));
	buf_puts(out, " AS\n");
	feature_set_sql(f, NULL, out);
	buf_puts(out, "\n;\n");
	buf_putf(out, record_sql, buf_cstr(&name), built_at, buf_cstr(&table), f->sha256);
	buf_free(&table);
	buf_free(&name);
}

static enum err check_rows(
	struct warehouse *w, const struct feature_set *f, int64_t *rows, struct error *e)
{
	int64_t n[4] = {0};
	struct buf sql;
	enum err rc;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT count(*), count(");
	sql_name(&sql, f->entity);
	buf_puts(&sql, "), count(DISTINCT ");
	sql_name(&sql, f->entity);
	buf_puts(&sql, "), count(");
	sql_name(&sql, f->as_of);
	buf_puts(&sql, ") FROM ");
	feature_table_name(f, "", &sql);
	rc = query_integers(w, buf_str(&sql), n, 4, e);
	buf_free(&sql);
	if (rc != OK)
		return rc;
	*rows = n[0];
	if (n[1] == n[0] && n[2] == n[0] && n[3] == n[0])
		return OK;
	return FAIL(e, ERR_INPUT,
		"building feature set \"%.*s\": of %lld rows %lld have no %.*s, %lld repeat one "
		"and "
		"%lld have no %.*s; it must give one row per entity, with its moment",
		STR_ARG(f->name), (long long)n[0], (long long)(n[0] - n[1]), STR_ARG(f->entity),
		(long long)(n[1] - n[2]), (long long)(n[0] - n[3]), STR_ARG(f->as_of));
}

static enum err read_position(struct warehouse *w, const struct feature_set *f,
	const char *built_at, struct feature_build *out, struct error *e)
{
	struct buf sql, text;
	enum err rc;

	buf_init(&sql, 1 << 16);
	buf_init(&text, 1 << 10);
	buf_puts(&sql, "SELECT lsn FROM ops.feature_builds WHERE feature_set = ");
	sql_text(&sql, f->name);
	buf_putf(&sql, " AND built_at = TIMESTAMPTZ '%s'", built_at);
	rc = warehouse_text(w, buf_str(&sql), &text, e);
	if (rc == OK && !lsn_parse(buf_str(&text), &out->at))
		rc = FAIL(e, ERR_BUG, "reading a feature build's position: \"%s\" is no LSN",
			buf_cstr(&text));
	if (rc == OK && out->at.v == 0)
		rc = FAIL(e, ERR_USAGE,
			"building feature set \"%.*s\": the warehouse has no position, so nothing "
			"says what the features are made of; run `sluice replicate` first",
			STR_ARG(f->name));
	lsn_format(out->at, out->lsn);
	buf_free(&sql);
	buf_free(&text);
	return rc;
}

enum err feature_build_result(struct warehouse *w, const struct feature_set *f,
	const char *built_at, struct feature_build *out, struct error *e)
{
	*out = (struct feature_build){0};
	TRY(check_rows(w, f, &out->rows, e));
	return read_position(w, f, built_at, out, e);
}

enum err feature_build(struct warehouse *w, const struct feature_set *f, const struct env *env,
	struct feature_build *out, struct error *e)
{
	char built_at[CLOCK_TEXT];
	struct buf sql;
	enum err rc;

	clock_format(clock_wall(env->clock), built_at, sizeof built_at);
	buf_init(&sql, 16 << 20);
	feature_build_script(f, built_at, &sql);
	rc = warehouse_ensure_ops(w, e);
	if (rc == OK)
		rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	if (rc == OK)
		rc = feature_build_result(w, f, built_at, out, e);
	else
		error_wrap(e, "building feature set \"%.*s\"", STR_ARG(f->name));
	return rc;
}
