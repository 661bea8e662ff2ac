#include "reconcile_progress.h"

#include <inttypes.h>

#include "json.h"
#include "mem.h"
#include "part_json.h"
#include "repair_write.h"

enum err progress_prepare(struct warehouse *w, struct error *e)
{
	static const char sql[] =
		"CREATE TABLE IF NOT EXISTS ops.reconcile_runs (run VARCHAR NOT NULL, "
		"spec VARCHAR NOT NULL, started_us BIGINT NOT NULL, plan VARCHAR NOT NULL, "
		"finished BOOLEAN NOT NULL); "
		"CREATE TABLE IF NOT EXISTS ops.reconcile_parts (run VARCHAR NOT NULL, "
		"table_name VARCHAR NOT NULL, part BIGINT NOT NULL, body VARCHAR NOT NULL)";

	return warehouse_script(w, STR(sql), e);
}

/* ---- going on ---- */

struct texts {
	struct arena *mem;
	struct str *list[3]; /* by column */
	size_t n, cap;
};

static enum err take_texts(void *arg, const struct chunk *c, struct error *e)
{
	struct texts *t = arg;

	(void)e;
	for (size_t i = 0; i < c->rows; i++) {
		if (t->n == t->cap) {
			t->cap = t->cap > 0 ? t->cap * 2 : 16;
			for (size_t k = 0; k < 3; k++)
				t->list[k] = mem_realloc_array(
					t->list[k], t->cap, sizeof *t->list[k]);
		}
		for (size_t k = 0; k < 3; k++)
			t->list[k][t->n] = k < c->ncols
				? arena_str(t->mem, vec_text(&c->cols[k], i))
				: STR_NONE;
		t->n++;
	}
	return OK;
}

static void texts_free(struct texts *t)
{
	for (size_t k = 0; k < 3; k++)
		mem_free(t->list[k]);
}

static bool table_index(const struct reconcile_report *r, struct str name, size_t *out)
{
	for (size_t i = 0; i < r->ntables; i++)
		if (str_eq(r->tables[i].name, name)) {
			*out = i;
			return true;
		}
	return false;
}

static struct part *same_part(struct parts *parts, const struct part *p)
{
	for (size_t i = 0; i < parts->n; i++)
		if (parts->list[i].table == p->table && parts->list[i].number == p->number)
			return &parts->list[i];
	return NULL;
}

static enum err read_plan(struct str text, const struct reconcile_report *r, struct arena *mem,
	struct parts *parts, struct error *e)
{
	json_t *plan = NULL;

	TRY(json_read(text, "the plan of a comparison", &plan, e));
	parts->n = json_array_size(plan);
	parts->list = arena_array(mem, parts->n + 1, sizeof *parts->list);
	enum err rc = OK;
	for (size_t i = 0; rc == OK && i < parts->n; i++) {
		const json_t *o = json_array_get(plan, i);
		size_t table = 0;

		rc = part_json_read(json_get_str(o, "part"), mem, &parts->list[i], e);
		if (rc == OK && !table_index(r, json_get_str(o, "table"), &table))
			rc = FAIL(e, ERR_INPUT,
				"reading the plan of a comparison: it has a table "
				"that is no longer replicated");
		parts->list[i].table = table;
	}
	json_decref(plan);
	return rc;
}

static enum err read_done(const struct progress *p, const struct reconcile_report *r,
	struct arena *mem, struct parts *parts, struct error *e)
{
	struct texts t = {.mem = mem};
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT table_name, body FROM ops.reconcile_parts WHERE run = ");
	sql_text(&sql, p->run);
	enum err rc = warehouse_query(p->warehouse, buf_str(&sql), take_texts, &t, e);
	for (size_t i = 0; rc == OK && i < t.n; i++) {
		struct part done;
		struct part *planned = NULL;

		rc = part_json_read(t.list[1][i], mem, &done, e);
		if (rc == OK && table_index(r, t.list[0][i], &done.table))
			planned = same_part(parts, &done);
		if (planned != NULL)
			*planned = done;
	}
	texts_free(&t);
	buf_free(&sql);
	return rc;
}

