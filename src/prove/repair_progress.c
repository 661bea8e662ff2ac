#include "repair_progress.h"

#include <inttypes.h>

#include "part_json.h"
#include "repair_sql.h"
#include "warehouse.h"

void repair_progress_put_tables(struct buf *out)
{
	buf_puts(out,
		"CREATE TABLE IF NOT EXISTS ops.repair_runs (repair_id VARCHAR NOT NULL, spec "
		"VARCHAR NOT NULL, started_us BIGINT NOT NULL, lsn VARCHAR NOT NULL, whole BOOLEAN "
		"NOT NULL, finished BOOLEAN NOT NULL, verdict BIGINT, checked_lsn VARCHAR, "
		"checked_whole BOOLEAN); "
		"CREATE TABLE IF NOT EXISTS ops.repair_ranges (repair_id VARCHAR NOT NULL, "
		"table_name VARCHAR NOT NULL, number BIGINT NOT NULL, body VARCHAR NOT NULL, done "
		"BOOLEAN NOT NULL, repaired BIGINT NOT NULL, skipped BIGINT NOT NULL);");
}

/* ---- going on ---- */

static bool name_index(const struct repair_run *run, struct str name, size_t *out)
{
	for (size_t i = 0; i < run->nnames; i++)
		if (str_eq(run->names[i], name)) {
			*out = i;
			return true;
		}
	return false;
}

struct finding {
	struct arena *mem;
	struct repair_run *run;
	size_t cap;
};

static enum err take_run(void *arg, const struct chunk *c, struct error *e)
{
	struct finding *f = arg;
	struct repair_run *run = f->run;
	int64_t verdict = REPAIR_UNCHECKED;

	if (c->rows == 0)
		return OK;
	run->id = arena_str(f->mem, vec_text(&c->cols[0], 0));
	run->whole = VEC_AT(&c->cols[2], uint8_t, 0) != 0;
	run->checked_whole = VEC_AT(&c->cols[5], uint8_t, 0) != 0;
	(void)vec_integer(&c->cols[3], 0, &verdict);
	run->verdict = (enum repair_verdict)verdict;
	return lsn_parse(vec_text(&c->cols[1], 0), &run->at) &&
			lsn_parse(vec_text(&c->cols[4], 0), &run->checked_at)
		? OK
		: FAIL(e, ERR_INPUT, "ops.repair_runs holds no position there");
}

static struct repair_range *add_range(struct finding *f)
{
	struct repair_run *run = f->run;

	if (run->n == f->cap) {
		size_t cap = f->cap > 0 ? f->cap * 2 : 32;
		struct repair_range *more = arena_array(f->mem, cap, sizeof *more);
		for (size_t i = 0; i < run->n; i++)
			more[i] = run->ranges[i];
		run->ranges = more;
		f->cap = cap;
	}
	return &run->ranges[run->n++];
}

static enum err take_ranges(void *arg, const struct chunk *c, struct error *e)
{
	struct finding *f = arg;

	for (size_t i = 0; i < c->rows; i++) {
		struct repair_range *x = add_range(f);
		size_t table = 0;

		TRY(part_json_read(vec_text(&c->cols[1], i), f->mem, &x->part, e));
		if (!name_index(f->run, vec_text(&c->cols[0], i), &table))
			return FAIL(e, ERR_INPUT,
				"ops.repair_ranges has the table %.*s, which is not compared",
				STR_ARG(vec_text(&c->cols[0], i)));
		x->part.table = table;
		x->done = VEC_AT(&c->cols[2], uint8_t, i) != 0;
	}
	return OK;
}

static enum err find_ranges(struct warehouse *w, struct finding *f, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT table_name, body, done FROM ops.repair_ranges WHERE repair_id = ");
	sql_text(&sql, f->run->id);
	buf_puts(&sql, " ORDER BY table_name, number");
	enum err rc = warehouse_query(w, buf_str(&sql), take_ranges, f, e);
	buf_free(&sql);
	return rc;
}

