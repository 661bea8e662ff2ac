#include "repair.h"

#include <assert.h>

#include "log.h"
#include "repair_write.h"

#define STALE_US INT64_C(3600000000)

void repair_report_free(struct repair_report *r)
{
	arena_free(&r->mem);
	*r = (struct repair_report){.ntables = 0};
}

/* "20170301T120000": sorts by time. */
static struct str compact_time(int64_t us, struct arena *mem)
{
	char text[CLOCK_TEXT], out[CLOCK_TEXT];
	size_t n = 0;

	clock_format(us, text, sizeof text);
	for (size_t i = 0; text[i] != '\0' && text[i] != '.' && text[i] != 'Z'; i++)
		if (text[i] != '-' && text[i] != ':')
			out[n++] = text[i];
	return arena_str(mem, str_make(out, n));
}

struct str repair_new_id(const struct env *env, struct arena *mem)
{
	struct rnd rnd;

	rnd_system(&rnd);
	return arena_fmt(mem, "%.*s-%06x", STR_ARG(compact_time(clock_wall(env->clock), mem)),
		(unsigned)rnd_below(&rnd, 1 << 24));
}

static enum err put_drop(void *arg, const struct chunk *c, struct error *e)
{
	struct buf *out = arg;

	(void)e;
	for (size_t i = 0; i < c->rows; i++) {
		buf_puts(out, "DROP TABLE IF EXISTS ");
		repair_put_stage(out, vec_text(&c->cols[0], i));
		buf_puts(out, ";");
	}
	return OK;
}

enum err repair_clear_old_stages(struct warehouse *w, const struct env *env, struct error *e)
{
	static const char *const prefixes[] = {"repair_rows_", "repair_keys_"};
	struct arena mem = {0};
	struct str before = compact_time(clock_wall(env->clock) - STALE_US, &mem);
	struct buf sql, drops;
	enum err rc = OK;

	buf_init(&sql, 1 << 16);
	buf_init(&drops, 1 << 20);
	for (size_t i = 0; rc == OK && i < 2; i++) {
		buf_reset(&sql);
		buf_putf(&sql,
			"SELECT table_name FROM information_schema.tables WHERE table_schema = "
			"'ops' AND table_name >= '%s' AND table_name < '%s%.*s'",
			prefixes[i], prefixes[i], STR_ARG(before));
		rc = warehouse_query(w, buf_str(&sql), put_drop, &drops, e);
	}
	if (rc == OK && drops.n > 0)
		rc = warehouse_script(w, buf_str(&drops), e);
	buf_free(&sql);
	buf_free(&drops);
	arena_free(&mem);
	return rc;
}

static enum err prepare(struct warehouse *w, const struct env *env, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	repair_put_ledger(&sql);
	enum err rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	if (rc == OK)
		rc = repair_clear_old_stages(w, env, e);
	return rc == OK ? OK : error_wrap(e, "preparing the repair");
}

static void list_tables(const struct reconcile_report *from, struct repair_report *out)
{
	out->at = from->cut.at;
	out->ntables = from->ntables;
	out->tables = arena_array(&out->mem, from->ntables + 1, sizeof *out->tables);
	for (size_t i = 0; i < from->ntables; i++)
		out->tables[i].name = arena_str(&out->mem, from->tables[i].name);
}

static enum err write_all(const struct repair_writing *w, struct repair_plans *plans,
	struct repair_report *out, struct error *e)
{
	for (size_t i = 0; i < plans->n; i++) {
		struct repair_plan *p = &plans->list[i];
		struct repair_table *t = &out->tables[p->index];
		TRY(repair_write(w, p, t, e));
		log_info(w->env->log, "repair", w->dry_run ? "table looked at" : "table repaired",
			F_STR("table", t->name), F_I64("repaired", t->repaired),
			F_I64("skipped", t->skipped), F_STR("repair_id", w->id));
	}
	return OK;
}

enum err repair(const struct repair_options *o, struct warehouse *w, const struct env *env,
	struct repair_report *out, struct error *e)
{
	struct repair_plans plans = {.max = o->max_rows > 0 ? o->max_rows : REPAIR_MOST};
	const struct reconcile_visitor visitor = repair_plans_visitor(&plans);
	struct reconcile_report found = {.ok = false};
	struct reconcile_options comparing = o->reconcile;

	*out = (struct repair_report){.ntables = 0};
	/* History that is wrong beneath a current row that is right is mended as well. */
	comparing.history = true;
	enum err rc = prepare(w, env, e);
	if (rc == OK)
		rc = reconcile_visiting(&comparing, &visitor, w, env, &found, e);
	if (rc == OK) {
		const struct repair_writing writing = {.warehouse = w,
			.env = env,
			.cut = &found.cut,
			.id = repair_new_id(env, &out->mem),
			.dry_run = o->dry_run};
		out->repair_id = writing.id;
		list_tables(&found, out);
		if (found.ok)
			out->verdict = REPAIR_EQUAL;
		out->whole = found.whole;
		out->checked_at = found.cut.at;
		rc = write_all(&writing, &plans, out, e);
	}
	repair_plans_free(&plans);
	reconcile_report_free(&found);
	if (rc != OK)
		repair_report_free(out);
	return rc;
}