enum err progress_find(struct progress *p, int64_t since_us, const struct reconcile_report *r,
	struct arena *mem, struct parts *parts, struct error *e)
{
	struct texts t = {.mem = mem};
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_putf(&sql,
		"SELECT run, plan FROM ops.reconcile_runs WHERE NOT finished AND spec = '%s' AND "
		"started_us >= %" PRId64 " ORDER BY started_us DESC LIMIT 1",
		p->spec, since_us);
	enum err rc = warehouse_query(p->warehouse, buf_str(&sql), take_texts, &t, e);
	if (rc == OK && t.n > 0) {
		p->run = t.list[0][0];
		rc = read_plan(t.list[1][0], r, mem, parts, e);
		if (rc == OK)
			rc = read_done(p, r, mem, parts, e);
	}
	texts_free(&t);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "finding a comparison to go on with");
}

/* ---- keeping ---- */

static void put_plan(const struct reconcile_report *r, const struct parts *parts, struct buf *out)
{
	struct json_out j;
	struct buf body;

	buf_init(&body, BUF_MAX_DEFAULT);
	jo_init(&j, out);
	jo_array(&j, NULL);
	for (size_t i = 0; i < parts->n; i++) {
		part_json_write(&parts->list[i], &body);
		jo_object(&j, NULL);
		jo_str(&j, "table", r->tables[parts->list[i].table].name);
		jo_str(&j, "part", buf_str(&body));
		jo_end_object(&j);
	}
	jo_end_array(&j);
	buf_free(&body);
}

enum err progress_begin(struct progress *p, const struct env *env, const struct reconcile_report *r,
	const struct parts *parts, bool finished, struct arena *mem, struct error *e)
{
	static const char *const columns[] = {"run", "spec", "started_us", "plan", "finished"};
	struct buf plan;
	struct str spec = str_of(p->spec), text;
	int64_t started = clock_wall(env->clock);
	uint8_t done = finished;

	p->run = repair_new_id(env, mem);
	buf_init(&plan, BUF_MAX_DEFAULT);
	put_plan(r, parts, &plan);
	text = buf_str(&plan);
	const struct vec cols[] = {
		{.type = {.kind = T_TEXT}, .data = &p->run},
		{.type = {.kind = T_TEXT}, .data = &spec},
		{.type = {.kind = T_INT8}, .data = &started},
		{.type = {.kind = T_TEXT}, .data = &text},
		{.type = {.kind = T_BOOL}, .data = &done},
	};
	const struct chunk row = {.rows = 1, .ncols = 5, .names = columns, .cols = cols};
	enum err rc = warehouse_insert(p->warehouse, STR("ops"), STR("reconcile_runs"), &row, e);
	buf_free(&plan);
	return rc == OK ? OK : error_wrap(e, "keeping the plan of the comparison");
}

/* The rows of ops.reconcile_parts for these. */
struct kept_rows {
	struct arena mem;
	struct str *run, *table, *body;
	int64_t *number;
};

static void kept_rows_of(struct kept_rows *k, struct str run, const struct reconcile_report *r,
	struct part *const *parts, size_t n)
{
	struct buf body;

	*k = (struct kept_rows){.mem = {0}};
	k->run = arena_array(&k->mem, n + 1, sizeof *k->run);
	k->table = arena_array(&k->mem, n + 1, sizeof *k->table);
	k->body = arena_array(&k->mem, n + 1, sizeof *k->body);
	k->number = arena_array(&k->mem, n + 1, sizeof *k->number);
	buf_init(&body, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < n; i++) {
		part_json_write(parts[i], &body);
		k->run[i] = run;
		k->table[i] = r->tables[parts[i]->table].name;
		k->number[i] = parts[i]->number;
		k->body[i] = arena_str(&k->mem, buf_str(&body));
	}
	buf_free(&body);
}

enum err progress_keep(const struct progress *p, const struct reconcile_report *r,
	struct part *const *parts, size_t n, struct error *e)
{
	static const char *const columns[] = {"run", "table_name", "part", "body"};
	struct kept_rows k;

	if (n == 0)
		return OK;
	kept_rows_of(&k, p->run, r, parts, n);
	const struct vec cols[] = {
		{.type = {.kind = T_TEXT}, .data = k.run},
		{.type = {.kind = T_TEXT}, .data = k.table},
		{.type = {.kind = T_INT8}, .data = k.number},
		{.type = {.kind = T_TEXT}, .data = k.body},
	};
	const struct chunk rows = {.rows = n, .ncols = 4, .names = columns, .cols = cols};
	enum err rc = warehouse_insert(p->warehouse, STR("ops"), STR("reconcile_parts"), &rows, e);
	arena_free(&k.mem);
	return rc == OK ? OK : error_wrap(e, "keeping the ranges that have been compared");
}

