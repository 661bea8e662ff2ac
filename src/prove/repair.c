#include "repair.h"

#include <inttypes.h>

#include "repair_ranges.h"

#define STALE_US     INT64_C(3600000000)
#define ABANDONED_US (INT64_C(30) * 86400 * 1000000)

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

/* Runs that nobody has gone on with for so long are nobody's. */
static void put_old_runs(struct buf *out, int64_t now_us)
{
	buf_putf(out,
		"DELETE FROM ops.repair_ranges WHERE repair_id IN (SELECT repair_id FROM "
		"ops.repair_runs WHERE NOT finished AND started_us < %" PRId64 ");",
		now_us - ABANDONED_US);
	buf_putf(out,
		"UPDATE ops.repair_runs SET finished = TRUE WHERE NOT finished AND started_us < "
		"%" PRId64 ";",
		now_us - ABANDONED_US);
}

static enum err prepare(struct warehouse *w, const struct env *env, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	repair_put_ledger(&sql);
	repair_progress_put_tables(&sql);
	enum err rc = warehouse_script(w, buf_str(&sql), e);
	buf_reset(&sql);
	put_old_runs(&sql, clock_wall(env->clock));
	if (rc == OK)
		rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	if (rc == OK)
		rc = repair_clear_old_stages(w, env, e);
	return rc == OK ? OK : error_wrap(e, "preparing the repair");
}

/* Only what is kept can be gone on with, and a dry run keeps nothing. */
static bool may_go_on(const struct repair_options *o)
{
	return !o->dry_run && o->reconcile.resume_us > 0;
}

enum err repair(const struct repair_options *o, struct warehouse *w, const struct env *env,
	struct repair_report *out, struct error *e)
{
	struct reconcile_options compare = o->reconcile;
	struct ranging x = {.o = o,
		.compare = &compare,
		.warehouse = w,
		.env = env,
		.out = out,
		.max = o->max_rows > 0 ? o->max_rows : REPAIR_MOST};

	*out = (struct repair_report){.ntables = 0};
	/* History that is wrong beneath a current row that is right is mended as well. */
	compare.history = true;
	enum err rc = prepare(w, env, e);
	if (rc == OK && may_go_on(o))
		rc = ranging_find(&x, e);
	if (rc == OK && x.run.id.n == 0)
		rc = ranging_plan(&x, e);
	if (rc == OK)
		rc = ranging_mend(&x, e);
	ranging_free(&x);
	if (rc != OK)
		repair_report_free(out);
	return rc;
}

enum err repair_finish(struct warehouse *w, struct str repair_id, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	repair_progress_put_end(&sql, repair_id);
	enum err rc = warehouse_script(w, buf_str(&sql), e);
	buf_free(&sql);
	return rc == OK ? OK : error_wrap(e, "ending the repair %.*s", STR_ARG(repair_id));
}
