#include <stdio.h>

#include "feature_build.h"

struct columns {
	struct str *names; /* every column but the roles that may differ */
	size_t n;
};

struct reader {
	const struct feature_set *f;
	struct arena *mem;
	struct columns *out;
};

#define COLUMNS_MAX 4096

/* The outcome, and whether it is still open, are what later data may change. */
static bool may_differ(const struct feature_set *f, struct str column)
{
	return str_eq(column, f->label) || str_eq(column, f->label_at) || str_eq(column, f->open) ||
		str_eq(column, f->entity);
}

static enum err take_names(void *arg, const struct chunk *c, struct error *e)
{
	struct reader *r = arg;

	for (size_t i = 0; i < c->rows; i++) {
		struct str name = vec_text(&c->cols[0], i);
		if (may_differ(r->f, name))
			continue;
		if (r->out->n == COLUMNS_MAX)
			return FAIL(e, ERR_USAGE, "more than %d columns", COLUMNS_MAX);
		r->out->names[r->out->n++] = arena_str(r->mem, name);
	}
	return OK;
}

static enum err read_columns(struct warehouse *w, const struct feature_set *f, struct arena *mem,
	struct columns *out, struct error *e)
{
	struct reader r = {.f = f, .mem = mem, .out = out};
	struct buf sql;
	enum err rc;

	out->names = arena_array(mem, COLUMNS_MAX, sizeof *out->names);
	buf_init(&sql, 1 << 16);
	buf_puts(&sql,
		"SELECT column_name FROM information_schema.columns WHERE table_schema = "
		"'features' AND table_name = ");
	sql_text(&sql, f->name);
	buf_puts(&sql, " ORDER BY ordinal_position");
	rc = warehouse_query(w, buf_str(&sql), take_names, &r, e);
	buf_free(&sql);
	return rc;
}

/* Evenly spread moments of the rows, so that each hides a good part of the history. */
static enum err choose_cuts(
	struct warehouse *w, const struct feature_set *f, int64_t *cuts, struct error *e)
{
	struct buf sql;
	enum err rc;

	buf_init(&sql, 16 << 20);
	buf_puts(&sql, "SELECT ");
	for (unsigned i = 1; i <= LEAK_CUTS; i++)
		buf_putf(&sql, "%sepoch_us(quantile_disc(t, %u.0 / %u))", i > 1 ? ", " : "", i,
			LEAK_CUTS + 1);
	buf_puts(&sql, " FROM (SELECT ");
	sql_name(&sql, f->as_of);
	buf_puts(&sql, " AS t FROM (\n");
	feature_set_sql(f, NULL, &sql);
	buf_puts(&sql, "\n))");
	rc = query_integers(w, buf_str(&sql), cuts, LEAK_CUTS, e);
	buf_free(&sql);
	return rc;
}