enum err progress_finish(const struct progress *p, const struct reconcile_report *r, int64_t now_us,
	int64_t resume_us, bool sample, struct error *e)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "UPDATE ops.reconcile_runs SET finished = TRUE WHERE run = ");
	sql_text(&sql, p->run);
	buf_puts(&sql,
		"; DELETE FROM ops.reconcile_parts WHERE run IN (SELECT run FROM "
		"ops.reconcile_runs WHERE NOT finished AND started_us < ");
	buf_putf(&sql, "%" PRId64 "); ", now_us - resume_us);
	buf_puts(&sql, "DELETE FROM ops.reconcile_parts WHERE run ");
	buf_puts(&sql, sample ? "= " : "<> ");
	sql_text(&sql, p->run);
	buf_puts(&sql,
		" AND run IN (SELECT run FROM ops.reconcile_runs WHERE finished) AND "
		"table_name IN (");
	for (size_t i = 0; i < r->ntables; i++) {
		buf_puts(&sql, i > 0 ? ", " : "");
		sql_text(&sql, r->tables[i].name);
	}
	buf_puts(&sql,
		"); DELETE FROM ops.reconcile_runs WHERE run NOT IN (SELECT run FROM "
		"ops.reconcile_parts) AND (finished OR ");
	buf_putf(&sql, "started_us < %" PRId64 ")", now_us - resume_us);
	enum err rc = warehouse_script(p->warehouse, buf_str(&sql), e);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "letting go of earlier comparisons' ranges");
}

/* ---- what a later check starts from ---- */

enum err progress_last(struct warehouse *w, struct str table, size_t index, struct arena *mem,
	struct str *run, struct parts *out, struct error *e)
{
	struct texts t = {.mem = mem};
	struct buf sql;

	*out = (struct parts){.n = 0};
	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT p.run, p.body FROM ops.reconcile_parts p WHERE p.table_name = ");
	sql_text(&sql, table);
	buf_puts(&sql,
		" AND p.run = (SELECT r.run FROM ops.reconcile_parts q JOIN "
		"ops.reconcile_runs r ON q.run = r.run WHERE r.finished AND q.table_name = ");
	sql_text(&sql, table);
	buf_puts(&sql, " ORDER BY r.started_us DESC LIMIT 1) ORDER BY p.part");
	enum err rc = warehouse_query(w, buf_str(&sql), take_texts, &t, e);
	out->list = arena_array(mem, t.n + 1, sizeof *out->list);
	for (size_t i = 0; rc == OK && i < t.n; i++) {
		*run = t.list[0][i];
		rc = part_json_read(t.list[1][i], mem, &out->list[i], e);
		out->list[i].table = index;
		out->n = i + 1;
	}
	texts_free(&t);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "reading the ranges of the last comparison");
}

enum err progress_update(struct warehouse *w, struct str run, const struct reconcile_report *r,
	struct part *const *parts, size_t n, struct error *e)
{
	struct kept_rows k;
	struct buf sql;

	if (n == 0)
		return OK;
	kept_rows_of(&k, run, r, parts, n);
	buf_init(&sql, BUF_MAX_DEFAULT);
	buf_puts(&sql, "DELETE FROM ops.reconcile_parts WHERE run = ");
	sql_text(&sql, run);
	buf_puts(&sql, " AND table_name = ");
	sql_text(&sql, k.table[0]);
	buf_puts(&sql, " AND part IN (");
	for (size_t i = 0; i < n; i++)
		buf_putf(&sql, "%s%" PRId64, i > 0 ? ", " : "", k.number[i]);
	buf_puts(&sql, "); INSERT INTO ops.reconcile_parts (run, table_name, part, body) VALUES ");
	for (size_t i = 0; i < n; i++) {
		buf_puts(&sql, i > 0 ? ", (" : "(");
		sql_text(&sql, k.run[i]);
		buf_puts(&sql, ", ");
		sql_text(&sql, k.table[i]);
		buf_putf(&sql, ", %" PRId64 ", ", k.number[i]);
		sql_text(&sql, k.body[i]);
		buf_putc(&sql, ')');
	}
	enum err rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	arena_free(&k.mem);
	return rc == OK ? OK : error_wrap(e, "keeping the ranges that have been checked");
}