enum err repair_progress_find(struct warehouse *w, int64_t since_us, struct arena *mem,
	struct repair_run *run, struct error *e)
{
	struct finding f = {.mem = mem, .run = run};
	struct buf sql;

	run->id = STR_NONE;
	run->n = 0;
	buf_init(&sql, 1 << 16);
	buf_putf(&sql,
		"SELECT repair_id, lsn, whole, coalesce(verdict, 0), coalesce(checked_lsn, '0/0'), "
		"coalesce(checked_whole, false) FROM ops.repair_runs WHERE NOT finished AND spec = "
		"'%s' AND started_us >= %" PRId64 " ORDER BY started_us DESC LIMIT 1",
		run->spec, since_us);
	enum err rc = warehouse_query(w, buf_str(&sql), take_run, &f, e);
	buf_free(&sql);
	if (rc == OK && run->id.n > 0)
		rc = find_ranges(w, &f, e);
	return rc == OK ? OK : error_wrap(e, "finding a repair to go on with");
}

/* ---- keeping ---- */

static enum err keep_ranges(struct warehouse *w, const struct repair_run *run, struct error *e)
{
	static const char *const names[] = {
		"repair_id", "table_name", "number", "body", "done", "repaired", "skipped"};
	struct arena mem = {0};
	struct str *id = arena_array(&mem, run->n + 1, sizeof *id);
	struct str *table = arena_array(&mem, run->n + 1, sizeof *table);
	struct str *text = arena_array(&mem, run->n + 1, sizeof *text);
	int64_t *number = arena_array(&mem, run->n + 1, sizeof *number);
	int64_t *zero = arena_array(&mem, run->n + 1, sizeof *zero);
	uint8_t *done = arena_array(&mem, run->n + 1, sizeof *done);
	struct buf body;

	buf_init(&body, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < run->n; i++) {
		const struct part *p = &run->ranges[i].part;

		part_json_write(p, &body);
		id[i] = run->id;
		table[i] = run->names[p->table];
		text[i] = arena_str(&mem, buf_str(&body));
		number[i] = p->number;
	}
	buf_free(&body);
	const struct vec cols[] = {{.type = {.kind = T_TEXT}, .data = id},
		{.type = {.kind = T_TEXT}, .data = table},
		{.type = {.kind = T_INT8}, .data = number},
		{.type = {.kind = T_TEXT}, .data = text}, {.type = {.kind = T_BOOL}, .data = done},
		{.type = {.kind = T_INT8}, .data = zero}, {.type = {.kind = T_INT8}, .data = zero}};
	const struct chunk rows = {.rows = run->n, .ncols = 7, .names = names, .cols = cols};
	enum err rc = warehouse_insert(w, STR("ops"), STR("repair_ranges"), &rows, e);
	arena_free(&mem);
	return rc;
}

/* The row of the run comes last: without it the ranges are nobody's. */
static enum err keep_run(
	struct warehouse *w, const struct env *env, const struct repair_run *run, struct error *e)
{
	static const char *const names[] = {
		"repair_id", "spec", "started_us", "lsn", "whole", "finished"};
	char at[LSN_TEXT];
	struct str id = run->id, spec = str_of(run->spec);
	struct str position = str_of(lsn_format(run->at, at));
	int64_t started = clock_wall(env->clock);
	uint8_t whole = run->whole, finished = 0;
	const struct vec cols[] = {{.type = {.kind = T_TEXT}, .data = &id},
		{.type = {.kind = T_TEXT}, .data = &spec},
		{.type = {.kind = T_INT8}, .data = &started},
		{.type = {.kind = T_TEXT}, .data = &position},
		{.type = {.kind = T_BOOL}, .data = &whole},
		{.type = {.kind = T_BOOL}, .data = &finished}};
	const struct chunk row = {.rows = 1, .ncols = 6, .names = names, .cols = cols};

	return warehouse_insert(w, STR("ops"), STR("repair_runs"), &row, e);
}

