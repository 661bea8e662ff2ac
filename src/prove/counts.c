#include "counts.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"
#include "pg_copy.h"
#include "reconcile_report.h"
#include "reconcile_run.h"

/* The lines as they grow. */
struct counting {
	struct comparing *c;
	struct counts_report *out;
	const char *by_day;
	size_t caplines;
};

void counts_report_free(struct counts_report *r)
{
	buf_free(&r->json);
	arena_free(&r->mem);
	*r = (struct counts_report){.ok = false};
}

static struct counts_line *line_of(struct counting *k, size_t table, struct str day)
{
	struct counts_report *r = k->out;

	for (size_t i = r->nlines; i-- > 0 && r->lines[i].table == table;)
		if ((r->lines[i].day.p == NULL) == (day.p == NULL) && str_eq(r->lines[i].day, day))
			return &r->lines[i];
	if (r->nlines == k->caplines) {
		k->caplines = k->caplines * 2 + 64;
		struct counts_line *more = arena_array(&r->mem, k->caplines, sizeof *more);
		if (r->nlines > 0)
			memcpy(more, r->lines, r->nlines * sizeof *more);
		r->lines = more;
	}
	struct counts_line *l = &r->lines[r->nlines++];
	*l = (struct counts_line){
		.table = table, .day = day.p == NULL ? STR_NONE : arena_str(&r->mem, day)};
	return l;
}

static bool has_days(const struct table *t, const char *by_day, const struct column **out)
{
	int at = by_day != NULL ? table_column(t, str_of(by_day)) : -1;

	*out = at >= 0 ? &t->columns[at] : NULL;
	if (at < 0)
		return false;
	return t->columns[at].type.kind == T_DATE || t->columns[at].type.kind == T_TIMESTAMP ||
		t->columns[at].type.kind == T_TIMESTAMPTZ;
}

static enum err check_column(const struct counting *k, struct error *e)
{
	const struct column *column;
	size_t n = 0;

	if (k->by_day == NULL)
		return OK;
	for (size_t i = 0; i < k->c->tables.n; i++) {
		if (!has_days(k->c->tables.tables[i], k->by_day, &column))
			continue;
		n++;
		if (column->guard != NULL)
			return FAIL(e, ERR_USAGE,
				"counting by days of %s: its values in %.*s are replaced on their way, "
				"so that the sides have no days in common",
				k->by_day, STR_ARG(k->c->report->tables[i].name));
	}
	if (n == 0)
		return FAIL(e, ERR_USAGE,
			"counting by days of %s: no table that is counted has a column of that name "
			"with a date or timestamp type",
			k->by_day);
	return OK;
}

/* Moments that the warehouse's column cannot hold are NULL there, and counted so here. */
static void put_day(struct buf *sql, const struct column *c, struct arena *mem)
{
	struct str name = pg_ident(mem, c->name);

	if (c->type.kind == T_DATE)
		buf_putf(sql, "%.*s::pg_catalog.text", STR_ARG(name));
	else
		buf_putf(sql,
			"CASE WHEN %.*s <= '294247-01-10 04:00:54.775806%s' OR %.*s = 'infinity' "
			"THEN %.*s::pg_catalog.date::pg_catalog.text END",
			STR_ARG(name), c->type.kind == T_TIMESTAMPTZ ? "+00" : "", STR_ARG(name),
			STR_ARG(name));
}

static enum err count_source(struct counting *k, const struct subject *s, size_t table,
	const struct column *day, struct error *e)
{
	struct arena mem = {0};
	struct buf sql;
	PGresult *r;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT count(*)");
	if (day != NULL) {
		buf_puts(&sql, ", ");
		put_day(&sql, day, &mem);
	}
	buf_puts(&sql, " FROM (");
	pg_copy_select(s->table, STR_NONE, &sql);
	buf_puts(&sql, day != NULL ? ") AS counted GROUP BY 2 ORDER BY 2" : ") AS counted");
	enum err rc = pg_query(
		k->c->source, buf_cstr(&sql), 0, NULL, "counting the source's rows", &mem, &r, e);
	struct counts_line *all = line_of(k, table, STR_NONE);
	size_t at = (size_t)(all - k->out->lines);
	for (int i = 0; rc == OK && i < PQntuples(r); i++) {
		int64_t n = pg_cell_i64(r, i, 0);
		k->out->lines[at].source += n;
		if (day != NULL)
			line_of(k, table, pg_cell(r, i, 1) != NULL ? pg_cell_str(r, i, 1) : STR(""))
				->source = n;
	}
	buf_free(&sql);
	arena_free(&mem);
	return rc;
}

struct taking {
	struct counting *k;
	size_t table;
	bool days;
};

static enum err take_counts(void *arg, const struct chunk *c, struct error *e)
{
	struct taking *t = arg;
	struct buf text;
	int64_t n = 0;

	(void)e;
	buf_init(&text, 1 << 10);
	for (size_t i = 0; i < c->rows; i++) {
		(void)vec_integer(&c->cols[0], i, &n);
		line_of(t->k, t->table, STR_NONE)->replica += n;
		if (!t->days)
			continue;
		buf_reset(&text);
		if (!vec_is_null(&c->cols[1], i))
			type_print(&c->cols[1], i, &text);
		line_of(t->k, t->table, text.n > 0 ? buf_str(&text) : STR(""))->replica = n;
	}
	buf_free(&text);
	return OK;
}