/* One transaction for the table and all its cuts: they read the same history. */
static enum err build_all(struct warehouse *w, const struct feature_set *f, const int64_t *cuts,
	const char *built_at, struct error *e)
{
	struct buf sql;
	char suffix[32];
	enum err rc;

	buf_init(&sql, 64 << 20);
	feature_build_script(f, built_at, &sql);
	for (unsigned i = 0; i < LEAK_CUTS; i++) {
		snprintf(suffix, sizeof suffix, "__cut%u", i);
		buf_puts(&sql, "CREATE OR REPLACE TABLE ");
		feature_table_name(f, suffix, &sql);
		buf_puts(&sql, " AS\n");
		feature_set_sql(f, &cuts[i], &sql);
		buf_puts(&sql, "\n;\n");
	}
	rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

static enum err drop_cuts(struct warehouse *w, const struct feature_set *f, struct error *e)
{
	struct buf sql;
	char suffix[32];
	enum err rc;

	buf_init(&sql, 1 << 16);
	for (unsigned i = 0; i < LEAK_CUTS; i++) {
		snprintf(suffix, sizeof suffix, "__cut%u", i);
		buf_puts(&sql, "DROP TABLE IF EXISTS ");
		feature_table_name(f, suffix, &sql);
		buf_puts(&sql, ";\n");
	}
	rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	return rc;
}

/* Gives: rows, rows that only one side has, labels known too early, then for each column the rows
 * of both sides in which it differs. */
#define FIXED_COUNTS 3

static void compare_sql(const struct feature_set *f, const struct columns *columns, unsigned cut,
	int64_t cut_us, struct buf *sql)
{
	char suffix[32];

	snprintf(suffix, sizeof suffix, "__cut%u", cut);
	buf_puts(sql, "SELECT count(*), count(*) FILTER (WHERE a.");
	sql_name(sql, f->entity);
	buf_puts(sql, " IS NULL OR b.");
	sql_name(sql, f->entity);
	buf_puts(sql, " IS NULL), count(*) FILTER (WHERE b.");
	sql_name(sql, f->label);
	buf_puts(sql, " IS NOT NULL AND epoch_us(a.");
	sql_name(sql, f->label_at);
	buf_putf(sql, ") > %lld)", (long long)cut_us);
	for (size_t i = 0; i < columns->n; i++) {
		buf_puts(sql, ", count(*) FILTER (WHERE a.");
		sql_name(sql, f->entity);
		buf_puts(sql, " = b.");
		sql_name(sql, f->entity);
		buf_puts(sql, " AND a.");
		sql_name(sql, columns->names[i]);
		buf_puts(sql, " IS DISTINCT FROM b.");
		sql_name(sql, columns->names[i]);
		buf_puts(sql, ")");
	}
	buf_puts(sql, " FROM (SELECT * FROM ");
	feature_table_name(f, "", sql);
	buf_puts(sql, " WHERE epoch_us(");
	sql_name(sql, f->as_of);
	buf_putf(sql, ") <= %lld) a FULL JOIN ", (long long)cut_us);
	feature_table_name(f, suffix, sql);
	buf_puts(sql, " b ON a.");
	sql_name(sql, f->entity);
	buf_puts(sql, " = b.");
	sql_name(sql, f->entity);
}

static void add_leak(struct leak_report *report, struct str name)
{
	for (size_t i = 0; i < report->nleaking; i++)
		if (str_eq(report->leaking[i], name))
			return;
	report->leaking[report->nleaking++] = name;
}

static enum err compare(struct warehouse *w, const struct feature_set *f,
	const struct columns *columns, unsigned cut, struct leak_report *report, struct error *e)
{
	size_t n = FIXED_COUNTS + columns->n;
	struct arena mem = {0};
	int64_t *counts = arena_array(&mem, n, sizeof *counts);
	struct buf sql;
	enum err rc;

	buf_init(&sql, 16 << 20);
	compare_sql(f, columns, cut, report->cut_us[cut], &sql);
	rc = query_integers(w, buf_str(&sql), counts, n, e);
	buf_free(&sql);
	if (rc == OK) {
		report->rows += counts[0];
		if (counts[1] > 0)
			add_leak(report, f->entity);
		if (counts[2] > 0)
			add_leak(report, f->label);
		for (size_t i = 0; i < columns->n; i++)
			if (counts[FIXED_COUNTS + i] > 0)
				add_leak(report, columns->names[i]);
	}
	arena_free(&mem);
	return rc;
}

static struct str source_column(const struct feature_source *s, size_t i, struct arena *mem)
{
	return arena_fmt(mem, "%.*s.%.*s.%.*s", STR_ARG(s->schema), STR_ARG(s->table),
		STR_ARG(s->columns[i]));
}

/* A column that is said never to change, and has: what was known first is not what is known now,
 * and of rows that came whole with the snapshot only the last state is known. */
static enum err check_fixed(struct warehouse *w, const struct feature_source *s, struct arena *mem,
	struct leak_report *report, struct error *e)
{
	int64_t *changed = arena_array(mem, s->ncolumns, sizeof *changed);
	struct buf sql;
	enum err rc;

	buf_init(&sql, 1 << 20);
	buf_puts(&sql, "SELECT ");
	for (size_t i = 0; i < s->ncolumns; i++) {
		buf_puts(&sql, i > 0 ? ", count(*) FILTER (WHERE v." : "count(*) FILTER (WHERE v.");
		sql_name(&sql, s->columns[i]);
		buf_puts(&sql, " IS DISTINCT FROM f.");
		sql_name(&sql, s->columns[i]);
		buf_puts(&sql, ")");
	}
	buf_puts(&sql, " FROM ");
	feature_source_view(s, &sql);
	buf_puts(&sql, " v JOIN ");
	feature_source_sql(s, NULL, &sql);
	buf_puts(&sql, " f ON f.");
	sql_name(&sql, s->key);
	buf_puts(&sql, " = v.");
	sql_name(&sql, s->key);
	buf_puts(&sql, " WHERE v._op NOT IN ('D', 'T')");
	rc = query_integers(w, buf_str(&sql), changed, s->ncolumns, e);
	buf_free(&sql);
	for (size_t i = 0; rc == OK && i < s->ncolumns; i++)
		if (changed[i] > 0)
			add_leak(report, source_column(s, i, mem));
	return rc;
}

static void add_assumed(
	const struct feature_source *s, struct arena *mem, struct leak_report *report)
{
	for (size_t i = 0; i < s->ncolumns; i++)
		report->assumed[report->nassumed++] = source_column(s, i, mem);
}

static size_t most_leaks(const struct feature_set *f, const struct columns *columns)
{
	size_t n = columns->n + 2;

	for (size_t i = 0; i < f->nsources; i++)
		n += f->sources[i].ncolumns;
	return n;
}

static enum err compare_all(struct warehouse *w, const struct feature_set *f, struct arena *mem,
	struct leak_report *report, struct error *e)
{
	struct columns columns = {0};

	TRY(read_columns(w, f, mem, &columns, e));
	report->leaking = arena_array(mem, most_leaks(f, &columns), sizeof *report->leaking);
	report->assumed = arena_array(mem, most_leaks(f, &columns), sizeof *report->assumed);
	for (unsigned i = 0; i < LEAK_CUTS; i++)
		TRY(compare(w, f, &columns, i, report, e));
	for (size_t i = 0; i < f->nsources; i++) {
		if (f->sources[i].kind == SOURCE_FIXED)
			TRY(check_fixed(w, &f->sources[i], mem, report, e));
		if (f->sources[i].kind == SOURCE_FIRST)
			add_assumed(&f->sources[i], mem, report);
	}
	/* Nothing compared is nothing proven. */
	report->ok = report->nleaking == 0 && report->rows > 0;
	return OK;
}

static enum err run_check(struct warehouse *w, const struct feature_set *f, const char *built_at,
	struct arena *mem, struct leak_report *report, struct feature_build *built, struct error *e)
{
	enum err rc, dropped;
	struct error later = {0};

	TRY(warehouse_ensure_ops(w, e));
	TRY(choose_cuts(w, f, report->cut_us, e));
	TRY(build_all(w, f, report->cut_us, built_at, e));
	rc = feature_build_result(w, f, built_at, built, e);
	if (rc == OK)
		rc = compare_all(w, f, mem, report, e);
	dropped = drop_cuts(w, f, rc == OK ? e : &later);
	return rc == OK ? dropped : rc;
}

enum err leak_check(struct warehouse *w, const struct feature_set *f, const struct env *env,
	struct arena *mem, struct leak_report *report, struct feature_build *built, struct error *e)
{
	char built_at[CLOCK_TEXT];

	*report = (struct leak_report){.cuts = LEAK_CUTS};
	*built = (struct feature_build){0};
	clock_format(clock_wall(env->clock), built_at, sizeof built_at);
	if (run_check(w, f, built_at, mem, report, built, e) != OK)
		return error_wrap(e, "checking feature set \"%.*s\" for leaks", STR_ARG(f->name));
	return OK;
}