enum err repair_progress_begin(
	struct warehouse *w, const struct env *env, const struct repair_run *run, struct error *e)
{
	enum err rc = keep_ranges(w, run, e);

	if (rc == OK)
		rc = keep_run(w, env, run, e);
	return rc == OK ? OK : error_wrap(e, "keeping what is to be repaired");
}

/* ---- what is done ---- */

static void put_of_run(struct buf *out, struct str id)
{
	buf_puts(out, " WHERE repair_id = ");
	sql_text(out, id);
}

static const char chosen_differences[] =
	"(SELECT CAST(coalesce(sum(differences), 0) AS BIGINT) FROM " REPAIR_CHOSEN ")";

void repair_progress_put_done(struct buf *out, const struct repair_run *run,
	const struct repair_range *range, uint64_t differences, bool chosen)
{
	const char *repaired = chosen ? chosen_differences : "0";

	buf_putf(out,
		"UPDATE ops.repair_ranges SET done = TRUE, repaired = %s, skipped = %" PRIu64
		" - %s",
		repaired, differences, repaired);
	put_of_run(out, run->id);
	buf_puts(out, " AND table_name = ");
	sql_text(out, run->names[range->part.table]);
	buf_putf(out, " AND number = %" PRIu32 ";", range->part.number);
	repair_progress_put_void(out);
}

void repair_progress_put_void(struct buf *out)
{
	buf_puts(out, "UPDATE ops.reconcile_runs SET spec = '' WHERE NOT finished AND spec <> '';");
}

void repair_progress_put_forget(struct buf *out, struct str table)
{
	buf_puts(out, "DELETE FROM ops.reconcile_parts WHERE table_name = ");
	sql_text(out, table);
	buf_putc(out, ';');
}

enum err repair_progress_check(
	struct warehouse *w, const struct repair_report *checked, struct error *e)
{
	struct buf sql;
	char at[LSN_TEXT];

	buf_init(&sql, 1 << 16);
	buf_putf(&sql,
		"UPDATE ops.repair_runs SET verdict = %d, checked_lsn = '%s', checked_whole = %s",
		(int)checked->verdict, lsn_format(checked->checked_at, at),
		checked->whole ? "true" : "false");
	put_of_run(&sql, checked->repair_id);
	buf_puts(&sql, " AND NOT finished;");
	enum err rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "keeping what the comparison after it says");
}

struct totals {
	const struct repair_run *run;
	struct repair_table *tables;
};

static enum err take_totals(void *arg, const struct chunk *c, struct error *e)
{
	struct totals *t = arg;
	int64_t repaired, skipped;
	size_t table;

	(void)e;
	for (size_t i = 0; i < c->rows; i++)
		if (name_index(t->run, vec_text(&c->cols[0], i), &table) &&
			vec_integer(&c->cols[1], i, &repaired) &&
			vec_integer(&c->cols[2], i, &skipped)) {
			t->tables[table].repaired = (uint64_t)repaired;
			t->tables[table].skipped = (uint64_t)skipped;
		}
	return OK;
}

enum err repair_progress_totals(struct warehouse *w, const struct repair_run *run,
	struct repair_table *tables, struct error *e)
{
	struct totals t = {.run = run, .tables = tables};
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql,
		"SELECT table_name, CAST(sum(repaired) AS BIGINT), CAST(sum(skipped) AS BIGINT) "
		"FROM ops.repair_ranges");
	put_of_run(&sql, run->id);
	buf_puts(&sql, " GROUP BY table_name");
	enum err rc = warehouse_query(w, buf_str(&sql), take_totals, &t, e);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "counting what was repaired");
}

void repair_progress_put_end(struct buf *out, struct str id)
{
	buf_puts(out, "DELETE FROM ops.repair_ranges");
	put_of_run(out, id);
	buf_puts(out, "; UPDATE ops.repair_runs SET finished = TRUE");
	put_of_run(out, id);
	buf_puts(out, " AND NOT finished;");
}