static enum err count_replica(struct counting *k, const struct group *g, const struct subject *s,
	size_t table, const struct column *day, struct error *e)
{
	struct taking t = {.k = k, .table = table, .days = day != NULL};
	struct buf sql;

	if (!s->in_replica)
		return OK;
	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT count(*)");
	if (day != NULL) {
		buf_puts(&sql, ", CAST(");
		sql_name(&sql, day->name);
		buf_puts(&sql, day->type.kind == T_TIMESTAMPTZ ? " AT TIME ZONE 'UTC'" : "");
		buf_puts(&sql, " AS DATE)");
	}
	buf_puts(&sql, " FROM (");
	enum err rc = warehouse_select_at(k->c->warehouse, s->table, &g->cut, STR_NONE, &sql, e);
	buf_puts(&sql, day != NULL ? ") AS counted GROUP BY 2" : ") AS counted");
	if (rc == OK)
		rc = warehouse_query(k->c->warehouse, buf_str(&sql), take_counts, &t, e);
	buf_free(&sql);
	return rc;
}

static enum err count_table(struct counting *k, struct group *g, size_t table, struct error *e)
{
	const struct subject *s = g->subjects[table];
	const struct column *day = NULL;
	bool days = has_days(s->table, k->by_day, &day);
	enum err rc = count_source(k, s, table, days ? day : NULL, e);

	if (rc == OK)
		rc = count_replica(k, g, s, table, days ? day : NULL, e);
	if (rc == OK || rc == ERR_INTERRUPTED || rc == ERR_BUG)
		return rc;
	error_wrap(e, "counting the rows of %.*s", STR_ARG(s->name));
	if (e != NULL)
		e->kind = ERR_UNAVAILABLE;
	return ERR_UNAVAILABLE;
}

static int by_table_and_day(const void *a, const void *b)
{
	const struct counts_line *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if ((x->day.p == NULL) != (y->day.p == NULL))
		return x->day.p == NULL ? -1 : 1;
	return str_cmp(x->day, y->day);
}

static enum err count_all(struct counting *k, struct error *e)
{
	struct comparing *c = k->c;
	struct part *parts = arena_array(&k->out->mem, c->tables.n, sizeof *parts);
	struct part **list = arena_array(&k->out->mem, c->tables.n, sizeof *list);
	struct group g;

	for (size_t i = 0; i < c->tables.n; i++) {
		parts[i] = (struct part){
			.table = i, .shape = parts_shape(c->tables.tables[i], &k->out->mem)};
		list[i] = &parts[i];
	}
	TRY(check_column(k, e));
	TRY(group_begin(c, list, c->tables.n, &k->out->mem, &g, e));
	for (size_t i = 0; i < c->tables.n; i++)
		TRY(count_table(k, &g, i, e));
	TRY(group_end(&g, e));
	k->out->cut = g.cut;
	return OK;
}

static void finish(struct counting *k)
{
	struct counts_report *r = k->out;

	qsort(r->lines, r->nlines, sizeof *r->lines, by_table_and_day);
	r->ok = true;
	for (size_t i = 0; i < r->nlines; i++)
		r->ok = r->ok && r->lines[i].source == r->lines[i].replica;
}

static size_t put_table(
	struct json_out *j, const struct counts_report *r, const char *by_day, size_t at)
{
	const struct counts_line *all = &r->lines[at];

	jo_object(j, NULL);
	jo_str(j, "table", r->tables[all->table]);
	jo_i64(j, "source_rows", all->source);
	jo_i64(j, "replica_rows", all->replica);
	at++;
	if (at < r->nlines && r->lines[at].table == all->table) {
		jo_cstr(j, "by_day", by_day);
		jo_array(j, "days");
		for (; at < r->nlines && r->lines[at].table == all->table; at++) {
			jo_object(j, NULL);
			if (r->lines[at].day.n > 0)
				jo_str(j, "day", r->lines[at].day);
			else
				jo_null(j, "day");
			jo_i64(j, "source_rows", r->lines[at].source);
			jo_i64(j, "replica_rows", r->lines[at].replica);
			jo_end_object(j);
		}
		jo_end_array(j);
	}
	jo_end_object(j);
	return at;
}

static void write_json(struct counts_report *r, const char *by_day)
{
	struct json_out j;

	buf_init(&r->json, BUF_MAX_DEFAULT);
	jo_init(&j, &r->json);
	jo_object(&j, NULL);
	jo_bool(&j, "ok", r->ok);
	jo_cstr(&j, "mode", "counts");
	reconcile_put_cut(&j, &r->cut);
	jo_array(&j, "tables");
	for (size_t at = 0; at < r->nlines;)
		at = put_table(&j, r, by_day, at);
	jo_end_array(&j);
	jo_end_object(&j);
}

enum err reconcile_counts(const struct reconcile_options *o, const char *by_day,
	struct warehouse *w, const struct env *env, struct counts_report *out, struct error *e)
{
	struct reconcile_report tables = {.ok = false};
	struct comparing c = {.o = o, .warehouse = w, .env = env, .report = &tables};
	struct counting k = {.c = &c, .out = out, .by_day = by_day};

	*out = (struct counts_report){.ok = false};
	enum err rc = comparing_open(&c, e);
	if (rc == OK)
		rc = count_all(&k, e);
	pg_close(c.source);
	if (rc != OK) {
		reconcile_report_free(&tables);
		counts_report_free(out);
		return rc;
	}
	out->ntables = tables.ntables;
	out->tables = arena_array(&out->mem, out->ntables + 1, sizeof *out->tables);
	for (size_t i = 0; i < out->ntables; i++)
		out->tables[i] = arena_str(&out->mem, tables.tables[i].name);
	finish(&k);
	write_json(out, by_day);
	/* The cut's list of transactions lives there; nothing but its text is wanted from here on.
	 */
	out->cut.running = NULL;
	out->cut.nrunning = 0;
	reconcile_report_free(&tables);
	return OK;
}
